use std::sync::Arc;

use async_trait::async_trait;
use crm::testing::{ExecutorFixture, SuiteFault, executor_suite};
use crm::{Executor, Mapping, Object};
use sandbox::{Fault, Misbehaviour};
use serde_json::{Value, json};

use crate::support::{OrgFixture, mapping};

struct Fixture {
    fixture: OrgFixture,
    mapping: Arc<Mapping>,
}

impl Fixture {
    fn find(&self, object: Object, external_id: &str) -> Vec<Value> {
        let mapping = self.mapping.object(object).unwrap();
        let mut records = self.fixture.org(|org| org.records(mapping.object()));
        records.retain(|record| record[mapping.external_id()] == external_id);
        records
    }
}

#[async_trait]
impl ExecutorFixture for Fixture {
    fn executor(&self) -> Arc<dyn Executor> {
        Arc::clone(&self.fixture.executor) as _
    }

    fn mapping(&self) -> Arc<Mapping> {
        Arc::clone(&self.mapping)
    }

    async fn count(&self, object: Object, external_id: &str) -> usize {
        self.find(object, external_id).len()
    }

    async fn total(&self) -> usize {
        ["Lead", "Contact", "Account", "Opportunity", "Task"]
            .into_iter()
            .map(|object| self.fixture.org(|org| org.records(object).len()))
            .sum()
    }

    async fn field(&self, object: Object, external_id: &str, field: &str) -> Option<Value> {
        let value = self.find(object, external_id).first()?.get(field)?.clone();
        // Salesforce returns integers with a fraction of `.0`.
        let whole = value.as_f64().filter(|number| number.fract() == 0.0);
        Some(whole.map_or(value, |number| format!("{number}").parse::<i64>().unwrap().into()))
    }

    async fn set_field(&self, object: Object, external_id: &str, field: &str, value: Value) {
        let record = self.find(object, external_id).remove(0);
        let id = record["Id"].as_str().unwrap();
        self.fixture.org(|org| org.set(id, field, value));
    }

    async fn inject(&self, fault: SuiteFault) {
        let broken =
            || Misbehaviour::answer(503, json!([{ "errorCode": "SERVER_UNAVAILABLE", "message": "" }]));
        // The first composite call reads, the second one writes.
        self.fixture.fake.add_fault(match fault {
            SuiteFault::LoseReply => Fault::on("/composite", Misbehaviour::LoseReply).after(1).times(1),
            SuiteFault::Fail => Fault::on("/composite", broken()).after(1).times(1),
            SuiteFault::Down => Fault::on("/services", broken()),
        });
    }

    async fn heal(&self) {
        self.fixture.fake.clear_faults();
    }
}

#[tokio::test]
async fn salesforce_passes_the_executor_suite() {
    executor_suite(async || Fixture { fixture: OrgFixture::new().await, mapping: Arc::new(mapping()) }).await;
}
