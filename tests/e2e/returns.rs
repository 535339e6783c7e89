//! A lead that returns to an earlier content, on every queue.

use sandbox::salesforce::RowFault;
use serde_json::json;
use testkit::{Emulator, Redis, Server, eventually};

use crate::salesforce::Crm;
use crate::sqs::Queues;
use crate::support::{Fixture, settled};

fn a_lead_returns_to_an_earlier_content(server: &Server) {
    let mut id = String::new();
    for (title, revision) in [("CTO", 1), ("Intern", 2), ("CTO", 3)] {
        let body = json!({"email": "ann@stripe.com", "campaign_id": "c", "title": title});
        let answer = server.post_lead(&body).unwrap();
        assert_eq!((answer.status, answer.json()["status"].as_str()), (202, Some("accepted")), "{title}");
        answer.json()["lead_id"].as_str().unwrap().clone_into(&mut id);
        eventually("the revision is synced", || {
            let lead = server.get(&format!("/leads/{id}")).unwrap().json();
            lead["revision"] == revision && lead["status"] == "synced"
        });
    }
    let body = json!({"email": "ann@stripe.com", "campaign_id": "c", "title": "CTO"});
    assert_eq!(server.post_lead(&body).unwrap().status, 202);
    let lead = server.get(&format!("/leads/{id}")).unwrap().json();
    assert_eq!((lead["title"].as_str(), lead["revision"].as_i64()), (Some("CTO"), Some(3)));
}

/// The CRM refuses the lead once; the second post of the same content succeeds.
fn a_failed_lead_posted_again_is_written(fixture: &Fixture, variables: &[(&str, &str)]) {
    let crm = Crm::start();
    crm.salesforce.org(|org| {
        org.row_faults.push(RowFault::of("Lead", "FIELD_CUSTOM_VALIDATION_EXCEPTION", 1));
    });
    let server = fixture.serve(&[], &[variables, &crm.variables()].concat());
    let body = json!({ "email": "ann@stripe.com", "last_name": "Lee", "campaign_id": "c" });
    let id = server.post_lead(&body).unwrap().json()["lead_id"].as_str().unwrap().to_owned();
    assert_eq!(settled(&server, &id)["status"], "permanently_failed");
    assert_eq!(crm.records("Lead").len(), 0);

    let again = server.post_lead(&body).unwrap();
    assert_eq!((again.status, again.json()["status"].as_str()), (202, Some("accepted")));
    eventually("the lead is written", || {
        server.get(&format!("/leads/{id}")).unwrap().json()["status"] == "synced"
    });
    assert_eq!(crm.records("Lead").len(), 1);
    assert_eq!(server.get("/dead-letters").unwrap().json()["items"], json!([]));
    let trail = server.get(&format!("/leads/{id}/audit")).unwrap().json()["items"].clone();
    let reopened = trail.as_array().unwrap().iter().find(|event| event["kind"] == "reopened").unwrap();
    assert_eq!(reopened["detail"]["reason"], "posted again");
}

#[test]
fn a_failed_lead_posted_again_is_written_on_the_database_queue() {
    for fixture in [Fixture::sqlite(), Fixture::postgres()] {
        a_failed_lead_posted_again_is_written(&fixture, &[]);
    }
}

#[test]
fn a_failed_lead_posted_again_is_written_on_redis() {
    let (fixture, data) = (Fixture::sqlite(), tempfile::tempdir().unwrap());
    let redis = Redis::start(data.path()).unwrap();
    let url = redis.url();
    a_failed_lead_posted_again_is_written(&fixture, &[("REDIS_URL", url.as_str())]);
}

#[test]
fn a_failed_lead_posted_again_is_written_on_sqs() {
    let (fixture, queues) = (Fixture::sqlite(), Queues::new());
    a_failed_lead_posted_again_is_written(&fixture, &queues.variables());
}

#[test]
fn an_earlier_content_is_a_revision_on_the_database_queue() {
    for fixture in [Fixture::sqlite(), Fixture::postgres()] {
        a_lead_returns_to_an_earlier_content(&fixture.serve(&[], &[]));
    }
}

#[test]
fn an_earlier_content_is_a_revision_on_redis() {
    let (fixture, data) = (Fixture::sqlite(), tempfile::tempdir().unwrap());
    let redis = Redis::start(data.path()).unwrap();
    let url = redis.url();
    a_lead_returns_to_an_earlier_content(&fixture.serve(&[], &[("REDIS_URL", url.as_str())]));
}

#[test]
fn an_earlier_content_is_a_revision_on_sqs() {
    let (fixture, emulator) = (Fixture::sqlite(), Emulator::shared().unwrap());
    let aws: Vec<_> = std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).collect();
    let (leads, dead_letters) = (emulator.create_queue().unwrap(), emulator.create_queue().unwrap());
    let mut variables: Vec<_> = aws.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    variables.extend([("QUEUE", "sqs"), ("QUEUE_URL", &leads), ("DLQ_URL", &dead_letters)]);
    a_lead_returns_to_an_earlier_content(&fixture.serve(&[], &variables));
}
