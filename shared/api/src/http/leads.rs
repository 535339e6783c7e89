use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use lead::{CampaignId, Decision, EmailAddress, Fit, LeadId, LeadStatus};
use serde::{Deserialize, Serialize};
use store::{AuditEvent, Awaits, LeadFilter};

use super::ApiState;
use super::access::Caller;
use super::answer::{ApiError, Json};
use super::query::{Id, NoQuery, PageQuery, Query};
use operations::{Explanation, LeadView, Page, Replay};
use utoipa::ToSchema;

type Answer<T> = Result<Json<T>, ApiError>;

/// List leads
///
/// Newest first; all given filters apply. No lead is on two pages or missing, even if new leads arrive
/// between two requests.
#[utoipa::path(
    get, path = "/leads", tag = "leads", operation_id = "listLeads",
    params(
        ("status" = Option<LeadStatus>, Query, description = "In this status"),
        ("decision" = Option<Decision>, Query, description = "With this decision in force"),
        ("fit" = Option<Fit>, Query, description = "With this fit in force"),
        ("campaign_id" = Option<CampaignId>, Query, description = "Of this campaign"),
        ("email" = Option<EmailAddress>, Query, description = "Of this person"),
        ("awaits" = Option<Awaits>, Query,
            description = "Waiting to be judged again: judged without an AI, or while enrichment was unavailable"),
        ("since" = Option<String>, Query, format = DateTime, description = "First accepted at this time or later"),
        PageQuery,
    ),
    responses((status = 200, description = "A page of leads, without evidence and reasons", body = Page<LeadView>)),
)]
pub(super) async fn list(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Answer<Page<LeadView>> {
    const KNOWN: &[&str] =
        &["status", "decision", "fit", "campaign_id", "email", "awaits", "since", "limit", "cursor"];
    let query = Query::parse(query.as_deref(), KNOWN)?;
    let filter = LeadFilter {
        status: query.word("status", LeadStatus::ALL, LeadStatus::as_str)?,
        decision: query.word("decision", Decision::ALL, Decision::as_str)?,
        fit: query.word("fit", Fit::ALL, Fit::as_str)?,
        campaign_id: query.get("campaign_id", "a campaign id of 1 to 255 characters", |text| {
            CampaignId::parse(text).ok().map(Into::into)
        })?,
        email: query.get("email", "an e-mail address", |text| EmailAddress::parse(text).ok())?,
        awaits: query.word("awaits", Awaits::ALL, Awaits::as_str)?,
        since: query
            .get("since", "a time such as 2026-01-31T00:00:00Z", |text| text.parse::<Timestamp>().ok())?,
    };
    let page = state.operations.leads(&filter, query.cursor()?.as_ref(), query.limit()?).await?;
    Ok(Json(page))
}

/// Show a lead
#[utoipa::path(
    get, path = "/leads/{id}", tag = "leads", operation_id = "showLead",
    params(Id),
    responses((status = 200, description = "The lead with the analysis in force", body = LeadView)),
)]
pub(super) async fn show(State(state): State<ApiState>, Id(id): Id, _: NoQuery) -> Answer<LeadView> {
    let id = state.operations.resolve(&id).await?;
    Ok(Json(state.operations.lead(&id).await?))
}

/// A page of the audit trail.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    items: Vec<AuditEvent>,
    /// The `after` of the next page; absent on the last. A full page may be the last one; the next is then
    /// empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<i64>,
}

/// List the audit events of a lead
#[utoipa::path(
    get, path = "/leads/{id}/audit", tag = "leads", operation_id = "auditLead",
    params(
        Id,
        ("after" = Option<i64>, Query, minimum = 0, description = "Only events after this `seq`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500,
            description = "Events on the page; 50 by default"),
    ),
    responses((status = 200, description = "Events, oldest first", body = AuditPage)),
)]
pub(super) async fn audit(
    State(state): State<ApiState>,
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> Answer<AuditPage> {
    let query = Query::parse(query.as_deref(), &["after", "limit"])?;
    let after =
        query.get("after", "a whole number from 0", |text| text.parse().ok().filter(|n: &i64| *n >= 0))?;
    let limit = query.limit()?;
    let id = state.operations.resolve(&id).await?;
    let items = state.operations.audit(&id, after.unwrap_or(0), limit).await?;
    let is_full = items.len() >= limit as usize;
    Ok(Json(AuditPage { next_after: items.last().filter(|_| is_full).map(|event| event.seq), items }))
}

/// Explain the treatment of a lead
///
/// The known facts, the claims with their sources, the decision, the writes to the CRM, and conditions that
/// would have changed the decision. As text for people with `Accept: text/plain`.
#[utoipa::path(
    get, path = "/leads/{id}/explain", tag = "leads", operation_id = "explainLead",
    params(Id),
    responses((status = 200, description = "The explanation", content(
        (Explanation = "application/json"),
        (String = "text/plain"),
    ))),
)]
pub(super) async fn explain(
    State(state): State<ApiState>,
    Id(id): Id,
    _: NoQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = state.operations.resolve(&id).await?;
    let explanation = state.operations.explain(&id).await?;
    Ok(if wants_text(&headers) {
        explanation.to_string().into_response()
    } else {
        Json(explanation).into_response()
    })
}

/// Whether the client accepts plain text and not JSON.
fn wants_text(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let types: Vec<_> = accepted
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    types.iter().any(|range| range == "text/plain") && !types.iter().any(|range| range == "application/json")
}

/// The error for an invalid body of a replay.
const BODY: &str = "the body must be {\"apply\":true}, {\"apply\":false} or empty";

/// The request to judge a lead again.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayRequest {
    /// Put the lead up for judgement, instead of a dry run.
    #[serde(default)]
    apply: bool,
}

/// A lead that is queued again.
#[derive(Serialize, ToSchema)]
pub(super) struct Queued {
    /// `queued`.
    pub(super) status: &'static str,
    pub(super) lead_id: LeadId,
}

impl Queued {
    pub(super) fn answer(lead_id: LeadId) -> Response {
        (StatusCode::ACCEPTED, Json(Self { status: "queued", lead_id })).into_response()
    }
}

/// Judge a lead again
///
/// Without a body a dry run: the changes by the present configuration and analyst, with nothing written. With
/// `apply` the lead is put up for judgement again, and its CRM record is then updated.
#[utoipa::path(
    post, path = "/leads/{id}/replay", tag = "leads", operation_id = "replayLead",
    params(Id),
    request_body(content = Option<ReplayRequest>, content_type = "application/json"),
    responses(
        (status = 200, description = "The changes of a dry run", body = Replay),
        (status = 202, description = "The lead will be judged again", body = Queued),
    ),
)]
pub(super) async fn replay(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id,
    _: NoQuery,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::body_too_large(),
        _ => ApiError::invalid_body("the body could not be read"),
    })?;
    let request = if matches!(body.trim_ascii(), b"" | b"null") {
        ReplayRequest::default()
    } else if !body.trim_ascii().starts_with(b"{") {
        // Serde would also accept a list of the fields' values.
        return Err(ApiError::invalid_body(BODY));
    } else {
        serde_json::from_slice(&body).map_err(|_| ApiError::invalid_body(BODY))?
    };
    let id = state.operations.resolve(&id).await?;
    if request.apply {
        state.operations.rejudge(caller.actor(), &id, "replay").await?;
        Ok(Queued::answer(id))
    } else {
        Ok(Json(state.operations.replay(&id).await?).into_response())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn text_is_sent_only_on_request() {
        let wants = |accept: &'static str| {
            wants_text(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert!(wants("text/plain") && wants("Text/Plain; charset=utf-8, */*;q=0.1"));
        assert!(!wants("*/*") && !wants("application/json, text/plain, */*") && !wants("text/html"));
        assert!(!wants_text(&HeaderMap::new()));
    }
}
