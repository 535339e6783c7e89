//! Leads written to Salesforce: the binary against the fake, from a user's point of view.

use std::process::Command;

use sandbox::salesforce::{Org, RowFault, Salesforce};
use sandbox::{Fake, Fault, Misbehaviour};
use serde_json::{Value, json};
use testkit::{Server, eventually};
use tokio::runtime::Runtime;

use crate::support::{BINARY, Fixture, settled};

/// An org, served until dropped.
pub(crate) struct Crm {
    pub(crate) salesforce: Salesforce,
    pub(crate) fake: Fake,
    url: String,
    _runtime: Runtime,
}

impl Crm {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let salesforce = Salesforce::new();
        let fake = runtime.block_on(Fake::serve("salesforce", salesforce.router())).unwrap();
        Self { url: fake.url(), salesforce, fake, _runtime: runtime }
    }

    pub(crate) fn variables(&self) -> [(&str, &str); 4] {
        [
            ("CRM_PROVIDER", "salesforce"),
            ("SALESFORCE_URL", &self.url),
            ("SALESFORCE_CLIENT_ID", "consumer-key"),
            ("SALESFORCE_CLIENT_SECRET", "consumer-secret"),
        ]
    }

    pub(crate) fn records(&self, object: &str) -> Vec<Value> {
        self.salesforce.org(|org| org.records(object))
    }
}

pub(crate) fn post(server: &Server, email: &str) -> String {
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
fn a_lead_posted_twice_becomes_one_record_with_its_activities() {
    let (fixture, crm) = (Fixture::sqlite(), Crm::start());
    let server = fixture.serve(&[], &crm.variables());
    let id = post(&server, "lead@stripe.com");
    let lead = settled(&server, &id);
    assert_eq!(
        (&lead["status"], &lead["crm"]["provider"]),
        (&json!("synced"), &json!("salesforce")),
        "{lead}"
    );
    post(&server, "LEAD@stripe.com ");

    let leads = crm.records("Lead");
    assert_eq!(leads.len(), 1);
    assert_eq!(leads[0]["Id"], lead["crm"]["record_id"]);
    assert_eq!((&leads[0]["LastName"], &leads[0]["RevenueFlow_Id__c"]), (&json!("O'Brien"), &json!(id)));
    assert_eq!(leads[0]["RevenueFlow_Score__c"].as_f64(), lead["fit_score"].as_f64());
    let tasks = crm.records("Task");
    assert!(!tasks.is_empty() && tasks.iter().all(|task| task["WhoId"] == leads[0]["Id"]), "{tasks:?}");

    let (is_success, explained) = printed(&fixture, &crm, &["leads", "explain", &id]);
    assert!(is_success && explained.contains("salesforce"), "{explained}");
    for personal in ["lead@stripe.com", "O'Brien"] {
        let logs = server.logs();
        assert!(!logs.iter().any(|line| line.contains(personal)), "{personal} is in the logs");
    }
}

#[test]
fn lost_replies_locks_and_ended_sessions_create_no_duplicates() {
    let (fixture, crm) = (Fixture::sqlite(), Crm::start());
    crm.fake.add_fault(Fault::on("/composite", Misbehaviour::LoseReply).after(3).times(1));
    crm.salesforce.org(|org| {
        org.calls_per_session = Some(4);
        org.row_faults.push(RowFault::of("Lead", "UNABLE_TO_LOCK_ROW", 2));
    });
    let server = fixture.serve(&[], &crm.variables());
    let ids: Vec<String> =
        ["a@stripe.com", "b@stripe.com", "c@stripe.com"].map(|email| post(&server, email)).into();
    for id in &ids {
        assert_eq!(settled(&server, id)["status"], "synced");
    }
    let (leads, tasks) = (crm.records("Lead"), crm.records("Task"));
    assert_eq!((leads.len(), tasks.len()), (3, 6), "{tasks:?}");
    for lead in &leads {
        let own: Vec<&Value> = tasks.iter().filter(|task| task["WhoId"] == lead["Id"]).collect();
        let count = |status: &str| own.iter().filter(|task| task["Status"] == status).count();
        assert_eq!((count("Not Started"), count("Completed")), (1, 1), "a task and an activity: {own:?}");
    }
}

#[test]
fn leads_wait_for_valid_credentials_and_the_doctor_says_why() {
    let (fixture, crm) = (Fixture::sqlite(), Crm::start());
    let doctor = |fixture: &Fixture| printed(fixture, &crm, &["doctor"]);
    crm.salesforce.org(|org| org.consumer_secret = Some("rotated".to_owned()));
    let server = fixture.serve(&[], &crm.variables());
    let id = post(&server, "lead@stripe.com");
    eventually("the lead waits for Salesforce", || {
        server.logs().iter().any(|line| line.contains("crm_credentials_refused"))
    });
    let (is_success, said) = doctor(&fixture);
    assert!(!is_success && said.contains("SALESFORCE_CLIENT_SECRET"), "{said}");
    let lead = server.get(&format!("/leads/{id}")).unwrap().json();
    assert_ne!(lead["status"], "permanently_failed", "the lead waits and spends no attempt");
    assert!(crm.records("Lead").is_empty());

    crm.salesforce.org(|org| *org = Org::default());
    let (is_success, said) = doctor(&fixture);
    assert!(is_success && said.contains("salesforce"), "{said}");
    assert_eq!(settled(&server, &id)["status"], "synced");
    assert_eq!((crm.records("Lead").len(), crm.records("Task").len()), (1, 2));
}

const INACTIVE_USER: &str = "005000000000009AAA";
const DESK_QUEUE: &str = "00G000000000001EAA";
/// Leads of the campaign `gone` are routed to an inactive user, those of `desk` to a queue.
const ROUTING: &str = r#"
version = "1"
[owners.gone]
id = "005000000000009"
[owners.desk]
id = "00G000000000001"
[[rules]]
name = "desk"
when = { campaign = ["desk"] }
to = { owner = "desk" }
[[rules]]
name = "gone"
when = { campaign = ["gone"] }
to = { owner = "gone" }
[[rules]]
name = "existing owner"
to = "existing_owner"
"#;

/// The number of leads; `CAMPAIGN_LEADS` overrides it.
fn how_many() -> usize {
    std::env::var("CAMPAIGN_LEADS").map_or(12, |leads| leads.parse().expect("CAMPAIGN_LEADS is a number"))
}

#[test]
fn a_strict_org_gets_every_lead_and_omitted_fields_are_listed() {
    let (fixture, crm) = (Fixture::sqlite(), Crm::start());
    crm.salesforce.org(|org| {
        org.enable_address_picklists();
        org.put_user(INACTIVE_USER, false);
        org.put_queue(DESK_QUEUE, &["Lead"]);
        // The account of a company whose owner is inactive.
        org.insert("Account", json!({ "Name": "Stripe", "Website": "stripe.com", "OwnerId": INACTIVE_USER }));
    });
    let routing = fixture.folder.path().join("routing.toml");
    std::fs::write(&routing, ROUTING).unwrap();
    let routing = routing.to_str().unwrap().to_owned();
    let mut variables = crm.variables().to_vec();
    variables.push(("ROUTING_FILE", &routing));
    variables.extend(["CRM_LIMIT_PER_ACCOUNT", "CRM_LIMIT_GLOBAL"].map(|limit| (limit, "100000")));
    let server = fixture.serve(&[], &variables);
    let leads = how_many();
    let mut ids = Vec::new();
    for number in 0..leads {
        let campaign = ["launch", "gone", "desk"][number % 3];
        let email =
            format!("person-{number}@{}", ["stripe.com", "adyen.com", "gitlab.com", "figma.com"][number % 4]);
        let lead = json!({ "email": email, "name": "Pat Person", "title": "CTO", "campaign_id": campaign,
                           "marketo": { "engagement_score": 90, "activity": "Requested a demo" } });
        let answer = server.post_lead(&lead).unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        ids.push(answer.json()["lead_id"].as_str().unwrap().to_owned());
    }
    for id in &ids {
        let lead = settled(&server, id);
        assert_eq!(lead["status"], "synced", "{lead}");
    }
    let records = crm.records("Lead");
    assert_eq!(records.len(), leads);
    for record in &records {
        let is_desk = record["RevenueFlow_Campaign__c"] == "desk";
        assert_eq!(record["OwnerId"], if is_desk { DESK_QUEUE } else { Org::API_USER }, "{record}");
        assert!(record["CountryCode"].is_string(), "{record}");
    }
    assert!(crm.records("Task").iter().all(|task| task["OwnerId"] == Org::API_USER));
    // A queue cannot own a task, so the task of a lead in the queue has no owner. `explain`, the metric and
    // the doctor say so.
    let mut arguments = vec!["leads", "explain", &ids[2]];
    let (_, explained) = printed(&fixture, &crm, &arguments);
    assert!(explained.contains("left out  task.OwnerId (task.owner): the owner cannot own"), "{explained}");
    arguments = vec!["doctor"];
    let (_, found) = printed(&fixture, &crm, &arguments);
    assert!(found.contains("Lead.CountryCode"), "{found}");
    assert!(found.contains("task.OwnerId (task.owner)"), "{found}");
    let metrics = server.get("/metrics").unwrap().text;
    let counted = metrics.lines().any(|line| {
        line.starts_with("revenueflow_crm_fields_left_out_total")
            && line.contains("reason=\"owner_unsuitable\"")
    });
    assert!(counted, "{metrics}");
    println!("{leads} leads written\n{explained}\n{found}");
}
