//! Leads written to `HubSpot`: the binary against the fake, from a user's point of view.

use sandbox::hubspot::{HubSpot, Kind};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;
use testkit::eventually;

use crate::support::{Fixture, Served, events, eventually_synced, lead, post, settled};

type Crm = Served<HubSpot>;

impl Crm {
    /// An account prepared by `revenueflow crm setup`.
    fn prepared(fixture: &Fixture) -> Self {
        let crm = Self::bare();
        let (is_success, said) = fixture.printed(&["crm", "setup", "--yes"], &crm.variables());
        assert!(is_success && said.contains("revenueflow_domain_key"), "{said}");
        crm
    }

    fn bare() -> Self {
        let hubspot = HubSpot::new();
        let router = hubspot.router();
        Self::of("hubspot", hubspot, router)
    }

    fn variables(&self) -> [(&str, &str); 3] {
        [
            ("CRM_PROVIDER", "hubspot"),
            ("HUBSPOT_BASE_URL", &self.url),
            ("HUBSPOT_ACCESS_TOKEN", HubSpot::TOKEN),
        ]
    }

    fn counts(&self) -> [usize; 4] {
        [Kind::Contact, Kind::Company, Kind::Task, Kind::Note].map(|kind| self.system.records(kind).len())
    }
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

    let contact = crm.system.record(Kind::Contact, "revenueflow_id", &id).unwrap();
    assert_eq!(lead["crm"]["record_id"], contact.id.to_string());
    assert_eq!((contact.get("email"), contact.get("lastname")), (Some("lead@stripe.com"), Some("O'Brien")));
    assert_eq!(contact.get("revenueflow_score"), Some(lead["fit_score"].to_string().as_str()));
    let company = crm.system.record(Kind::Company, "revenueflow_domain_key", "stripe.com").unwrap();
    assert!(crm.system.associated(Kind::Contact, contact.id, Kind::Company).contains_key(&company.id));
    assert_eq!(crm.counts(), [1, 1, 1, 1]);

    let (is_success, explained) = fixture.printed(&["leads", "explain", &id], &crm.variables());
    assert!(is_success && explained.contains("created hubspot record"), "{explained}");
    for personal in ["lead@stripe.com", "O'Brien", HubSpot::TOKEN] {
        assert!(!server.logs().iter().any(|line| line.contains(personal)), "{personal} is in the logs");
    }
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
    let (is_success, said) = fixture.printed(&["doctor"], &crm.variables());
    assert!(!is_success && said.contains("revenueflow crm setup"), "{said}");
    let (_, dry) = fixture.printed(&["crm", "setup"], &crm.variables());
    assert!(dry.contains("revenueflow_id"), "{dry}");
    assert_ne!(lead(&server, &id)["status"], "permanently_failed", "the lead waits and spends no attempt");
    assert_eq!(crm.counts(), [0; 4]);

    assert!(fixture.printed(&["crm", "setup", "--yes"], &crm.variables()).0);
    assert!(fixture.printed(&["doctor"], &crm.variables()).0);
    eventually_synced(&server, &id);
    assert_eq!(crm.counts(), [1, 1, 1, 1]);
}

/// Simulates an API change at HubSpot. Leads are processed one at a time, so that the same lead's row is
/// always refused.
#[test]
fn a_row_refused_for_an_unknown_reason_fails_only_its_lead() {
    let fixture = Fixture::sqlite();
    let crm = Crm::prepared(&fixture);
    let row = Misbehaviour::Row { code: "SOME_NEW_CATEGORY".to_owned(), skip: 0 };
    crm.fake.add_fault(Fault::on("/contacts/batch/create", row).about("refused@stripe.com"));
    let mut variables = crm.variables().to_vec();
    variables.push(("WORKER_CONCURRENCY", "1"));
    let server = fixture.serve(&[], &variables);
    let refused = post(&server, "refused@stripe.com");
    let events = |kind: &str| events(&server, &refused, kind);
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
