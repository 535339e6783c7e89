//! The binary sharing a queue with a Node.js application.

use sandbox::salesforce::RowFault;
use serde_json::{Value, json};
use testkit::{Node, Redis, Server, eventually};

use crate::salesforce::Crm;
use crate::support::{Fixture, events, eventually_synced, lead, post, settled};

const QUEUE: &str = "lead-processing";
const DEAD: &str = "lead-processing-dlq";

fn delivery(server: &Server, lead: &str) -> String {
    events(server, lead, "accepted")[0]["delivery_id"].as_str().unwrap().to_owned()
}

/// Salesforce refuses a lead once, and the lead is dead-lettered. `redrive` then puts it back into the queue.
fn a_dead_letter_is_redriven(redrive: impl FnOnce(&Fixture, &mut Node, &[(&str, &str)], &str)) {
    let (fixture, redis, crm) = (Fixture::sqlite(), Redis::start().unwrap(), Crm::start());
    let mut variables =
        vec![("REDIS_URL", redis.url()), ("REDIS_PREFIX", "other"), ("CRM_LIMIT_PER_LEAD", "100")];
    variables.extend(crm.variables());
    crm.system.org(|org| {
        org.row_faults.push(RowFault::of("Lead", "FIELD_CUSTOM_VALIDATION_EXCEPTION", 1));
    });
    let server = fixture.serve(&[], &variables);
    let lead = post(&server, "ann@stripe.com");
    assert_eq!(settled(&server, &lead)["status"], "permanently_failed");
    let mut node = Node::start(redis.url(), "other").unwrap();
    let id = delivery(&server, &lead);
    node.wait_for(DEAD, &id, &json!("failed")).unwrap();
    redrive(&fixture, &mut node, &variables, &id);
    eventually_synced(&server, &lead);
    assert_eq!(crm.records("Lead").len(), 1);
    node.wait_for(DEAD, &id, &Value::Null).unwrap();
    assert_eq!(server.get("/dead-letters").unwrap().json()["items"], json!([]));
    let reopened = events(&server, &lead, "reopened");
    assert!(reopened.iter().any(|event| event["detail"]["reason"] == "redrive"), "{reopened:?}");
}

#[test]
fn a_dead_letter_retried_in_bull_board_is_redriven() {
    a_dead_letter_is_redriven(|_, node, _, id| {
        let params = json!({"queueName": DEAD, "jobId": id, "queueStatus": "failed"});
        let route = "/api/queues/:queueName/:jobId/retry";
        node.ask("board", json!({"method": "put", "route": route, "params": params})).unwrap();
    });
}

#[test]
fn a_dead_letter_redriven_from_the_command_line_is_processed() {
    a_dead_letter_is_redriven(|fixture, _, variables, id| {
        let (is_success, said) = fixture.printed(&["dead-letters", "redrive", id], variables);
        assert!(is_success, "{said}");
    });
}

/// Accepted by this product and finished by Node: the lead is not processed twice, and the store holds the
/// outcome.
#[test]
fn jobs_that_node_finishes_or_fails_are_not_sent_again() {
    for (behaviour, state, status) in
        [("work", "completed", "worked_elsewhere"), ("giveUp", "failed", "permanently_failed")]
    {
        let (fixture, redis) = (Fixture::sqlite(), Redis::start().unwrap());
        let variables = [("REDIS_URL", redis.url())];
        let front = fixture.serve(&["serve", "--api-only"], &variables);
        let mut node = Node::start(redis.url(), "bull").unwrap();
        node.ask("work", json!({"behaviour": behaviour})).unwrap();
        let lead = post(&front, "ann@stripe.com");
        eventually("the lead is in the store", || {
            front.get(&format!("/leads/{lead}")).unwrap().status == 200
        });
        let id = delivery(&front, &lead);
        node.wait_for(QUEUE, &id, &json!(state)).unwrap();
        for expected in [true, false] {
            let (is_success, said) = fixture.printed(&["reconcile"], &variables);
            assert!(
                is_success && said.contains("database: 0 leads missing from the queue sent again"),
                "{said}"
            );
            assert_eq!(said.contains("1 lead finished or dead-lettered"), expected, "{said}");
        }
        assert_eq!(self::lead(&front, &lead)["status"], status);
        let letters = front.get("/dead-letters").unwrap().json();
        let letters = letters["items"].as_array().unwrap();
        assert_eq!(letters.len(), usize::from(state == "failed"), "{letters:?}");
        assert_eq!(node.ask("seen", json!({})).unwrap().as_array().unwrap().len(), 1);
    }
}

#[test]
fn an_unreadable_job_from_node_is_dead_lettered_with_a_reason() {
    let (fixture, redis) = (Fixture::sqlite(), Redis::start().unwrap());
    let server = fixture.serve(&[], &[("REDIS_URL", redis.url())]);
    let mut node = Node::start(redis.url(), "bull").unwrap();
    let added = node.ask("add", json!({"jobs": [{"data": {"mail": "ann@stripe.com"}}]})).unwrap();
    let job = node.wait_for(DEAD, added[0].as_str().unwrap(), &json!("failed")).unwrap();
    assert!(job["failedReason"].as_str().unwrap().starts_with("unreadable_message"), "{job}");
    let letters = server.get("/dead-letters").unwrap().json();
    assert_eq!(letters["items"][0]["failure"]["code"], "unreadable_message", "{letters}");
}
