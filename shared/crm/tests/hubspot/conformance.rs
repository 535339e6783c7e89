//! The common executor suite.

use std::sync::Arc;

use async_trait::async_trait;
use crm::testing::{ExecutorFixture, SuiteFault, executor_suite};
use crm::{Executor, HubSpotCredentials, Mapping, Object};
use sandbox::hubspot::HubSpot;
use sandbox::{Fault, Misbehaviour};
use serde_json::{Value, json};

use crate::support::{AccountFixture, kind_of};

struct Fixture {
    fixture: AccountFixture,
    executor: Arc<dyn Executor>,
}

impl Fixture {
    async fn of(version: &str) -> Self {
        let fixture = AccountFixture::prepared().await;
        let executor =
            Arc::new(fixture.executor_with(version, HubSpotCredentials::PrivateApp(HubSpot::TOKEN.into())));
        Self { fixture, executor }
    }
}

#[async_trait]
impl ExecutorFixture for Fixture {
    fn executor(&self) -> Arc<dyn Executor> {
        Arc::clone(&self.executor)
    }

    fn mapping(&self) -> Arc<Mapping> {
        Arc::clone(&self.fixture.mapping)
    }

    async fn count(&self, object: Object, external_id: &str) -> usize {
        let records = self.fixture.hubspot.records(kind_of(object));
        let key = self.fixture.key(object);
        records.iter().filter(|record| record.get(key) == Some(external_id)).count()
    }

    async fn total(&self) -> usize {
        self.fixture.counts().iter().sum()
    }

    async fn field(&self, object: Object, external_id: &str, field: &str) -> Option<Value> {
        let record = self.fixture.hubspot.record(kind_of(object), self.fixture.key(object), external_id)?;
        record.get(field).map(|text| json!(text))
    }

    async fn set_field(&self, object: Object, external_id: &str, field: &str, value: Value) {
        let record =
            self.fixture.hubspot.record(kind_of(object), self.fixture.key(object), external_id).unwrap();
        self.fixture.hubspot.edit(kind_of(object), record.id, &[(field, value.as_str().unwrap())]);
    }

    /// Repeats faults three times, so that they outlast the immediate retries. Lost replies hit the write of
    /// the contact, which the lookup of an action depends on, and not that of the company, which comes first.
    async fn inject(&self, fault: SuiteFault) {
        let error = |status| Misbehaviour::answer(status, json!({"status": "error", "message": "busy"}));
        self.fixture.fault(match fault {
            SuiteFault::LoseReply => Fault::on("/contacts/batch/create", Misbehaviour::LoseReply).times(3),
            SuiteFault::Fail => Fault::on("/batch/upsert", error(500)).times(3),
            SuiteFault::Down => Fault::on("", error(503)),
        });
    }

    async fn heal(&self) {
        self.fixture.fake.clear_faults();
    }
}

#[tokio::test]
async fn hubspot_passes_the_executor_suite() {
    executor_suite(async || Fixture::of("2026-03").await).await;
}

#[tokio::test]
async fn hubspot_passes_the_executor_suite_on_undated_paths() {
    executor_suite(async || Fixture::of("v3").await).await;
}
