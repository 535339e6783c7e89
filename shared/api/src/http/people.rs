//! Decisions by people: reviews of held leads, responses, suppressions and erasures.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use lead::EmailAddress;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::{Suppression, Verdict};

use super::ApiState;
use super::answer::{ApiError, Json};
use super::leads::Queued;
use super::query::{Id, Query};
use operations::{Certificate, HeldLead, Page, ReviewAnswer};

type Answer<T> = Result<Json<T>, ApiError>;
type Body = Result<Bytes, BytesRejection>;

/// Recorded for a removal without a name.
const UNNAMED: &str = "the admin token";
/// Recorded for a removal without a reason.
const UNNAMED_REASON: &str = "not given";

/// The reviewer and the reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReviewRequest {
    by: String,
    reason: Option<String>,
}

/// The person who responded.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Responder {
    by: String,
}

/// The address or domain to suppress, with the reason and the person who adds it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suppress {
    who: String,
    reason: String,
    by: String,
}

/// The entry to remove, with the reason and the person who removes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsuppress {
    who: String,
    reason: String,
    by: String,
}

/// The person to erase.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Erase {
    email: EmailAddress,
    #[serde(default)]
    apply: bool,
    /// The person who also adds a suppression; none without it.
    suppress_by: Option<String>,
}

/// The result of an operation, which may have been done before.
#[derive(Serialize)]
pub(super) struct Done {
    pub(super) status: &'static str,
}

pub(super) async fn held(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Answer<Page<HeldLead>> {
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    Ok(Json(state.operations.held(query.cursor()?.as_ref(), query.limit()?).await?))
}

pub(super) async fn approve(
    state: State<ApiState>,
    id: Id,
    query: RawQuery,
    body: Body,
) -> Result<Response, ApiError> {
    review(state, id, query, body, Verdict::Approve).await
}

pub(super) async fn rejudge(
    state: State<ApiState>,
    id: Id,
    query: RawQuery,
    body: Body,
) -> Result<Response, ApiError> {
    review(state, id, query, body, Verdict::Rejudge).await
}

pub(super) async fn dismiss(
    state: State<ApiState>,
    id: Id,
    query: RawQuery,
    body: Body,
) -> Result<Response, ApiError> {
    review(state, id, query, body, Verdict::Dismiss).await
}

async fn review(
    State(state): State<ApiState>,
    Id(id): Id,
    RawQuery(query): RawQuery,
    body: Body,
    verdict: Verdict,
) -> Result<Response, ApiError> {
    Query::parse(query.as_deref(), &[])?;
    let decision: ReviewRequest = read(
        body,
        "the body must be {\"by\":\"a name\"} and may have a \"reason\"; dismissing requires one",
    )?;
    let id = state.operations.resolve(&id).await?;
    let answer = state.operations.review(&id, verdict, &decision.by, decision.reason.as_deref()).await?;
    Ok(match answer {
        ReviewAnswer::Queued => Queued::answer(id),
        ReviewAnswer::Dismissed => (StatusCode::OK, Json(Done { status: "dismissed" })).into_response(),
    })
}

pub(super) async fn responded(
    State(state): State<ApiState>,
    Id(id): Id,
    RawQuery(query): RawQuery,
    body: Body,
) -> Answer<Done> {
    Query::parse(query.as_deref(), &[])?;
    let response: Responder = read(body, "the body must be {\"by\":\"a name\"}")?;
    let id = state.operations.resolve(&id).await?;
    let is_first = state.operations.responded(&id, &response.by).await?;
    Ok(Json(Done { status: if is_first { "responded" } else { "responded_before" } }))
}

pub(super) async fn suppressions(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Answer<Page<Suppression>> {
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    Ok(Json(state.operations.suppressions(query.cursor()?.as_ref(), query.limit()?).await?))
}

pub(super) async fn removed_suppressions(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Answer<Page<Suppression>> {
    let query = Query::parse(query.as_deref(), &["limit", "cursor"])?;
    Ok(Json(state.operations.removed_suppressions(query.cursor()?.as_ref(), query.limit()?).await?))
}

pub(super) async fn suppress(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Answer<Done> {
    Query::parse(query.as_deref(), &[])?;
    let entry: Suppress = read(
        body,
        "the body must be {\"who\":\"an address or a domain\",\"reason\":\"why\",\"by\":\"a name\"}",
    )?;
    let is_new = state.operations.suppress(&entry.who, &entry.reason, &entry.by).await?;
    Ok(Json(Done { status: if is_new { "suppressed" } else { "suppressed_before" } }))
}

/// Removes an entry from the list. Not a DELETE with the address, because paths appear in access logs.
pub(super) async fn unsuppress(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Answer<Done> {
    Query::parse(query.as_deref(), &[])?;
    let entry: Unsuppress = read(
        body,
        "the body must be {\"who\":\"an address, a domain or an entry\",\"reason\":\"why\",\"by\":\"a name\"}",
    )?;
    state.operations.unsuppress(&entry.who, &entry.reason, &entry.by).await?;
    Ok(Json(Done { status: "removed" }))
}

/// Removes an entry as the list shows it: a domain, or the hash of an address.
pub(super) async fn unsuppress_entry(
    State(state): State<ApiState>,
    Id(entry): Id,
    RawQuery(query): RawQuery,
) -> Answer<Done> {
    Query::parse(query.as_deref(), &[])?;
    if entry.contains('@') {
        return Err(ApiError::invalid_query(
            "an address must not be in a path, because access logs record paths; hint: POST /suppressions/remove",
        ));
    }
    state.operations.unsuppress(&entry, UNNAMED_REASON, UNNAMED).await?;
    Ok(Json(Done { status: "removed" }))
}

pub(super) async fn erase(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Answer<Certificate> {
    Query::parse(query.as_deref(), &[])?;
    let person: Erase = read(
        body,
        "the body must be {\"email\":\"an address\"} and may have \"apply\":true and \"suppress_by\":\"a name\"",
    )?;
    let suppress_by = person.suppress_by.as_deref();
    Ok(Json(state.operations.erase(&person.email, person.apply, suppress_by).await?))
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
    serde_json::from_slice(&body).map_err(|_| ApiError::invalid_body(must))
}
