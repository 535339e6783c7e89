use lead::TraceContext;
use serde_json::{Value, json};
use testkit::eventually;

use crate::stack::{COMPANY, Stack};

/// The trace that Lambda starts for the webhook continues across the queue into the function that processes
/// the lead.
pub(crate) fn a_lead_is_one_trace_from_the_webhook_to_the_crm(stack: &Stack) {
    received(stack); // drain segments of other leads; the socket's buffer is bounded
    let lead = json!({ "email": format!("traced@{COMPANY}"), "campaign_id": "launch_2024" });
    let id = stack.post(&lead);
    stack.lead_when(&id, "synced");
    let webhook = trace_of_the_webhook(stack, &id);
    let mut documents = Vec::new();
    eventually("the message has a segment", || {
        documents.extend(received(stack));
        documents.iter().any(|document| document["annotations"]["lead_id"] == *id)
    });
    documents.extend(received(stack));
    documents.retain(|document| document["trace_id"] == webhook.xray_trace_id());
    let message = documents.iter().find(|document| document["annotations"]["lead_id"] == *id).unwrap();
    assert_eq!(message["parent_id"], webhook.span_id_text(), "child of the webhook's segment: {message}");
    for stage in ["analysis", "crm_write"] {
        let part = documents.iter().find(|document| document["name"] == stage);
        assert_eq!(part.unwrap_or_else(|| panic!("{documents:#?}"))["parent_id"], message["id"], "{stage}");
    }
}

/// The trace of the ingest function, read from its log line for the lead.
fn trace_of_the_webhook(stack: &Stack, lead: &str) -> TraceContext {
    let group = json!({ "logGroupName": "/aws/lambda/revenueflow-local-ingest" });
    let log = stack.emulator.call("logs", "Logs_20140328.FilterLogEvents", &group).unwrap();
    let events = log["events"].as_array().unwrap().iter();
    let mut lines = events.filter_map(|event| serde_json::from_str::<Value>(event["message"].as_str()?).ok());
    let line = lines.find(|line| line["message"] == "webhook" && line["lead_id"] == lead).unwrap();
    let trace = line["spans"].as_array().unwrap().iter().find_map(|span| span["xrayTraceId"].as_str());
    TraceContext::from_xray(trace.unwrap()).unwrap()
}

/// The trace documents received since the last call.
fn received(stack: &Stack) -> Vec<Value> {
    let mut packet = vec![0; 64 << 10];
    let mut documents = Vec::new();
    while let Ok(length) = stack.daemon.recv(&mut packet) {
        let text = std::str::from_utf8(&packet[..length]).unwrap();
        assert!(!text.contains(COMPANY), "nothing personal: {text}");
        documents.push(serde_json::from_str(text.split_once('\n').unwrap().1).unwrap());
    }
    documents
}
