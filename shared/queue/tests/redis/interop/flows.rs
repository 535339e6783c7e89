//! Jobs that are part of a BullMQ flow or of BullMQ's deduplication.

use queue::LeadQueue;
use serde_json::{Value, json};

use crate::node::{Node, V5, V6, beside_node};
use crate::support::{Fixture, eventually};
use crate::workers::{Act, Running};

/// BullMQ's own deduplication ends with the job, whether it is completed or dead-lettered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deduplicated_job_can_be_added_again_after_completion() {
    for version in [V6, V5] {
        let (_, queue, node) = beside_node(version).await;
        let add = async || {
            let opts = json!({"deduplication": {"id": "lead-1"}, "removeOnComplete": true});
            node.add(json!({"email": "a@example.com", "campaign_id": "interop"}), opts).await
        };
        let first = add().await;
        assert_eq!(add().await, first);
        let worker = Running::start(queue.clone(), 1, &[Act::DeadLetter, Act::Fail]);
        let gone = async |id: &str| {
            eventually("the job is removed", async || (node.job(id).await == Value::Null).then_some(()))
                .await;
        };
        gone(&first).await;
        let second = add().await;
        assert_ne!(second, first);
        gone(&second).await;
        assert_ne!(add().await, second);
        eventually("all are processed", async || (worker.recorder.seen().len() == 4).then_some(())).await;
        worker.stop().await;
        assert_eq!(queue.depth().await.unwrap().messages, 0);
        let dead = node.ask("counts", json!({"of": "lead-processing-dlq"})).await;
        assert_eq!(dead["failed"], 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parent_job_continues_after_our_completion() {
    let fixture = Fixture::start().await;
    let node = Node::start(V6, &fixture);
    let ids = node.ask("addFlow", json!({"parent": "parents", "data": {"email": "a@example.com"}})).await;
    let parent = async || {
        let job = node.ask("job", json!({"of": "parents", "id": ids[0]})).await;
        job["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(parent().await, "waiting-children");
    let worker = Running::start(fixture.queue(), 1, &[]);
    eventually("the parent waits for a worker", async || (parent().await == "waiting").then_some(())).await;
    assert_eq!(node.job(ids[1].as_str().unwrap()).await["state"], "completed");
    worker.stop().await;
}
