use std::sync::Arc;

use async_trait::async_trait;
use crm::testing::{ExecutorFixture, SuiteFault, executor_suite};
use crm::{Executor, Mapping, Object};
use sandbox::{Fault, Misbehaviour};
use serde_json::{Value, json};

use crate::support::{World, mapping};

struct Fixture {
    world: World,
    mapping: Arc<Mapping>,
}

impl Fixture {
    fn find(&self, object: Object, external_id: &str) -> Vec<Value> {
        let mapping = self.mapping.object(object).unwrap();
        let mut records = self.world.org(|org| org.records(mapping.object()));
        records.retain(|record| record[mapping.external_id()] == external_id);
        records
    }
}

#[async_trait]
impl ExecutorFixture for Fixture {
    fn executor(&self) -> Arc<dyn Executor> {
        Arc::clone(&self.world.executor) as _
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
            .map(|object| self.world.org(|org| org.records(object).len()))
            .sum()
    }

    async fn field(&self, object: Object, external_id: &str, field: &str) -> Option<Value> {
        let value = self.find(object, external_id).first()?.get(field)?.clone();
        // Salesforce's numbers have a fraction, if only `.0`.
        let whole = value.as_f64().filter(|number| number.fract() == 0.0);
        Some(whole.map_or(value, |number| format!("{number}").parse::<i64>().unwrap().into()))
    }

    async fn set_field(&self, object: Object, external_id: &str, field: &str, value: Value) {
        let record = self.find(object, external_id).remove(0);
        let id = record["Id"].as_str().unwrap();
        self.world.org(|org| org.set(id, field, value));
    }

    async fn inject(&self, fault: SuiteFault) {
        let broken =
            || Misbehaviour::answer(503, json!([{ "errorCode": "SERVER_UNAVAILABLE", "message": "" }]));
        // Reading is a composite call as well: the second one writes.
        self.world.fake.add_fault(match fault {
            SuiteFault::LoseReply => Fault::on("/composite", Misbehaviour::LoseReply).after(1).times(1),
            SuiteFault::Fail => Fault::on("/composite", broken()).after(1).times(1),
            SuiteFault::Down => Fault::on("/services", broken()),
        });
    }

    async fn heal(&self) {
        self.world.fake.clear_faults();
    }
}

#[tokio::test]
async fn salesforce_keeps_the_rules_of_every_executor() {
    executor_suite(async || Fixture { world: World::new().await, mapping: Arc::new(mapping()) }).await;
}
