//! Leads written to Salesforce: the binary against the fake, from a user's point of view.

use sandbox::salesforce::{Org, Salesforce};
use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{Fixture, Served, accepted, lead, post, settled};

pub(crate) type Crm = Served<Salesforce>;

impl Crm {
    pub(crate) fn start() -> Self {
        let salesforce = Salesforce::new();
        let router = salesforce.router();
        Served::of("salesforce", salesforce, router)
    }

    pub(crate) fn variables(&self) -> [(&str, &str); 4] {
        [
            ("CRM_PROVIDER", "salesforce"),
            ("SALESFORCE_URL", &self.url),
            ("SALESFORCE_CLIENT_ID", Salesforce::KEY),
            ("SALESFORCE_CLIENT_SECRET", Salesforce::SECRET),
        ]
    }

    pub(crate) fn records(&self, object: &str) -> Vec<Value> {
        self.system.org(|org| org.records(object))
    }
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

    let (is_success, explained) = fixture.printed(&["leads", "explain", &id], &crm.variables());
    assert!(is_success && explained.contains("salesforce"), "{explained}");
    for personal in ["lead@stripe.com", "O'Brien"] {
        let logs = server.logs();
        assert!(!logs.iter().any(|line| line.contains(personal)), "{personal} is in the logs");
    }
}

#[test]
fn leads_wait_for_valid_credentials_and_the_doctor_says_why() {
    let (fixture, crm) = (Fixture::sqlite(), Crm::start());
    let doctor = || fixture.printed(&["doctor"], &crm.variables());
    crm.system.org(|org| org.consumer_secret = Some("rotated".to_owned()));
    let server = fixture.serve(&[], &crm.variables());
    let id = post(&server, "lead@stripe.com");
    eventually("the lead waits for Salesforce", || {
        server.logs().iter().any(|line| line.contains("crm_credentials_refused"))
    });
    let (is_success, said) = doctor();
    assert!(!is_success && said.contains("SALESFORCE_CLIENT_SECRET"), "{said}");
    assert_ne!(lead(&server, &id)["status"], "permanently_failed", "the lead waits and spends no attempt");
    assert!(crm.records("Lead").is_empty());

    crm.system.org(|org| *org = Org::default());
    let (is_success, said) = doctor();
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
    crm.system.org(|org| {
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
        ids.push(accepted(&server, &lead));
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
    let (_, explained) = fixture.printed(&["leads", "explain", &ids[2]], &crm.variables());
    assert!(explained.contains("left out  task.OwnerId (task.owner): the owner cannot own"), "{explained}");
    let (_, found) = fixture.printed(&["doctor"], &crm.variables());
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
