//! CRM plans of single leads, and the hold of all writes.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use operations::PlannedLead;
use serde::Deserialize;
use utoipa::ToSchema;

use super::ApiState;
use super::access::Caller;
use super::answer::{ApiError, ErrorBody, Json};
use super::leads::Queued;
use super::people::{Done, read};
use super::query::{Id, NoQuery};
use super::texts::Line;

/// The reason to stop all writes to the CRM.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RollbackRequest {
    reason: Line,
}

/// Show the planned writes to the CRM for a lead
///
/// Field by field with the present value. The CRM is read; nothing is written.
#[utoipa::path(
    get, path = "/leads/{id}/plan", tag = "crm", operation_id = "planLead",
    params(Id),
    responses(
        (status = 200, description = "The plan that follows from the judgement in force", body = PlannedLead),
        (status = 409, description = "The lead has not been judged yet", body = ErrorBody),
    ),
)]
pub(super) async fn plan(
    State(state): State<ApiState>,
    Id(id): Id,
    _: NoQuery,
) -> Result<Json<PlannedLead>, ApiError> {
    let id = state.operations.resolve(&id).await?;
    Ok(Json(state.operations.plan(&id).await?))
}

/// Write a planned lead to the CRM
///
/// Once, planned again against the CRM's present values, also in shadow mode. Refused if the lead is not
/// planned.
#[utoipa::path(
    post, path = "/leads/{id}/promote", tag = "crm", operation_id = "promoteLead",
    params(Id),
    responses((status = 202, description = "The lead will be written", body = Queued)),
)]
pub(super) async fn promote(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let id = state.operations.resolve(&id).await?;
    state.operations.promote(caller.actor(), &id).await?;
    Ok(Queued::answer(id))
}

/// Stop all writes to the CRM
///
/// In every process and regardless of `CRM_MODE`, including promoted leads that are still queued. Leads are
/// judged, planned and kept. Idempotent.
#[utoipa::path(
    post, path = "/crm/rollback", tag = "crm", operation_id = "rollbackCrm",
    request_body(content = RollbackRequest, content_type = "application/json"),
    responses((status = 200, description = "All writes are stopped", body = Done)),
)]
pub(super) async fn rollback(
    State(state): State<ApiState>,
    caller: Caller,
    _: NoQuery,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Done>, ApiError> {
    let rollback: RollbackRequest = read(body, "the body must be {\"reason\":\"why\"}")?;
    state.operations.hold_crm(caller.actor(), &rollback.reason.0).await?;
    Ok(Json(Done { status: "held" }))
}

/// Resume writes to the CRM after a rollback
///
/// Leads that were kept in the meantime stay planned until they are promoted.
#[utoipa::path(
    post, path = "/crm/resume", tag = "crm", operation_id = "resumeCrm",
    responses((status = 200, description = "The hold has ended, or there was none", body = Done)),
)]
pub(super) async fn resume(
    State(state): State<ApiState>,
    caller: Caller,
    _: NoQuery,
) -> Result<Json<Done>, ApiError> {
    let was_held = state.operations.resume_crm(caller.actor()).await?;
    Ok(Json(Done { status: if was_held { "resumed" } else { "resumed_before" } }))
}
