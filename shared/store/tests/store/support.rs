//! A separate store for each test, and leads to put into it.

use std::sync::Arc;
use std::time::Duration;

use database::testing::TestDatabase;
use enrichment::Enrichment;
use grounding::{Contract, FactSheet, Verdict};
use jiff::Timestamp;
use lead::{CampaignId, Clock as _, EmailAddress, Lead, LeadEvent, LeadId, ManualClock};
use serde_json::json;
use store::{Accept, AnalysisRecord, AuditEvent, AuditKind, Begun, Finish, LeadRecord, Store, Work};

/// A migrated database, and a manual clock.
pub(crate) struct Fixture {
    pub(crate) clock: ManualClock,
    database: TestDatabase,
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        Self { clock: ManualClock::default(), database: TestDatabase::sqlite().await }
    }

    pub(crate) async fn postgres() -> Self {
        Self { clock: ManualClock::default(), database: TestDatabase::postgres().await }
    }

    /// A store with a separate pool, as another process would have.
    pub(crate) async fn store(&self) -> Store {
        Store::new(self.database.connect().await, Arc::new(self.clock.clone()))
    }

    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

/// A delivery of a lead with the given title as its content.
pub(crate) fn event(person: &str, title: &str, received: i64) -> LeadEvent {
    let email = EmailAddress::parse(&format!("{person}@example.com")).unwrap();
    let mut lead = Lead::new(email, CampaignId::parse("c1").unwrap());
    lead.title = Some(title.to_owned());
    LeadEvent::new(lead, at(received))
}

/// Begins work on a delivery, which must have work left.
pub(crate) async fn begin(store: &Store, event: &LeadEvent) -> Work {
    match store.begin_work(event, 1).await.unwrap() {
        Begun::Work(work) => *work,
        begun => panic!("there is something to do, not {begun:?}"),
    }
}

pub(crate) async fn has_work(store: &Store, event: &LeadEvent) -> bool {
    matches!(store.begin_work(event, 1).await.unwrap(), Begun::Work(_))
}

pub(crate) fn judged(fixture: &Fixture, work: &Work, provider: &str) -> AnalysisRecord {
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
        fallback: true,
        fallback_reason: None,
        input_tokens: 1,
        output_tokens: 2,
        cost_microusd: 3,
        latency_ms: 4,
        created_at: fixture.clock.now(),
    }
}

/// An enrichment result about a company.
pub(crate) fn company(name: &str) -> Enrichment {
    let found = json!({ "status": "found", "firmographics": { "domain": "example.com", "name": name } });
    serde_json::from_value(found).unwrap()
}

pub(crate) fn synced() -> Finish {
    Finish::Synced { provider: "mock", record_id: "00Q1".into() }
}

/// Accepts a lead, judges it without an AI, and marks it as written to the CRM.
pub(crate) async fn settled(fixture: &Fixture, store: &Store, event: &LeadEvent) -> Work {
    assert!(matches!(store.accept(event).await.unwrap(), Accept::New | Accept::Revision));
    let work = begin(store, event).await;
    store.save_analysis(judged(fixture, &work, "rules"), None).await.unwrap();
    store.finish(&work, &synced(), &json!([])).await.unwrap();
    work
}

pub(crate) async fn lead(store: &Store, id: &LeadId) -> LeadRecord {
    store.lead(id).await.unwrap().expect("the lead is there")
}

/// The audit trail, after a check that its sequence numbers have no gap.
pub(crate) async fn audit(store: &Store, id: &LeadId) -> Vec<AuditEvent> {
    let events = store.audit(id, 0, 10_000).await.unwrap();
    let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..).take(seqs.len()).collect::<Vec<i64>>());
    events
}

pub(crate) async fn kinds(store: &Store, id: &LeadId) -> Vec<AuditKind> {
    audit(store, id).await.iter().map(|event| event.kind).collect()
}
