//! A separate store for each test, and leads to put into it.

use std::sync::Arc;
use std::time::Duration;

use database::testing::TestDatabase;
use enrichment::Enrichment;
use lead::{Clock as _, LeadEvent, ManualClock};
use serde_json::json;
use store::{Accept, AnalysisRecord, Begun, Finish, Store, Work};
use testkit::fixtures::judgement;
pub(crate) use testkit::fixtures::{
    analyses, assign, at, audit, begin_plan, event, execute, finish, finish_actions, kinds, lead, new_lead,
    note, rejected_body, save_enrichment, save_judgement,
};

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
    judgement(work, provider, fixture.clock.now())
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
    let mut work = begin(store, event).await;
    save_judgement(store, judged(fixture, &work, "rules"), &mut work).await.unwrap();
    finish(store, synced(), &mut work).await.unwrap();
    work
}
