//! The order of a lead's jobs when other workers and tools do not maintain it.

use queue::{LeadQueue, Sent, Settlement};
use serde_json::json;

use crate::node::{V5, V6, beside_node};
use crate::support::{event, eventually};

/// Node's worker does not make the lead's next job ready. It becomes ready a little later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revision_follows_a_job_processed_by_node() {
    let (_, queue, node) = beside_node(V6).await;
    for n in 1..=3 {
        queue.send(&event(1, n)).await.unwrap();
    }
    let counts = node.ask("counts", json!({})).await;
    assert_eq!((&counts["waiting"], &counts["delayed"]), (&json!(1), &json!(2)));
    node.work("work", json!({})).await;
    eventually("Node has processed the first", async || (node.seen().await.len() == 1).then_some(())).await;
    node.ask("stop", json!({})).await;
    for n in 2..=3 {
        let message = eventually("the next", async || queue.receive(1).await.unwrap().pop()).await;
        assert_eq!(message.id, event(1, n).delivery_id().as_str());
        queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    }
}

/// A resume by version 5 loses jobs that others added to a paused queue. Such a job is found when it is sent
/// again, or when another job of its lead waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_lost_by_a_version_5_resume_is_recovered() {
    let (_, queue, node) = beside_node(V5).await;
    node.call("pause", json!([])).await;
    queue.send(&event(1, 1)).await.unwrap();
    queue.send(&event(2, 1)).await.unwrap();
    queue.send(&event(2, 2)).await.unwrap();
    let id = node.add(json!({"email": "a@example.com"}), json!({})).await;
    node.call("resume", json!([])).await;
    let messages = queue.receive(10).await.unwrap();
    assert_eq!(messages.iter().map(|message| &message.id).collect::<Vec<_>>(), [&id], "ours are lost");
    queue.settle(&messages[0].receipt, &Settlement::Done).await.unwrap();

    assert_eq!(queue.send(&event(1, 1)).await.unwrap(), Sent::Accepted);
    assert_eq!(queue.send(&event(1, 1)).await.unwrap(), Sent::Duplicate);
    let message = queue.receive(10).await.unwrap().pop().unwrap();
    assert_eq!(message.id, event(1, 1).delivery_id().as_str());
    queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    for n in 1..=2 {
        let message = eventually("the other lead", async || queue.receive(1).await.unwrap().pop()).await;
        assert_eq!(message.id, event(2, n).delivery_id().as_str());
        queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    }
}
