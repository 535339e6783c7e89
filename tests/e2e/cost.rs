//! The cost of a lead in the database, on the default path: rules, fixtures and the mock CRM.

use std::time::Duration;

use serde_json::json;
use sqlx::Row as _;
use testkit::{Server, eventually, eventually_within};

use crate::sqs::Queues;
use crate::support::{Fixture, accepted, lead};

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

/// Waits until the work on leads is over, with their messages.
fn wait_until_finished(fixture: &Fixture, server: &Server, ids: &[String]) {
    eventually_within(Duration::from_mins(1), "every lead is synced", || {
        ids.iter().all(|id| lead(server, id)["status"] == "synced")
    });
    eventually("every message is settled", || {
        fixture.query(|database| async move {
            let tries = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM sqs_try");
            tries.fetch_one(database.pool()).await.unwrap() == 0
        })
    });
}

/// Asserts the cost of a lone lead and of a hundred at once.
fn assert_costs(fixture: &Fixture, queue: &[(&str, &str)], most_commits: i64, most_wal_bytes: i64) {
    let limits = [("CRM_LIMIT_PER_ACCOUNT", "100000"), ("CRM_LIMIT_GLOBAL", "100000")];
    let server = fixture.serve(&[], &[queue, &limits].concat());
    // The first lead also fills caches.
    let first = post(&server, "first");
    wait_until_finished(fixture, &server, &[first]);
    for (name, leads) in [("lone", 1), ("many", 100)] {
        let start = log_end(fixture);
        let ids: Vec<_> = (0..leads).map(|number| post(&server, &format!("{name}{number}"))).collect();
        wait_until_finished(fixture, &server, &ids);
        let written = written_since(fixture, &start);
        println!("{leads} leads: {written:?}");
        assert!(written.commits <= leads * most_commits, "{leads} leads: {written:?}");
        assert!(written.wal_bytes <= leads * most_wal_bytes, "{leads} leads: {written:?}");
    }
}

#[test]
fn a_lead_costs_five_commits_and_34_kilobytes_of_log() {
    assert_costs(&Fixture::postgres(), &[], 5, 34 * 1024);
}

#[test]
fn a_lead_from_sqs_costs_six_commits() {
    assert_costs(&Fixture::postgres(), &Queues::new().variables(), 6, 34 * 1024);
}
