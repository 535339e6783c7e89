//! Named senders: real payloads, signed by other implementations, into the CRM.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use standardwebhooks::Webhook;
use testkit::{Answer, Server};

use crate::support::{Fixture, settled};

const SECRET: &str = "a-secret-of-every-maker";
const SIGNING_KEY: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const URL: &str = "https://leads.example.com/leads/workflow";

const SOURCES: &str = r#"
[[source]]
name = "form"
preset = "typeform"
secrets = "SECRETS"

[[source]]
name = "meetings"
preset = "calendly"
secrets = "SECRETS"

[[source]]
name = "people"
preset = "segment"
secrets = "SECRETS"

[[source]]
name = "site"
preset = "webflow"
secrets = "SECRETS"

[[source]]
name = "ads"
preset = "meta-lead"
signature = "meta"
secrets = "SECRETS"

[[source]]
name = "workflow"
preset = "hubspot-workflow"
signature = "hubspot-v3"
url = "https://leads.example.com/leads/workflow"
secrets = "SECRETS"

[[source]]
name = "page"
preset = "elementor"
secrets = "SECRETS"

[[source]]
name = "product"
preset = "generic"
signature = "standard-webhooks"
facts = ["product"]
secrets = "KEYS"

[[source]]
name = "marketo"
preset = "marketo"
path = "/leads"
secrets = "SECRETS"
form_facts = true
template = 'email={{lead.Email Address}}&company={{company.Company Name}}&campaign_id=launch_2024'
"#;

fn serve(fixture: &Fixture) -> Server {
    let file = fixture.folder.path().join("sources.toml");
    std::fs::write(&file, SOURCES).unwrap();
    let file = file.to_str().unwrap();
    fixture.serve(&[], &[("SOURCES_FILE", file), ("SECRETS", SECRET), ("KEYS", SIGNING_KEY)])
}

fn payload(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/senders").join(name)
}

/// The headers of a maker's signature, made by Node.
fn signed(maker: &str, url: &str, file: &Path) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/hubspot");
    let output = Command::new("node")
        .args(["sign.mjs", maker, SECRET, url])
        .arg(file)
        .current_dir(folder)
        .output()
        .expect("Node is needed on the PATH");
    assert!(
        output.status.success(),
        "is tests/clients/hubspot installed? `make test` does: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let headers: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap().to_owned());
    headers.as_object().unwrap().iter().map(text).collect()
}

fn post(server: &Server, path: &str, headers: &[(String, String)], body: &[u8]) -> Answer {
    server
        .request(|client| {
            let request = client.post(server.url(path)).body(body.to_vec());
            headers.iter().fold(request, |request, (name, value)| request.header(name, value))
        })
        .unwrap()
}

#[test]
fn payloads_signed_by_other_implementations_are_accepted() {
    let fixture = Fixture::sqlite();
    let server = serve(&fixture);
    for (maker, source, file, status) in [
        ("typeform", "form", "typeform.json", 202),
        ("calendly", "meetings", "calendly.json", 202),
        ("segment", "people", "segment.json", 202),
        ("webflow", "site", "webflow.json", 200),
        ("meta", "ads", "meta-lead-ads.json", 202),
        ("hubspot", "workflow", "hubspot-workflow.json", 202),
    ] {
        let (file, path) = (payload(file), format!("/leads/{source}"));
        let (headers, body) = (signed(maker, URL, &file), std::fs::read(&file).unwrap());
        let answer = post(&server, &path, &headers, &body);
        assert_eq!(answer.status, status, "{maker}: {answer:?}");
        let id = answer.json()["lead_id"].as_str().unwrap().to_owned();
        settled(&server, &id);
        let audit = server.get(&format!("/leads/{id}/audit")).unwrap().json();
        assert!(audit.to_string().contains(&format!("\"name\":\"{source}\"")), "{audit}");

        let changed = [body.as_slice(), b" "].concat();
        assert_eq!(post(&server, &path, &headers, &changed).status, 401, "{maker}: a changed body");
    }
}

#[test]
fn product_signs_with_standard_webhooks_and_sets_its_facts() {
    let fixture = Fixture::sqlite();
    let server = serve(&fixture);
    let body = br#"{"email":"ann@stripe.com","campaign_id":"launch_2024","product":{"activation_state":"activated"},"marketo":{"activity":"demo_request"}}"#;
    let now = jiff::Timestamp::now().as_second();
    let signature = Webhook::new(SIGNING_KEY).unwrap().sign("msg_1", now, body).unwrap();
    let headers = [
        ("webhook-id".to_owned(), "msg_1".to_owned()),
        ("webhook-timestamp".to_owned(), now.to_string()),
        ("webhook-signature".to_owned(), signature),
    ];
    let answer = post(&server, "/leads/product", &headers, body);
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["lead_id"].as_str().unwrap().to_owned();
    settled(&server, &id);
    let explained = server.get(&format!("/leads/{id}/explain")).unwrap().json();
    let facts = explained["knew"]["facts"].as_array().unwrap().clone();
    let fact = |path: &str| facts.iter().find(|fact| fact["path"] == path).cloned();
    assert_eq!(fact("product.activation_state").unwrap()["said_by"], "sent by product", "{explained}");
    assert_eq!(fact("marketo.activity"), None, "it may not set it");
    assert_eq!(post(&server, "/leads/form", &headers, body).status, 401, "another source's path");
}

#[test]
fn company_name_with_parameters_does_not_route_a_lead() {
    let fixture = Fixture::sqlite();
    let server = serve(&fixture);
    let token = [("X-RevenueFlow-Token".to_owned(), SECRET.to_owned())];
    let body =
        b"email=eve%40stripe.com&company=Acme&marketo.engagement_score=99&marketo.activity=demo_request\
          &salesforce.contract_signed=true&campaign_id=launch_2024";
    let answer = post(&server, "/leads", &token, body);
    let id = answer.json()["lead_id"].as_str().unwrap().to_owned();
    let lead = settled(&server, &id);
    assert_ne!(lead["decision"], "ROUTE_TO_SDR", "{lead}");
    let audit = server.get(&format!("/leads/{id}/audit")).unwrap().text;
    assert!(audit.contains("not_in_template"), "{audit}");
}

#[test]
fn token_in_the_url_is_in_no_log() {
    let fixture = Fixture::sqlite();
    let server = serve(&fixture);
    let body = std::fs::read(payload("elementor-advanced.form")).unwrap();
    let answer = post(&server, &format!("/leads/page?token={SECRET}"), &[], &body);
    assert_eq!(answer.status, 200, "Elementor takes every other status as an error");
    assert_eq!(post(&server, "/leads/page?token=guess", &[], &body).status, 401);
    assert_eq!(post(&server, "/leads/nobody", &[], &body).json()["error"], "unknown_source");
    let logs = server.logs().join("\n");
    assert!(!logs.contains(SECRET), "{logs}");
    assert!(logs.contains("\"source\":\"page\""), "{logs}");
}
