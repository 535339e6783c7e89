//! Pauses and resumes by either side.

use jiff::Timestamp;
use lead::Dependency;
use queue::{LeadQueue, Settlement};
use serde_json::json;

use crate::node::{V5, V6, beside_node};
use crate::support::{event, eventually};

const AI: Dependency = Dependency::new("ai.interop");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_by_node_stops_our_worker() {
    let (_, queue, node) = beside_node(V6).await;
    queue.send(&event(1, 1)).await.unwrap();
    node.call("pause", json!([])).await;
    queue.send(&event(2, 1)).await.unwrap();
    assert!(queue.receive(10).await.unwrap().is_empty());
    assert!(queue.pauses().await.unwrap().is_empty(), "no dependency is the reason");
    node.call("resume", json!([])).await;
    assert_eq!(queue.receive(10).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_pause_stops_node_workers() {
    for version in [V6, V5] {
        let (_, queue, node) = beside_node(version).await;
        queue.pause(&AI, "quota", Timestamp::now()).await.unwrap();
        assert_eq!(node.call("isPaused", json!([])).await, true);
        queue.send(&event(1, 1)).await.unwrap();
        // A producer of version 5 adds its jobs to a separate list during a pause.
        let id = node.add(json!({"email": "a@example.com"}), json!({})).await;
        node.work("work", json!({})).await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        assert_eq!(node.seen().await, []);
        assert_eq!(queue.depth().await.unwrap().messages, 2);
        queue.resume(&AI).await.unwrap();
        assert_eq!(node.call("isPaused", json!([])).await, false);
        eventually("both are processed", async || (node.seen().await.len() == 2).then_some(())).await;
        assert_eq!(node.job(&id).await["state"], "completed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resume_of_our_pause_keeps_the_pause_of_node() {
    for node_first in [true, false] {
        let (_, queue, node) = beside_node(V6).await;
        queue.send(&event(1, 1)).await.unwrap();
        if node_first {
            node.call("pause", json!([])).await;
        }
        queue.pause(&AI, "quota", Timestamp::now()).await.unwrap();
        if !node_first {
            node.call("pause", json!([])).await;
        }
        queue.resume(&AI).await.unwrap();
        assert!(queue.receive(1).await.unwrap().is_empty(), "node first: {node_first}");
        node.call("resume", json!([])).await;
        assert_eq!(queue.receive(1).await.unwrap().len(), 1);
    }
}

/// A person resumes the queue at a dashboard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resume_by_node_ends_our_pauses() {
    let (_, queue, node) = beside_node(V6).await;
    queue.send(&event(1, 1)).await.unwrap();
    queue.pause(&AI, "quota", Timestamp::now()).await.unwrap();
    node.ask(
        "board",
        json!({"method": "put", "route": "/api/queues/:queueName/resume",
        "params": {"queueName": "lead-processing"}}),
    )
    .await;
    assert!(queue.pauses().await.unwrap().is_empty());
    let message = queue.receive(1).await.unwrap().pop().unwrap();
    // The next worker that meets a failure pauses again, for its own reason only.
    let crm = Dependency::new("crm.interop");
    queue.pause(&crm, "breaker", Timestamp::now()).await.unwrap();
    let pauses = queue.pauses().await.unwrap();
    assert_eq!(pauses.iter().map(|pause| &pause.dependency).collect::<Vec<_>>(), [&crm]);
    queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    queue.resume(&crm).await.unwrap();
    assert_eq!(node.call("isPaused", json!([])).await, false);
}
