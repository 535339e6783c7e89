//! Throughput of jobs through Redis, added and processed: this crate, Node's BullMQ and a plain LPUSH, in one
//! run on one server.
//!
//! Every round measures all of them in sequence. The result is the ratio of the best rounds, since other load
//! on the machine only ever slows a round down. Node adds one job per call, fifty concurrently, as this crate
//! does.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};
use lead::{CampaignId, Clock as _, EmailAddress, Failure, Lead, LeadEvent, SystemClock};
use queue::{LeadHandler, LeadQueue as _, Message, RedisOptions, RedisQueue, Settlement, Worker};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const JOBS: usize = 10_000;
const CONCURRENCY: usize = 50;
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() {
    let url = std::env::var("TEST_REDIS_URL").expect("a Redis server: run `make bench-parts`");
    let mut node = Node::start(&url);
    let mut best = [0.0_f64; 5];
    for round in 0..ROUNDS {
        let (ours, theirs) = (format!("ours-{round}"), format!("theirs-{round}"));
        let rates = [
            node.rate("lpush", &theirs),
            node.rate("add", &theirs),
            add(&url, &ours).await,
            node.rate("work", &theirs),
            work(&url, &ours).await,
        ];
        for (best, rate) in best.iter_mut().zip(rates) {
            *best = best.max(rate);
        }
    }
    let [lpush, their_adds, our_adds, their_work, our_work] = best;
    let mut out = std::io::stdout();
    writeln!(out, "{JOBS} jobs, {CONCURRENCY} at once, jobs a second (best of {ROUNDS} rounds)").unwrap();
    writeln!(out, "  plain LPUSH       {lpush:>8.0}").unwrap();
    for (operation, theirs, ours) in [("add", their_adds, our_adds), ("work", their_work, our_work)] {
        writeln!(out, "  {operation:<5} Node BullMQ {theirs:>8.0}").unwrap();
        writeln!(out, "  {operation:<5} RevenueFlow {ours:>8.0}   {:.1} times Node's", ours / theirs)
            .unwrap();
    }
}

fn queue(url: &str, prefix: &str) -> RedisQueue {
    RedisQueue::new(url, RedisOptions { prefix: prefix.to_owned(), ..RedisOptions::default() }).unwrap()
}

async fn add(url: &str, prefix: &str) -> f64 {
    let queue = queue(url, prefix);
    queue.depth().await.unwrap(); // connected
    let start = Instant::now();
    stream::iter(0..JOBS)
        .map(|number| {
            let queue = &queue;
            async move { queue.send(&event(number)).await.unwrap() }
        })
        .buffer_unordered(CONCURRENCY)
        .for_each(|_| async {})
        .await;
    rate(start)
}

fn event(number: usize) -> LeadEvent {
    let email = EmailAddress::parse(&format!("lead{number}@example.com")).unwrap();
    let mut lead = Lead::new(email, CampaignId::parse("bench").unwrap());
    lead.attributes.insert("filler".into(), "x".repeat(400).into());
    LeadEvent::new(lead, SystemClock.now())
}

async fn work(url: &str, prefix: &str) -> f64 {
    let handler = Arc::new(NoopHandler { left: AtomicUsize::new(JOBS), done: Notify::new() });
    let queue = Arc::new(queue(url, prefix));
    queue.depth().await.unwrap(); // connected
    let worker = Worker::new(queue.clone(), handler.clone(), Arc::new(SystemClock), CONCURRENCY);
    let shutdown = CancellationToken::new();
    let start = Instant::now();
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.run(shutdown).await }
    });
    handler.done.notified().await;
    shutdown.cancel();
    running.await.unwrap(); // with the last job settled
    let rate = rate(start);
    assert_eq!(queue.depth().await.unwrap().messages, 0);
    rate
}

/// A handler whose work takes no time.
struct NoopHandler {
    left: AtomicUsize,
    done: Notify,
}

#[async_trait]
impl LeadHandler for NoopHandler {
    async fn handle(&self, _: &Message) -> Result<(), Failure> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.done.notify_one();
        }
        Ok(())
    }

    async fn record(&self, _: &Message, _: &Settlement) -> Result<(), Failure> {
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss, reason = "a handful of thousands")]
fn rate(start: Instant) -> f64 {
    JOBS as f64 / start.elapsed().as_secs_f64()
}

/// Node's `bullmq`, in a separate process.
struct Node {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Node {
    fn start(url: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop");
        let mut process = Command::new("node")
            .args(["throughput.mjs", url, &CONCURRENCY.to_string()])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node is needed on the PATH");
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, input, output: BufReader::new(output) }
    }

    #[allow(clippy::cast_precision_loss, reason = "a handful of thousands")]
    fn rate(&mut self, operation: &str, prefix: &str) -> f64 {
        writeln!(self.input, r#"["{operation}", {JOBS}, "{prefix}"]"#).unwrap();
        let mut millis = String::new();
        self.output.read_line(&mut millis).unwrap();
        let millis: f64 = millis.trim().parse().expect("the process lives: run `npm ci` in tests/interop");
        JOBS as f64 * 1000.0 / millis
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
