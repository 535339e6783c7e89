//! What goes in and out, as it looks outside. Written by hand rather than derived from the domain's types, so that a change of
//! those does not quietly change the interface; the tests hold every answer against it.

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

/// Texts with a form of their own. A pattern says what is always taken, so that a request made by this description is never
/// refused for its form.
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

    /// An e-mail address. The pattern describes the plain ones; internationalised addresses are taken too.
    Email as r"^[A-Za-z0-9_'+-]{1,30}(\.[A-Za-z0-9_'+-]{1,30})?@([A-Za-z0-9]{1,30}(-[A-Za-z0-9]{1,30})?\.){1,3}[A-Za-z]{2,20}$" up to 254

    /// The name or id of a campaign, without unreplaced `{{tokens}}`.
    Campaign as r"^[A-Za-z0-9]([A-Za-z0-9 _.:/-]{0,252}[A-Za-z0-9])?$" up to 255

    /// An e-mail address, or a domain, which stands for those below it too. The pattern describes the plain ones.
    Suppressible as r"^([A-Za-z0-9_'+-]{1,30}(\.[A-Za-z0-9_'+-]{1,30})?@)?([A-Za-z0-9]{1,30}(-[A-Za-z0-9]{1,30})?\.){1,3}[A-Za-z]{2,20}$" up to 254

    /// An entry as the suppression list shows it: a domain, or the SHA-256 of an address.
    SuppressionEntry as r"^([0-9a-f]{64}|([A-Za-z0-9]{1,30}(-[A-Za-z0-9]{1,30})?\.){1,3}[A-Za-z]{2,20})$" up to 254

    /// An e-mail address, a domain, or the entry as the list shows it. The pattern describes the plain ones.
    Removable as r"^([0-9a-f]{64}|([A-Za-z0-9_'+-]{1,30}(\.[A-Za-z0-9_'+-]{1,30})?@)?([A-Za-z0-9]{1,30}(-[A-Za-z0-9]{1,30})?\.){1,3}[A-Za-z]{2,20})$" up to 254

    /// `next_cursor` of the page before.
    Cursor as r"^[0-9]{1,14}\.([A-Za-z0-9_-]{4}){0,85}([A-Za-z0-9_-]{2,3})?$" up to 358
}

words! {
    /// Where a lead stands. `queued`, `processing` and `retrying` go on by themselves; the others are final.
    Status as "snake_case" {
        Queued, Processing, Retrying, Synced, Held, Dismissed, Suppressed, Planned, WorkedElsewhere,
        Synthetic, PermanentlyFailed,
    }

    /// The level that the score amounts to.
    Fit as "SCREAMING_SNAKE_CASE" { Low, Medium, High }

    /// How ready the person is to buy.
    Intent as "SCREAMING_SNAKE_CASE" { Low, Medium, High }

    /// What a lead waits for before it is judged again.
    Awaits as "snake_case" { Ai, Enrichment }

    /// What is to be done, weakest first.
    Decision as "SCREAMING_SNAKE_CASE" { Ignore, Nurture, ManualReview, RouteToSdr }

    /// Whether an analysis stood: as it was, in part, or not at all.
    GroundingStatus as "SCREAMING_SNAKE_CASE" { Valid, Downgraded, Rejected }

    /// The rule of the grounding contract that was broken.
    ReasonCode as "snake_case" {
        UnauthorizedSource, SourceMismatch, NoEnrichment, UnknownField, ValueConflict, ScoreOutOfBand, WeakIntent,
        IntentOutOfBand, WeakFit, DecisionLowered, CallNotInFacts,
        ClaimRetyped, RiseNotInFacts, OptedOut,
    }

    /// How a failure is treated: tried again, waited out, or given up.
    FailureClass as "snake_case" { Transient, Deferral, Permanent }

    /// A stage of a lead's way. `storage` is our own database or queue, which costs no attempt.
    Stage as "snake_case" { CrmRead, Analysis, CrmWrite, Storage, Other }

    /// What became of a delivery.
    DeliveryState as "snake_case" { Open, Done, Superseded, Failed }

    /// What became of an action on the CRM.
    ActionState as "snake_case" { Pending, Done, Failed, Skipped, Refused, Restored }

    /// How the bytes of a body are written.
    Encoding as "lowercase" { Text, Base64 }
}

schemas! {
    /// A refusal or failure.
    #[schema(example = json!({"error": "not_found", "message": "there is no lead with this id"}))]
    Error {
        /// Machine-readable and stable.
        error: String,
        /// For a person.
        message: String,
    }

    /// A lead to be taken in. Unknown fields are kept, and not used.
    NewLead {
        /// Who.
        email: Email,
        /// Through which campaign. A whole number is taken too.
        campaign_id: Campaign,
        /// The whole name, or the two parts of it.
        name: Option<String>,
        first_name: Option<String>,
        last_name: Option<String>,
        company: Option<String>,
        title: Option<String>,
        phone: Option<String>,
        /// What Marketo knows, such as `lead_id`, `engagement_score`, `program`, `activity`.
        marketo: Option<Map<String, Value>>,
        /// What the product knows, such as `usage_signals`, `activation_state`.
        product: Option<Map<String, Value>>,
        /// What the CRM knows, such as `deal_stage`, `owner`.
        salesforce: Option<Map<String, Value>>,
    }

    /// A lead that is stored.
    Accepted {
        /// `accepted`, or `duplicate` where the same content came before and there is nothing to do. Where leads are taken in
        /// without the database (Redis, SQS, the function), every post is `accepted`.
        status: String,
        lead_id: String,
    }

    /// A body that is no lead, or a sender that is not known.
    Rejected {
        /// `rejected`.
        status: String,
        /// Machine-readable, such as `invalid_email`, `missing_field`, `unauthorized`.
        error: String,
        /// The field to correct, where it is one.
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
        /// Who judged. Not in lists.
        analysis: Option<Analysis>,
        #[schema(required)]
        crm: Option<Crm>,
        /// Who has it, as the CRM calls them. Not in lists.
        owner: Option<String>,
        /// Why they have it, and until when somebody is to respond. Not in lists.
        routing: Option<Routing>,
        /// What people decided about it while it was held, oldest first. Not in lists.
        reviews: Option<Vec<ReviewDecision>>,
        /// Why it waits or was parked.
        failure: Option<Failure>,
        /// How many contents it has had.
        revision: i64,
        #[schema(format = DateTime)]
        created_at: String,
        #[schema(format = DateTime)]
        updated_at: String,
    }

    /// A page of leads.
    LeadPage {
        items: Vec<Lead>,
        /// What to give as `cursor` for the next page; absent on the last.
        next_cursor: Option<Cursor>,
    }

    /// What the grounding contract made of an analysis.
    Grounding { status: GroundingStatus, reasons: Vec<Reason> }

    /// A rule that was broken.
    Reason { code: ReasonCode, message: String }

    /// Something that an analyst says its judgement rests on.
    Claim {
        /// `SALESFORCE`, `MARKETO`, `PRODUCT`, `ENRICHMENT` or `COMPUTED`; anything else is a breach.
        source: String,
        /// Such as `enrichment.industry`.
        field_path: String,
        /// In the words of the source, where the claim passed.
        value: Value,
        /// `FIRMOGRAPHIC`, `BEHAVIOR`, `PIPELINE` or `SCORE`; anything else is a breach.
        claim_type: String,
    }

    /// Who judged.
    Analysis {
        provider: String,
        model: String,
        /// Nobody answered; the neutral verdict stands in until someone does.
        fallback: bool,
    }

    /// Where a lead was written.
    Crm { provider: String, record_id: String }

    /// Why something did not work.
    Failure {
        class: FailureClass,
        /// Machine-readable and stable.
        code: String,
        message: String,
        /// The system that failed, such as `crm.mock`.
        dependency: Option<String>,
        /// Where on the lead's way it failed; attempts are counted for each stage.
        stage: Option<Stage>,
        /// How long the system asked us to stay away.
        retry_after: Option<Duration>,
        /// True where the time is all it takes: nobody has to probe the system first.
        ends_by_itself: Option<bool>,
    }

    /// A stretch of time.
    Duration { secs: i64, nanos: i64 }

    /// A page of an audit trail.
    AuditPage {
        items: Vec<AuditEvent>,
        /// What to give as `after` for the next page; absent on the last. A full page may be the last: the next is then empty.
        next_after: Option<i64>,
    }

    /// One thing that happened to a lead.
    AuditEvent {
        /// Per lead, from 1, without gaps.
        seq: i64,
        #[schema(format = DateTime)]
        at: String,
        /// Such as `accepted`, `enriched`, `judged`, `synced`.
        kind: String,
        #[schema(required)]
        delivery_id: Option<String>,
        /// Particulars of the kind.
        detail: Value,
    }

    /// Why a lead was treated as it was.
    Explanation {
        lead_id: String,
        email: String,
        campaign_id: String,
        status: Status,
        /// Where it stands, in a sentence.
        standing: String,
        /// The contents it has had, newest first.
        received: Vec<Received>,
        /// The newest other leads of the same person; absent where this is the only one.
        same_person: Option<Vec<OtherLead>>,
        knew: Knew,
        /// Absent where nothing has been judged yet.
        judgement: Option<Judgement>,
        /// Who has it, and why; absent where it has not been given to anybody.
        routing: Option<Routing>,
        /// What was done to the CRM, in order.
        crm: Vec<Written>,
        /// What would have changed the decision.
        would_change: Vec<Counterfactual>,
        /// What happens now, and what a person can do.
        next: Vec<String>,
    }

    /// Another lead of the same person: each campaign makes one of its own.
    OtherLead {
        lead_id: String,
        campaign_id: String,
        /// It was received before the lead that is explained.
        earlier: bool,
        status: Status,
        /// The CRM it was written to.
        provider: Option<String>,
        /// The record there.
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
        /// How often the same content came again.
        duplicates: i64,
    }

    /// What was known when the lead was judged; before that, what is known by now.
    Knew {
        facts: Vec<Fact>,
        /// What the profile made of the facts.
        sums: Vec<Sum>,
        /// What enrichment came to, in a sentence.
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

    /// One part of a sum.
    Part {
        name: String,
        points: i64,
        /// What matched in the profile.
        matched: Option<Value>,
    }

    /// A provider that could not answer.
    Unanswered { provider: String, code: String, message: String }

    /// What was claimed, checked and decided.
    Judgement {
        provider: String,
        model: String,
        fallback: bool,
        #[schema(format = DateTime)]
        at: String,
        /// The content that was judged.
        revision: Option<i64>,
        is_of_newest: bool,
        /// Which judgement of that content it is, from 1.
        round: i64,
        /// What the analyst concluded, before it was checked.
        asked: Option<Asked>,
        claims: Vec<CheckedClaim>,
        /// What was lowered because the claims do not carry it.
        adjustments: Vec<Reason>,
        grounding: GroundingStatus,
        fit_score: i64,
        fit: Fit,
        intent: Intent,
        decision: Decision,
        /// Why that decision, in a sentence.
        because: String,
        fit_high_from: i64,
        fit_medium_from: i64,
        /// The analyst's own prose: a quotation, not checked, not acted on and sent nowhere.
        own_words: Option<String>,
    }

    /// What an analyst concluded.
    Asked { fit_score: i64, intent: Intent, decision: Decision }

    /// A claim held against the facts.
    CheckedClaim {
        claim: Claim,
        passed: bool,
        /// The rule it broke.
        code: Option<ReasonCode>,
        message: Option<String>,
        /// What the facts say there.
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
        /// Whether the record was new.
        created: Option<bool>,
        /// The names of the fields written.
        fields: Vec<String>,
        /// The fields that did not reach the record; absent where all did.
        left_out: Option<Vec<Omission>>,
        failure: Option<Failure>,
        #[schema(format = DateTime)]
        at: String,
    }

    /// A field that did not reach the CRM although there was a value for it.
    Omission {
        /// Such as `lead` or `task`.
        object: String,
        /// The CRM's name of it.
        field: String,
        /// Where the value comes from, as the mapping names it.
        source: String,
        /// Such as `refused`, `too_long` or `owner_inactive`.
        reason: String,
    }

    /// One thing that would have changed the outcome.
    Counterfactual {
        #[schema(rename = "if")]
        condition: String,
        #[schema(rename = "then")]
        outcome: String,
    }

    /// How to judge a lead again.
    ReplayRequest {
        /// Put it up for judgement, rather than only saying what would change.
        #[schema(required = false)]
        apply: bool,
    }

    /// What judging a lead again would change.
    Replay {
        lead_id: String,
        stored: Verdict,
        /// Whether the stored facts and answer give the stored verdict again.
        reproducible: bool,
        /// What would be judged now; null where nobody can judge now.
        now: Option<Verdict>,
        /// Why nobody can judge now.
        not_now: Option<Failure>,
        /// Empty where nothing would change, and where nobody can judge now.
        changes: Vec<Change>,
    }

    /// What is left of an answer once it has been checked.
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

    /// A rule that was broken, and by what.
    Breach {
        code: ReasonCode,
        claim: Option<Claim>,
        /// What the facts say there.
        fact: Option<Value>,
        message: String,
    }

    /// One value that would change.
    Change { field: String, from: Value, to: Value }

    /// A lead that is in the queue again.
    Queued {
        /// `queued`.
        status: String,
        lead_id: String,
    }

    /// Who has a lead, and why.
    Routing {
        /// As the CRM calls them; null where it is left to the CRM.
        #[schema(required)]
        owner: Option<String>,
        /// The name that the rules have for them.
        name: Option<String>,
        /// The rule that decided.
        rule: Option<String>,
        /// The pool whose turn it was.
        pool: Option<String>,
        /// The decision in a sentence.
        because: String,
        /// The rules before it, each with the reason it did not decide.
        passed_over: Vec<PassedOver>,
        /// The members of the pools that were asked.
        members: Vec<Member>,
        /// The version of the rules.
        version: String,
        #[schema(format = DateTime)]
        assigned_at: String,
        /// When somebody is to have responded; absent where nobody is waited for.
        #[schema(format = DateTime)]
        respond_by: Option<String>,
        #[schema(format = DateTime)]
        responded_at: Option<String>,
        responded_by: Option<String>,
        /// When nobody had responded in time, the last time.
        #[schema(format = DateTime)]
        overdue_at: Option<String>,
        /// How often it was given to somebody else.
        reassignments: i64,
    }

    /// A rule that did not decide.
    PassedOver { rule: String, because: String }

    /// A member of a pool that was asked.
    Member {
        pool: String,
        owner: String,
        weight: i64,
        /// What was due to them before.
        credit: i64,
        today: i64,
        open: i64,
        /// `chosen`, `waits`, or `skipped` with the reason.
        outcome: Value,
    }

    /// What a person decided about a held lead.
    ReviewDecision {
        /// `approved`, `rejudged` or `dismissed`.
        decision: String,
        by: String,
        reason: Option<String>,
        #[schema(format = DateTime)]
        at: String,
    }

    /// A held lead, and what its analysis broke.
    HeldLead { lead: Lead, reasons: Vec<Reason> }

    /// A page of held leads.
    HeldPage {
        items: Vec<HeldLead>,
        /// What to give as `cursor` for the next page; absent on the last.
        next_cursor: Option<Cursor>,
    }

    /// Who decides, and why.
    ReviewRequest {
        /// The name of who decides; it is kept in the audit trail.
        by: Line,
        /// Why. Nothing personal about the lead.
        reason: Option<Line>,
    }

    /// The decision to put a lead aside.
    DismissRequest {
        /// The name of who decides; it is kept in the audit trail.
        by: Line,
        /// Why. Nothing personal about the lead.
        reason: Line,
    }

    /// Who responded.
    RespondRequest { by: Line }

    /// Who is not to be written to the CRM.
    SuppressRequest {
        who: Suppressible,
        /// Why. Nothing personal.
        reason: Line,
        /// The name of who adds it.
        by: Line,
    }

    /// Which entry is to go off the list.
    UnsuppressRequest {
        who: Removable,
        /// Why. Nothing personal.
        reason: Line,
        /// The name of who removes it.
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
        /// Who took it off the list; absent while it is on it, like the two below.
        removed_by: Option<String>,
        removed_because: Option<String>,
        #[schema(format = DateTime)]
        removed_at: Option<String>,
    }

    /// A page of the suppression list.
    SuppressionPage {
        items: Vec<Suppression>,
        /// What to give as `cursor` for the next page; absent on the last.
        next_cursor: Option<Cursor>,
    }

    /// What would be written to the CRM now for a lead.
    PlannedLead {
        lead_id: String,
        status: Status,
        /// Which CRM.
        provider: String,
        /// `live`: plans are carried out; `shadow`: they are kept.
        mode: String,
        mapping_version: String,
        /// Nothing would be written: the analysis was rejected, and a person has to look.
        held: bool,
        /// Nothing would be written: the person is on the suppression list.
        suppressed: bool,
        /// The merge in the CRM that would be followed; absent where the record is where it was.
        followed: Option<Followed>,
        actions: Vec<PlannedAction>,
        changes: Vec<FieldChange>,
    }

    /// A record that people have merged into another one.
    Followed {
        /// The record that was written before.
        from: String,
        /// The record that is left.
        to: String,
    }

    /// An action, and what the guard thinks of it.
    PlannedAction {
        position: i64,
        kind: String,
        /// Why it would be refused; absent where it would pass.
        refusal: Option<Failure>,
    }

    /// What one field of the CRM would become.
    FieldChange {
        /// The place of its action.
        position: i64,
        action: String,
        /// Such as `lead` or `task`.
        object: String,
        /// The CRM's name of it.
        object_name: String,
        external_id: String,
        /// Absent where the record does not exist yet.
        record_id: Option<String>,
        field: String,
        /// Where the value comes from, as the mapping names it.
        source: String,
        /// What is there now; absent where there is nothing.
        old: Option<Value>,
        new: Option<Value>,
        /// Why it is not written; absent where it is.
        left_out: Option<String>,
        /// The text was too long for the field and lost its end.
        cut: Option<bool>,
    }

    /// Why nothing is to be written to the CRM.
    RollbackRequest { reason: Line }

    /// Who is to be forgotten.
    EraseRequest {
        email: Email,
        /// Remove what is found, rather than only saying what there is.
        #[schema(required = false)]
        apply: bool,
        /// With `apply`, puts the person on the suppression list too: the name of who wants it.
        suppress_by: Option<Line>,
    }

    /// What an erasure found, what became of it, and what it cannot do.
    Certificate {
        /// The SHA-256 of the address.
        email_sha256: String,
        #[schema(format = DateTime)]
        at: String,
        /// False: it was only looked at.
        applied: bool,
        /// The person's leads, of this and of earlier erasures.
        leads: Vec<String>,
        found: Vec<Found>,
        /// Leads that a worker had at that moment: ask again in a minute.
        in_work: i64,
        /// Records that only an administrator of the CRM can remove.
        by_hand: Vec<ByHand>,
        /// The list keeps the hash of the address.
        on_suppression_list: bool,
        /// What remains elsewhere, and until when.
        remains: Vec<String>,
    }

    /// Something that was found.
    Found {
        /// Such as the name of a table.
        place: String,
        count: i64,
        /// `removed`, or `reduced to hashes`.
        becomes: String,
    }

    /// A record in a CRM that has to be removed there.
    ByHand { provider: String, written_by: String, record_id: String }

    /// Something that was done, or had been done before.
    Done {
        /// Such as `dismissed`, `responded`, `suppressed`, `removed`, `held`, `resumed`; `.._before` where nothing has changed.
        status: String,
    }

    /// A message that was given up.
    DeadLetter {
        id: String,
        /// Null where the message could not be read.
        #[schema(required)]
        lead_id: Option<String>,
        failure: Failure,
        attempts: i64,
        #[schema(format = DateTime)]
        failed_at: String,
    }

    /// A page of dead letters.
    DeadLetterPage { items: Vec<DeadLetter>, next_cursor: Option<Cursor> }

    /// A body that could not be accepted.
    Quarantined {
        id: String,
        error: String,
        #[schema(required)]
        field: Option<String>,
        message: String,
        #[schema(required)]
        content_type: Option<String>,
        /// How often it came.
        times: i64,
        #[schema(format = DateTime)]
        first_at: String,
        #[schema(format = DateTime)]
        last_at: String,
    }

    /// A page of bodies in quarantine.
    QuarantinePage { items: Vec<Quarantined>, next_cursor: Option<Cursor> }

    /// A body that could not be accepted, as it came.
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

    /// The process is there.
    Live {
        /// `ok`.
        status: String,
    }

    /// Whether the process can do its work.
    Ready {
        /// `ready` or `unavailable`.
        status: String,
        /// `database`, `migrations`, `queue` or `worker`.
        failing: Option<String>,
        message: Option<String>,
        /// Whether this process works on leads, and is at it.
        worker: Option<bool>,
        /// The pauses of the queue in force.
        pauses: Option<Vec<Pause>>,
    }

    /// Every pause of the queue.
    PauseList { items: Vec<Pause> }

    /// A pause of the queue.
    Pause {
        dependency: String,
        reason: String,
        #[schema(format = DateTime)]
        since: String,
        /// When the dependency is asked again.
        #[schema(format = DateTime)]
        until: String,
    }
}
