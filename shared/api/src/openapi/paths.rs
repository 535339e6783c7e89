//! One function without a body for each operation. The shared error answers are added afterwards.

use super::schemas::{
    Accepted, AuditPage, Awaits, Campaign, Certificate, Cursor, DeadLetterPage, Decision, DismissRequest,
    Done, Email, EraseRequest, Error, Explanation, Fit, HeldPage, Lead, LeadPage, Live, NewLead, PauseList,
    PlannedLead, QuarantinePage, QuarantinedBody, Queued, Ready, Rejected, Replay, ReplayRequest,
    RespondRequest, ReviewRequest, RollbackRequest, Status, SuppressRequest, SuppressionEntry,
    SuppressionPage, Unavailable, UnsuppressRequest,
};

/// Post a lead
///
/// The body is JSON or a form, regardless of the Content-Type, of at most 256 KiB. Empty texts and "null"
/// count as absent. The answer is sent when the lead is stored; it is processed afterwards, and never lost.
/// The same content again is a duplicate, unless the lead has permanently failed: then it is accepted, and
/// processed again. Other content for the same e-mail address and campaign is a revision of the same lead.
/// Any other malformed field is dropped or cut, and listed in the audit trail.
#[utoipa::path(
    post, path = "/leads", tag = "leads", operation_id = "postLead",
    request_body(description = "One lead", content(
        (NewLead = "application/json", example = json!({
            "email": "lead@stripe.com", "name": "Alex Smith", "campaign_id": "launch_2024", "title": "CTO",
            "marketo": {"engagement_score": 82, "activity": "pricing_page_visit"},
        })),
        (NewLead = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 202, description = "The lead is stored", body = Accepted,
            example = json!({"status": "accepted", "lead_id": "841c48b1853396143bdcf7ab8e9a504b584cd9aca6dc83e2cfe2d421d5490e3a"})),
        (status = 400, description = "The body is not a lead; nothing is queued, and the body is quarantined", body = Rejected,
            example = json!({"status": "rejected", "error": "invalid_email", "field": "email", "message": "email must have a domain"})),
        (status = 401, description = "No valid token and no valid signature", body = Rejected),
        (status = 403, description = "Without a webhook secret only this machine may post, but not pages of other sites", body = Rejected),
        (status = 405, description = "Leads are sent with POST, and this process may not accept any", body = Rejected),
        (status = 408, description = "The body did not arrive in time; post it again", body = Rejected),
        (status = 413, description = "The body is larger than 256 KiB", body = Rejected),
        (status = 503, description = "The lead may not have been stored; post it again", body = Unavailable),
    ),
    security((), ("webhook_token" = []), ("webhook_signature" = [])),
)]
pub(super) fn post_lead() {}

/// List leads
///
/// Newest first; all given filters apply. No lead is on two pages or missing, even if new leads arrive
/// between two requests.
#[utoipa::path(
    get, path = "/leads", tag = "leads", operation_id = "listLeads",
    params(
        ("status" = Option<Status>, Query, description = "In this status"),
        ("decision" = Option<Decision>, Query, description = "With this decision in force"),
        ("fit" = Option<Fit>, Query, description = "With this fit in force"),
        ("campaign_id" = Option<Campaign>, Query, description = "Of this campaign"),
        ("email" = Option<Email>, Query, description = "Of this person"),
        ("awaits" = Option<Awaits>, Query, description = "Waiting to be judged again: judged without an AI, or while enrichment was unavailable"),
        ("since" = Option<String>, Query, format = DateTime, description = "First accepted at this time or later"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Leads on the page; 50 by default"),
        ("cursor" = Option<Cursor>, Query, description = "`next_cursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of leads, without evidence and reasons", body = LeadPage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_leads() {}

/// Show a lead
#[utoipa::path(
    get, path = "/leads/{id}", tag = "leads", operation_id = "showLead",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous prefix of it")),
    responses((status = 200, description = "The lead with the analysis in force", body = Lead)),
    security((), ("admin_token" = [])),
)]
pub(super) fn show_lead() {}

/// List the audit events of a lead
#[utoipa::path(
    get, path = "/leads/{id}/audit", tag = "leads", operation_id = "auditLead",
    params(
        ("id" = String, Path, description = "The lead's id, or an unambiguous prefix of it"),
        ("after" = Option<i64>, Query, minimum = 0, description = "Only events after this `seq`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Events on the page; 50 by default"),
    ),
    responses((status = 200, description = "Events, oldest first", body = AuditPage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn audit_lead() {}

/// Explain the treatment of a lead
///
/// The known facts, the claims with their sources, the decision, the writes to the CRM, and conditions that
/// would have changed the decision. As text for people with `Accept: text/plain`.
#[utoipa::path(
    get, path = "/leads/{id}/explain", tag = "leads", operation_id = "explainLead",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous prefix of it")),
    responses((status = 200, description = "The explanation", content(
        (Explanation = "application/json"),
        (String = "text/plain"),
    ))),
    security((), ("admin_token" = [])),
)]
pub(super) fn explain_lead() {}

/// Judge a lead again
///
/// Without a body a dry run: the changes by the present configuration and analyst, with nothing written. With
/// `apply` the lead is put up for judgement again, and its CRM record is then updated.
#[utoipa::path(
    post, path = "/leads/{id}/replay", tag = "leads", operation_id = "replayLead",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous prefix of it")),
    request_body(content = Option<ReplayRequest>, content_type = "application/json"),
    responses(
        (status = 200, description = "The changes of a dry run", body = Replay),
        (status = 202, description = "The lead will be judged again", body = Queued),
    ),
    security((), ("admin_token" = [])),
)]
pub(super) fn replay_lead() {}

/// Record a response to a lead
///
/// Ends the response time of its rule. Idempotent.
#[utoipa::path(
    post, path = "/leads/{id}/responded", tag = "people", operation_id = "respondLead",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous prefix of it")),
    request_body(content = RespondRequest, content_type = "application/json"),
    responses((status = 200, description = "The response is recorded", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn respond_lead() {}

/// Show the planned writes to the CRM for a lead
///
/// Field by field with the present value. The CRM is read; nothing is written.
#[utoipa::path(
    get, path = "/leads/{id}/plan", tag = "crm", operation_id = "planLead",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous prefix of it")),
    responses(
        (status = 200, description = "The plan that follows from the judgement in force", body = PlannedLead),
        (status = 409, description = "The lead has not been judged yet", body = Error),
    ),
    security((), ("admin_token" = [])),
)]
pub(super) fn plan_lead() {}

/// Write a planned lead to the CRM
///
/// Once, planned again against the CRM's present values, also in shadow mode. Refused if the lead is not
/// planned.
#[utoipa::path(
    post, path = "/leads/{id}/promote", tag = "crm", operation_id = "promoteLead",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous prefix of it")),
    responses((status = 202, description = "The lead will be written", body = Queued)),
    security((), ("admin_token" = [])),
)]
pub(super) fn promote_lead() {}

/// Stop all writes to the CRM
///
/// In every process and regardless of `CRM_MODE`, including promoted leads that are still queued. Leads are
/// judged, planned and kept. Idempotent.
#[utoipa::path(
    post, path = "/crm/rollback", tag = "crm", operation_id = "rollbackCrm",
    request_body(content = RollbackRequest, content_type = "application/json"),
    responses((status = 200, description = "All writes are stopped", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn rollback_crm() {}

/// Resume writes to the CRM after a rollback
///
/// Leads that were kept in the meantime stay planned until they are promoted.
#[utoipa::path(
    post, path = "/crm/resume", tag = "crm", operation_id = "resumeCrm",
    responses((status = 200, description = "The hold has ended, or there was none", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn resume_crm() {}

/// List the pauses of consumption
///
/// While a dependency is unavailable, no worker receives leads. A pause ends automatically after a successful
/// probe.
#[utoipa::path(
    get, path = "/pauses", tag = "service", operation_id = "listPauses",
    responses((status = 200, description = "The pauses in force", body = PauseList)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_pauses() {}

/// End a pause of consumption now
///
/// Without waiting for its end, and without a probe; if the circuit breaker is open, the next lead makes the
/// half-open probe. Idempotent. On AWS the janitor function resumes consumption within a minute. Does not end
/// a rollback: see `/crm/resume`.
#[utoipa::path(
    post, path = "/pauses/{dependency}/resume", tag = "service", operation_id = "resumeDependency",
    params(("dependency" = String, Path, description = "Such as `crm.salesforce` or `ai.gemini`")),
    responses((status = 200, description = "The pause has ended, or there was none", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn resume_dependency() {}

/// List held leads
///
/// Newest first, each with the rules that its analysis broke.
#[utoipa::path(
    get, path = "/reviews", tag = "people", operation_id = "listReviews",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Items on the page; 50 by default"),
        ("cursor" = Option<Cursor>, Query, description = "`next_cursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of held leads", body = HeldPage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_reviews() {}

/// Approve a held lead
///
/// The lead is written to the CRM without anything from its analysis. Refused if the lead is not held, or the
/// person is on the suppression list. Idempotent.
#[utoipa::path(
    post, path = "/reviews/{id}/approve", tag = "people", operation_id = "approveReview",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous prefix of it")),
    request_body(content = ReviewRequest, content_type = "application/json"),
    responses((status = 202, description = "The lead will be written", body = Queued)),
    security((), ("admin_token" = [])),
)]
pub(super) fn approve_review() {}

/// Have a held lead judged again
///
/// Refused if the lead is not held. Idempotent.
#[utoipa::path(
    post, path = "/reviews/{id}/rejudge", tag = "people", operation_id = "rejudgeReview",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous prefix of it")),
    request_body(content = ReviewRequest, content_type = "application/json"),
    responses((status = 202, description = "The lead will be judged again", body = Queued)),
    security((), ("admin_token" = [])),
)]
pub(super) fn rejudge_review() {}

/// Dismiss a held lead
///
/// Nothing is written. Refused if the lead is not held. Idempotent.
#[utoipa::path(
    post, path = "/reviews/{id}/dismiss", tag = "people", operation_id = "dismissReview",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous prefix of it")),
    request_body(content = DismissRequest, content_type = "application/json"),
    responses((status = 200, description = "The lead is dismissed", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn dismiss_review() {}

/// List the suppression list
#[utoipa::path(
    get, path = "/suppressions", tag = "people", operation_id = "listSuppressions",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Items on the page; 50 by default"),
        ("cursor" = Option<Cursor>, Query, description = "`next_cursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of the suppression list, newest first", body = SuppressionPage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_suppressions() {}

/// Add an address or a domain to the suppression list
///
/// For an address only the SHA-256 is stored. The list is checked before a lead is enriched and judged, and
/// again when it is written.
#[utoipa::path(
    post, path = "/suppressions", tag = "people", operation_id = "addSuppression",
    request_body(content = SuppressRequest, content_type = "application/json"),
    responses((status = 200, description = "The entry is on the list", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn add_suppression() {}

/// Remove an entry from the suppression list
///
/// The removed entry is recorded, with the remover and the reason.
#[utoipa::path(
    post, path = "/suppressions/remove", tag = "people", operation_id = "removeSuppression",
    request_body(content = UnsuppressRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "The entry is removed", body = Done),
        (status = 404, description = "The entry is not on the list", body = Error),
    ),
    security((), ("admin_token" = [])),
)]
pub(super) fn remove_suppression() {}

/// Remove an entry from the suppression list, as the list shows it
///
/// Refused for an address, because access logs record paths; use `POST /suppressions/remove`.
#[utoipa::path(
    delete, path = "/suppressions/{entry}", tag = "people", operation_id = "deleteSuppression",
    params(("entry" = SuppressionEntry, Path, description = "A domain, or the hash of an address")),
    responses((status = 200, description = "The entry is removed", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn delete_suppression() {}

/// List the removed entries of the suppression list
#[utoipa::path(
    get, path = "/suppressions/removed", tag = "people", operation_id = "listRemovedSuppressions",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Items on the page; 50 by default"),
        ("cursor" = Option<Cursor>, Query, description = "`next_cursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of the removed entries, the latest removal first", body = SuppressionPage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_removed_suppressions() {}

/// Erase a person
///
/// Without `apply` nothing changes: the answer lists the person's data. With `apply` all data that identifies
/// the person is removed, the ledger and the audit trail are reduced to hashes, and the answer is the
/// certificate. A repetition removes data that has arrived since.
#[utoipa::path(
    post, path = "/erasures", tag = "people", operation_id = "erasePerson",
    request_body(content = EraseRequest, content_type = "application/json"),
    responses((status = 200, description = "The data that was found, its treatment, and the data that remains elsewhere", body = Certificate)),
    security((), ("admin_token" = [])),
)]
pub(super) fn erase_person() {}

/// List dead letters
#[utoipa::path(
    get, path = "/dead-letters", tag = "parked", operation_id = "listDeadLetters",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Letters on the page; 50 by default"),
        ("cursor" = Option<Cursor>, Query, description = "`next_cursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of dead letters, newest first", body = DeadLetterPage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_dead_letters() {}

/// Redrive a dead letter
///
/// The delivery is queued again with all its attempts.
#[utoipa::path(
    post, path = "/dead-letters/{id}/redrive", tag = "parked", operation_id = "redriveDeadLetter",
    params(("id" = String, Path, description = "The dead letter's id, or the id of its lead or an unambiguous prefix of that")),
    responses((status = 202, description = "The delivery is queued again", body = Queued)),
    security((), ("admin_token" = [])),
)]
pub(super) fn redrive_dead_letter() {}

/// List the quarantined bodies
#[utoipa::path(
    get, path = "/quarantine", tag = "parked", operation_id = "listQuarantine",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Items on the page; 50 by default"),
        ("cursor" = Option<Cursor>, Query, description = "`next_cursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of the quarantine, newest first, without the bodies", body = QuarantinePage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_quarantine() {}

/// Show a quarantined body
#[utoipa::path(
    get, path = "/quarantine/{id}", tag = "parked", operation_id = "showQuarantined",
    params(("id" = String, Path, description = "Its id, or an unambiguous prefix of at least eight characters")),
    responses((status = 200, description = "The unchanged body", body = QuarantinedBody)),
    security((), ("admin_token" = [])),
)]
pub(super) fn show_quarantined() {}

/// Liveness
#[utoipa::path(
    get, path = "/healthz", tag = "service", operation_id = "live",
    responses((status = 200, description = "The process is alive", body = Live)),
)]
pub(super) fn live() {}

/// Readiness
///
/// Pauses of consumption are listed for callers with full access; leads are accepted and kept during a pause.
#[utoipa::path(
    get, path = "/readyz", tag = "service", operation_id = "ready",
    responses(
        (status = 200, description = "The process is ready", body = Ready),
        (status = 503, description = "The process is not ready; `failing` names the check", body = Ready),
    ),
    security((), ("admin_token" = [])),
)]
pub(super) fn ready() {}

/// Metrics in Prometheus' text format
#[utoipa::path(
    get, path = "/metrics", tag = "service", operation_id = "metrics",
    responses((status = 200, description = "The metrics of this process, and the gauges of backlogs", body = String, content_type = "text/plain")),
    security((), ("admin_token" = [])),
)]
pub(super) fn metrics() {}

/// This description
#[utoipa::path(
    get, path = "/openapi.json", tag = "service", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
    security((), ("admin_token" = [])),
)]
pub(super) fn description() {}
