//! Pauses of consumption, and ending them.

use axum::extract::State;
use jiff::Timestamp;
use queue::Pause;
use serde::Serialize;

use super::ApiState;
use super::access::Caller;
use super::answer::{ApiError, Json};
use super::people::Done;
use super::query::{Id, NoQuery};
use operations::Resumed;
use utoipa::ToSchema;

/// A pause of consumption.
#[derive(Serialize, ToSchema)]
pub(super) struct PauseView {
    dependency: String,
    reason: String,
    since: Timestamp,
    /// The time of the next probe.
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
#[derive(Serialize, ToSchema)]
pub(super) struct Pauses {
    items: Vec<PauseView>,
}

/// List the pauses of consumption
///
/// While a dependency is unavailable, no worker receives leads. A pause ends automatically after a successful
/// probe.
#[utoipa::path(
    get, path = "/pauses", tag = "service", operation_id = "listPauses",
    responses((status = 200, description = "The pauses in force", body = Pauses)),
)]
pub(super) async fn list(State(state): State<ApiState>, _: NoQuery) -> Result<Json<Pauses>, ApiError> {
    let pauses = state.operations.pauses().await?;
    Ok(Json(Pauses { items: pauses.into_iter().map(PauseView::from).collect() }))
}

/// End a pause of consumption now
///
/// Without waiting for its end, and without a probe; if the circuit breaker is open, the next lead makes the
/// half-open probe. Idempotent. On AWS the janitor function resumes consumption within a minute. Does not end
/// a rollback: see `/crm/resume`.
#[utoipa::path(
    post, path = "/pauses/{dependency}/resume", tag = "service", operation_id = "resumeDependency",
    params(("dependency" = String, Path, description = "Such as `crm.salesforce` or `ai.gemini`")),
    responses((status = 200, description = "The pause has ended, or there was none", body = Done)),
)]
pub(super) async fn resume(
    State(state): State<ApiState>,
    caller: Caller,
    Id(dependency): Id,
    _: NoQuery,
) -> Result<Json<Done>, ApiError> {
    let status = match state.operations.resume(caller.actor(), &dependency).await? {
        Resumed::Now => "resumed",
        Resumed::Before => "resumed_before",
    };
    Ok(Json(Done { status }))
}
