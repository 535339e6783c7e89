//! Runs the binary as Lambda does, on an empty database.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use database::Database;
use database::testing::TestDatabase;
use serde_json::json;
use testkit::{Function, sample};
use tokio::runtime::Runtime;

/// A database without tables.
async fn empty() -> (TestDatabase, Database) {
    let test = TestDatabase::postgres().await;
    let database = test.connect().await;
    run(&database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    assert!(!database.is_migrated().await.unwrap());
    (test, database)
}

async fn run(database: &Database, statements: &'static str) {
    sqlx::raw_sql(statements).execute(database.pool()).await.unwrap();
}

#[test]
fn schema_is_migrated_once_and_a_newer_one_is_kept() {
    let runtime = Runtime::new().unwrap();
    let (test, database) = runtime.block_on(empty());
    let function = Function::start(env!("CARGO_BIN_EXE_migrate"), &[("DATABASE_URL", test.url())]).unwrap();
    let event = sample("migrate");
    for _ in 0..2 {
        assert_eq!(function.invoke(&event).unwrap(), json!({ "status": "migrated" }));
        assert!(runtime.block_on(database.is_migrated()).unwrap());
    }

    // After a rollback of the deployment the older function meets the newer schema.
    runtime.block_on(run(
        &database,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         SELECT 999999, description, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1",
    ));
    assert_eq!(function.invoke(&event).unwrap(), json!({ "status": "migrated" }));
}

#[test]
fn failed_migration_is_rolled_back_and_retried() {
    let runtime = Runtime::new().unwrap();
    let (test, database) = runtime.block_on(empty());
    let function = Function::start(env!("CARGO_BIN_EXE_migrate"), &[("DATABASE_URL", test.url())]).unwrap();
    // Conflicts with an index that the migration creates after many tables.
    runtime.block_on(run(&database, "CREATE TABLE lead_assignment_open (id INT)"));
    let error = function.invoke(&sample("migrate")).unwrap_err().to_string();
    assert!(error.contains("migration 1") && error.contains("lead_assignment_open"), "{error}");
    let left = "SELECT (SELECT COUNT(*) FROM _sqlx_migrations), \
                (SELECT COUNT(*) FROM information_schema.columns WHERE column_name = 'awaits_enrichment')";
    let left: (i64, i64) =
        runtime.block_on(async { sqlx::query_as(left).fetch_one(database.pool()).await.unwrap() });
    assert_eq!(left, (0, 0), "nothing of it is left");

    runtime.block_on(run(&database, "DROP TABLE lead_assignment_open"));
    assert_eq!(function.invoke(&sample("migrate")).unwrap(), json!({ "status": "migrated" }));
    assert!(runtime.block_on(database.is_migrated()).unwrap());
}
