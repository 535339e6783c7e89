//! The audit trail of acts that concern no lead, or more than one.

use axum::extract::{RawQuery, State};
use operations::Act;
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::answer::{ApiError, Json};
use super::query::Query;

/// A page of acts.
#[derive(Serialize, ToSchema)]
pub(super) struct ActPage {
    items: Vec<Act>,
    /// The `before` of the next page; absent on the last. A full page may be the last one; the next is then
    /// empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<i64>,
}

/// List the acts that concern no single lead
///
/// Suppressions, holds and resumes, erasures, removals from quarantine and others, newest first, each with
/// its actor. Acts on a lead are in the audit events of that lead.
#[utoipa::path(
    get, path = "/audit", tag = "audit", operation_id = "listActs",
    params(
        ("before" = Option<i64>, Query, minimum = 1, description = "Only acts before this `seq`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Acts on the page; 50 by default"),
    ),
    responses((status = 200, description = "Acts, newest first", body = ActPage)),
)]
pub(super) async fn acts(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<ActPage>, ApiError> {
    let query = Query::parse(query.as_deref(), &["before", "limit"])?;
    let before =
        query.get("before", "a whole number from 1", |text| text.parse().ok().filter(|n: &i64| *n >= 1))?;
    let limit = query.limit()?;
    let items = state.operations.acts(before, limit).await?;
    let is_full = items.len() >= limit as usize;
    Ok(Json(ActPage { next_before: items.last().filter(|_| is_full).map(|act| act.seq), items }))
}
