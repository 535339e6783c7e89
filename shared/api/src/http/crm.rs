//! CRM plans of single leads, and the hold of all writes.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use operations::PlannedLead;
use serde::Deserialize;

use super::ApiState;
use super::answer::{ApiError, Json};
use super::leads::Queued;
use super::people::{Done, read};
use super::query::{Id, Query};

/// The request to hold all writes, with its reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    reason: String,
}

pub(super) async fn plan(
    State(state): State<ApiState>,
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> Result<Json<PlannedLead>, ApiError> {
    Query::parse(query.as_deref(), &[])?;
    let id = state.operations.resolve(&id).await?;
    Ok(Json(state.operations.plan(&id).await?))
}

pub(super) async fn promote(
    State(state): State<ApiState>,
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(query.as_deref(), &[])?;
    let id = state.operations.resolve(&id).await?;
    state.operations.promote(&id).await?;
    Ok(Queued::answer(id))
}

pub(super) async fn rollback(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Done>, ApiError> {
    Query::parse(query.as_deref(), &[])?;
    let rollback: Rollback = read(body, "the body must be {\"reason\":\"why\"}")?;
    state.operations.hold_crm(&rollback.reason).await?;
    Ok(Json(Done { status: "held" }))
}

pub(super) async fn resume(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<Done>, ApiError> {
    Query::parse(query.as_deref(), &[])?;
    let was_held = state.operations.resume_crm().await?;
    Ok(Json(Done { status: if was_held { "resumed" } else { "resumed_before" } }))
}
