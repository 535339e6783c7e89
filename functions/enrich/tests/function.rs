//! Runs the binary as Lambda does, with a batch from the emulator's queue.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::collections::HashSet;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use database::testing::TestDatabase;
use lead::{LeadEvent, LeadStatus, TraceContext};
use serde_json::{Value, json};
use testkit::{Emulator, Function, sample};
use tokio::runtime::Runtime;

fn start(database: &str) -> Function {
    start_with(database, &[])
}

fn start_with(database: &str, more: &[(&str, &str)]) -> Function {
    let emulator = Emulator::shared().unwrap();
    let (queue, letters) = (emulator.create_queue().unwrap(), emulator.create_queue().unwrap());
    let mut variables = vec![("DATABASE_URL", database), ("QUEUE_URL", &queue), ("DLQ_URL", &letters)];
    variables.extend(more);
    Function::start(env!("CARGO_BIN_EXE_enrich"), &variables).unwrap()
}

/// The lines with this metric, once there is one: the function writes them before it answers, and another
/// thread reads them.
fn measured(function: &Function, metric: &str) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let lines = function.logs().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let found: Vec<_> = lines.filter(|line| line.get(metric).is_some()).collect();
        if !found.is_empty() {
            return found;
        }
        assert!(Instant::now() < until, "no {metric} in {:#?}", function.logs());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sample_batch_is_processed_and_fully_settled() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(TestDatabase::postgres());
    let function = start(database.url());
    for _ in 0..2 {
        assert_eq!(
            function.invoke(&sample("enrich")).unwrap(),
            json!({ "batchItemFailures": [] }),
            "twice is once"
        );
    }
    let leads = runtime.block_on(async {
        store::Store::new(database.connect().await, Arc::new(lead::SystemClock)).count_leads().await.unwrap()
    });
    assert_eq!(leads, [(LeadStatus::Synced, 2)]);
    measured(&function, "revenueflow_messages_total"); // written last, because metrics with labels follow those without
    let logs = function.logs().join("\n");
    assert!(!logs.contains("@fintech.example") && !logs.contains("@shop.example"), "{logs}");
    let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_messages: Vec<_> = lines.filter(|line| line["spans"][1]["lead_id"].is_string()).collect();
    assert!(!of_messages.is_empty(), "{logs}");
    for line in of_messages {
        let request = &line["spans"][0];
        assert!(request["requestId"].is_string(), "{line}");
        assert_eq!(request["xrayTraceId"], Function::TRACE, "{line}");
    }
    assert!(!logs.contains("revenueflow_lead_wait_seconds"), "no lead waits: {logs}");
}

/// The documents that the daemon has received, all of which are sent before the function answers.
fn documents(daemon: &UdpSocket) -> Vec<Value> {
    let mut packet = vec![0; 64 << 10];
    let mut documents = Vec::new();
    daemon.set_nonblocking(true).unwrap();
    while let Ok(length) = daemon.recv(&mut packet) {
        let text = std::str::from_utf8(&packet[..length]).unwrap();
        for personal in ["fintech", "shop.example", "Ann", "VP Engineering"] {
            assert!(!text.contains(personal), "{personal}: {text}");
        }
        let document = text.strip_prefix("{\"format\": \"json\", \"version\": 1}\n").unwrap();
        documents.push(serde_json::from_str(document).unwrap());
    }
    documents
}

#[test]
fn message_is_a_segment_of_its_leads_trace() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(TestDatabase::postgres());
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = daemon.local_addr().unwrap().to_string();
    let function = start_with(database.url(), &[("AWS_XRAY_DAEMON_ADDRESS", &address)]);
    let trace = TraceContext::from_xray(Function::TRACE).unwrap();
    let mut batch = sample("enrich");
    let mut of_the_lead = 0;
    let lead = batch["Records"][0]["attributes"]["MessageGroupId"].clone();
    for record in batch["Records"].as_array_mut().unwrap() {
        let mut event: LeadEvent = serde_json::from_str(record["body"].as_str().unwrap()).unwrap();
        let is_sampled = record["attributes"]["MessageGroupId"] == lead;
        of_the_lead += usize::from(is_sampled);
        event.traceparent = if is_sampled { Some(trace) } else { TraceContext::new(7, 8, false) };
        record["body"] = json!(json!(event).to_string());
    }
    let before = seconds_now();
    assert_eq!(function.invoke(&batch).unwrap(), json!({ "batchItemFailures": [] }));
    let documents = documents(&daemon);
    assert!(documents.iter().all(|document| document["trace_id"] == trace.xray_trace_id()), "{documents:#?}");
    let (subsegments, segments): (Vec<_>, Vec<_>) =
        documents.iter().partition(|document| document["type"] == "subsegment");
    assert_eq!(segments.len(), of_the_lead, "one for each message of the sampled lead");
    for segment in &segments {
        assert_eq!(segment["parent_id"], trace.span_id_text(), "the segment of the ingest function");
        assert_eq!(segment["annotations"]["lead_id"], lead);
    }
    let ids: HashSet<_> = documents.iter().map(|document| document["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), documents.len());
    assert!(subsegments.iter().any(|part| part["name"] == "analysis"), "{subsegments:#?}");
    assert!(subsegments.iter().all(|part| ids.contains(part["parent_id"].as_str().unwrap())));
    for document in &documents {
        let time = |name: &str| document[name].as_f64().unwrap();
        assert!(before <= time("start_time") && time("start_time") <= time("end_time"), "{document}");
        assert!(time("end_time") <= seconds_now() + 1.0, "{document}");
    }
}

fn seconds_now() -> f64 {
    // Rounded down, because the documents are less precise (microseconds).
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64().floor()
}

#[test]
fn without_a_database_the_batch_is_returned_and_counted() {
    let function = start("postgres://nobody:nothing@127.0.0.1:1/none");
    let all = sample("enrich")["Records"].as_array().unwrap().clone();
    let all: Vec<_> = all.iter().map(|record| json!({ "itemIdentifier": record["messageId"] })).collect();
    assert_eq!(function.invoke(&sample("enrich")).unwrap(), json!({ "batchItemFailures": all }));
    let counted = measured(&function, "revenueflow_release_trouble_total");
    assert_eq!(counted.len(), 1, "{counted:?}");
    let counted = &counted[0];
    assert_eq!(
        (&counted["kind"], &counted["version"]),
        (&json!("not_ready"), &json!("$LATEST")),
        "{counted}"
    );
    assert_eq!(counted["revenueflow_release_trouble_total"], 1);
}

#[test]
fn released_leads_report_the_age_of_their_webhook() {
    let function = start("postgres://nobody:nothing@127.0.0.1:1/none");
    let accepted: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap(); // as in the sample
    let age = jiff::Timestamp::now().duration_since(accepted).as_secs_f64();
    function.invoke(&sample("enrich")).unwrap();
    let waits = measured(&function, "revenueflow_lead_wait_seconds");
    assert_eq!(waits.len(), 1, "{waits:?}");
    assert_eq!(waits[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["stage"]]));
    let waited = waits[0]["revenueflow_lead_wait_seconds"].as_array().unwrap();
    assert_eq!(waited.len(), sample("enrich")["Records"].as_array().unwrap().len());
    assert!(waited[0].as_f64().unwrap() >= age, "{waited:?}");
}
