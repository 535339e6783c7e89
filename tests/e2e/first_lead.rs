//! The quick start of the README.

use serde_json::{Value, json};
use testkit::Server;

use crate::support::{BINARY, Fixture, accepted, lead, settled};

fn the_first_lead_ends_in_the_crm_with_evidence(server: &Server) {
    let answer = server
        .post_lead(&json!({"email": "lead@stripe.com", "name": "Alex Smith", "campaign_id": "launch_2024"}))
        .unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    let accepted = answer.json();
    assert_eq!(accepted["status"], "accepted");
    // printf 'lead@stripe.com:launch_2024' | sha256sum
    let id = accepted["lead_id"].as_str().unwrap();
    assert_eq!(id, "841c48b1853396143bdcf7ab8e9a504b584cd9aca6dc83e2cfe2d421d5490e3a");

    let lead = settled(server, id);
    assert_eq!(lead["status"], "synced", "{lead}");
    assert_eq!(lead["fit"], "HIGH");
    assert_eq!(lead["grounding"]["status"], "VALID");
    assert_eq!(lead["crm"]["provider"], "mock");
    assert!(!lead["crm"]["record_id"].as_str().unwrap().is_empty());
    let evidence = lead["evidence"].as_array().unwrap();
    let industry = evidence.iter().find(|claim| claim["field_path"] == "enrichment.industry");
    assert_eq!(industry.unwrap()["source"], "ENRICHMENT", "{evidence:?}");

    let kinds: Vec<String> = server.get(&format!("/leads/{id}/audit")).unwrap().json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["accepted", "started", "enriched", "judged", "synced"]);

    let again = server
        .post_lead(&json!({"campaign_id": "launch_2024", "email": "LEAD@stripe.com ", "name": "Alex Smith", "phone": ""}))
        .unwrap();
    assert_eq!((again.status, &again.json()["status"]), (202, &Value::from("duplicate")));
}

#[test]
fn the_first_lead_works_without_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(BINARY, folder.path(), &[], &[]).unwrap();
    the_first_lead_ends_in_the_crm_with_evidence(&server);
    assert!(folder.path().join("revenueflow.db").exists());
    assert!(server.stop().unwrap(), "the server stops cleanly on request");
}

#[test]
fn the_first_lead_works_on_postgresql() {
    let fixture = Fixture::postgres();
    let server = fixture.serve(&[], &[]);
    the_first_lead_ends_in_the_crm_with_evidence(&server);
    assert!(server.stop().unwrap());
}

#[test]
fn one_process_accepts_leads_and_another_processes_them() {
    let fixture = Fixture::postgres();
    let front = fixture.serve(&["serve", "--api-only"], &[]);
    let id = accepted(&front, &json!({"email": "ann@shopify.com", "campaign_id": "c"}));
    assert_eq!(lead(&front, &id)["status"], "queued");
    let back = fixture.serve(&["serve", "--worker-only"], &[]);
    assert_eq!(settled(&front, &id)["status"], "synced");
    let refused = back.post_lead(&json!({"email": "ann@shopify.com", "campaign_id": "c"})).unwrap();
    assert_eq!(refused.status, 405, "a worker accepts no leads");
    assert_eq!(refused.json()["status"], "rejected");
    let works = |server: &Server| server.get("/readyz").unwrap().json()["worker"].clone();
    assert_eq!((works(&front), works(&back)), (Value::from(false), Value::from(true)));
}
