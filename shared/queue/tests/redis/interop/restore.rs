//! Restoring deliveries whose jobs Node's workers finished or Node's producers added: the store knows only
//! deliveries.

use lead::{Arrival, LeadEvent};
use queue::{LeadQueue, Restored, Sent, Settlement};
use serde_json::{Value, json};

use crate::node::{Node, V5, V6, beside_node};
use crate::support::{event, eventually};
use crate::workers::{Act, Running};

/// The delivery of a job by a Node producer with `data(lead, n)`: its content identifies it.
fn delivery(lead: u32, n: u32) -> LeadEvent {
    event(lead, n).with_arrival(Arrival::Content)
}

/// The data of a job by a Node producer.
fn data(lead: u32, n: u32) -> Value {
    json!({"emailAddress": format!("lead{lead}@example.com"), "campaign_id": "interop", "title": n.to_string()})
}

async fn state(node: &Node, id: &str, state: &str) {
    eventually(state, async || (node.job(id).await["state"] == state).then_some(())).await;
}

fn id(event: &LeadEvent) -> String {
    event.delivery_id().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_skips_jobs_completed_by_node_but_not_by_us() {
    for version in [V6, V5] {
        let (_, queue, node) = beside_node(version).await;
        let (ours, theirs) = (event(1, 1), event(2, 1));
        queue.send(&ours).await.unwrap();
        let message = queue.receive(1).await.unwrap().pop().unwrap();
        assert_eq!(queue.restore(&ours).await.unwrap(), Restored::Waiting);
        queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        queue.send(&theirs).await.unwrap();
        // An earlier failed attempt of ours does not count as our completion.
        let message = queue.receive(1).await.unwrap().pop().unwrap();
        let failure = lead::Failure::transient("made_to_fail", "an attempt of ours");
        let retry = Settlement::Retry { after: std::time::Duration::ZERO, failure };
        queue.settle(&message.receipt, &retry).await.unwrap();
        node.work("work", json!({})).await;
        state(&node, &id(&theirs), "completed").await;
        for _ in 0..2 {
            assert_eq!(queue.restore(&theirs).await.unwrap(), Restored::WorkedElsewhere, "{version}");
        }
        assert_eq!(node.seen().await.len(), 1);
        node.ask("stop", json!({})).await;
        assert_eq!(queue.restore(&ours).await.unwrap(), Restored::Sent, "the store reopened it");
        assert_eq!(queue.receive(10).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_failed_by_node_is_restored_only_on_request() {
    for version in [V6, V5] {
        let (_, queue, node) = beside_node(version).await;
        let event = event(1, 1);
        let id = node.add(data(1, 1), json!({"jobId": id(&event)})).await;
        node.work("fail", json!({})).await;
        state(&node, &id, "failed").await;
        node.ask("stop", json!({})).await;
        for _ in 0..2 {
            assert_eq!(queue.restore(&event).await.unwrap(), Restored::FailedElsewhere { attempts: 1 });
        }
        assert!(queue.receive(1).await.unwrap().is_empty());
        node.ask(
            "board",
            json!({"method": "put", "route": "/api/queues/:queueName/:jobId/retry",
                "params": {"queueName": "lead-processing", "jobId": id, "queueStatus": "failed"}}),
        )
        .await;
        let message =
            eventually("it is received again", async || queue.receive(1).await.unwrap().pop()).await;
        assert!(message.redriven, "{version}: a retry counts as a redrive");
        assert_eq!(queue.restore(&event).await.unwrap(), Restored::Waiting);
        queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    }
}

/// The store knows the job by its delivery id, and would otherwise add it a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_added_by_node_is_found_by_its_delivery() {
    let (_, queue, node) = beside_node(V6).await;
    let event = delivery(1, 1);
    let id = node.add(data(1, 1), json!({})).await;
    let message = queue.receive(1).await.unwrap().pop().unwrap();
    assert_eq!((&message.id, message.group.as_str()), (&id, event.lead_id.as_str()));
    assert_eq!(queue.restore(&event).await.unwrap(), Restored::Waiting, "while it is leased");
    let failure = lead::Failure::transient("made_to_fail", "an attempt");
    let retry = Settlement::Retry { after: std::time::Duration::from_secs(60), failure };
    queue.settle(&message.receipt, &retry).await.unwrap();
    assert_eq!(queue.restore(&event).await.unwrap(), Restored::Waiting, "while it waits");
    assert_eq!(queue.send(&event).await.unwrap(), Sent::Duplicate);
    assert_eq!(queue.depth().await.unwrap().messages, 1);
    node.ask("call", json!({"method": "promoteJobs"})).await;
    node.work("work", json!({})).await;
    state(&node, &id, "completed").await;
    assert_eq!(
        queue.restore(&event).await.unwrap(),
        Restored::WorkedElsewhere,
        "after Node has completed it"
    );
    assert_eq!(queue.send(&event).await.unwrap(), Sent::Accepted, "a person may request it again");
}

/// After completion no alias is left that blocks another send of the delivery.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_job_of_node_leaves_no_alias() {
    let (fixture, queue, node) = beside_node(V6).await;
    node.add(data(1, 1), json!({})).await;
    let message = queue.receive(1).await.unwrap().pop().unwrap();
    queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    let mut redis = fixture.connect().await;
    let ours = format!("{}:lead-processing-revenueflow:job:*", fixture.prefix);
    let kept: Vec<String> = redis::cmd("KEYS").arg(ours).query_async(&mut redis).await.unwrap();
    assert_eq!(kept, Vec::<String>::new());
    assert_eq!(queue.restore(&delivery(1, 1)).await.unwrap(), Restored::Sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redrive_by_delivery_removes_the_dead_letter_of_a_node_job() {
    const DEAD: &str = "lead-processing-dlq";
    let (_, queue, node) = beside_node(V6).await;
    let id = node.add(data(1, 1), json!({})).await;
    let worker = Running::start(queue.clone(), 1, &[Act::DeadLetter]);
    let letter = async || node.ask("job", json!({"of": DEAD, "id": id})).await;
    eventually("a dead letter", async || (!letter().await.is_null()).then_some(())).await;
    assert_eq!(queue.send(&delivery(1, 1)).await.unwrap(), Sent::Accepted);
    assert_eq!(letter().await, Value::Null);
    eventually("it is processed", async || (worker.recorder.seen().len() == 2).then_some(())).await;
    worker.stop().await;
}

/// Two spellings of one address are one lead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_spellings_of_a_lead_share_its_order() {
    let (_, queue, node) = beside_node(V6).await;
    let first = node.add(data(1, 1), json!({})).await;
    let second = node.add(json!({"email": "lead1@example.com", "campaign_id": "interop"}), json!({})).await;
    let messages = queue.receive(10).await.unwrap();
    assert_eq!(messages.iter().map(|message| &message.id).collect::<Vec<_>>(), [&first]);
    queue.settle(&messages[0].receipt, &Settlement::Done).await.unwrap();
    let next = eventually("the next", async || queue.receive(10).await.unwrap().pop()).await;
    assert_eq!(next.id, second);
}
