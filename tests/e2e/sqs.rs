//! The queue in SQS: the binary beside the Lambda functions, and in place of them.

use std::time::Duration;

use sandbox::salesforce::RowFault;
use sandbox::{Fault, Misbehaviour};
use serde_json::json;
use testkit::{Emulator, eventually, eventually_within};

use crate::salesforce::Crm;
use crate::support::{Fixture, accepted, events, eventually_synced, post, settled};

pub(crate) struct Queues {
    emulator: Emulator,
    leads: String,
    dead_letters: String,
    /// The AWS variables of the test's environment.
    aws: Vec<(String, String)>,
}

impl Queues {
    pub(crate) fn new() -> Self {
        let emulator = Emulator::shared().unwrap();
        let leads = emulator.create_queue().unwrap();
        Self::with(emulator, leads)
    }

    /// With a lead queue that accepts messages of at most this many bytes.
    fn with_max_size(bytes: u32) -> Self {
        let emulator = Emulator::shared().unwrap();
        let leads = emulator.create_queue_with_max_size(bytes).unwrap();
        Self::with(emulator, leads)
    }

    fn with(emulator: Emulator, leads: String) -> Self {
        let aws = std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).collect();
        let dead_letters = emulator.create_queue().unwrap();
        Self { emulator, leads, dead_letters, aws }
    }

    pub(crate) fn variables(&self) -> Vec<(&str, &str)> {
        let aws = self.aws.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        aws.chain([("QUEUE", "sqs"), ("QUEUE_URL", &self.leads), ("DLQ_URL", &self.dead_letters)]).collect()
    }

    fn depth(&self, queue: &str) -> u64 {
        let input = json!({ "QueueUrl": queue, "AttributeNames": ["All"] });
        let answer = self.emulator.call("sqs", "AmazonSQS.GetQueueAttributes", &input).unwrap();
        let count = |name: &str| answer["Attributes"][name].as_str().unwrap().parse::<u64>().unwrap();
        count("ApproximateNumberOfMessages") + count("ApproximateNumberOfMessagesNotVisible")
    }
}

#[test]
fn a_lead_is_processed_through_sqs_and_a_lost_one_reconciled() {
    let (fixture, queues) = (Fixture::sqlite(), Queues::new());
    let server = fixture.serve(&[], &queues.variables());
    assert_eq!(server.get("/readyz").unwrap().status, 200);
    let id = post(&server, "ann@stripe.com");
    assert_eq!(settled(&server, &id)["status"], "synced");
    eventually("nothing is left in the queue", || queues.depth(&queues.leads) == 0);
    drop(server);

    // Accepted by a process without workers, then lost by the queue.
    let front = fixture.serve(&["serve", "--api-only"], &queues.variables());
    let id = post(&front, "bob@stripe.com");
    eventually("the lead is in the store", || front.get(&format!("/leads/{id}")).unwrap().status == 200);
    drop(front);
    let purge = json!({ "QueueUrl": queues.leads });
    queues.emulator.call("sqs", "AmazonSQS.PurgeQueue", &purge).unwrap();
    assert_eq!(queues.depth(&queues.leads), 0);
    let (is_success, said) = fixture.printed(&["reconcile"], &queues.variables());
    assert!(is_success, "{said}");
    let server = fixture.serve(&[], &queues.variables());
    assert_eq!(settled(&server, &id)["status"], "synced");
}

#[test]
fn a_dead_letter_is_on_its_queue_and_a_redrive_sends_it_again() {
    let (fixture, queues, crm) = (Fixture::sqlite(), Queues::new(), Crm::start());
    let mut variables = queues.variables();
    variables.extend(crm.variables());
    crm.system.org(|org| {
        org.row_faults.push(RowFault::of("Lead", "FIELD_CUSTOM_VALIDATION_EXCEPTION", 1));
    });
    let server = fixture.serve(&[], &variables);
    let id = post(&server, "ann@stripe.com");
    assert_eq!(settled(&server, &id)["status"], "permanently_failed");
    eventually("the lead is on the dead letter queue", || queues.depth(&queues.dead_letters) == 1);

    let (is_success, said) = fixture.printed(&["dead-letters", "redrive", &id], &queues.variables());
    assert!(is_success, "{said}");
    eventually_synced(&server, &id);
    assert_eq!(crm.records("Lead").len(), 1);
}

#[test]
fn leads_wait_out_a_crm_outage_on_sqs_and_are_written_once() {
    let (fixture, queues, crm) = (Fixture::sqlite(), Queues::new(), Crm::start());
    let mut variables = queues.variables();
    variables.extend(crm.variables());
    crm.fake.add_fault(Fault::on("/", Misbehaviour::answer(503, json!("busy"))));
    let server = fixture.serve(&[], &variables);
    let leads: Vec<_> = (0..3).map(|n| post(&server, &format!("p{n}@stripe.com"))).collect();
    let count = |lead: &String, kind: &str| events(&server, lead, kind).len();
    eventually_within(Duration::from_mins(5), "consumption is paused for the CRM", || {
        !server.get("/pauses").unwrap().json()["items"].as_array().unwrap().is_empty()
    });
    eventually("a lead is deferred", || leads.iter().any(|lead| count(lead, "deferred") > 0));
    crm.fake.clear_faults();
    for lead in &leads {
        eventually_synced(&server, lead);
        assert!(count(lead, "retrying") <= 1, "no attempt beyond the first");
        assert_eq!(count(lead, "dead_lettered"), 0);
    }
    assert_eq!((crm.records("Lead").len(), queues.depth(&queues.dead_letters)), (leads.len(), 0));
    eventually("nothing is left in the queue", || queues.depth(&queues.leads) == 0);
}

#[test]
fn a_lead_too_large_for_its_queue_is_dead_lettered_alone() {
    let (fixture, queues) = (Fixture::sqlite(), Queues::with_max_size(65_536));
    let server = fixture.serve(&[], &queues.variables());
    // A field is cut at 8,192 characters.
    let attributes: serde_json::Map<_, _> =
        (0..13).map(|n| (format!("answer_{n}"), json!("x".repeat(8_000)))).collect();
    let large = json!({ "email": "large@stripe.com", "campaign_id": "c", "attributes": attributes });
    assert!(large.to_string().len() > 100_000);
    let large = accepted(&server, &large);
    let small = post(&server, "small@stripe.com");

    assert_eq!(settled(&server, &small)["status"], "synced");
    assert_eq!(settled(&server, &large)["status"], "permanently_failed");
    let letters = server.get("/dead-letters").unwrap().json();
    let letter =
        letters["items"].as_array().unwrap().iter().find(|letter| letter["lead_id"] == large.as_str());
    assert_eq!(letter.unwrap()["failure"]["code"], "message_refused", "{letters}");
    eventually("the spool is empty", || {
        let metrics = server.get("/metrics").unwrap().text;
        metrics.lines().any(|line| line == "revenueflow_spool_bytes 0")
    });
}
