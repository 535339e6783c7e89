//! Limits of the whole queue apply to both sides.

use std::time::Duration;

use queue::{LeadQueue, RedisOptions, RedisQueue, Settlement};
use serde_json::json;

use crate::node::{V6, beside_node};
use crate::support::{Fixture, event, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn global_concurrency_counts_workers_of_both_sides() {
    let (fixture, queue, node) = beside_node(V6).await;
    for lead in 1..=10 {
        queue.send(&event(lead, 1)).await.unwrap();
    }
    node.call("setGlobalConcurrency", json!([3])).await;
    let first = queue.receive(2).await.unwrap();
    assert_eq!(first.len(), 2);
    node.work("hang", json!({"concurrency": 10})).await;
    eventually("Node takes one", async || (node.seen().await.len() == 1).then_some(())).await;
    assert!(fixture.queue().receive(10).await.unwrap().is_empty());
    queue.settle(&first[0].receipt, &Settlement::Done).await.unwrap();
    eventually("either side takes the next", async || {
        let taken = queue.receive(10).await.unwrap().len() + node.seen().await.len();
        (taken == 2).then_some(())
    })
    .await;
    assert!(queue.receive(10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn global_rate_limit_applies_to_our_worker() {
    let (fixture, queue, node) = beside_node(V6).await;
    for lead in 1..=10 {
        queue.send(&event(lead, 1)).await.unwrap();
    }
    node.call("setGlobalRateLimit", json!([4, 3000])).await;
    assert_eq!(queue.receive(10).await.unwrap().len(), 4);
    node.work("work", json!({"concurrency": 10})).await;
    assert!(fixture.queue().receive(10).await.unwrap().is_empty());
    assert_eq!(node.seen().await, []);
    eventually("the next period", async || (node.seen().await.len() == 4).then_some(())).await;
    assert!(queue.receive(10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_rate_limit_is_shared_by_all_our_workers() {
    let fixture = Fixture::start().await;
    let rate_limit = Some((5, Duration::from_secs(2)));
    let open = || fixture.queue_with(RedisOptions { rate_limit, ..fixture.options() });
    let (queue, other) = (open(), open());
    for lead in 1..=12 {
        queue.send(&event(lead, 1)).await.unwrap();
    }
    let work = async |queue: &RedisQueue, max| {
        let messages = queue.receive(max).await.unwrap();
        for message in &messages {
            queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        }
        messages.len()
    };
    assert_eq!(work(&queue, 3).await, 3);
    assert_eq!(work(&other, 10).await, 2);
    assert_eq!(work(&queue, 10).await, 0);
    let next = eventually("the next period", async || Some(work(&queue, 10).await).filter(|n| *n > 0)).await;
    assert_eq!(next, 5);
    let last = eventually("the last period", async || Some(work(&other, 10).await).filter(|n| *n > 0)).await;
    assert_eq!(last, 2);
}
