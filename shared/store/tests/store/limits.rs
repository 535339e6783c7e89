use std::sync::Arc;
use std::time::Duration;

use crm::{Exceeded, LimitError, LimitSettings, Limits as _, Scope};
use lead::LeadId;
use on_both::on_both;
use store::SharedLimits;

use crate::support::{Fixture, event};

fn lead(person: &str) -> LeadId {
    event(person, "CTO", 0).lead_id
}

/// The limits with their own connections, as in a separate process.
async fn process(fixture: &Fixture, per_lead: u32, per_account: u32, global: u32) -> SharedLimits {
    let settings = LimitSettings { per_lead, per_account, global, ..LimitSettings::default() };
    SharedLimits::new(fixture.store().await, settings)
}

fn exceeded(scope: Scope, seconds: u64) -> LimitError {
    LimitError::Exceeded(Exceeded { scope, retry_after: Duration::from_secs(seconds) })
}

#[on_both]
async fn two_processes_share_every_limit(fixture: Fixture) {
    let (a, b) = (process(&fixture, 10, 15, 20).await, process(&fixture, 10, 15, 20).await);
    a.reserve(&lead("ann"), Some("example.com"), 6).await.unwrap();
    // A second counts until all of it has left the window.
    assert_eq!(b.reserve(&lead("ann"), Some("example.com"), 5).await, Err(exceeded(Scope::Lead, 61)));
    b.reserve(&lead("ann"), Some("example.com"), 4).await.unwrap();
    assert_eq!(a.reserve(&lead("bob"), Some("example.com"), 6).await, Err(exceeded(Scope::Account, 61)));
    a.reserve(&lead("bob"), Some("example.com"), 5).await.unwrap();
    assert_eq!(b.reserve(&lead("cid"), None, 6).await, Err(exceeded(Scope::Global, 61)));
    b.reserve(&lead("cid"), Some("example.org"), 5).await.unwrap();
    assert!(a.reserve(&lead("dan"), None, 1).await.is_err());
}

#[on_both]
async fn a_refused_reservation_uses_no_capacity(fixture: Fixture) {
    let limits = process(&fixture, 10, 100, 12).await;
    for _ in 0..5 {
        assert!(limits.reserve(&lead("ann"), Some("example.com"), 11).await.is_err());
    }
    limits.reserve(&lead("bob"), None, 8).await.unwrap();
    assert_eq!(limits.reserve(&lead("ann"), None, 5).await, Err(exceeded(Scope::Global, 61)));
    limits.reserve(&lead("ann"), None, 4).await.unwrap();
}

#[on_both]
async fn capacity_returns_as_the_window_slides(fixture: Fixture) {
    let limits = process(&fixture, 10, 100, 1000).await;
    let ann = lead("ann");
    limits.reserve(&ann, None, 5).await.unwrap();
    fixture.advance(20);
    limits.reserve(&ann, None, 5).await.unwrap();
    assert_eq!(limits.reserve(&ann, None, 5).await, Err(exceeded(Scope::Lead, 41)));
    assert_eq!(limits.reserve(&ann, None, 6).await, Err(exceeded(Scope::Lead, 61)));
    fixture.advance(40);
    assert!(limits.reserve(&ann, None, 5).await.is_err(), "the first second is still in the window");
    fixture.advance(1);
    limits.reserve(&ann, None, 5).await.unwrap();
}

#[on_both]
async fn unused_reservations_are_released(fixture: Fixture) {
    let (a, b) = (process(&fixture, 10, 10, 10).await, process(&fixture, 10, 10, 10).await);
    let ann = lead("ann");
    let first = a.reserve(&ann, Some("example.com"), 10).await.unwrap();
    fixture.advance(1);
    assert!(b.reserve(&ann, Some("example.com"), 1).await.is_err());
    a.release(&ann, Some("example.com"), first, 7).await;
    let second = b.reserve(&ann, Some("example.com"), 7).await.unwrap();
    b.release(&ann, Some("example.com"), second, 100).await;
    b.reserve(&ann, Some("example.com"), 7).await.unwrap();
    assert!(a.reserve(&lead("bob"), None, 1).await.is_err());
}

#[on_both]
async fn concurrent_reservations_never_exceed_a_limit(fixture: Fixture) {
    let mut tasks = Vec::new();
    for process_number in 0..4 {
        let limits = Arc::new(process(&fixture, 1000, 1000, 40).await);
        for task in 0..10 {
            let limits = Arc::clone(&limits);
            let person = lead(&format!("p{process_number}x{task}"));
            tasks.push(tokio::spawn(async move { limits.reserve(&person, Some("example.com"), 3).await }));
        }
    }
    let mut reserved = 0;
    for task in tasks {
        reserved += u32::from(task.await.unwrap().is_ok()) * 3;
    }
    assert_eq!(reserved, 39, "thirteen plans of three fit into forty, and no more");
}

#[on_both]
async fn idle_rows_are_deleted(fixture: Fixture) {
    let limits = process(&fixture, 10, 100, 1000).await;
    for person in ["ann", "bob", "cid"] {
        limits.reserve(&lead(person), Some("example.com"), 1).await.unwrap();
    }
    fixture.advance(3600);
    limits.reserve(&lead("dan"), None, 1).await.unwrap();
    let store = fixture.store().await;
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM crm_limit")
        .fetch_one(store.database().pool())
        .await
        .unwrap();
    assert_eq!(rows, 2, "the row of the lead and the row for all leads");
}

#[on_both]
async fn reservations_and_idle_row_deletion_never_deadlock(fixture: Fixture) {
    // Each reservation locks its lead's idle row and then the row for all leads, while the first one of each
    // second deletes idle rows.
    let people: Vec<_> = (0..24).map(|number| lead(&format!("p{number}"))).collect();
    let limits = Arc::new(process(&fixture, 1_000, 1_000, 1_000_000).await);
    for _round in 0..20 {
        fixture.advance(3600);
        let mut tasks = Vec::new();
        for (number, person) in people.iter().cloned().enumerate() {
            let limits = Arc::clone(&limits);
            let account = format!("account{}", number % 5);
            tasks.push(tokio::spawn(async move { limits.reserve(&person, Some(&account), 1).await }));
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    }
}

#[on_both]
async fn a_failed_count_refuses_the_reservation(fixture: Fixture) {
    let limits = process(&fixture, 10, 100, 1000).await;
    let store = fixture.store().await;
    sqlx::query("DROP TABLE crm_limit").execute(store.database().pool()).await.unwrap();
    let error = limits.reserve(&lead("ann"), None, 1).await.unwrap_err();
    assert!(matches!(error, LimitError::Uncounted(_)), "{error:?}");
}
