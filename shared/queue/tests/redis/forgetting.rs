//! Removal of all jobs of a lead, in any state.

use lead::Failure;
use queue::{LeadQueue, Settlement};

use crate::support::{Fixture, event};

/// Counts the keys of this queue whose data contains a text.
async fn keys_with(fixture: &Fixture, text: &str) -> usize {
    let client = redis::Client::open(fixture.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("{}:*", fixture.prefix);
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
    let mut found = 0;
    for key in keys {
        let data: Result<Option<String>, _> =
            redis::cmd("HGET").arg(&key).arg("data").query_async(&mut connection).await;
        found += usize::from(data.ok().flatten().is_some_and(|data| data.contains(text)));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forget_removes_all_jobs_of_one_lead_only() {
    let (fixture, queue) = Fixture::with_queue().await;
    let (done, given_up, waiting) = (event(1, 1), event(1, 2), [event(1, 3), event(1, 4)]);
    queue.send(&done).await.unwrap();
    let message = queue.receive(1).await.unwrap().remove(0);
    queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    queue.send(&given_up).await.unwrap();
    let message = queue.receive(1).await.unwrap().remove(0);
    let failure = Failure::permanent("crm_refused", "no such field");
    queue.settle(&message.receipt, &Settlement::DeadLetter { failure }).await.unwrap();
    for event in &waiting {
        queue.send(event).await.unwrap();
    }
    queue.send(&event(2, 1)).await.unwrap();

    // Only finished jobs need to be named.
    let ids = [done.delivery_id(), given_up.delivery_id()];
    let lead = &done.lead_id;
    assert_eq!(queue.forget(lead, &ids, false).await.unwrap(), 4, "only counted");
    assert_eq!(keys_with(&fixture, "lead1@example.com").await, 4);
    assert_eq!(queue.forget(lead, &ids, true).await.unwrap(), 4);
    assert_eq!(keys_with(&fixture, "lead1@example.com").await, 0);
    assert_eq!(queue.forget(lead, &ids, true).await.unwrap(), 0);

    let left = queue.receive(10).await.unwrap();
    assert_eq!(
        left.iter().map(|message| message.group.as_str()).collect::<Vec<_>>(),
        [event(2, 1).lead_id.as_str()]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_dead_letters_are_removed_and_jobs_stay() {
    let (fixture, queue) = Fixture::with_queue().await;
    let (given_up, waiting) = (event(1, 1), event(1, 2));
    queue.send(&given_up).await.unwrap();
    let message = queue.receive(1).await.unwrap().remove(0);
    let failure = Failure::permanent("crm_refused", "no such field");
    queue.settle(&message.receipt, &Settlement::DeadLetter { failure }).await.unwrap();
    queue.send(&waiting).await.unwrap();
    assert_eq!(keys_with(&fixture, "lead1@example.com").await, 2);

    let ids = [given_up.delivery_id(), waiting.delivery_id()];
    let ids = ids.each_ref().map(lead::DeliveryId::as_str);
    assert_eq!(queue.remove_dead_letters(&ids).await.unwrap(), 1);
    assert_eq!(keys_with(&fixture, "lead1@example.com").await, 1, "the waiting job stays");
    assert_eq!(queue.remove_dead_letters(&ids).await.unwrap(), 0);
    assert_eq!(queue.receive(10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forget_keeps_leased_and_later_jobs() {
    let (_, queue) = Fixture::with_queue().await;
    let (held, waiting) = (event(1, 1), event(1, 2));
    queue.send(&held).await.unwrap();
    queue.send(&waiting).await.unwrap();
    let message = queue.receive(1).await.unwrap().remove(0);
    assert_eq!(queue.forget(&held.lead_id, &[], true).await.unwrap(), 1, "only the waiting job");
    queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    queue.send(&event(1, 3)).await.unwrap();
    let next = queue.receive(10).await.unwrap();
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].id, event(1, 3).delivery_id().as_str());
}
