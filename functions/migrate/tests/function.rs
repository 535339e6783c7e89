//! The function as Lambda runs it: its binary, on an empty database.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use database::testing::TestDatabase;
use e2e::Function;
use serde_json::{Value, json};

#[test]
fn an_empty_database_gets_its_tables_and_a_second_run_changes_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (test, database) = runtime.block_on(async {
        let test = TestDatabase::postgres().await;
        let database = test.connect().await;
        let empty = sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
        empty.execute(database.pool()).await.unwrap();
        assert!(!database.is_migrated().await.unwrap());
        (test, database)
    });
    let function = Function::start(env!("CARGO_BIN_EXE_migrate"), &[("DATABASE_URL", test.url())]).unwrap();
    let event: Value = serde_json::from_str(include_str!("../../../events/migrate.json")).unwrap();
    for _ in 0..2 {
        assert_eq!(function.invoke(&event).unwrap(), json!({ "status": "migrated" }));
        assert!(runtime.block_on(database.is_migrated()).unwrap());
    }
}
