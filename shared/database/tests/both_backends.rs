//! Behaviour that must be the same on SQLite and PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use database::testing::TestDatabase;
use database::{Backend, Database, DatabaseError};
use lead::{Failure, FailureClass, Stage};
use on_both::on_both;

async fn count(database: &Database) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM dependency_health").fetch_one(database.pool()).await.unwrap()
}

async fn insert(connection: &mut database::Connection, name: &str) {
    sqlx::query("INSERT INTO dependency_health (dependency, state, failures, reason, updated_at) VALUES ($1, 'closed', 0, $2, 0)")
        .bind(name)
        .bind(None::<String>)
        .execute(connection)
        .await
        .unwrap();
}

#[on_both]
async fn transactions_are_all_or_nothing(test: TestDatabase) {
    let database = test.connect().await;
    let mut dropped = database.begin().await.unwrap();
    insert(&mut dropped, "a").await;
    drop(dropped);
    assert_eq!(count(&database).await, 0);
    let mut kept = database.begin().await.unwrap();
    insert(&mut kept, "a").await;
    kept.commit().await.unwrap();
    assert_eq!(count(&database).await, 1);
}

#[on_both]
async fn many_writers_wait_for_each_other(test: TestDatabase) {
    let database = Arc::new(test.connect().await);
    let writers: Vec<_> = (0..50)
        .map(|number| {
            let database = Arc::clone(&database);
            tokio::spawn(async move {
                let mut transaction = database.begin().await.unwrap();
                insert(&mut transaction, &format!("writer {number}")).await;
                transaction.commit().await.unwrap();
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(count(&database).await, 50);
}

#[on_both]
async fn migrating_again_changes_nothing(test: TestDatabase) {
    let database = test.connect().await;
    assert!(database.is_migrated().await.unwrap());
    database.migrate().await.unwrap();
    database.ping().await.unwrap();
}

/// After a rollback of a release with a migration, its predecessor runs on a schema newer than its own.
#[on_both]
async fn older_code_leaves_a_newer_schema_unchanged(test: TestDatabase) {
    let database = test.connect().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 SELECT 999999, description, success, checksum, execution_time \
                 FROM _sqlx_migrations WHERE version = 1";
    sqlx::raw_sql(newer).execute(database.pool()).await.unwrap();
    database.migrate().await.unwrap();
    assert!(database.is_migrated().await.unwrap());
}

#[on_both]
async fn a_refused_row_is_an_attempt_and_an_outage_is_not(test: TestDatabase) {
    let database = test.connect().await;
    let twice = "INSERT INTO dependency_health (dependency, state, failures, updated_at) VALUES ('a', 'closed', 0, 0), \
                 ('a', 'closed', 0, 0)";
    let refused = sqlx::query(twice).execute(database.pool()).await.unwrap_err();
    let failure = Failure::from(DatabaseError::from(refused));
    assert_eq!((failure.class(), failure.stage), (FailureClass::Transient, Stage::Other));
    database.close().await;
    let failure = Failure::from(database.ping().await.unwrap_err());
    assert_eq!((failure.class(), failure.stage), (FailureClass::Transient, Stage::Storage));
}

#[tokio::test]
async fn an_error_does_not_show_the_refused_row() {
    let test = TestDatabase::postgres().await;
    let database = test.connect().await;
    let twice = "INSERT INTO dependency_health (dependency, state, failures, updated_at) \
                 VALUES ('zebulon', 'closed', 0, 0), ('zebulon', 'closed', 0, 0)";
    let error = DatabaseError::from(sqlx::query(twice).execute(database.pool()).await.unwrap_err());
    assert!(format!("{error} {error:?}").contains("duplicate key"));
    assert!(!format!("{error} {error:?}").contains("zebulon"));
}

#[tokio::test]
async fn an_unsupported_url_is_refused_with_the_supported_schemes() {
    let error = Database::connect("mysql://localhost/x", 1).await.unwrap_err();
    assert_eq!(error.to_string(), "DATABASE_URL must start with sqlite:// or postgres://");
    assert!(matches!(error, DatabaseError::Url(_)));
}

#[tokio::test]
async fn an_empty_database_is_not_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("empty.db").display());
    let database = Database::connect(&url, 1).await.unwrap();
    assert_eq!(database.backend(), Backend::Sqlite);
    assert!(!database.is_migrated().await.unwrap());
}
