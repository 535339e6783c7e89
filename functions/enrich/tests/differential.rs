//! Compares our processor with AWS's Powertools for TypeScript on random FIFO batches. Both must return the
//! same messages for batches of successes and transient failures.
//!
//! Intended differences, with their reasons:
//!
//! | | Powertools with `skipGroupOnError` | here |
//! |---|---|---|
//! | groups | sequentially | concurrently |
//! | every message of a batch failed | throws, so that all are received again (disabled for this comparison) | returns them all |
//! | a permanent failure, or the fifth | returned, until the redrive policy takes it and its neighbours | moved to the dead letter queue with its reason, not returned; the group continues |
//! | a dependency is down | a failure like any other | counts no attempt, and no further message begins |
//! | received often without failing | returned, until the redrive policy takes it | replaced by a copy, not returned |
//! | returned messages are received again | after the queue's visibility timeout | after the backoff of the failed message |
//! | the time is up | the function dies with the whole batch | unfinished messages are returned |
//!
//! The order of the returned messages differs and has no meaning for Lambda, so the test compares sets.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Failure, SystemClock};
use queue::{
    Fifo, LeadHandler, Limit, MemoryLedger, Message, Processor, QueueError, Received, Settlement, Times,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

const BATCHES: usize = 2_500;

#[tokio::test]
async fn processor_returns_the_same_messages_as_powertools() {
    let mut random = StdRng::seed_from_u64(7);
    let batches: Vec<_> = (0..BATCHES).map(|_| batch(&mut random)).collect();
    let theirs = powertools(&batches);
    assert_eq!(theirs.len(), BATCHES);
    let mut named = 0;
    for (batch, theirs) in batches.iter().zip(&theirs) {
        let ours = ours(batch).await;
        assert_eq!(&ours, theirs, "{batch}");
        named += ours.len();
    }
    assert!(named > BATCHES, "too few failing batches: {named} messages named");
}

fn batch(random: &mut StdRng) -> Value {
    let groups = random.random_range(1..=6);
    let share = random.random_range(0..=100);
    let records = (0..random.random_range(1..=10)).map(|n| {
        let fails = random.random_range(0..100) < share / 2;
        json!({ "id": format!("m{n}"), "group": format!("g{}", random.random_range(0..groups)), "fails": fails })
    });
    json!({ "records": records.collect::<Vec<_>>() })
}

async fn ours(batch: &Value) -> BTreeSet<String> {
    let fake = Arc::new(Fake);
    let ledger = Arc::new(MemoryLedger::new(Arc::new(SystemClock)));
    let processor =
        Processor::new(Arc::clone(&fake) as _, fake, ledger, Arc::new(SystemClock), Limit::default());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let messages = batch["records"].as_array().unwrap().iter().map(|record| Received {
        key: text(&record["id"]),
        message_id: text(&record["id"]),
        group: text(&record["group"]),
        body: record["fails"].to_string(),
        receive_count: 1,
        sent_at: Timestamp::UNIX_EPOCH,
        not_before: None,
        receipt: text(&record["id"]),
    });
    let soon = tokio::time::Instant::now() + Duration::from_secs(30);
    let times = Times { work_until: soon, answer_by: soon };
    processor.process(messages.collect(), times).await.unsettled.into_iter().collect()
}

/// Writes one line for each batch, and reads one line for each answer.
fn powertools(batches: &[Value]) -> Vec<BTreeSet<String>> {
    let folder = installed();
    let mut node = Command::new("node")
        .arg("batch.mjs")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node (20 or newer) is installed");
    let mut input = node.stdin.take().unwrap();
    let lines = batches.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n";
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = BufReader::new(node.stdout.take().unwrap());
    let answers = output.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    writer.join().unwrap().unwrap();
    assert!(node.wait().unwrap().success());
    answers
}

/// The folder of the script, with its dependencies installed from the lock file.
fn installed() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/differential");
    if !folder.join("node_modules/@aws-lambda-powertools/batch").exists() {
        let installed = Command::new("npm").args(["ci", "--silent"]).current_dir(&folder).status();
        assert!(installed.expect("npm is installed").success(), "npm ci in tests/differential");
    }
    folder
}

/// A queue that accepts everything, and a handler that fails if the message says so.
struct Fake;

#[async_trait]
impl LeadHandler for Fake {
    async fn handle(&self, message: &Message) -> Result<(), Failure> {
        if message.body == "true" { Err(Failure::transient("made_to_fail", "made to fail")) } else { Ok(()) }
    }

    async fn record(&self, _: &Message, _: &Settlement) -> Result<(), Failure> {
        Ok(())
    }
}

#[async_trait]
impl Fifo for Fake {
    async fn copy(&self, _: &Received, _: Option<Timestamp>) -> Result<(), QueueError> {
        panic!("no message was received often")
    }

    async fn dead_letter(&self, _: &Received, _: u32, _: &Failure) -> Result<(), QueueError> {
        panic!("no message has failed often")
    }

    async fn hide(&self, _: &[(String, Duration)]) -> Result<(), QueueError> {
        Ok(())
    }
}
