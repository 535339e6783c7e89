use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lead::{CampaignId, Dependency, EmailAddress, Lead, LeadEvent, SystemClock};
use queue::{DatabaseQueue, LeadQueue as _};
use serde_json::json;
use testkit::eventually;

use crate::stack::{COMPANY, Stack};

fn event(person: &str) -> LeadEvent {
    let email = EmailAddress::parse(&format!("{person}@{COMPANY}")).unwrap();
    LeadEvent::new(Lead::new(email, CampaignId::parse("launch_2024").unwrap()), Timestamp::now())
}

fn overflow(stack: &Stack, key: &str, content: String) {
    stack.emulator.rest("s3", "PUT", &format!("/{}/{key}", stack.overflow), content).unwrap();
}

pub(crate) fn overflow_is_processed_dead_lettered_or_quarantined(stack: &Stack) {
    let small = event("dora");
    overflow(stack, &format!("leads/{}.json", small.delivery_id()), json!(small).to_string());
    let mut large = event("emil").lead;
    large.attributes.insert("notes".into(), "x".repeat(1 << 20).into());
    let large = LeadEvent::new(large, Timestamp::now());
    overflow(stack, &format!("leads/{}.json", large.delivery_id()), json!(large).to_string());
    overflow(stack, "leads/broken.json", "{".into());
    let rejected = json!({ "id": "f".repeat(64), "error": "invalid_email", "field": "email", "message": "no address",
        "content_type": null, "received_at": Timestamp::now(), "body": "e30=" });
    overflow(stack, "quarantine/rejected.json", rejected.to_string());

    assert_eq!(stack.run_janitor()["overflow"], 4);
    assert_eq!(stack.emulator.objects(&stack.overflow).unwrap(), Vec::<String>::new());
    stack.lead_when(small.lead_id.as_str(), "synced");
    stack.lead_when(large.lead_id.as_str(), "permanently_failed");
    let letters = stack.get("/dead-letters");
    let newest = &letters["items"][0];
    assert_eq!(newest["lead_id"], large.lead_id.as_str());
    assert_eq!((&newest["failure"]["code"], &newest["attempts"]), (&json!("message_too_large"), &json!(0)));
    let mut kept: Vec<_> = stack.get("/quarantine")["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["error"].as_str().unwrap().to_owned())
        .collect();
    kept.sort();
    assert_eq!(kept, ["invalid_email", "unreadable_overflow"]);
}

pub(crate) fn a_pause_stops_consumption_until_it_is_over(stack: &Stack) {
    let crm = Dependency::new("crm.mock");
    let queue = stack.runtime.block_on(async {
        DatabaseQueue::new(stack.database.connect().await, Arc::new(SystemClock), Duration::from_secs(30))
    });
    let in_an_hour = Timestamp::now() + Duration::from_hours(1);
    stack.runtime.block_on(queue.pause(&crm, "a test", in_an_hour)).unwrap();
    assert_eq!(stack.run_janitor()["paused"], true);
    assert_eq!(stack.mapping_state(), "Disabled");
    let id = stack.post(&json!({ "email": format!("frida@{COMPANY}"), "campaign_id": "launch_2024" }));
    assert_eq!(stack.depth(&stack.leads_queue), 1, "leads are still accepted");
    assert_eq!(stack.run_janitor()["paused"], true);
    assert_eq!(stack.mapping_state(), "Disabled");

    // The pause ends, and the CRM answers the janitor's probe.
    stack.runtime.block_on(queue.pause(&crm, "a test", Timestamp::now())).unwrap();
    let round = stack.run_janitor();
    assert_eq!((&round["resumed"], &round["paused"]), (&json!(1), &json!(false)));
    assert_eq!(stack.mapping_state(), "Enabled");
    stack.lead_when(&id, "synced");
    eventually("nothing is left in the queue", || stack.depth(&stack.leads_queue) == 0);
}
