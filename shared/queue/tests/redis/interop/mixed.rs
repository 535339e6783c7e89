//! Workers and producers of both sides at the same time.

use std::collections::HashMap;

use queue::LeadQueue;
use serde_json::json;

use crate::node::{Node, V5, V6};
use crate::support::{Fixture, event, eventually};
use crate::workers::Running;

/// 500 jobs, half of them ours and half Node's, for two of our workers and two of Node's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_workers_process_mixed_jobs_exactly_once() {
    const EACH: u32 = 250;
    let fixture = Fixture::start().await;
    let nodes = [Node::start(V6, &fixture), Node::start(V5, &fixture)];
    for node in &nodes {
        node.work("work", json!({"concurrency": 5})).await;
    }
    let workers = [(); 2].map(|()| Running::start(fixture.queue(), 5, &[]));
    let queue = fixture.queue();
    let mut sent = Vec::new();
    for batch in 0..10 {
        let numbers = batch * EACH / 10..(batch + 1) * EACH / 10;
        let job = |n| json!({"data": {"email": format!("node{n}@example.com"), "campaign_id": "interop"}});
        let jobs: Vec<_> = numbers.clone().map(job).collect();
        let ids = nodes[batch as usize % 2].ask("add", json!({"jobs": jobs})).await;
        sent.extend(ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
        for n in numbers {
            let event = event(n, 1);
            queue.send(&event).await.unwrap();
            sent.push(event.delivery_id().to_string());
        }
    }
    eventually("all are done", async || (queue.depth().await.unwrap().messages == 0).then_some(())).await;
    let mut times: HashMap<String, u32> = HashMap::new();
    let mut by_side = [0, 0];
    for node in &nodes {
        for (id, _) in node.seen().await {
            *times.entry(id).or_default() += 1;
            by_side[0] += 1;
        }
    }
    for worker in workers {
        for message in worker.stop().await {
            *times.entry(message.id).or_default() += 1;
            by_side[1] += 1;
        }
    }
    for id in &sent {
        assert_eq!(times.remove(id), Some(1), "{id}");
    }
    assert_eq!(times, HashMap::new(), "and nothing else");
    assert!(by_side.iter().all(|count| *count > 0), "both sides worked: {by_side:?}");
}
