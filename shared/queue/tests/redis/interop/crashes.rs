//! A killed worker loses no job, whichever side continues.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use queue::{LeadQueue, RedisOptions, RedisQueue, Settlement};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::node::{Node, V5, V6};
use crate::support::{Fixture, STALLED_INTERVAL, VISIBILITY, event, eventually};

/// The environment variable with the address and the prefix, for the other process.
const CONNECTION_VARIABLE: &str = "REDIS_TEST_WORKER";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_worker_recovers_jobs_of_a_killed_node_worker() {
    for version in [V6, V5] {
        let (fixture, queue) = Fixture::with_queue().await;
        for lead in 1..=3 {
            queue.send(&event(lead, 1)).await.unwrap();
        }
        let node = Node::start(version, &fixture);
        node.work("hang", json!({"concurrency": 3})).await;
        eventually("Node has them", async || (node.seen().await.len() == 3).then_some(())).await;
        node.kill().await;
        let mut messages = Vec::new();
        eventually("all are received again", async || {
            messages.extend(queue.receive(10).await.unwrap());
            (messages.len() == 3).then_some(())
        })
        .await;
        for message in messages {
            assert_eq!((message.attempt, message.losses), (1, 1), "a death is no failed attempt");
            queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        }
        assert_eq!(queue.depth().await.unwrap().messages, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_recovers_jobs_of_our_killed_worker() {
    for version in [V6, V5] {
        let (fixture, queue) = Fixture::with_queue().await;
        let event = event(1, 1);
        queue.send(&event).await.unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "interop::crashes::a_process_that_holds_a_message", "--ignored", "--nocapture"])
            .env(CONNECTION_VARIABLE, format!("{} {}", fixture.url, fixture.prefix))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        while !lines.next_line().await.unwrap().expect("the process reports the receive").contains("received")
        {
        }
        let node = Node::start(version, &fixture);
        node.work("work", json!({})).await;
        process.kill().await.unwrap();
        let id = event.delivery_id();
        eventually("Node has processed it", async || {
            (node.job(id.as_str()).await["state"] == "completed").then_some(())
        })
        .await;
        assert_eq!(node.seen().await, [(id.to_string(), 0)]);
        assert_eq!(node.job(id.as_str()).await["stalledCounter"], 1);
    }
}

/// Not a test: the process that the test above starts and kills.
#[tokio::test]
#[ignore = "started by another test"]
async fn a_process_that_holds_a_message() {
    let connection = std::env::var(CONNECTION_VARIABLE).unwrap();
    let (url, prefix) = connection.split_once(' ').unwrap();
    let options = RedisOptions {
        visibility: VISIBILITY,
        stalled_interval: STALLED_INTERVAL,
        prefix: prefix.to_owned(),
        ..RedisOptions::default()
    };
    let queue = RedisQueue::new(url, options).unwrap();
    let message = eventually("the message", async || queue.receive(1).await.unwrap().pop()).await;
    std::io::stdout().write_all(b"received\n").unwrap();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        queue.extend(&message.receipt).await.unwrap();
    }
}
