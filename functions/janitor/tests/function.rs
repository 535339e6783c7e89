//! The function as Lambda runs it: its binary, with an emulator's queue and bucket.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use database::testing::TestDatabase;
use jiff::Timestamp;
use lead::LeadEvent;
use serde_json::json;
use testkit::fixtures::new_lead;
use testkit::{Emulator, Function, sample};
use tokio::runtime::Runtime;

fn event(person: usize) -> LeadEvent {
    LeadEvent::new(new_lead(&format!("p{person}@stripe.com"), "launch_2024"), Timestamp::now())
}

#[test]
fn round_drains_the_overflow_bucket_and_returns_counts() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(TestDatabase::postgres());
    let emulator = Emulator::shared().unwrap();
    let (queue, bucket) = (emulator.create_queue().unwrap(), emulator.create_bucket().unwrap());
    for person in 0..40 {
        let event = event(person);
        let key = format!("/{bucket}/leads/{}.json", event.delivery_id());
        emulator.rest("s3", "PUT", &key, json!(event).to_string()).unwrap();
    }
    let function = Function::start(
        env!("CARGO_BIN_EXE_janitor"),
        &[("DATABASE_URL", database.url()), ("QUEUE_URL", &queue), ("OVERFLOW_BUCKET", &bucket)],
    )
    .unwrap();
    let round = function.invoke(&sample("janitor")).unwrap();
    assert_eq!((&round["overflow"], &round["paused"]), (&json!(40), &json!(false)), "{round}");
    assert_eq!(emulator.objects(&bucket).unwrap(), Vec::<String>::new());
    assert_eq!(function.invoke(&sample("janitor")).unwrap()["overflow"], 0);
    let logs = function.logs().join("\n");
    assert!(logs.contains("revenueflow_breakers_open"), "the metric of the alarm: {logs}");
    assert!(!logs.contains("stripe.com"), "{logs}");
}

#[test]
fn without_a_database_a_round_fails_and_the_bucket_is_kept() {
    let emulator = Emulator::shared().unwrap();
    let (queue, bucket) = (emulator.create_queue().unwrap(), emulator.create_bucket().unwrap());
    emulator.rest("s3", "PUT", &format!("/{bucket}/leads/a.json"), json!(event(1)).to_string()).unwrap();
    let nothing_there = "postgres://nobody:nothing@127.0.0.1:1/none";
    let function = Function::start(
        env!("CARGO_BIN_EXE_janitor"),
        &[("DATABASE_URL", nothing_there), ("QUEUE_URL", &queue), ("OVERFLOW_BUCKET", &bucket)],
    )
    .unwrap();
    assert!(function.invoke(&sample("janitor")).unwrap_err().to_string().contains("the function failed"));
    assert_eq!(emulator.objects(&bucket).unwrap(), ["leads/a.json"]);
}
