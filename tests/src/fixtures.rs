//! Leads, deliveries and pipelines for the suites of several crates. A failure of any of them fails the test.

#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a panic is how a fixture fails its test")]

use std::sync::Arc;
use std::time::Duration;

use analysis::{Analyst, Icp};
use crm::testing::MemoryLimits;
use crm::{
    ActionId, Authority, BegunPlan, Executor, Guard, GuardSettings, Ledger, LimitSettings, MockCrm,
    MockRecord, Object, Outcome, Plan,
};
use database::Group;
use enrichment::{Enrichment, Fixtures, Waterfall};
use grounding::{Contract, FactSheet, Verdict};
use jiff::Timestamp;
use lead::{CampaignId, EmailAddress, Lead, LeadEvent, LeadId, ManualClock};
use pipeline::{Pipeline, Rejected};
use routing::{LeadFacts, Routing};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use store::{
    AnalysisRecord, Assignment, AuditEvent, AuditKind, Finish, LeadRecord, NotSaved, Notes, QuarantineItem,
    Scope, Steps, Store, Work,
};

/// A time in seconds after that of a new [`ManualClock`].
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

/// A lead with an address and a campaign only.
pub fn new_lead(email: &str, campaign: &str) -> Lead {
    Lead::new(EmailAddress::parse(email).unwrap(), CampaignId::parse(campaign).unwrap())
}

/// A delivery of a person at `example.com`, with a title as its content, received in a second as in [`at`].
pub fn event(person: &str, title: &str, received: i64) -> LeadEvent {
    let mut lead = new_lead(&format!("{person}@example.com"), "c1");
    lead.title = Some(title.to_owned());
    LeadEvent::new(lead, at(received))
}

/// A lead for an immediate call: a person at a matching company with a demo request.
pub fn hot_lead(person: &str) -> Lead {
    let mut lead = new_lead(&format!("{person}@stripe.com"), "launch_2024");
    lead.marketo.insert("engagement_score".into(), json!(85));
    lead.marketo.insert("activity".into(), json!("demo_request"));
    lead
}

/// A body for the quarantine.
pub fn rejected_body<'a>(id: &'a str, body: &'a [u8], received_at: Timestamp) -> QuarantineItem<'a> {
    QuarantineItem {
        id,
        sender: "default",
        error: "invalid_email",
        field: Some("email"),
        message: "is not a valid e-mail address",
        content_type: Some("application/json"),
        body,
        received_at,
    }
}

/// A judgement of a delivery by the fallback.
pub fn judgement(work: &Work, provider: &str, created_at: Timestamp) -> AnalysisRecord {
    let contract = Contract::default();
    AnalysisRecord {
        lead_id: work.lead_id.clone(),
        delivery_id: work.delivery_id.clone(),
        round: work.round,
        facts: FactSheet::new(),
        verdict: Verdict::fallback(&contract),
        contract,
        icp_version: "1".into(),
        provider: provider.into(),
        model: "m".into(),
        prompt_version: None,
        raw_answer: "{}".into(),
        removed: None,
        fallback: true,
        fallback_reason: None,
        input_tokens: 1,
        output_tokens: 2,
        cost_microusd: 3,
        latency_ms: 4,
        created_at,
    }
}

/// A stored lead.
pub async fn lead(store: &Store, id: &LeadId) -> LeadRecord {
    store.lead(id).await.unwrap().expect("the lead is there")
}

/// The audit trail of a lead, after a check that its chain is intact.
pub async fn audit(store: &Store, id: &LeadId) -> Vec<AuditEvent> {
    let events = store.audit(id, 0, 10_000).await.unwrap();
    let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..).take(seqs.len()).collect::<Vec<i64>>());
    let broken = store.check_lead_chain(id).await.unwrap().1;
    assert_eq!(broken, None, "{events:?}");
    events
}

/// The kinds of the events in a lead's audit trail.
pub async fn kinds(store: &Store, id: &LeadId) -> Vec<AuditKind> {
    audit(store, id).await.iter().map(|event| event.kind).collect()
}

/// All judgements of a lead, by round, newest first.
pub async fn analyses(store: &Store, id: &LeadId) -> Vec<AnalysisRecord> {
    let (mut pages, mut found) = (store.stored_analyses(Scope::Every, None), Vec::new());
    loop {
        let page = pages.next_page().await.unwrap();
        if page.is_empty() {
            found.sort_by_key(|analysis: &AnalysisRecord| {
                std::cmp::Reverse((analysis.created_at, analysis.round))
            });
            return found;
        }
        found.extend(
            page.into_iter().filter(|stored| stored.lead_id == *id).map(|stored| stored.analysis.unwrap()),
        );
    }
}

/// Runs a statement on the database of a store.
pub async fn execute(store: &Store, statement: &str) {
    let mut transaction = store.database().begin().await.unwrap();
    sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

/// Rate limits that no test reaches.
pub fn no_limits() -> LimitSettings {
    LimitSettings { per_lead: u32::MAX, per_account: u32::MAX, global: u32::MAX, ..LimitSettings::default() }
}

/// The mock CRM in the database of a store.
pub fn mock_crm(store: &Store, clock: &ManualClock) -> MockCrm {
    MockCrm::new(store.database().clone(), Arc::new(clock.clone()))
}

/// The record of a lead in the mock CRM; none if the lead was not written.
pub async fn crm_record(store: &Store, id: &LeadId) -> Option<MockRecord> {
    mock_crm(store, &ManualClock::default()).record(Object::Lead, id.as_str()).await.unwrap()
}

/// A pipeline with the built-in enrichment, profile and routing, and its own rate limits.
pub fn pipeline(
    store: &Store,
    clock: &ManualClock,
    analyst: Arc<dyn Analyst>,
    crm: Arc<dyn Executor>,
    limits: LimitSettings,
) -> Pipeline {
    let clock = || Arc::new(clock.clone());
    let state = || Arc::new(store.clone());
    let limits = Arc::new(MemoryLimits::new(limits, clock()));
    Pipeline {
        sources: pipeline::SourceRules::none(),
        store: store.clone(),
        steps: Steps::new(store.clone()),
        enrichment: Waterfall::new(vec![Arc::new(Fixtures::built_in())], Duration::from_secs(10), clock()),
        icp: Icp::default_config(),
        analyst,
        guard: Guard::new(
            crm,
            Arc::new(Steps::new(store.clone())),
            state(),
            limits,
            clock(),
            GuardSettings::default(),
        ),
        routing: Arc::new(Routing::default_config()),
        rejected: Rejected::Hold,
        clock: clock(),
    }
}

/// Notes a delivery that is already in a queue.
pub async fn note(store: &Store, event: &LeadEvent) {
    let notes = Group::new(store.database().clone(), Notes(store.clone()));
    notes.call(event.lead_id.as_str(), event.clone()).await.unwrap();
}

/// Saves the result of enrichment by itself.
pub async fn save_enrichment(
    store: &Store,
    enrichment: Enrichment,
    detail: Value,
    work: &mut Work,
) -> Result<(), NotSaved> {
    work.enriched(enrichment, detail);
    Steps::new(store.clone()).save(work).await
}

/// Saves a judgement by itself.
pub async fn save_judgement(
    store: &Store,
    analysis: AnalysisRecord,
    work: &mut Work,
) -> Result<(), NotSaved> {
    work.judged(analysis, None);
    Steps::new(store.clone()).save(work).await
}

/// Saves the assignment of a lead by itself.
pub async fn assign(store: &Store, routing: &Routing, facts: &LeadFacts, work: &mut Work) -> Assignment {
    let steps = Steps::new(store.clone());
    let assignment = steps.assign(work, &Arc::new(routing.clone()), facts.clone()).await.unwrap();
    steps.save(work).await.unwrap();
    assignment
}

/// Ends the work on a delivery.
pub async fn finish(store: &Store, finish: Finish, work: &mut Work) -> Result<(), NotSaved> {
    Steps::new(store.clone()).end(work, finish, json!([]), None).await.map(drop)
}

/// Begins a plan in the ledger.
pub async fn begin_plan(store: &Store, provider: &str, plan: &Plan, authority: Authority) -> BegunPlan {
    Ledger::begin(&Steps::new(store.clone()), provider, plan, None, authority).await.unwrap()
}

/// Saves the outcomes of actions in the ledger.
pub async fn finish_actions(store: &Store, outcomes: &[(ActionId, Outcome)]) {
    Ledger::finish(&Steps::new(store.clone()), outcomes).await.unwrap();
}
