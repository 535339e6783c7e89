//! A lead that returns to an earlier content, on every queue.

use sandbox::salesforce::RowFault;
use serde_json::json;
use testkit::{Redis, eventually};

use crate::salesforce::Crm;
use crate::sqs::Queues;
use crate::support::{Fixture, accepted, events, eventually_synced, lead, settled};

/// Runs a check on both databases, on Redis and on SQS.
fn on_every_queue(check: impl Fn(&Fixture, &[(&str, &str)])) {
    check(&Fixture::sqlite(), &[]);
    check(&Fixture::postgres(), &[]);
    check(&Fixture::sqlite(), &[("REDIS_URL", Redis::start().unwrap().url())]);
    check(&Fixture::sqlite(), &Queues::new().variables());
}

#[test]
fn an_earlier_content_is_a_revision() {
    on_every_queue(|fixture, variables| {
        let server = fixture.serve(&[], variables);
        let post = |title: &str| {
            let body = json!({"email": "ann@stripe.com", "campaign_id": "c", "title": title});
            let answer = server.post_lead(&body).unwrap().json();
            (answer["status"].clone(), answer["lead_id"].as_str().unwrap().to_owned())
        };
        let (mut id, mut records) = (String::new(), Vec::new());
        for (title, revision) in [("CTO", 1), ("Intern", 2), ("CTO", 3)] {
            let (status, posted) = post(title);
            assert_eq!(status, "accepted", "{title}");
            id = posted;
            eventually("the revision is synced", || {
                let lead = lead(&server, &id);
                lead["revision"] == revision && lead["status"] == "synced"
            });
            records.push(lead(&server, &id)["crm"]["record_id"].clone());
        }
        assert!(records.iter().all(|record| record.is_string() && *record == records[0]), "{records:?}");
        post("CTO");
        let lead = lead(&server, &id);
        assert_eq!((lead["title"].as_str(), lead["revision"].as_i64()), (Some("CTO"), Some(3)));
    });
}

/// The CRM refuses the lead once; the second post of the same content succeeds.
#[test]
fn a_failed_lead_posted_again_is_written() {
    on_every_queue(|fixture, variables| {
        let crm = Crm::start();
        crm.system.org(|org| {
            org.row_faults.push(RowFault::of("Lead", "FIELD_CUSTOM_VALIDATION_EXCEPTION", 1));
        });
        let server = fixture.serve(&[], &[variables, &crm.variables()].concat());
        let body = json!({ "email": "ann@stripe.com", "last_name": "Lee", "campaign_id": "c" });
        let id = accepted(&server, &body);
        assert_eq!(settled(&server, &id)["status"], "permanently_failed");
        assert_eq!(crm.records("Lead").len(), 0);

        let again = server.post_lead(&body).unwrap();
        assert_eq!((again.status, again.json()["status"].as_str()), (202, Some("accepted")));
        eventually_synced(&server, &id);
        assert_eq!(crm.records("Lead").len(), 1);
        assert_eq!(server.get("/dead-letters").unwrap().json()["items"], json!([]));
        assert_eq!(events(&server, &id, "reopened")[0]["detail"]["reason"], "posted again");
    });
}
