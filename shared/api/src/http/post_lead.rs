//! The description of the webhooks, which the crate `ingest` answers.

use lead::{CampaignId, EmailAddress, LeadId};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A lead to be accepted. Unknown fields are kept, and not used.
#[derive(ToSchema)]
struct NewLead {
    /// The person's e-mail address.
    email: EmailAddress,
    /// The campaign, without unreplaced `{{tokens}}`. A whole number is accepted too.
    campaign_id: CampaignId,
    /// The whole name, or its two parts.
    name: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    company: Option<String>,
    title: Option<String>,
    phone: Option<String>,
    /// Data from Marketo, such as `lead_id`, `engagement_score`, `program`, `activity`.
    marketo: Option<Map<String, Value>>,
    /// Data from the product, such as `usage_signals`, `activation_state`.
    product: Option<Map<String, Value>>,
    /// Data from the CRM, such as `deal_stage`, `owner`.
    salesforce: Option<Map<String, Value>>,
}

/// A lead that is stored.
#[derive(ToSchema)]
struct Accepted {
    /// `accepted`, or `duplicate` for repeated content without further work. Without the database (Redis,
    /// SQS, the function), every post is `accepted`.
    status: String,
    lead_id: LeadId,
}

/// A body that is not a lead, or an unknown sender.
#[derive(ToSchema)]
struct Rejected {
    /// `rejected`.
    status: String,
    /// The machine-readable code, such as `invalid_email`, `missing_field`, `unauthorized`.
    error: String,
    /// The field to correct, if there is one.
    field: Option<String>,
    message: String,
}

/// A lead that may not have been stored.
#[derive(ToSchema)]
struct Unavailable {
    /// `unavailable`.
    status: String,
    lead_id: Option<LeadId>,
    error: String,
    message: String,
}

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
        (status = 202, description = "The lead is stored", body = Accepted, example = json!({
            "status": "accepted",
            "lead_id": "841c48b1853396143bdcf7ab8e9a504b584cd9aca6dc83e2cfe2d421d5490e3a",
        })),
        (status = 400, description = "The body is not a lead; nothing is queued, and the body is quarantined",
            body = Rejected, example = json!({
                "status": "rejected", "error": "invalid_email", "field": "email",
                "message": "email must have a domain",
            })),
        (status = 401, description = "No valid token and no valid signature", body = Rejected),
        (status = 403, body = Rejected,
            description = "Without a webhook secret only this machine may post, but not pages of other sites"),
        (status = 405, body = Rejected,
            description = "Leads are sent with POST, and this process may not accept any"),
        (status = 408, description = "The body did not arrive in time; post it again", body = Rejected),
        (status = 413, description = "The body is larger than 256 KiB", body = Rejected),
        (status = 503, description = "The lead may not have been stored; post it again", body = Unavailable),
    ),
    security((), ("webhook_token" = []), ("webhook_signature" = [])),
)]
pub(super) fn post_lead() {}

/// Post a payload of a named source
///
/// The sources file gives each source a path, a proof (a token or the maker's signature) and a mapping of its
/// payload, JSON or a form of at most 256 KiB. The answers are those of `POST /leads`; a source may have 200
/// in place of 202, and an event that is no lead is answered with the status `ignored` and no `lead_id`.
#[utoipa::path(
    post, path = "/leads/{id}", tag = "leads", operation_id = "postLeadOfSource",
    params(("id" = String, Path, description = "The name in the path of a source", max_length = 32,
        pattern = "^[a-z][a-z0-9-]{0,31}$")),
    request_body(description = "The sender's own payload", content(
        (Map<String, Value> = "application/json"), (Map<String, Value> = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 200, description = "The lead is stored, for a sender that takes other answers as errors",
            body = Accepted),
        (status = 202, description = "The lead is stored, or the event ignored", body = Accepted),
        (status = 400, description = "No address or campaign is where the mapping looks; the body is quarantined",
            body = Rejected),
        (status = 401, description = "No valid proof of the source, or no source of this name", body = Rejected),
        (status = 403, body = Rejected,
            description = "Without a webhook secret only this machine may post, but not pages of other sites"),
        (status = 405, body = Rejected, description = "This process accepts no leads"),
        (status = 408, description = "The body did not arrive in time; post it again", body = Rejected),
        (status = 413, description = "The body is larger than 256 KiB", body = Rejected),
        (status = 503, description = "The lead may not have been stored; post it again", body = Unavailable),
    ),
    security((), ("webhook_token" = []), ("webhook_signature" = [])),
)]
pub(super) fn post_lead_of_source() {}
