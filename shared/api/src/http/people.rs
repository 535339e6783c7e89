//! Decisions by people: reviews of held leads, responses, suppressions and erasures.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use lead::EmailAddress;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::{Suppression, Verdict};

use super::ApiState;
use super::access::Caller;
use super::answer::{ApiError, ErrorBody, Json};
use super::leads::Queued;
use super::query::{Id, NoQuery, PageQuery};
use super::texts::{Line, Removable, Suppressible};
use operations::{Certificate, Export, HeldLead, Page, ReviewAnswer};
use utoipa::ToSchema;

type Answer<T> = Result<Json<T>, ApiError>;
type Body = Result<Bytes, BytesRejection>;

/// The error for an invalid body of a review.
const REVIEW: &str = "the body must be {} and may have a \"reason\"; dismissing requires one";
/// Recorded for a removal without a reason.
const UNNAMED_REASON: &str = "not given";

/// The reason of a decision.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReviewRequest {
    /// The reason, without personal data of the lead.
    reason: Option<Line>,
}

/// The decision to dismiss a lead.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DismissRequest {
    /// The reason, without personal data of the lead.
    reason: Line,
}

/// The person who responded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RespondRequest {
    /// The name of the person who responded; without it the caller's.
    by: Option<Line>,
}

/// A person or domain that is never written to the CRM.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SuppressRequest {
    who: Suppressible,
    /// The reason, without personal data.
    reason: Line,
}

/// The entry to remove from the list.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UnsuppressRequest {
    who: Removable,
    /// The reason, without personal data.
    reason: Line,
}

/// The person to erase.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EraseRequest {
    email: EmailAddress,
    /// Remove the data, instead of a dry run.
    #[serde(default)]
    apply: bool,
    /// With `apply`, also adds the person to the suppression list.
    #[serde(default)]
    suppress: bool,
}

/// The person whose data is exported.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ExportRequest {
    email: EmailAddress,
}

/// The result of an operation, which may have been done before.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    /// Such as `dismissed`, `responded`, `suppressed`, `removed`, `held`, `resumed`; `.._before` if nothing
    /// changed.
    pub(super) status: &'static str,
}

/// List held leads
///
/// Newest first, each with the rules that its analysis broke.
#[utoipa::path(
    get, path = "/reviews", tag = "people", operation_id = "listReviews",
    params(PageQuery),
    responses((status = 200, description = "A page of held leads", body = Page<HeldLead>)),
)]
pub(super) async fn held(State(state): State<ApiState>, page: PageQuery) -> Answer<Page<HeldLead>> {
    Ok(Json(state.operations.held(page.cursor.as_ref(), page.limit).await?))
}

/// Approve a held lead
///
/// The lead is written to the CRM without anything from its analysis. Refused if the lead is not held, or the
/// person is on the suppression list. Idempotent.
#[utoipa::path(
    post, path = "/reviews/{id}/approve", tag = "people", operation_id = "approveReview",
    params(Id),
    request_body(content = ReviewRequest, content_type = "application/json"),
    responses((status = 202, description = "The lead will be written", body = Queued)),
)]
pub(super) async fn approve(
    state: State<ApiState>,
    caller: Caller,
    id: Id,
    _: NoQuery,
    body: Body,
) -> Result<Response, ApiError> {
    let ReviewRequest { reason } = read(body, REVIEW)?;
    review(state, &caller, id, Verdict::Approve, reason.as_ref()).await
}

/// Have a held lead judged again
///
/// Refused if the lead is not held. Idempotent.
#[utoipa::path(
    post, path = "/reviews/{id}/rejudge", tag = "people", operation_id = "rejudgeReview",
    params(Id),
    request_body(content = ReviewRequest, content_type = "application/json"),
    responses((status = 202, description = "The lead will be judged again", body = Queued)),
)]
pub(super) async fn rejudge(
    state: State<ApiState>,
    caller: Caller,
    id: Id,
    _: NoQuery,
    body: Body,
) -> Result<Response, ApiError> {
    let ReviewRequest { reason } = read(body, REVIEW)?;
    review(state, &caller, id, Verdict::Rejudge, reason.as_ref()).await
}

/// Dismiss a held lead
///
/// Nothing is written. Refused if the lead is not held. Idempotent.
#[utoipa::path(
    post, path = "/reviews/{id}/dismiss", tag = "people", operation_id = "dismissReview",
    params(Id),
    request_body(content = DismissRequest, content_type = "application/json"),
    responses((status = 200, description = "The lead is dismissed", body = Done)),
)]
pub(super) async fn dismiss(
    state: State<ApiState>,
    caller: Caller,
    id: Id,
    _: NoQuery,
    body: Body,
) -> Result<Response, ApiError> {
    let DismissRequest { reason } = read(body, REVIEW)?;
    review(state, &caller, id, Verdict::Dismiss, Some(&reason)).await
}

async fn review(
    State(state): State<ApiState>,
    caller: &Caller,
    Id(id): Id,
    verdict: Verdict,
    reason: Option<&Line>,
) -> Result<Response, ApiError> {
    let id = state.operations.resolve(&id).await?;
    let reason = reason.map(|reason| reason.0.as_str());
    let answer = state.operations.review(caller.actor(), &id, verdict, reason).await?;
    Ok(match answer {
        ReviewAnswer::Queued => Queued::answer(id),
        ReviewAnswer::Dismissed => (StatusCode::OK, Json(Done { status: "dismissed" })).into_response(),
    })
}

/// Record a response to a lead
///
/// Ends the response time of its rule. Idempotent.
#[utoipa::path(
    post, path = "/leads/{id}/responded", tag = "people", operation_id = "respondLead",
    params(Id),
    request_body(content = RespondRequest, content_type = "application/json"),
    responses((status = 200, description = "The response is recorded", body = Done)),
)]
pub(super) async fn responded(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
    _: NoQuery,
    body: Body,
) -> Answer<Done> {
    let response: RespondRequest = read(body, "the body must be {} and may have \"by\":\"a name\"")?;
    let id = state.operations.resolve(&id).await?;
    let by = response.by.as_ref().map(|name| name.0.as_str());
    let is_first = state.operations.responded(caller.actor(), &id, by).await?;
    Ok(Json(Done { status: if is_first { "responded" } else { "responded_before" } }))
}

/// List the suppression list
#[utoipa::path(
    get, path = "/suppressions", tag = "people", operation_id = "listSuppressions",
    params(PageQuery),
    responses((status = 200, body = Page<Suppression>,
        description = "A page of the suppression list, newest first")),
)]
pub(super) async fn suppressions(
    State(state): State<ApiState>,
    page: PageQuery,
) -> Answer<Page<Suppression>> {
    Ok(Json(state.operations.suppressions(page.cursor.as_ref(), page.limit).await?))
}

/// List the removed entries of the suppression list
#[utoipa::path(
    get, path = "/suppressions/removed", tag = "people", operation_id = "listRemovedSuppressions",
    params(PageQuery),
    responses((status = 200, body = Page<Suppression>,
        description = "A page of the removed entries, the latest removal first")),
)]
pub(super) async fn removed_suppressions(
    State(state): State<ApiState>,
    page: PageQuery,
) -> Answer<Page<Suppression>> {
    Ok(Json(state.operations.removed_suppressions(page.cursor.as_ref(), page.limit).await?))
}

/// Add an address or a domain to the suppression list
///
/// For an address only the SHA-256 is stored. The list is checked before a lead is enriched and judged, and
/// again when it is written.
#[utoipa::path(
    post, path = "/suppressions", tag = "people", operation_id = "addSuppression",
    request_body(content = SuppressRequest, content_type = "application/json"),
    responses((status = 200, description = "The entry is on the list", body = Done)),
)]
pub(super) async fn suppress(
    State(state): State<ApiState>,
    caller: Caller,
    _: NoQuery,
    body: Body,
) -> Answer<Done> {
    let entry: SuppressRequest =
        read(body, "the body must be {\"who\":\"an address or a domain\",\"reason\":\"why\"}")?;
    let is_new = state.operations.suppress(caller.actor(), &entry.who.0, &entry.reason.0).await?;
    Ok(Json(Done { status: if is_new { "suppressed" } else { "suppressed_before" } }))
}

/// Remove an entry from the suppression list
///
/// The removed entry is recorded, with the remover and the reason.
#[utoipa::path(
    post, path = "/suppressions/remove", tag = "people", operation_id = "removeSuppression",
    request_body(content = UnsuppressRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "The entry is removed", body = Done),
        (status = 404, description = "The entry is not on the list", body = ErrorBody),
    ),
)]
// Not a DELETE with the address, because paths appear in access logs.
pub(super) async fn unsuppress(
    State(state): State<ApiState>,
    caller: Caller,
    _: NoQuery,
    body: Body,
) -> Answer<Done> {
    let entry: UnsuppressRequest =
        read(body, "the body must be {\"who\":\"an address, a domain or an entry\",\"reason\":\"why\"}")?;
    state.operations.unsuppress(caller.actor(), &entry.who.0, &entry.reason.0).await?;
    Ok(Json(Done { status: "removed" }))
}

/// Remove an entry from the suppression list, as the list shows it
///
/// Refused for an address, because access logs record paths; use `POST /suppressions/remove`.
#[utoipa::path(
    delete, path = "/suppressions/{entry}", tag = "people", operation_id = "deleteSuppression",
    params(("entry" = String, Path, description = "A domain, or the hash of an address", max_length = 254,
        pattern = r"^([0-9a-f]{64}|([A-Za-z0-9]{1,30}(-[A-Za-z0-9]{1,30})?\.){1,3}[A-Za-z]{2,20})$")),
    responses((status = 200, description = "The entry is removed", body = Done)),
)]
pub(super) async fn unsuppress_entry(
    State(state): State<ApiState>,
    caller: Caller,
    Id(entry): Id,
    _: NoQuery,
) -> Answer<Done> {
    if entry.contains('@') {
        return Err(ApiError::invalid_query(
            "an address must not be in a path, because access logs record paths; hint: POST /suppressions/remove",
        ));
    }
    state.operations.unsuppress(caller.actor(), &entry, UNNAMED_REASON).await?;
    Ok(Json(Done { status: "removed" }))
}

/// Erase a person
///
/// Without `apply` nothing changes: the answer lists the person's data. With `apply` all data that identifies
/// the person is removed, the ledger and the audit trail are reduced to hashes, and the answer is the
/// certificate. A repetition removes data that has arrived since.
#[utoipa::path(
    post, path = "/erasures", tag = "people", operation_id = "erasePerson",
    request_body(content = EraseRequest, content_type = "application/json"),
    responses((status = 200, body = Certificate,
        description = "The data that was found, its treatment, and the data that remains elsewhere")),
)]
pub(super) async fn erase(
    State(state): State<ApiState>,
    caller: Caller,
    _: NoQuery,
    body: Body,
) -> Answer<Certificate> {
    let person: EraseRequest = read(
        body,
        "the body must be {\"email\":\"an address\"} and may have \"apply\":true and \"suppress\":true",
    )?;
    let EraseRequest { email, apply, suppress } = person;
    Ok(Json(state.operations.erase(caller.actor(), &email, apply, suppress).await?))
}

/// Export what is stored about a person
///
/// Every row of the person's leads in every spelling of the address, the dead letters and rejected bodies
/// that mention it, and the places that were not read. Not a GET, because addresses must not be in paths.
#[utoipa::path(
    post, path = "/exports", tag = "people", operation_id = "exportPerson",
    request_body(content = ExportRequest, content_type = "application/json"),
    responses((status = 200, body = Export, description = "The stored data of the person")),
)]
pub(super) async fn export(
    State(state): State<ApiState>,
    caller: Caller,
    _: NoQuery,
    body: Body,
) -> Answer<Export> {
    let person: ExportRequest = read(body, "the body must be {\"email\":\"an address\"}")?;
    Ok(Json(state.operations.export_person(caller.actor(), &person.email).await?))
}

/// Reads a required JSON body.
pub(super) fn read<T: DeserializeOwned>(body: Body, must: &'static str) -> Result<T, ApiError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::body_too_large(),
        _ => ApiError::invalid_body("the body could not be read"),
    })?;
    if !body.trim_ascii().starts_with(b"{") {
        return Err(ApiError::invalid_body(must));
    }
    serde_json::from_slice(&body).map_err(|_| ApiError::invalid_body(why_refused(&body, must)))
}

/// The message for an invalid body. Fields of earlier versions have a message of their own.
fn why_refused(body: &[u8], must: &'static str) -> &'static str {
    let named = |field| {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        body.get(field).is_some()
    };
    if named("suppress_by") {
        "\"suppress_by\" is replaced by \"suppress\":true; the audit trail names the operator of the token"
    } else if named("by") {
        "leave \"by\" out: the audit trail names the operator of the token"
    } else {
        must
    }
}
