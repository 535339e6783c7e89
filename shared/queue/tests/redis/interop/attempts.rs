//! A job moves between Node's worker and ours from attempt to attempt.

use std::time::Duration;

use lead::Failure;
use queue::{LeadQueue, Settlement};
use serde_json::json;

use crate::node::{Node, V5, V6};
use crate::support::{Fixture, event, eventually};
use crate::workers::{Act, Running};

/// An attempt by Node, by us, by Node and by us again: each side counts all earlier attempts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_are_counted_over_both_sides() {
    for version in [V6, V5] {
        let (fixture, queue) = Fixture::with_queue().await;
        let opts = json!({"attempts": 5, "backoff": {"type": "fixed", "delay": 200}});
        let producer = Node::start(version, &fixture);
        let id = producer.add(json!({"email": "a@example.com"}), opts).await;
        let attempt_of_node = async |made: u64| {
            let node = Node::start(version, &fixture);
            node.work("fail", json!({"concurrency": 1})).await;
            eventually("Node fails", async || (!node.seen().await.is_empty()).then_some(())).await;
            node.ask("stop", json!({})).await;
            assert_eq!(node.seen().await, [(id.clone(), made)]);
        };
        let receive =
            async || eventually("the message", async || queue.receive(1).await.unwrap().pop()).await;

        attempt_of_node(0).await;
        let message = receive().await;
        assert_eq!((message.attempt, message.losses), (2, 0));
        let failure = Failure::transient("crm_timeout", "no answer");
        let retry = Settlement::Retry { after: Duration::ZERO, failure: failure.clone() };
        queue.settle(&message.receipt, &retry).await.unwrap();
        let job = producer.job(&id).await;
        assert_eq!(job["failedReason"], "crm_timeout: no answer");
        let stacktrace = job["stacktrace"].as_array().unwrap();
        assert_eq!(stacktrace.len(), 2, "{stacktrace:?}");
        assert!(stacktrace[0].as_str().unwrap().contains("node failed attempt 1"));
        assert_eq!(stacktrace[1], "crm_timeout: no answer");

        attempt_of_node(2).await;
        let message = receive().await;
        assert_eq!(message.attempt, 4);
        let defer = Settlement::Defer { after: Duration::ZERO, failure };
        queue.settle(&message.receipt, &defer).await.unwrap();
        let message = receive().await;
        assert_eq!(message.attempt, 4, "a deferral counts no attempt");
        queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        let job = producer.job(&id).await;
        assert_eq!((job["state"].as_str(), job["attemptsMade"].as_u64()), (Some("completed"), Some(4)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_shows_a_panic_as_a_failed_attempt() {
    let fixture = Fixture::start().await;
    let node = Node::start(V6, &fixture);
    let queue = fixture.queue();
    let event = event(1, 1);
    queue.send(&event).await.unwrap();
    let worker = Running::start(queue, 1, &[Act::Panic, Act::Fail]);
    let id = event.delivery_id();
    eventually("the job is completed", async || {
        let job = node.job(id.as_str()).await;
        (job["state"] == "completed").then_some(())
    })
    .await;
    // Node reads the state after the rest of the job, which may be older.
    let job = node.job(id.as_str()).await;
    assert_eq!(job["attemptsMade"], 3);
    let errors = json!(["panic: the work panicked; the log says where", "made_to_fail: the handler failed"]);
    assert_eq!(job["stacktrace"], errors);
    let attempts: Vec<_> = worker.stop().await.iter().map(|message| message.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
}
