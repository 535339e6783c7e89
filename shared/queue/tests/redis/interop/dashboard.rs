//! Dead letters as shown by Bull Board.

use queue::{LeadQueue, Sent};
use serde_json::{Value, json};

use crate::node::{Node, V6, beside_node};
use crate::support::{Fixture, event, eventually};
use crate::workers::{Act, Running};

const DEAD: &str = "lead-processing-dlq";

async fn shown(node: &Node) -> Value {
    let query = json!({"activeQueue": DEAD, "status": "failed", "page": "1", "jobsPerPage": "10"});
    let board = node.ask("board", json!({"route": "/api/queues", "query": query})).await;
    let is_dead = |queue: &&Value| queue["name"] == DEAD;
    board["queues"].as_array().unwrap().iter().find(is_dead).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letter_is_shown_with_its_reason_and_can_be_retried() {
    let (_, queue, node) = beside_node(V6).await;
    let event = event(1, 1);
    let id = event.delivery_id().to_string();
    queue.send(&event).await.unwrap();
    let worker = Running::start(queue.clone(), 1, &[Act::Fail, Act::DeadLetter, Act::DeadLetter]);
    let board = eventually("a dead letter", async || {
        let board = shown(&node).await;
        (board["counts"]["failed"] == 1).then_some(board)
    })
    .await;
    let letter = &board["jobs"][0];
    assert_eq!(
        (letter["id"].as_str(), letter["failedReason"].as_str()),
        (Some(&*id), Some("unreadable: nobody can read this"))
    );
    let data: Value = letter["data"].clone();
    assert_eq!(data["originalId"], json!(id));
    assert_eq!(data["leadId"], json!(event.lead_id));
    assert_eq!(data["error"], "unreadable: nobody can read this");
    assert_eq!(data["attempts"], 2);
    assert!(data["failedAt"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(data["data"], json!(event));
    assert_eq!(node.job(&id).await, Value::Null, "moved, not copied");
    assert_eq!(queue.depth().await.unwrap().messages, 0);

    let retry = json!({"method": "put", "route": "/api/queues/:queueName/:jobId/retry",
        "params": {"queueName": DEAD, "jobId": id, "queueStatus": "failed"}});
    let all = json!({"method": "put", "route": "/api/queues/:queueName/retry/:queueStatus",
        "params": {"queueName": DEAD, "queueStatus": "failed"}});
    // In sequence: the first retry fails again, after a full set of attempts.
    for (times, request) in [(3, retry), (4, all)] {
        node.ask("board", request).await;
        eventually("it is received again", async || (worker.recorder.seen().len() == times).then_some(()))
            .await;
        if times == 3 {
            eventually("it is dead-lettered again", async || {
                (shown(&node).await["counts"]["failed"] == 1).then_some(())
            })
            .await;
        }
    }
    let messages = worker.stop().await;
    assert_eq!(messages.iter().map(|message| message.attempt).collect::<Vec<_>>(), [1, 2, 1, 1]);
    assert!(messages.iter().all(|message| message.body == messages[0].body && message.id == id));
    let redriven: Vec<_> = messages.iter().map(|message| message.redriven).collect();
    assert_eq!(redriven, [false, false, true, true], "the message says that it was retried");
    let board = shown(&node).await;
    for state in ["failed", "waiting", "active", "completed", "delayed"] {
        assert_eq!(board["counts"][state], 0, "{state}");
    }
}

/// A resend without the dashboard removes the dead letter as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resend_removes_the_dead_letter() {
    let (_, queue, node) = beside_node(V6).await;
    queue.send(&event(1, 1)).await.unwrap();
    let worker = Running::start(queue.clone(), 1, &[Act::DeadLetter]);
    eventually("a dead letter", async || (shown(&node).await["counts"]["failed"] == 1).then_some(())).await;
    assert_eq!(queue.send(&event(1, 1)).await.unwrap(), Sent::Accepted);
    eventually("it is processed", async || (worker.recorder.seen().len() == 2).then_some(())).await;
    assert_eq!(shown(&node).await["counts"]["failed"], 0);
    worker.stop().await;
}

/// Jobs of other applications in the dead letter queue are not touched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_job_in_the_dead_letter_queue_is_untouched() {
    let fixture = Fixture::start().await;
    let node = Node::start(V6, &fixture);
    node.ask("call", json!({"of": DEAD, "method": "add", "args": ["failed-lead", {"leadId": "7", "data": {}}, {"jobId": "x"}]}))
        .await;
    let worker = Running::start(fixture.queue(), 1, &[]);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(worker.stop().await.len(), 0);
    assert_eq!(node.ask("job", json!({"of": DEAD, "id": "x"})).await["state"], "waiting");
}

/// BullMQ's counter assigns the same id twice: to a job in this queue and to a foreign job in the dead letter
/// queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letter_ids_do_not_collide_with_foreign_jobs() {
    let fixture = Fixture::start().await;
    let node = Node::start(V6, &fixture);
    let keep = async || {
        let args = json!(["failed-lead", {"kept": true}]);
        let job = node.ask("call", json!({"of": DEAD, "method": "add", "args": args})).await;
        job["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(keep().await, "1");
    for n in 1..=3 {
        assert_eq!(node.add(json!({"n": n}), json!({})).await, n.to_string());
    }
    let worker = Running::start(fixture.queue(), 1, &[Act::DeadLetter; 3]);
    eventually("three dead letters", async || (shown(&node).await["counts"]["failed"] == 3).then_some(()))
        .await;
    assert_eq!(keep().await, "4");
    for (id, kept, n) in
        [("1", true, 0), ("letter-1", false, 1), ("2", false, 2), ("3", false, 3), ("4", true, 0)]
    {
        let data = node.ask("job", json!({"of": DEAD, "id": id})).await["data"].clone();
        assert_eq!(data["kept"] == true, kept, "{id}: {data}");
        assert!(kept || data["data"]["n"] == n, "{id}: {data}");
    }
    node.ask(
        "board",
        json!({"method": "put", "route": "/api/queues/:queueName/retry/:queueStatus",
        "params": {"queueName": DEAD, "queueStatus": "failed"}}),
    )
    .await;
    eventually("all are processed", async || (worker.recorder.seen().len() == 6).then_some(())).await;
    let counts = eventually("no dead letter is left", async || {
        let counts = shown(&node).await["counts"].clone();
        (counts["failed"] == 0 && counts["waiting"] == 2).then_some(counts)
    })
    .await;
    assert_eq!(counts["waiting"], 2, "the foreign jobs");
    worker.stop().await;
}

/// A key of the wrong type in place of the dead letter queue must not stop other messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_dead_letter_queue_does_not_block_receives() {
    let fixture = Fixture::start().await;
    let mut redis = fixture.connect().await;
    let waiting = format!("{}:{DEAD}:wait", fixture.prefix);
    let _: () = redis::cmd("SET").arg(waiting).arg("nonsense").query_async(&mut redis).await.unwrap();
    let queue = fixture.queue();
    queue.send(&event(1, 1)).await.unwrap();
    assert_eq!(queue.receive(1).await.unwrap().len(), 1);
}
