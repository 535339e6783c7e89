//! Leads written to `HubSpot`: the binary against the fake, from a user's point of view.

use std::process::Command;

use sandbox::hubspot::{HubSpot, Kind};
use sandbox::{Fake, Fault, Misbehaviour};
use serde_json::json;
use testkit::{Server, eventually};
use tokio::runtime::Runtime;

use crate::support::{BINARY, Fixture, settled};

/// An account, served until dropped.
struct Crm {
    hubspot: HubSpot,
    fake: Fake,
    url: String,
    _runtime: Runtime,
}

impl Crm {
    /// An account prepared by `revenueflow crm setup`.
    fn prepared(fixture: &Fixture) -> Self {
        let crm = Self::bare();
        let (is_success, said) = printed(fixture, &crm, &["crm", "setup", "--yes"]);
        assert!(is_success && said.contains("revenueflow_domain_key"), "{said}");
        crm
    }

    fn bare() -> Self {
        let runtime = Runtime::new().unwrap();
        let hubspot = HubSpot::new();
        let fake = runtime.block_on(Fake::serve("hubspot", hubspot.router())).unwrap();
        Self { url: fake.url(), hubspot, fake, _runtime: runtime }
    }

    fn variables(&self) -> [(&str, &str); 3] {
        [
            ("CRM_PROVIDER", "hubspot"),
            ("HUBSPOT_BASE_URL", &self.url),
            ("HUBSPOT_ACCESS_TOKEN", HubSpot::TOKEN),
        ]
    }

    fn counts(&self) -> [usize; 4] {
        [Kind::Contact, Kind::Company, Kind::Task, Kind::Note].map(|kind| self.hubspot.records(kind).len())
    }
}

fn post(server: &Server, email: &str) -> String {
    let lead = json!({ "email": email, "first_name": "Alex", "last_name": "O'Brien", "campaign_id": "launch_2024",
                       "marketo": { "engagement_score": 90, "activity": "Requested a demo" } });
    let answer = server.post_lead(&lead).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["lead_id"].as_str().unwrap().to_owned()
}

/// Whether a command succeeds, and its standard output.
fn printed(fixture: &Fixture, crm: &Crm, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(BINARY)
        .args(arguments)
        .current_dir(fixture.folder.path())
        .env_clear()
        .env("DATABASE_URL", fixture.database.url())
        .envs(crm.variables())
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_lead_posted_twice_becomes_one_contact_with_task_and_note() {
    let fixture = Fixture::sqlite();
    let crm = Crm::prepared(&fixture);
    let server = fixture.serve(&[], &crm.variables());
    let id = post(&server, "lead@stripe.com");
    let lead = settled(&server, &id);
    assert_eq!((&lead["status"], &lead["crm"]["provider"]), (&json!("synced"), &json!("hubspot")), "{lead}");
    post(&server, "LEAD@stripe.com ");

    let contact = crm.hubspot.record(Kind::Contact, "revenueflow_id", &id).unwrap();
    assert_eq!(lead["crm"]["record_id"], contact.id.to_string());
    assert_eq!((contact.get("email"), contact.get("lastname")), (Some("lead@stripe.com"), Some("O'Brien")));
    assert_eq!(contact.get("revenueflow_score"), Some(lead["fit_score"].to_string().as_str()));
    let company = crm.hubspot.record(Kind::Company, "revenueflow_domain_key", "stripe.com").unwrap();
    assert!(crm.hubspot.associated(Kind::Contact, contact.id, Kind::Company).contains_key(&company.id));
    assert_eq!(crm.counts(), [1, 1, 1, 1]);

    let (is_success, explained) = printed(&fixture, &crm, &["leads", "explain", &id]);
    assert!(is_success && explained.contains("created hubspot record"), "{explained}");
    for personal in ["lead@stripe.com", "O'Brien", HubSpot::TOKEN] {
        assert!(!server.logs().iter().any(|line| line.contains(personal)), "{personal} is in the logs");
    }
}

#[test]
fn lost_replies_and_rate_limits_create_no_duplicates() {
    let fixture = Fixture::sqlite();
    let crm = Crm::prepared(&fixture);
    for (skip, way) in [
        (1, Misbehaviour::LoseReply),
        (4, Misbehaviour::answer(429, json!({"policyName": "SECONDLY"}))),
        (6, Misbehaviour::LoseReply),
        (9, Misbehaviour::answer(503, json!("busy"))),
    ] {
        crm.fake.add_fault(Fault::on("/batch/upsert", way).after(skip).times(1));
    }
    let server = fixture.serve(&[], &crm.variables());
    let ids = ["a@stripe.com", "b@stripe.com", "c@stripe.com"].map(|email| post(&server, email));
    for id in &ids {
        assert_eq!(settled(&server, id)["status"], "synced");
    }
    assert_eq!(crm.counts(), [3, 1, 3, 3]);
}

#[test]
fn leads_wait_until_the_account_is_prepared() {
    let fixture = Fixture::sqlite();
    let crm = Crm::bare();
    let server = fixture.serve(&[], &crm.variables());
    let id = post(&server, "lead@stripe.com");
    eventually("the lead waits for HubSpot", || {
        server.logs().iter().any(|line| line.contains("crm_setup_incomplete"))
    });
    let (is_success, said) = printed(&fixture, &crm, &["doctor"]);
    assert!(!is_success && said.contains("revenueflow crm setup"), "{said}");
    let (_, dry) = printed(&fixture, &crm, &["crm", "setup"]);
    assert!(dry.contains("revenueflow_id"), "{dry}");
    let lead = server.get(&format!("/leads/{id}")).unwrap().json();
    assert_ne!(lead["status"], "permanently_failed", "the lead waits and spends no attempt");
    assert_eq!(crm.counts(), [0; 4]);

    assert!(printed(&fixture, &crm, &["crm", "setup", "--yes"]).0);
    assert!(printed(&fixture, &crm, &["doctor"]).0);
    eventually("the lead is processed again", || {
        server.get(&format!("/leads/{id}")).unwrap().json()["status"] == "synced"
    });
    assert_eq!(crm.counts(), [1, 1, 1, 1]);
}

/// Simulates an API change at HubSpot. Leads are processed one at a time, so that the same lead's row is
/// always refused.
#[test]
fn a_row_refused_for_an_unknown_reason_fails_only_its_lead() {
    let fixture = Fixture::sqlite();
    let crm = Crm::prepared(&fixture);
    let row = Misbehaviour::Row { code: "SOME_NEW_CATEGORY".to_owned(), skip: 0 };
    crm.fake.add_fault(Fault::on("/contacts/batch/upsert", row).about("refused@stripe.com"));
    let mut variables = crm.variables().to_vec();
    variables.push(("WORKER_CONCURRENCY", "1"));
    let server = fixture.serve(&[], &variables);
    let refused = post(&server, "refused@stripe.com");
    let events = |kind: &str| {
        let trail = server.get(&format!("/leads/{refused}/audit")).unwrap().json()["items"].clone();
        let of_kind = |event: &&serde_json::Value| event["kind"] == kind;
        trail.as_array().unwrap().iter().filter(of_kind).cloned().collect::<Vec<_>>()
    };
    eventually("its attempt is counted", || !events("retrying").is_empty());
    let others = ["a@stripe.com", "b@stripe.com", "c@stripe.com"].map(|email| post(&server, email));
    for other in &others {
        assert_eq!(settled(&server, other)["status"], "synced", "other leads are written");
    }
    assert!(events("dead_lettered").is_empty(), "before the refused lead is dead-lettered");
    assert_eq!(settled(&server, &refused)["status"], "permanently_failed");

    let attempts: Vec<_> =
        events("retrying").iter().map(|event| event["detail"]["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 2, 3, 4]);
    let letters = server.get("/dead-letters").unwrap().json();
    let letter = &letters["items"][0];
    assert_eq!((&letter["lead_id"], &letter["attempts"]), (&json!(refused), &json!(5)), "{letters}");
    assert_eq!(letter["failure"]["code"], "crm_row_refused");
    assert!(letter["failure"]["message"].as_str().unwrap().contains("SOME_NEW_CATEGORY"), "{letter}");
    assert_eq!(server.get("/pauses").unwrap().json()["items"], json!([]));
    assert!(events("deferred").is_empty(), "the breaker never opened");
}
