//! The files of an SQLite database: their permissions, and remains of deleted content.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use database::{Database, Traces};

fn mode(file: &Path) -> u32 {
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_new_file_and_its_log_belong_to_their_owner() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.db");
    let database = Database::connect(&format!("sqlite://{}", file.display()), 2).await.unwrap();
    database.migrate().await.unwrap();
    for ending in ["", "-wal", "-shm"] {
        let file = folder.path().join(format!("new.db{ending}"));
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_file_without_overwriting_is_rewritten_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.db");
    let url = format!("sqlite://{}", file.display());
    let old = Database::connect(&url, 1).await.unwrap();
    let sql = "PRAGMA secure_delete = OFF; CREATE TABLE old (body TEXT); \
               INSERT INTO old SELECT 'zebulon' || hex(zeroblob(9000)); DELETE FROM old";
    sqlx::raw_sql(sql).execute(old.pool()).await.unwrap();
    assert_eq!(old.remove_traces().await.unwrap(), Traces::FreeSpace);
    let is_in_file = || String::from_utf8_lossy(&std::fs::read(&file).unwrap()).contains("zebulon");
    assert!(is_in_file(), "as an older version left it");
    old.close().await;

    let new = Database::connect(&url, 2).await.unwrap();
    new.migrate().await.unwrap();
    assert_eq!(new.remove_traces().await.unwrap(), Traces::None);
    assert!(!is_in_file());
}

#[tokio::test]
async fn a_reader_that_blocks_truncation_of_the_log_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("busy.db").display());
    let (database, other) =
        (Database::connect(&url, 1).await.unwrap(), Database::connect(&url, 1).await.unwrap());
    database.migrate().await.unwrap();
    let mut reader = other.pool().acquire().await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT COUNT(*) FROM lead").execute(&mut reader).await.unwrap();
    let mut writer = database.begin().await.unwrap();
    sqlx::query("INSERT INTO crm_hold (provider, reason, since) VALUES ('x', 'y', 0)")
        .execute(&mut *writer)
        .await
        .unwrap();
    writer.commit().await.unwrap();
    assert_eq!(database.remove_traces().await.unwrap(), Traces::Log);
    sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.unwrap();
    assert_eq!(database.remove_traces().await.unwrap(), Traces::None);
}
