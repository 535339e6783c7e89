//! Dead letters and quarantined bodies.

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use store::{DeadLetter, Quarantined};

use super::ApiState;
use super::access::Caller;
use super::answer::{ApiError, Json};
use super::leads::Queued;
use super::query::{Id, NoQuery, PageQuery};
use operations::Page;
use utoipa::ToSchema;

type Answer<T> = Result<Json<T>, ApiError>;

/// List dead letters
#[utoipa::path(
    get, path = "/dead-letters", tag = "parked", operation_id = "listDeadLetters",
    params(PageQuery),
    responses((status = 200, description = "A page of dead letters, newest first", body = Page<DeadLetter>)),
)]
pub(super) async fn dead_letters(State(state): State<ApiState>, page: PageQuery) -> Answer<Page<DeadLetter>> {
    Ok(Json(state.operations.dead_letters(page.cursor.as_ref(), page.limit).await?))
}

/// Redrive a dead letter
///
/// The delivery is queued again with all its attempts.
#[utoipa::path(
    post, path = "/dead-letters/{id}/redrive", tag = "parked", operation_id = "redriveDeadLetter",
    params(("id" = String, Path,
        description = "The dead letter's id, or the id of its lead or an unambiguous prefix of that")),
    responses((status = 202, description = "The delivery is queued again", body = Queued)),
)]
pub(super) async fn redrive(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
    _: NoQuery,
) -> Result<Response, ApiError> {
    Ok(Queued::answer(state.operations.redrive(caller.actor(), &id).await?))
}

/// List the quarantined bodies
#[utoipa::path(
    get, path = "/quarantine", tag = "parked", operation_id = "listQuarantine",
    params(PageQuery),
    responses((status = 200, body = Page<Quarantined>,
        description = "A page of the quarantine, newest first, without the bodies")),
)]
pub(super) async fn quarantine(State(state): State<ApiState>, page: PageQuery) -> Answer<Page<Quarantined>> {
    Ok(Json(state.operations.quarantine(page.cursor.as_ref(), page.limit).await?))
}

/// A rejected body with its unchanged bytes.
#[derive(Serialize, ToSchema)]
pub(super) struct QuarantinedBody {
    #[serde(flatten)]
    item: Quarantined,
    encoding: Encoding,
    body: String,
}

/// The encoding of a body.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Text,
    Base64,
}

/// Show a quarantined body
#[utoipa::path(
    get, path = "/quarantine/{id}", tag = "parked", operation_id = "showQuarantined",
    params(("id" = String, Path, description = "Its id, or an unambiguous prefix of at least eight characters")),
    responses((status = 200, description = "The unchanged body", body = QuarantinedBody)),
)]
pub(super) async fn quarantined(
    State(state): State<ApiState>,
    Id(id): Id,
    _: NoQuery,
) -> Answer<QuarantinedBody> {
    let mut item = state.operations.quarantined(&id).await?;
    let (encoding, body) = match String::from_utf8(std::mem::take(&mut item.body)) {
        Ok(text) => (Encoding::Text, text),
        Err(bytes) => (Encoding::Base64, STANDARD.encode(bytes.as_bytes())),
    };
    Ok(Json(QuarantinedBody { item, encoding, body }))
}
