//! Dead letters and quarantined bodies.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use store::{DeadLetter, Quarantined};

use super::ApiState;
use super::answer::{ApiError, Json};
use super::leads::Queued;
use super::query::{Id, Query};
use operations::Page;

type Answer<T> = Result<Json<T>, ApiError>;

pub(super) async fn dead_letters(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Answer<Page<DeadLetter>> {
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    Ok(Json(state.operations.dead_letters(query.cursor()?.as_ref(), query.limit()?).await?))
}

pub(super) async fn redrive(
    State(state): State<ApiState>,
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(query.as_deref(), &[])?;
    Ok(Queued::answer(state.operations.redrive(&id).await?))
}

pub(super) async fn quarantine(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Answer<Page<Quarantined>> {
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    Ok(Json(state.operations.quarantine(query.cursor()?.as_ref(), query.limit()?).await?))
}

/// A quarantined body with its bytes.
#[derive(Serialize)]
pub(super) struct QuarantinedBody {
    #[serde(flatten)]
    item: Quarantined,
    /// `text` or `base64`.
    encoding: &'static str,
    body: String,
}

pub(super) async fn quarantined(
    State(state): State<ApiState>,
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> Answer<QuarantinedBody> {
    Query::parse(query.as_deref(), &[])?;
    let mut item = state.operations.quarantined(&id).await?;
    let (encoding, body) = match String::from_utf8(std::mem::take(&mut item.body)) {
        Ok(text) => ("text", text),
        Err(bytes) => ("base64", STANDARD.encode(bytes.as_bytes())),
    };
    Ok(Json(QuarantinedBody { item, encoding, body }))
}
