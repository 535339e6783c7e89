//! The suite that every executor passes.

use std::sync::Arc;

use async_trait::async_trait;
use crm::testing::{ExecutorFixture, SuiteFault, executor_suite};
use crm::{Executor, HubSpotCredentials, Mapping, Object};
use sandbox::hubspot::HubSpot;
use sandbox::{Fault, Misbehaviour};
use serde_json::{Value, json};

use crate::support::{Place, kind_of};

struct Fixture {
    place: Place,
    executor: Arc<dyn Executor>,
}

impl Fixture {
    async fn of(version: &str) -> Self {
        let place = Place::prepared().await;
        let executor =
            Arc::new(place.executor_with(version, HubSpotCredentials::PrivateApp(HubSpot::TOKEN.into())));
        Self { place, executor }
    }
}

#[async_trait]
impl ExecutorFixture for Fixture {
    fn executor(&self) -> Arc<dyn Executor> {
        Arc::clone(&self.executor)
    }

    fn mapping(&self) -> Arc<Mapping> {
        Arc::clone(&self.place.mapping)
    }

    async fn count(&self, object: Object, external_id: &str) -> usize {
        let records = self.place.hubspot.records(kind_of(object));
        let key = self.place.key(object);
        records.iter().filter(|record| record.get(key) == Some(external_id)).count()
    }

    async fn total(&self) -> usize {
        self.place.counts().iter().sum()
    }

    async fn field(&self, object: Object, external_id: &str, field: &str) -> Option<Value> {
        let record = self.place.hubspot.record(kind_of(object), self.place.key(object), external_id)?;
        record.get(field).map(|text| json!(text))
    }

    async fn set_field(&self, object: Object, external_id: &str, field: &str, value: Value) {
        let record = self.place.hubspot.record(kind_of(object), self.place.key(object), external_id).unwrap();
        self.place.hubspot.edit(kind_of(object), record.id, &[(field, value.as_str().unwrap())]);
    }

    /// Often enough for the calls that are made again at once. The company is written before the lead; what an action is found again by is the contact.
    async fn inject(&self, fault: SuiteFault) {
        let error = |status| Misbehaviour::answer(status, json!({"status": "error", "message": "busy"}));
        self.place.fault(match fault {
            SuiteFault::LoseReply => Fault::on("/contacts/batch/upsert", Misbehaviour::LoseReply).times(3),
            SuiteFault::Fail => Fault::on("/batch/upsert", error(500)).times(3),
            SuiteFault::Down => Fault::on("", error(503)),
        });
    }

    async fn heal(&self) {
        self.place.fake.clear_faults();
    }
}

#[tokio::test]
async fn hubspot_keeps_every_rule() {
    executor_suite(async || Fixture::of("2026-03").await).await;
}

#[tokio::test]
async fn hubspot_keeps_every_rule_by_its_undated_paths() {
    executor_suite(async || Fixture::of("v3").await).await;
}
