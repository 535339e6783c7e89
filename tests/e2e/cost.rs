//! The cost of a lead in the database, on the default path: rules, fixtures and the mock CRM.

use std::time::Duration;

use serde_json::json;
use sqlx::Row as _;
use testkit::{Server, eventually, eventually_within};

use crate::support::{Fixture, accepted, lead};

/// The most transactions that write, and the most bytes of write-ahead log, that a lead may cost.
const MOST_COMMITS: i64 = 5;
const MOST_WAL_BYTES: i64 = 34 * 1024;

/// What was written to one database of a server.
#[derive(Debug)]
struct Written {
    commits: i64,
    wal_bytes: i64,
}

/// The present end of the server's write-ahead log, once the log is written up to there.
fn log_end(fixture: &Fixture) -> String {
    let end: String = fixture.query(|database| async move {
        let end = "SELECT CAST(pg_current_wal_insert_lsn() AS TEXT)";
        sqlx::query_scalar(end).fetch_one(database.pool()).await.unwrap()
    });
    eventually("the log is written", || {
        let end = end.clone();
        fixture.query(|database| async move {
            let is_written = sqlx::query_scalar("SELECT CAST($1 AS pg_lsn) <= pg_current_wal_flush_lsn()");
            is_written.bind(end).fetch_one(database.pool()).await.unwrap()
        })
    });
    end
}

/// What was written to this test's database since `start`. Other tests use the same server.
fn written_since(fixture: &Fixture, start: &str) -> Written {
    let (start, end) = (start.to_owned(), log_end(fixture));
    fixture.query(|database| async move {
        let extension = sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_walinspect");
        extension.execute(database.pool()).await.expect("the server's contrib modules, and a superuser");
        let row = sqlx::query(
            "WITH records AS (SELECT *, block_ref LIKE '%/' || (SELECT oid FROM pg_database \
                                         WHERE datname = current_database()) || '/%' AS is_ours \
                              FROM pg_get_wal_records_info(CAST($1 AS pg_lsn), CAST($2 AS pg_lsn))), \
             ours AS (SELECT DISTINCT CAST(xid AS TEXT) AS xid FROM records \
                      WHERE is_ours AND CAST(xid AS TEXT) <> '0') \
             SELECT (SELECT COUNT(*) FROM ours) AS commits, \
                    CAST(COALESCE(SUM(record_length - fpi_length), 0) AS BIGINT) AS bytes \
             FROM records WHERE is_ours OR CAST(xid AS TEXT) IN (SELECT xid FROM ours)",
        );
        let row = row.bind(start).bind(end).fetch_one(database.pool()).await.unwrap();
        Written { commits: row.get("commits"), wal_bytes: row.get("bytes") }
    })
}

fn post(server: &Server, person: &str) -> String {
    let body = json!({
        "email": format!("{person}@stripe.com"), "first_name": "Alex", "last_name": "Smith", "company": "Stripe",
        "title": "Head of Sales", "phone": "+1 415 555 0100", "campaign_id": "launch_2024",
        "marketo": { "engagement_score": 90, "activity": "Requested a demo" },
    });
    accepted(server, &body)
}

fn wait_until_synced(server: &Server, ids: &[String]) {
    eventually_within(Duration::from_mins(1), "every lead is synced", || {
        ids.iter().all(|id| lead(server, id)["status"] == "synced")
    });
}

#[test]
fn a_lead_costs_five_commits_and_34_kilobytes_of_log() {
    let fixture = Fixture::postgres();
    let server = fixture.serve(&[], &[("CRM_LIMIT_PER_ACCOUNT", "100000"), ("CRM_LIMIT_GLOBAL", "100000")]);
    // The first lead also fills caches.
    let first = post(&server, "first");
    wait_until_synced(&server, &[first]);

    let start = log_end(&fixture);
    let lone = post(&server, "lone");
    wait_until_synced(&server, &[lone]);
    let lone = written_since(&fixture, &start);
    println!("a lone lead: {lone:?}");
    assert!(lone.commits <= MOST_COMMITS && lone.wal_bytes <= MOST_WAL_BYTES, "{lone:?}");

    let start = log_end(&fixture);
    let ids: Vec<_> = (0..100).map(|number| post(&server, &format!("person{number}"))).collect();
    wait_until_synced(&server, &ids);
    let many = written_since(&fixture, &start);
    println!("a hundred leads: {many:?}");
    assert!(many.commits <= 100 * MOST_COMMITS && many.wal_bytes <= 100 * MOST_WAL_BYTES, "{many:?}");
}
