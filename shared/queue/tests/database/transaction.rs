//! Sending within the caller's transaction.

use lead::{Clock, LeadEvent};
use on_both::on_both;
use queue::{DatabaseQueue, LeadQueue, Sent, Settlement};
use sqlx::Row;
use testkit::fixtures;

use crate::support::Fixture;

fn event(n: u32) -> LeadEvent {
    fixtures::event("ann", &n.to_string(), 0)
}

#[on_both]
async fn send_joins_the_callers_transaction(fixture: Fixture) {
    let database = fixture.database().await;
    let queue = fixture.queue().await;
    let now = fixture.clock.now();

    let mut undone = database.begin().await.unwrap();
    assert_eq!(DatabaseQueue::send_in(&mut undone, &event(1), now).await.unwrap(), Sent::Accepted);
    drop(undone);
    assert_eq!(queue.depth().await.unwrap().messages, 0);
    assert!(queue.receive(1).await.unwrap().is_empty());

    // Two deliveries of a lead, each sent twice, together with a row of the caller.
    let mut transaction = database.begin().await.unwrap();
    let mut sent = Vec::new();
    for n in [1, 1, 2, 2] {
        sent.push(DatabaseQueue::send_in(&mut transaction, &event(n), now).await.unwrap());
    }
    assert_eq!(sent, [Sent::Accepted, Sent::Duplicate, Sent::Accepted, Sent::Duplicate]);
    sqlx::query(
        "INSERT INTO dependency_health (dependency, state, failures, updated_at) VALUES ('a', 'open', 0, 0)",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();
    transaction.commit().await.unwrap();

    for n in 1..=2 {
        let message = queue.receive(5).await.unwrap().remove(0);
        assert_eq!(message.id, event(n).delivery_id().as_str());
        queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    }
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM queue_group), (SELECT COUNT(*) FROM queue_message),
                (SELECT COUNT(*) FROM dependency_health)",
    )
    .fetch_one(database.pool())
    .await
    .unwrap();
    assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1), row.get::<i64, _>(2)), (0, 0, 1));
}

/// Workers skip a group that is locked, and would see its message only at their next poll. The worker is on
/// a thread of its own, so that nothing that the sender left to do later happens before.
#[on_both]
async fn duplicate_leaves_its_message_to_workers(fixture: Fixture) {
    let queue = fixture.queue().await;
    queue.send(&event(1)).await.unwrap();
    assert_eq!(queue.send(&event(1)).await.unwrap(), Sent::Duplicate);
    let worker = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { fixture.queue().await.receive(1).await.unwrap().len() })
    };
    assert_eq!(std::thread::spawn(worker).join().unwrap(), 1);
}
