//! The queue in SQS: how an operator's machine works beside the functions, and in place of them.

use std::process::{Command, Output};

use e2e::{Emulator, eventually};
use sandbox::salesforce::RowFault;
use serde_json::json;

use crate::salesforce::{Crm, post};
use crate::support::{BINARY, Place, settled};

pub(crate) struct Queues {
    emulator: Emulator,
    leads: String,
    dead_letters: String,
    /// What any client of AWS takes from its environment.
    aws: Vec<(String, String)>,
}

impl Queues {
    pub(crate) fn new() -> Self {
        let emulator = Emulator::shared().unwrap();
        let aws = std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).collect();
        let (leads, dead_letters) = (emulator.create_queue().unwrap(), emulator.create_queue().unwrap());
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

fn run(place: &Place, queues: &Queues, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .current_dir(place.folder.path())
        .env_clear()
        .envs(queues.variables())
        .env("DATABASE_URL", place.database.url())
        .output()
        .unwrap()
}

#[test]
fn a_lead_goes_through_sqs_and_an_operator_reconciles_what_it_lost() {
    let (place, queues) = (Place::sqlite(), Queues::new());
    let server = place.serve(&[], &queues.variables());
    assert_eq!(server.get("/readyz").unwrap().status, 200);
    let answer = server.post_lead(&json!({ "email": "ann@stripe.com", "campaign_id": "c" })).unwrap();
    assert_eq!((answer.status, answer.json()["status"].as_str()), (202, Some("accepted")));
    let id = answer.json()["lead_id"].as_str().unwrap().to_owned();
    assert_eq!(settled(&server, &id)["status"], "synced");
    eventually("nothing is left in the queue", || queues.depth(&queues.leads) == 0);
    drop(server);

    // Taken in by a process without workers, and then lost by its queue.
    let front = place.serve(&["serve", "--api-only"], &queues.variables());
    let answer = front.post_lead(&json!({ "email": "bob@stripe.com", "campaign_id": "c" })).unwrap();
    let id = answer.json()["lead_id"].as_str().unwrap().to_owned();
    eventually("the lead is noted", || front.get(&format!("/leads/{id}")).unwrap().status == 200);
    drop(front);
    let purge = json!({ "QueueUrl": queues.leads });
    queues.emulator.call("sqs", "AmazonSQS.PurgeQueue", &purge).unwrap();
    assert_eq!(queues.depth(&queues.leads), 0);
    let reconciled = run(&place, &queues, &["reconcile"]);
    assert!(reconciled.status.success(), "{}", String::from_utf8_lossy(&reconciled.stderr));
    let server = place.serve(&[], &queues.variables());
    assert_eq!(settled(&server, &id)["status"], "synced");
}

#[test]
fn a_lead_that_is_given_up_is_on_the_dead_letter_queue_and_a_redrive_sends_it_again() {
    let (place, queues, crm) = (Place::sqlite(), Queues::new(), Crm::start());
    let mut variables = queues.variables();
    variables.extend(crm.variables());
    crm.salesforce.org(|org| {
        org.row_faults.push(RowFault::of("Lead", "FIELD_CUSTOM_VALIDATION_EXCEPTION", 1));
    });
    let server = place.serve(&[], &variables);
    let id = post(&server, "ann@stripe.com");
    assert_eq!(settled(&server, &id)["status"], "permanently_failed");
    eventually("it is on the dead letter queue", || queues.depth(&queues.dead_letters) == 1);

    let redriven = run(&place, &queues, &["dead-letters", "redrive", &id]);
    assert!(redriven.status.success(), "{}", String::from_utf8_lossy(&redriven.stderr));
    eventually("it is synced", || server.get(&format!("/leads/{id}")).unwrap().json()["status"] == "synced");
    assert_eq!(crm.records("Lead").len(), 1);
}
