//! One function without a body for each operation; what all of them may refuse is added to them afterwards.

use super::schemas::{
    Accepted, AuditPage, Awaits, Campaign, Certificate, Cursor, DeadLetterPage, Decision, DismissRequest,
    Done, Email, EraseRequest, Error, Explanation, Fit, HeldPage, Lead, LeadPage, Live, NewLead, PauseList,
    PlannedLead, QuarantinePage, QuarantinedBody, Queued, Ready, Rejected, Replay, ReplayRequest,
    RespondRequest, ReviewRequest, RollbackRequest, Status, SuppressRequest, SuppressionEntry,
    SuppressionPage, Unavailable, UnsuppressRequest,
};

/// Post a lead
///
/// The body is JSON or a form, whatever the Content-Type says; at most 256 KiB. Empty texts and "null" count as absent. The
/// answer means that the lead is stored: it is worked on afterwards, and is never lost. The same content again is a
/// duplicate, unless the lead failed for good: then it is accepted, and worked on again. Other content for the same e-mail address
/// and campaign is a revision of the same lead. A malformed field other than these two is dropped or cut, and listed in the audit trail.
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
        (status = 400, description = "The body is no lead; nothing is queued, and the body is kept in quarantine", body = Rejected,
            example = json!({"status": "rejected", "error": "invalid_email", "field": "email", "message": "email must have a domain"})),
        (status = 401, description = "No valid token and no valid signature", body = Rejected),
        (status = 403, description = "Without a webhook secret only this machine may post, and no page of another site", body = Rejected),
        (status = 405, description = "Leads are sent with POST, and this process may take in none", body = Rejected),
        (status = 408, description = "The body did not arrive in time; post it again", body = Rejected),
        (status = 413, description = "The body is larger than 256 KiB", body = Rejected),
        (status = 503, description = "The lead may not have been stored; post it again", body = Unavailable),
    ),
    security((), ("webhook_token" = []), ("webhook_signature" = [])),
)]
pub(super) fn post_lead() {}

/// List leads
///
/// Newest first. Every filter given must hold. However many leads come in between two pages, none is on both and none is missing.
#[utoipa::path(
    get, path = "/leads", tag = "leads", operation_id = "listLeads",
    params(
        ("status" = Option<Status>, Query, description = "In this status"),
        ("decision" = Option<Decision>, Query, description = "With this decision in force"),
        ("fit" = Option<Fit>, Query, description = "With this fit in force"),
        ("campaign_id" = Option<Campaign>, Query, description = "Of this campaign"),
        ("email" = Option<Email>, Query, description = "Of this person"),
        ("awaits" = Option<Awaits>, Query, description = "Waiting to be judged again: judged without an AI, or while enrichment was away"),
        ("since" = Option<String>, Query, format = DateTime, description = "First accepted at this time or later"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Leads on the page; 50 where nothing is said"),
        ("cursor" = Option<Cursor>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page of leads, without evidence and reasons", body = LeadPage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_leads() {}

/// Show a lead
#[utoipa::path(
    get, path = "/leads/{id}", tag = "leads", operation_id = "showLead",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous beginning of it")),
    responses((status = 200, description = "The lead with the analysis in force", body = Lead)),
    security((), ("admin_token" = [])),
)]
pub(super) fn show_lead() {}

/// Everything that happened to a lead
#[utoipa::path(
    get, path = "/leads/{id}/audit", tag = "leads", operation_id = "auditLead",
    params(
        ("id" = String, Path, description = "The lead's id, or an unambiguous beginning of it"),
        ("after" = Option<i64>, Query, minimum = 0, description = "Only events after this `seq`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Events on the page; 50 where nothing is said"),
    ),
    responses((status = 200, description = "Events, oldest first", body = AuditPage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn audit_lead() {}

/// Why a lead was treated as it was
///
/// What was known, what was claimed and what each claim rested on, what was decided and written, and what would have changed
/// it. As text for people with `Accept: text/plain`.
#[utoipa::path(
    get, path = "/leads/{id}/explain", tag = "leads", operation_id = "explainLead",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous beginning of it")),
    responses((status = 200, description = "The explanation", content(
        (Explanation = "application/json"),
        (String = "text/plain"),
    ))),
    security((), ("admin_token" = [])),
)]
pub(super) fn explain_lead() {}

/// Judge a lead again
///
/// Dry without a body: what the present configuration and analyst would change, with nothing written. With `apply` the lead is
/// put up for judgement again, and its CRM record is then updated.
#[utoipa::path(
    post, path = "/leads/{id}/replay", tag = "leads", operation_id = "replayLead",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous beginning of it")),
    request_body(content = Option<ReplayRequest>, content_type = "application/json"),
    responses(
        (status = 200, description = "What would change", body = Replay),
        (status = 202, description = "It will be judged again", body = Queued),
    ),
    security((), ("admin_token" = [])),
)]
pub(super) fn replay_lead() {}

/// Say that somebody has responded to a lead
///
/// Ends the time to respond that its rule gave it. The same again changes nothing.
#[utoipa::path(
    post, path = "/leads/{id}/responded", tag = "people", operation_id = "respondLead",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous beginning of it")),
    request_body(content = RespondRequest, content_type = "application/json"),
    responses((status = 200, description = "It is kept", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn respond_lead() {}

/// What would be written to the CRM for a lead
///
/// Field by field with the value that is there. The CRM is read; nothing is written.
#[utoipa::path(
    get, path = "/leads/{id}/plan", tag = "crm", operation_id = "planLead",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous beginning of it")),
    responses(
        (status = 200, description = "The plan that follows from the judgement in force", body = PlannedLead),
        (status = 409, description = "The lead has not been judged yet", body = Error),
    ),
    security((), ("admin_token" = [])),
)]
pub(super) fn plan_lead() {}

/// Write a planned lead to the CRM
///
/// Once, planned anew against the CRM's present values, also while the CRM is only shadowed. Refused where the lead is not planned.
#[utoipa::path(
    post, path = "/leads/{id}/promote", tag = "crm", operation_id = "promoteLead",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous beginning of it")),
    responses((status = 202, description = "It will be written", body = Queued)),
    security((), ("admin_token" = [])),
)]
pub(super) fn promote_lead() {}

/// Write nothing to the CRM from now on
///
/// In every process, whatever `CRM_MODE` says; what was promoted and is still on its way is kept too. Leads are judged, planned and kept. The same again changes nothing.
#[utoipa::path(
    post, path = "/crm/rollback", tag = "crm", operation_id = "rollbackCrm",
    request_body(content = RollbackRequest, content_type = "application/json"),
    responses((status = 200, description = "Nothing is written any more", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn rollback_crm() {}

/// Write to the CRM again after a rollback
///
/// What was kept meanwhile stays planned until it is promoted.
#[utoipa::path(
    post, path = "/crm/resume", tag = "crm", operation_id = "resumeCrm",
    responses((status = 200, description = "The hold is gone, or was not there", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn resume_crm() {}

/// List what consumption is paused for
///
/// While a dependency cannot be used, no worker takes leads. A pause ends by itself once a probe succeeds.
#[utoipa::path(
    get, path = "/pauses", tag = "service", operation_id = "listPauses",
    responses((status = 200, description = "The pauses in force", body = PauseList)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_pauses() {}

/// End a pause of consumption now
///
/// Its time is not waited for, and the dependency is not asked first; where its breaker is open, the next lead makes the
/// half-open probe. The same again changes nothing. On AWS the janitor function starts the consumption within a minute. It
/// does not end a rollback: see `/crm/resume`.
#[utoipa::path(
    post, path = "/pauses/{dependency}/resume", tag = "service", operation_id = "resumeDependency",
    params(("dependency" = String, Path, description = "Such as `crm.salesforce` or `ai.gemini`")),
    responses((status = 200, description = "The pause is gone, or was not there", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn resume_dependency() {}

/// List the leads that are held for a person
///
/// Newest first, each with what its analysis broke.
#[utoipa::path(
    get, path = "/reviews", tag = "people", operation_id = "listReviews",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Items on the page; 50 where nothing is said"),
        ("cursor" = Option<Cursor>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page of held leads", body = HeldPage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_reviews() {}

/// Let a held lead go to the CRM
///
/// It is written without anything from its analysis. Refused where the lead is not held, or the person is on the suppression list. The same again changes nothing.
#[utoipa::path(
    post, path = "/reviews/{id}/approve", tag = "people", operation_id = "approveReview",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous beginning of it")),
    request_body(content = ReviewRequest, content_type = "application/json"),
    responses((status = 202, description = "It will be written", body = Queued)),
    security((), ("admin_token" = [])),
)]
pub(super) fn approve_review() {}

/// Have a held lead judged again
///
/// Refused where the lead is not held. The same again changes nothing.
#[utoipa::path(
    post, path = "/reviews/{id}/rejudge", tag = "people", operation_id = "rejudgeReview",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous beginning of it")),
    request_body(content = ReviewRequest, content_type = "application/json"),
    responses((status = 202, description = "It will be judged again", body = Queued)),
    security((), ("admin_token" = [])),
)]
pub(super) fn rejudge_review() {}

/// Put a held lead aside
///
/// Nothing is written. Refused where the lead is not held. The same again changes nothing.
#[utoipa::path(
    post, path = "/reviews/{id}/dismiss", tag = "people", operation_id = "dismissReview",
    params(("id" = String, Path, description = "The lead's id, or an unambiguous beginning of it")),
    request_body(content = DismissRequest, content_type = "application/json"),
    responses((status = 200, description = "It is put aside", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn dismiss_review() {}

/// List who is never written to the CRM
#[utoipa::path(
    get, path = "/suppressions", tag = "people", operation_id = "listSuppressions",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Items on the page; 50 where nothing is said"),
        ("cursor" = Option<Cursor>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page of the suppression list, newest first", body = SuppressionPage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_suppressions() {}

/// Put an address or a domain on the suppression list
///
/// Of an address only the SHA-256 is kept. The list is asked before a lead is enriched and judged, and again at the moment it is written.
#[utoipa::path(
    post, path = "/suppressions", tag = "people", operation_id = "addSuppression",
    request_body(content = SuppressRequest, content_type = "application/json"),
    responses((status = 200, description = "It is on the list", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn add_suppression() {}

/// Take an entry off the suppression list
///
/// That it was on the list is kept, with who removed it and why.
#[utoipa::path(
    post, path = "/suppressions/remove", tag = "people", operation_id = "removeSuppression",
    request_body(content = UnsuppressRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "It is off the list", body = Done),
        (status = 404, description = "It was not on the list", body = Error),
    ),
    security((), ("admin_token" = [])),
)]
pub(super) fn remove_suppression() {}

/// Take an entry off the suppression list by what the list shows
///
/// Refused for an address, which does not belong in a path: `POST /suppressions/remove` takes one.
#[utoipa::path(
    delete, path = "/suppressions/{entry}", tag = "people", operation_id = "deleteSuppression",
    params(("entry" = SuppressionEntry, Path, description = "A domain, or the hash of an address")),
    responses((status = 200, description = "It is off the list", body = Done)),
    security((), ("admin_token" = [])),
)]
pub(super) fn delete_suppression() {}

/// List what was taken off the suppression list
#[utoipa::path(
    get, path = "/suppressions/removed", tag = "people", operation_id = "listRemovedSuppressions",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Items on the page; 50 where nothing is said"),
        ("cursor" = Option<Cursor>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page of the removed entries, the last removed first", body = SuppressionPage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_removed_suppressions() {}

/// Erase a person
///
/// Without `apply` nothing is changed: the answer says what there is. With it everything that identifies the person is removed, ledger and audit trail are reduced to hashes, and the answer is the certificate. Doing it again removes what has come since.
#[utoipa::path(
    post, path = "/erasures", tag = "people", operation_id = "erasePerson",
    request_body(content = EraseRequest, content_type = "application/json"),
    responses((status = 200, description = "What was found, what became of it, and what remains to be done", body = Certificate)),
    security((), ("admin_token" = [])),
)]
pub(super) fn erase_person() {}

/// List dead letters
#[utoipa::path(
    get, path = "/dead-letters", tag = "parked", operation_id = "listDeadLetters",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Letters on the page; 50 where nothing is said"),
        ("cursor" = Option<Cursor>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page of dead letters, newest first", body = DeadLetterPage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_dead_letters() {}

/// Send a dead letter again
///
/// With all its attempts before it.
#[utoipa::path(
    post, path = "/dead-letters/{id}/redrive", tag = "parked", operation_id = "redriveDeadLetter",
    params(("id" = String, Path, description = "The dead letter's id, or the id of its lead or an unambiguous beginning of that")),
    responses((status = 202, description = "It is in the queue again", body = Queued)),
    security((), ("admin_token" = [])),
)]
pub(super) fn redrive_dead_letter() {}

/// List the bodies in quarantine
#[utoipa::path(
    get, path = "/quarantine", tag = "parked", operation_id = "listQuarantine",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Items on the page; 50 where nothing is said"),
        ("cursor" = Option<Cursor>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page of what could not be accepted, newest first, without the bodies", body = QuarantinePage)),
    security((), ("admin_token" = [])),
)]
pub(super) fn list_quarantine() {}

/// Show a body in quarantine
#[utoipa::path(
    get, path = "/quarantine/{id}", tag = "parked", operation_id = "showQuarantined",
    params(("id" = String, Path, description = "Its id, or an unambiguous beginning of at least eight characters")),
    responses((status = 200, description = "The body as it came", body = QuarantinedBody)),
    security((), ("admin_token" = [])),
)]
pub(super) fn show_quarantined() {}

/// Whether the process is there
#[utoipa::path(
    get, path = "/healthz", tag = "service", operation_id = "live",
    responses((status = 200, description = "It is", body = Live)),
)]
pub(super) fn live() {}

/// Whether the process can do its work
///
/// Pauses of the queue are listed for whoever may see more; leads are taken in and kept during a pause.
#[utoipa::path(
    get, path = "/readyz", tag = "service", operation_id = "ready",
    responses(
        (status = 200, description = "It can", body = Ready),
        (status = 503, description = "It cannot; `failing` names the check", body = Ready),
    ),
    security((), ("admin_token" = [])),
)]
pub(super) fn ready() {}

/// Metrics in Prometheus' text format
#[utoipa::path(
    get, path = "/metrics", tag = "service", operation_id = "metrics",
    responses((status = 200, description = "The metrics of this process, and how much is waiting everywhere", body = String, content_type = "text/plain")),
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
