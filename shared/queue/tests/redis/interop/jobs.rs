//! Jobs of one side are processed by the other.

use lead::{CampaignId, EmailAddress, LeadId};
use queue::{LeadQueue, Sent};
use serde_json::{Value, json};

use crate::node::{Node, V5, V6, beside_node};
use crate::support::{Fixture, event, eventually};
use crate::workers::Running;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_processes_our_jobs() {
    for version in [V6, V5] {
        let (_, queue, node) = beside_node(version).await;
        let event = event(1, 1);
        assert_eq!(queue.send(&event).await.unwrap(), Sent::Accepted);
        let id = event.delivery_id();

        let job = node.job(id.as_str()).await;
        assert_eq!((job["name"].as_str(), job["state"].as_str()), (Some("process-lead"), Some("waiting")));
        assert_eq!(job["data"]["lead_id"], json!(event.lead_id));
        assert_eq!(job["data"]["lead"]["email"], json!("lead1@example.com"));
        assert_eq!(job["opts"]["attempts"], json!(5));
        assert_eq!(job["opts"]["backoff"], json!({"type": "exponential", "delay": 2000}));

        node.work("work", json!({})).await;
        eventually("the job is completed", async || {
            (node.job(id.as_str()).await["state"] == "completed").then_some(())
        })
        .await;
        assert_eq!(queue.depth().await.unwrap().messages, 0);
        // A completed job that is kept for dashboards is no duplicate.
        assert_eq!(queue.send(&event).await.unwrap(), Sent::Accepted);
        eventually("the job is processed again", async || (node.seen().await.len() == 2).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_worker_processes_jobs_of_node() {
    for version in [V6, V5] {
        let fixture = Fixture::start().await;
        let node = Node::start(version, &fixture);
        let data =
            |n: u32| json!({"email": format!(" Lead{n}@Example.com"), "campaign_id": "interop", "n": n});
        let options = [
            json!({"jobId": "own-id"}),
            json!({"priority": 3}),
            json!({"delay": 300}),
            json!({"lifo": true, "attempts": 2, "backoff": 100}),
            json!({"removeOnComplete": true, "timestamp": 1_700_000_000_000_u64}),
        ];
        let mut ids = Vec::new();
        for (n, opts) in (1..).zip(options) {
            ids.push(node.add(data(n), opts).await);
        }
        let worker = Running::start(fixture.queue(), 2, &[]);
        eventually("all are processed", async || (worker.recorder.ids().len() == 5).then_some(())).await;
        let messages = worker.stop().await;
        for (n, id) in (1..).zip(&ids) {
            let message = messages.iter().find(|message| message.id == *id).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&message.body).unwrap(), data(n), "unchanged");
            let email = EmailAddress::parse(&format!("lead{n}@example.com")).unwrap();
            let lead = LeadId::derive(&email, &CampaignId::parse("interop").unwrap());
            assert_eq!((message.group.as_str(), message.attempt), (lead.as_str(), 1));
        }
        let sent_at = messages.iter().find(|message| message.id == ids[4]).unwrap().sent_at;
        assert_eq!(sent_at.as_millisecond(), 1_700_000_000_000);
        assert_eq!(node.job("own-id").await["state"], "completed");
        assert_eq!(node.job(&ids[4]).await, Value::Null, "removed, as its options say");
        assert_eq!(fixture.queue().depth().await.unwrap().messages, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_producer_receives_our_completion() {
    let fixture = Fixture::start().await;
    let node = Node::start(V6, &fixture);
    let id = node.add(json!({"email": "a@example.com"}), json!({})).await;
    let worker = Running::start(fixture.queue(), 1, &[]);
    assert_eq!(node.ask("result", json!({"id": id, "seconds": 20})).await, Value::Null);
    let workers = node.ask("workers", json!({})).await;
    assert_eq!(workers.as_array().unwrap().len(), 1, "it sees our worker");
    worker.stop().await;
}

/// Our workers receive Node's jobs of one lead one at a time, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_worker_keeps_the_order_of_node_jobs() {
    let fixture = Fixture::start().await;
    let node = Node::start(V6, &fixture);
    let (queue, other) = (fixture.queue(), fixture.queue());
    let mut ids = Vec::new();
    for n in 1..=6 {
        let data = json!({"email": "lead1@example.com", "campaign_id": "interop", "n": n});
        ids.push(node.add(data, json!({})).await);
    }
    // A job of ours follows them once they are in the lead's order.
    for (n, id) in ids.iter().enumerate() {
        let messages = eventually("a message", async || {
            let messages = queue.receive(10).await.unwrap();
            (!messages.is_empty()).then_some(messages)
        })
        .await;
        assert_eq!(messages.iter().map(|m| &m.id).collect::<Vec<_>>(), [id]);
        assert!(other.receive(10).await.unwrap().is_empty());
        if n == 0 {
            assert_eq!(queue.send(&event(1, 7)).await.unwrap(), Sent::Accepted);
        }
        queue.settle(&messages[0].receipt, &queue::Settlement::Done).await.unwrap();
    }
    let last = eventually("our own job", async || other.receive(10).await.unwrap().pop()).await;
    assert_eq!(last.id, event(1, 7).delivery_id().as_str());
}
