//! Redis is killed and restarted.

use std::collections::HashSet;
use std::net::TcpListener;
use std::time::Duration;

use queue::{LeadQueue, QueueError};
use serde_json::json;
use testkit::Redis;

use crate::node::{Node, V6};
use crate::support::{Fixture, event, eventually};
use crate::workers::Running;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_survives_a_kill_of_redis() {
    let mut server = Redis::start().unwrap();
    let fixture = Fixture::on(server.url().to_owned());
    let queue = fixture.queue();
    let node = Node::start(V6, &fixture);
    node.work("work", json!({"concurrency": 2})).await;
    let worker = Running::start(fixture.queue(), 2, &[]);
    let mut accepted = HashSet::new();
    for round in 0..3 {
        for lead in round * 100..(round + 1) * 100 {
            let event = event(lead, 1);
            if lead % 100 == 70 {
                server.kill();
            }
            match queue.send(&event).await {
                Ok(_) => assert!(accepted.insert(event.delivery_id().to_string())),
                Err(QueueError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(matches!(queue.receive(1).await, Err(QueueError::Unavailable(_))));
        assert!(matches!(queue.depth().await, Err(QueueError::Unavailable(_))));
        server.run().unwrap();
        eventually("the queue answers again", async || queue.depth().await.ok()).await;
    }
    assert!(accepted.len() >= 210, "{}", accepted.len());
    eventually("all are done", async || (queue.depth().await.ok()?.messages == 0).then_some(())).await;
    let seen: Vec<_> = worker.stop().await.into_iter().map(|message| message.id).collect();
    let by_node = node.seen().await.into_iter().map(|(id, _)| id);
    let worked: HashSet<String> = seen.into_iter().chain(by_node).collect();
    assert_eq!(accepted.difference(&worked).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_or_missing_redis_times_out() {
    // A server that accepts connections and sends nothing, and a port without a server.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [format!("redis://{address}"), format!("redis://{unused}"), format!("rediss://{unused}")] {
        let queue = Fixture::on(url.clone()).queue();
        let sent = tokio::time::timeout(Duration::from_mins(1), queue.send(&event(1, 1))).await;
        assert!(matches!(sent, Ok(Err(QueueError::Unavailable(_)))), "{url}: {sent:?}");
    }
}
