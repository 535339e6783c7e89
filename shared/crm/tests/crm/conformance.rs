//! The executor suite for the mock CRM.

use std::sync::Arc;

use async_trait::async_trait;
use crm::testing::{ExecutorFixture, Fault, FaultyExecutor, Script, SuiteFault, executor_suite};
use crm::{Executor, Mapping, MockCrm, Object};
use database::Database;
use database::testing::TestDatabase;
use lead::{FailureClass, ManualClock};
use serde_json::Value;

struct MockFixture {
    database: Database,
    crm: MockCrm,
    executor: Arc<FaultyExecutor<MockCrm>>,
    faults: Arc<Script>,
    mapping: Arc<Mapping>,
    _test: TestDatabase,
}

impl MockFixture {
    async fn on(test: TestDatabase) -> Self {
        // The built-in mapping always overwrites, so this one adds the other write rules.
        let text = include_str!("../../../../config/crm-mapping-mock.toml")
            .replace(r#"field = "phone" }"#, r#"field = "phone", write = "if_empty" }"#)
            .replace(r#"field = "company" }"#, r#"field = "company", write = "never_overwrite" }"#);
        let mapping = Arc::new(Mapping::parse(&text).unwrap());
        let database = test.connect().await;
        let clock = Arc::new(ManualClock::default());
        let crm = MockCrm::new(database.clone(), clock).with_mapping(Arc::clone(&mapping));
        let faults = Script::new([]);
        let executor = Arc::new(FaultyExecutor::new(crm.clone(), Arc::clone(&faults)));
        Self { database, crm, executor, faults, mapping, _test: test }
    }
}

#[async_trait]
impl ExecutorFixture for MockFixture {
    fn executor(&self) -> Arc<dyn Executor> {
        Arc::clone(&self.executor) as _
    }

    fn mapping(&self) -> Arc<Mapping> {
        Arc::clone(&self.mapping)
    }

    async fn count(&self, object: Object, external_id: &str) -> usize {
        usize::from(self.crm.record(object, external_id).await.unwrap().is_some())
    }

    async fn total(&self) -> usize {
        self.crm.records(1000).await.unwrap().len()
    }

    async fn field(&self, object: Object, external_id: &str, field: &str) -> Option<Value> {
        self.crm.record(object, external_id).await.unwrap()?.fields.remove(field)
    }

    async fn set_field(&self, object: Object, external_id: &str, field: &str, value: Value) {
        let mut fields = self.crm.record(object, external_id).await.unwrap().unwrap().fields;
        fields.insert(field.to_owned(), value);
        sqlx::query("UPDATE mock_crm_record SET fields = $1 WHERE object = $2 AND external_id = $3")
            .bind(Value::Object(fields).to_string())
            .bind(object.as_str())
            .bind(external_id)
            .execute(self.database.pool())
            .await
            .unwrap();
    }

    async fn inject(&self, fault: SuiteFault) {
        let fail = Fault::Fail(FailureClass::Transient);
        match fault {
            SuiteFault::LoseReply => self.faults.extend([Fault::LoseReply]),
            SuiteFault::Fail => self.faults.extend([fail]),
            SuiteFault::Down => self.faults.extend([fail; 100]),
        }
    }

    async fn heal(&self) {
        self.faults.clear();
    }
}

#[tokio::test]
async fn mock_crm_on_sqlite_passes_the_suite() {
    executor_suite(async || MockFixture::on(TestDatabase::sqlite().await).await).await;
}

#[tokio::test]
async fn mock_crm_on_postgres_passes_the_suite() {
    executor_suite(async || MockFixture::on(TestDatabase::postgres().await).await).await;
}
