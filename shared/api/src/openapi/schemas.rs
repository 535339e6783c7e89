//! The schemas of requests and answers. Written by hand instead of derived from the domain's types, so that a
//! change of those types does not silently change the interface; the tests check every answer against them.

use serde_json::{Map, Value};
use utoipa::ToSchema;

macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),+ $(,)? })+) => {
        $(
            #[derive(ToSchema)]
            $(#[$doc])*
            pub(super) struct $name { $($(#[$attr])* $field: $type),+ }
        )+
    };
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident as $case:literal { $($word:ident),+ $(,)? })+) => {
        $(
            #[derive(ToSchema)]
            $(#[$doc])*
            #[schema(rename_all = $case)]
            pub(super) enum $name { $($word),+ }
        )+
    };
}

/// Texts with a format. A pattern only matches valid values, so that a request made from this description is
/// never refused for its format.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident as $pattern:tt up to $max:tt)+) => {
        $(
            #[derive(ToSchema)]
            $(#[$doc])*
            #[schema(pattern = $pattern, max_length = $max)]
            pub(super) struct $name(String);
        )+
    };
}

texts! {
    /// A name or a reason, on one line.
    Line as r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,198}[^\s\x00-\x1f\x7f-\x9f])?$" up to 200

    /// An e-mail address. The pattern covers plain ones; internationalised addresses are accepted too.
    Email as r"^[A-Za-z0-9_'+-]{1,30}(\.[A-Za-z0-9_'+-]{1,30})?@([A-Za-z0-9]{1,30}(-[A-Za-z0-9]{1,30})?\.){1,3}[A-Za-z]{2,20}$" up to 254

    /// The name or id of a campaign, without unreplaced `{{tokens}}`.
    Campaign as r"^[A-Za-z0-9]([A-Za-z0-9 _.:/-]{0,252}[A-Za-z0-9])?$" up to 255

    /// An e-mail address, or a domain with its subdomains. The pattern covers plain ones.
    Suppressible as r"^([A-Za-z0-9_'+-]{1,30}(\.[A-Za-z0-9_'+-]{1,30})?@)?([A-Za-z0-9]{1,30}(-[A-Za-z0-9]{1,30})?\.){1,3}[A-Za-z]{2,20}$" up to 254

    /// An entry as the suppression list shows it: a domain, or the SHA-256 of an address.
    SuppressionEntry as r"^([0-9a-f]{64}|([A-Za-z0-9]{1,30}(-[A-Za-z0-9]{1,30})?\.){1,3}[A-Za-z]{2,20})$" up to 254

    /// An e-mail address, a domain, or the entry as the list shows it. The pattern covers plain ones.
    Removable as r"^([0-9a-f]{64}|([A-Za-z0-9_'+-]{1,30}(\.[A-Za-z0-9_'+-]{1,30})?@)?([A-Za-z0-9]{1,30}(-[A-Za-z0-9]{1,30})?\.){1,3}[A-Za-z]{2,20})$" up to 254

    /// `next_cursor` of the previous page.
    Cursor as r"^[0-9]{1,14}\.([A-Za-z0-9_-]{4}){0,85}([A-Za-z0-9_-]{2,3})?$" up to 358
}

words! {
    /// The status of a lead. `queued`, `processing` and `retrying` proceed automatically; the others are
    /// final.
    Status as "snake_case" {
        Queued, Processing, Retrying, Synced, Held, Dismissed, Suppressed, Planned, WorkedElsewhere,
        Synthetic, PermanentlyFailed,
    }

    /// The level of the score.
    Fit as "SCREAMING_SNAKE_CASE" { Low, Medium, High }

    /// The person's readiness to buy.
    Intent as "SCREAMING_SNAKE_CASE" { Low, Medium, High }

    /// The reason that a lead is to be judged again.
    Awaits as "snake_case" { Ai, Enrichment }

    /// The next step, weakest first.
    Decision as "SCREAMING_SNAKE_CASE" { Ignore, Nurture, ManualReview, RouteToSdr }

    /// Whether an analysis was accepted: completely, in part, or not at all.
    GroundingStatus as "SCREAMING_SNAKE_CASE" { Valid, Downgraded, Rejected }

    /// The broken rule of the grounding contract.
    ReasonCode as "snake_case" {
        UnauthorizedSource, SourceMismatch, NoEnrichment, UnknownField, ValueConflict, ScoreOutOfBand, WeakIntent,
        IntentOutOfBand, WeakFit, DecisionLowered, CallNotInFacts,
        ClaimRetyped, RiseNotInFacts, OptedOut,
    }

    /// The treatment of a failure: a retry, a deferral, or a dead letter.
    FailureClass as "snake_case" { Transient, Deferral, Permanent }

    /// A stage of processing. `storage` is our own database or queue, which costs no attempt.
    Stage as "snake_case" { CrmRead, Analysis, CrmWrite, Storage, Other }

    /// The state of a delivery.
    DeliveryState as "snake_case" { Open, Done, Superseded, Failed }

    /// The state of an action on the CRM.
    ActionState as "snake_case" { Pending, Done, Failed, Skipped, Refused, Restored }

    /// The encoding of a body.
    Encoding as "lowercase" { Text, Base64 }
}

schemas! {
    /// A refusal or failure.
    #[schema(example = json!({"error": "not_found", "message": "there is no lead with this id"}))]
    Error {
        /// The machine-readable, stable code.
        error: String,
        /// The message for a person.
        message: String,
    }

    /// A lead to be accepted. Unknown fields are kept, and not used.
    NewLead {
        /// The person's e-mail address.
        email: Email,
        /// The campaign. A whole number is accepted too.
        campaign_id: Campaign,
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
    Accepted {
        /// `accepted`, or `duplicate` for repeated content without further work. Without the database (Redis,
        /// SQS, the function), every post is `accepted`.
        status: String,
        lead_id: String,
    }

    /// A body that is not a lead, or an unknown sender.
    Rejected {
        /// `rejected`.
        status: String,
        /// The machine-readable code, such as `invalid_email`, `missing_field`, `unauthorized`.
        error: String,
        /// The field to correct, if there is one.
        field: Option<String>,
        message: String,
    }

    /// A lead that may not have been stored.
    Unavailable {
        /// `unavailable`.
        status: String,
        lead_id: Option<String>,
        error: String,
        message: String,
    }

    /// A lead.
    #[schema(example = json!({
        "lead_id": "841c48b1853396143bdcf7ab8e9a504b584cd9aca6dc83e2cfe2d421d5490e3a", "status": "synced",
        "email": "lead@stripe.com", "campaign_id": "launch_2024", "name": "Alex Smith", "company": null, "title": "CTO",
        "phone": null, "fit_score": 100, "fit": "HIGH", "intent": "HIGH", "decision": "ROUTE_TO_SDR",
        "grounding": {"status": "VALID", "reasons": []},
        "evidence": [{"source": "ENRICHMENT", "field_path": "enrichment.industry", "value": "Fintech", "claim_type": "FIRMOGRAPHIC"}],
        "analysis": {"provider": "rules", "model": "icp-2026-11-1", "fallback": false},
        "crm": {"provider": "mock", "record_id": "lead-1"}, "revision": 1,
        "created_at": "2026-01-31T09:00:00Z", "updated_at": "2026-01-31T09:00:01Z",
    }))]
    Lead {
        /// SHA-256 of the e-mail address and the campaign.
        lead_id: String,
        status: Status,
        email: String,
        campaign_id: String,
        #[schema(required)]
        name: Option<String>,
        #[schema(required)]
        company: Option<String>,
        #[schema(required)]
        title: Option<String>,
        #[schema(required)]
        phone: Option<String>,
        /// Absent values are null until the lead is judged.
        #[schema(required, minimum = 0, maximum = 100)]
        fit_score: Option<i64>,
        #[schema(required)]
        fit: Option<Fit>,
        #[schema(required)]
        intent: Option<Intent>,
        #[schema(required)]
        decision: Option<Decision>,
        /// Not in lists.
        grounding: Option<Grounding>,
        /// The claims that passed. Not in lists.
        evidence: Option<Vec<Claim>>,
        /// The origin of the judgement. Not in lists.
        analysis: Option<Analysis>,
        #[schema(required)]
        crm: Option<Crm>,
        /// The owner's id in the CRM. Not in lists.
        owner: Option<String>,
        /// The routing decision, with the deadline for a response. Not in lists.
        routing: Option<Routing>,
        /// The reviews while the lead was held, oldest first. Not in lists.
        reviews: Option<Vec<ReviewDecision>>,
        /// The reason that the lead waits or has failed.
        failure: Option<Failure>,
        /// The number of contents so far.
        revision: i64,
        #[schema(format = DateTime)]
        created_at: String,
        #[schema(format = DateTime)]
        updated_at: String,
    }

    /// A page of leads.
    LeadPage {
        items: Vec<Lead>,
        /// The `cursor` of the next page; absent on the last.
        next_cursor: Option<Cursor>,
    }

    /// The result of the grounding check of an analysis.
    Grounding { status: GroundingStatus, reasons: Vec<Reason> }

    /// A broken rule.
    Reason { code: ReasonCode, message: String }

    /// A fact that an analyst names in support of its judgement.
    Claim {
        /// `SALESFORCE`, `MARKETO`, `PRODUCT`, `ENRICHMENT` or `COMPUTED`; anything else is a breach.
        source: String,
        /// Such as `enrichment.industry`.
        field_path: String,
        /// As the source wrote it, if the claim passed.
        value: Value,
        /// `FIRMOGRAPHIC`, `BEHAVIOR`, `PIPELINE` or `SCORE`; anything else is a breach.
        claim_type: String,
    }

    /// The origin of a judgement.
    Analysis {
        provider: String,
        model: String,
        /// The analyst gave no answer; the neutral verdict applies until the lead is rescored.
        fallback: bool,
    }

    /// A lead's record in the CRM.
    Crm { provider: String, record_id: String }

    /// The reason of a failure.
    Failure {
        class: FailureClass,
        /// The machine-readable, stable code.
        code: String,
        message: String,
        /// The system that failed, such as `crm.mock`.
        dependency: Option<String>,
        /// The failed stage; attempts are counted for each stage.
        stage: Option<Stage>,
        /// The wait that the system asked for.
        retry_after: Option<Duration>,
        /// True if the condition ends after that time without a probe.
        ends_by_itself: Option<bool>,
    }

    /// A duration.
    Duration { secs: i64, nanos: i64 }

    /// A page of an audit trail.
    AuditPage {
        items: Vec<AuditEvent>,
        /// The `after` of the next page; absent on the last. A full page may be the last one; the next is
        /// then empty.
        next_after: Option<i64>,
    }

    /// An event in the processing of a lead.
    AuditEvent {
        /// Per lead, from 1, without gaps.
        seq: i64,
        #[schema(format = DateTime)]
        at: String,
        /// Such as `accepted`, `enriched`, `judged`, `synced`.
        kind: String,
        #[schema(required)]
        delivery_id: Option<String>,
        /// Details of the event.
        detail: Value,
    }

    /// The explanation of a lead's treatment.
    Explanation {
        lead_id: String,
        email: String,
        campaign_id: String,
        status: Status,
        /// The status in a sentence.
        standing: String,
        /// The lead's contents, newest first.
        received: Vec<Received>,
        /// The newest other leads of the same person; absent if there are none.
        same_person: Option<Vec<OtherLead>>,
        knew: Knew,
        /// Absent before the first judgement.
        judgement: Option<Judgement>,
        /// The owner and the routing decision; absent before the assignment.
        routing: Option<Routing>,
        /// The actions on the CRM, in order.
        crm: Vec<Written>,
        /// Conditions that would have changed the decision.
        would_change: Vec<Counterfactual>,
        /// The next steps, automatic ones and possible ones.
        next: Vec<String>,
    }

    /// Another lead of the same person, from another campaign.
    OtherLead {
        lead_id: String,
        campaign_id: String,
        /// Whether it was received before the explained lead.
        earlier: bool,
        status: Status,
        /// The CRM with the lead's record.
        provider: Option<String>,
        /// The id of the record.
        record_id: Option<String>,
        #[schema(format = DateTime)]
        received_at: String,
    }

    /// One content of a lead.
    Received {
        revision: i64,
        state: DeliveryState,
        #[schema(format = DateTime)]
        received_at: String,
        /// How often the same content was received again.
        duplicates: i64,
    }

    /// The known facts at the judgement, or so far.
    Knew {
        facts: Vec<Fact>,
        /// The computed scores.
        sums: Vec<Sum>,
        /// The result of enrichment, in a sentence.
        enrichment: String,
        /// The providers that could not answer.
        unanswered: Option<Vec<Unanswered>>,
    }

    /// One fact.
    Fact {
        /// Such as `enrichment.industry`.
        path: String,
        value: Value,
        /// A provider, `sender`, or the profile that computed it.
        said_by: String,
        #[schema(format = DateTime)]
        at: Option<String>,
    }

    /// A score that the profile computed.
    Sum {
        /// `fit` or `intent`.
        of: String,
        total: i64,
        parts: Vec<Part>,
    }

    /// One part of a score.
    Part {
        name: String,
        points: i64,
        /// The matching entry of the profile.
        matched: Option<Value>,
    }

    /// A provider that could not answer.
    Unanswered { provider: String, code: String, message: String }

    /// The claims, their check and the decision.
    Judgement {
        provider: String,
        model: String,
        fallback: bool,
        #[schema(format = DateTime)]
        at: String,
        /// The judged revision.
        revision: Option<i64>,
        is_of_newest: bool,
        /// The number of the judgement of this content, from 1.
        round: i64,
        /// The analyst's conclusions before the check.
        asked: Option<Asked>,
        claims: Vec<CheckedClaim>,
        /// The conclusions that were lowered because the claims do not support them.
        adjustments: Vec<Reason>,
        grounding: GroundingStatus,
        fit_score: i64,
        fit: Fit,
        intent: Intent,
        decision: Decision,
        /// The reason of the decision, in a sentence.
        because: String,
        fit_high_from: i64,
        fit_medium_from: i64,
        /// The analyst's prose: a quotation that is not checked, not acted on and not sent anywhere.
        own_words: Option<String>,
    }

    /// The conclusions of an analyst.
    Asked { fit_score: i64, intent: Intent, decision: Decision }

    /// A claim with its check against the facts.
    CheckedClaim {
        claim: Claim,
        passed: bool,
        /// The broken rule.
        code: Option<ReasonCode>,
        message: Option<String>,
        /// The fact at the claim's path.
        fact: Option<Value>,
        said_by: Option<String>,
        #[schema(format = DateTime)]
        said_at: Option<String>,
    }

    /// One action on the CRM.
    Written {
        /// Such as `upsert_lead`.
        kind: String,
        provider: String,
        state: ActionState,
        revision: Option<i64>,
        record_id: Option<String>,
        /// Whether the record was created.
        created: Option<bool>,
        /// The names of the written fields.
        fields: Vec<String>,
        /// The fields that did not reach the record; absent if there are none.
        left_out: Option<Vec<Omission>>,
        failure: Option<Failure>,
        #[schema(format = DateTime)]
        at: String,
    }

    /// A field with a value that did not reach the CRM.
    Omission {
        /// Such as `lead` or `task`.
        object: String,
        /// The field's name in the CRM.
        field: String,
        /// The source of the value, as the mapping names it.
        source: String,
        /// Such as `refused`, `too_long` or `owner_inactive`.
        reason: String,
    }

    /// A condition that would have changed the outcome.
    Counterfactual {
        #[schema(rename = "if")]
        condition: String,
        #[schema(rename = "then")]
        outcome: String,
    }

    /// The request to judge a lead again.
    ReplayRequest {
        /// Put the lead up for judgement, instead of a dry run.
        #[schema(required = false)]
        apply: bool,
    }

    /// The changes by a new judgement of a lead.
    Replay {
        lead_id: String,
        stored: Verdict,
        /// Whether the stored facts and answer yield the stored verdict.
        reproducible: bool,
        /// The new verdict; null if no analyst is available.
        now: Option<Verdict>,
        /// The reason that no analyst is available.
        not_now: Option<Failure>,
        /// Empty without changes, or if no analyst is available.
        changes: Vec<Change>,
    }

    /// The result of checking an answer.
    Verdict {
        contract_version: i64,
        status: GroundingStatus,
        reasons: Vec<Breach>,
        fit_score: i64,
        fit: Fit,
        intent: Intent,
        decision: Decision,
        evidence: Vec<Claim>,
    }

    /// A broken rule with its claim.
    Breach {
        code: ReasonCode,
        claim: Option<Claim>,
        /// The fact at the claim's path.
        fact: Option<Value>,
        message: String,
    }

    /// One value that would change.
    Change { field: String, from: Value, to: Value }

    /// A lead that is queued again.
    Queued {
        /// `queued`.
        status: String,
        lead_id: String,
    }

    /// The owner of a lead, and the routing decision.
    Routing {
        /// The owner's id in the CRM; null if the CRM assigns the owner.
        #[schema(required)]
        owner: Option<String>,
        /// The owner's name in the rules.
        name: Option<String>,
        /// The deciding rule.
        rule: Option<String>,
        /// The pool that the owner was chosen from.
        pool: Option<String>,
        /// The reason of the decision, in a sentence.
        because: String,
        /// The preceding rules, each with the reason that it did not decide.
        passed_over: Vec<PassedOver>,
        /// The members of the considered pools.
        members: Vec<Member>,
        /// The version of the rules.
        version: String,
        #[schema(format = DateTime)]
        assigned_at: String,
        /// The deadline for a response; absent if none is due.
        #[schema(format = DateTime)]
        respond_by: Option<String>,
        #[schema(format = DateTime)]
        responded_at: Option<String>,
        responded_by: Option<String>,
        /// The latest missed deadline.
        #[schema(format = DateTime)]
        overdue_at: Option<String>,
        /// The number of reassignments.
        reassignments: i64,
    }

    /// A rule that did not decide.
    PassedOver { rule: String, because: String }

    /// A member of a considered pool.
    Member {
        pool: String,
        owner: String,
        weight: i64,
        /// The member's credit before the decision.
        credit: i64,
        today: i64,
        open: i64,
        /// `chosen`, `waits`, or `skipped` with the reason.
        outcome: Value,
    }

    /// A person's decision about a held lead.
    ReviewDecision {
        /// `approved`, `rejudged` or `dismissed`.
        decision: String,
        by: String,
        reason: Option<String>,
        #[schema(format = DateTime)]
        at: String,
    }

    /// A held lead with the rules that its analysis broke.
    HeldLead { lead: Lead, reasons: Vec<Reason> }

    /// A page of held leads.
    HeldPage {
        items: Vec<HeldLead>,
        /// The `cursor` of the next page; absent on the last.
        next_cursor: Option<Cursor>,
    }

    /// The reviewer and the reason.
    ReviewRequest {
        /// The reviewer's name; it is kept in the audit trail.
        by: Line,
        /// The reason, without personal data of the lead.
        reason: Option<Line>,
    }

    /// The decision to dismiss a lead.
    DismissRequest {
        /// The reviewer's name; it is kept in the audit trail.
        by: Line,
        /// The reason, without personal data of the lead.
        reason: Line,
    }

    /// The person who responded.
    RespondRequest { by: Line }

    /// A person or domain that is never written to the CRM.
    SuppressRequest {
        who: Suppressible,
        /// The reason, without personal data.
        reason: Line,
        /// The name of the person who adds the entry.
        by: Line,
    }

    /// The entry to remove from the list.
    UnsuppressRequest {
        who: Removable,
        /// The reason, without personal data.
        reason: Line,
        /// The name of the person who removes the entry.
        by: Line,
    }

    /// An entry of the suppression list.
    Suppression {
        /// A domain, or the SHA-256 of an address.
        entry: String,
        /// `domain` or `address`.
        kind: String,
        reason: String,
        added_by: String,
        #[schema(format = DateTime)]
        added_at: String,
        /// The remover; absent while the entry is on the list, like the next two fields.
        removed_by: Option<String>,
        removed_because: Option<String>,
        #[schema(format = DateTime)]
        removed_at: Option<String>,
    }

    /// A page of the suppression list.
    SuppressionPage {
        items: Vec<Suppression>,
        /// The `cursor` of the next page; absent on the last.
        next_cursor: Option<Cursor>,
    }

    /// The planned writes to the CRM for a lead.
    PlannedLead {
        lead_id: String,
        status: Status,
        /// The CRM.
        provider: String,
        /// `live`: plans are executed; `shadow`: they are kept.
        mode: String,
        mapping_version: String,
        /// Nothing would be written: the analysis was rejected, and a person has to review the lead.
        held: bool,
        /// Nothing would be written: the person is on the suppression list.
        suppressed: bool,
        /// The merge in the CRM that would be followed; absent if the record is unchanged.
        followed: Option<Followed>,
        actions: Vec<PlannedAction>,
        changes: Vec<FieldChange>,
    }

    /// A record that was merged into another one.
    Followed {
        /// The record that was written before.
        from: String,
        /// The remaining record.
        to: String,
    }

    /// An action with the guard's decision.
    PlannedAction {
        position: i64,
        kind: String,
        /// The reason of a refusal; absent if the action would pass.
        refusal: Option<Failure>,
    }

    /// The change of one field in the CRM.
    FieldChange {
        /// The position of its action.
        position: i64,
        action: String,
        /// Such as `lead` or `task`.
        object: String,
        /// The object's name in the CRM.
        object_name: String,
        external_id: String,
        /// Absent if the record does not exist yet.
        record_id: Option<String>,
        field: String,
        /// The source of the value, as the mapping names it.
        source: String,
        /// The present value; absent if there is none.
        old: Option<Value>,
        new: Option<Value>,
        /// The reason that the field is not written; absent if it is.
        left_out: Option<String>,
        /// The text was cut to the length of the field.
        cut: Option<bool>,
    }

    /// The reason to stop all writes to the CRM.
    RollbackRequest { reason: Line }

    /// The person to erase.
    EraseRequest {
        email: Email,
        /// Remove the data, instead of a dry run.
        #[schema(required = false)]
        apply: bool,
        /// With `apply`, also suppresses the person; the name of the requester.
        suppress_by: Option<Line>,
    }

    /// The record of an erasure, including the data that it cannot reach.
    Certificate {
        /// The SHA-256 of the address.
        email_sha256: String,
        #[schema(format = DateTime)]
        at: String,
        /// False for a dry run.
        applied: bool,
        /// The person's leads, of this and of earlier erasures.
        leads: Vec<String>,
        found: Vec<Found>,
        /// Leads that a worker was processing at that moment: repeat the erasure in a minute.
        in_work: i64,
        /// Records that only an administrator of the CRM can remove.
        by_hand: Vec<ByHand>,
        /// The list keeps the hash of the address.
        on_suppression_list: bool,
        /// The data that remains elsewhere, and for how long.
        remains: Vec<String>,
    }

    /// A kind of data that was found.
    Found {
        /// Such as the name of a table.
        place: String,
        count: i64,
        /// `removed`, or `reduced to hashes`.
        becomes: String,
    }

    /// A record that has to be removed in the CRM.
    ByHand { provider: String, written_by: String, record_id: String }

    /// The result of an operation, which may have been done before.
    Done {
        /// Such as `dismissed`, `responded`, `suppressed`, `removed`, `held`, `resumed`; `.._before` if
        /// nothing changed.
        status: String,
    }

    /// A dead-lettered message.
    DeadLetter {
        id: String,
        /// Null if the message is unreadable.
        #[schema(required)]
        lead_id: Option<String>,
        failure: Failure,
        attempts: i64,
        #[schema(format = DateTime)]
        failed_at: String,
    }

    /// A page of dead letters.
    DeadLetterPage { items: Vec<DeadLetter>, next_cursor: Option<Cursor> }

    /// A rejected body.
    Quarantined {
        id: String,
        error: String,
        #[schema(required)]
        field: Option<String>,
        message: String,
        #[schema(required)]
        content_type: Option<String>,
        /// How often the body was received.
        times: i64,
        #[schema(format = DateTime)]
        first_at: String,
        #[schema(format = DateTime)]
        last_at: String,
    }

    /// A page of quarantined bodies.
    QuarantinePage { items: Vec<Quarantined>, next_cursor: Option<Cursor> }

    /// A rejected body with its unchanged bytes.
    QuarantinedBody {
        id: String,
        error: String,
        #[schema(required)]
        field: Option<String>,
        message: String,
        #[schema(required)]
        content_type: Option<String>,
        times: i64,
        #[schema(format = DateTime)]
        first_at: String,
        #[schema(format = DateTime)]
        last_at: String,
        encoding: Encoding,
        body: String,
    }

    /// The process is alive.
    Live {
        /// `ok`.
        status: String,
    }

    /// Readiness of the process.
    Ready {
        /// `ready` or `unavailable`.
        status: String,
        /// `database`, `migrations`, `queue` or `worker`.
        failing: Option<String>,
        message: Option<String>,
        /// Whether this process has a running worker.
        worker: Option<bool>,
        /// The pauses in force.
        pauses: Option<Vec<Pause>>,
    }

    /// All pauses of consumption.
    PauseList { items: Vec<Pause> }

    /// A pause of consumption.
    Pause {
        dependency: String,
        reason: String,
        #[schema(format = DateTime)]
        since: String,
        /// The time of the next probe.
        #[schema(format = DateTime)]
        until: String,
    }
}
