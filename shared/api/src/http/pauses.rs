//! Pauses of consumption, and ending them.

use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use queue::Pause;
use serde::Serialize;

use super::ApiState;
use super::answer::{ApiError, Json};
use super::people::Done;
use super::query::{Id, Query};
use operations::Resumed;

/// The view of one pause.
#[derive(Serialize)]
pub(super) struct PauseView {
    dependency: String,
    reason: String,
    since: Timestamp,
    until: Timestamp,
}

impl From<Pause> for PauseView {
    fn from(pause: Pause) -> Self {
        Self {
            dependency: pause.dependency.as_str().to_owned(),
            reason: pause.reason,
            since: pause.since,
            until: pause.until,
        }
    }
}

/// All pauses in force, at most one for each dependency.
#[derive(Serialize)]
pub(super) struct Pauses {
    items: Vec<PauseView>,
}

pub(super) async fn list(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<Pauses>, ApiError> {
    Query::parse(query.as_deref(), &[])?;
    let pauses = state.operations.pauses().await?;
    Ok(Json(Pauses { items: pauses.into_iter().map(PauseView::from).collect() }))
}

pub(super) async fn resume(
    State(state): State<ApiState>,
    Id(dependency): Id,
    RawQuery(query): RawQuery,
) -> Result<Json<Done>, ApiError> {
    Query::parse(query.as_deref(), &[])?;
    let status = match state.operations.resume(&dependency).await? {
        Resumed::Now => "resumed",
        Resumed::Before => "resumed_before",
    };
    Ok(Json(Done { status }))
}
