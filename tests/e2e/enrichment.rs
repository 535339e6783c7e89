//! Real clients of enrichment providers against `revenueflow sandbox`, as somebody without an account would try them.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use e2e::{Server, eventually};
use serde_json::{Value, json};

use crate::support::{BINARY, Place, settled};

/// `revenueflow sandbox` on free ports, and the variables that it wrote. Killed when dropped.
struct Sandbox {
    child: Child,
    variables: HashMap<String, String>,
}

impl Sandbox {
    fn start(folder: &Path) -> Self {
        let file = folder.join("sandbox.env");
        let child = Command::new(BINARY)
            .args(["sandbox", "--only", "zoominfo,apollo", "--port-base", "0", "--env-file"])
            .arg(&file)
            .env_clear()
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut sandbox = Self { child, variables: HashMap::new() };
        let mut text = String::new();
        eventually("the sandbox has written its variables", || {
            text = std::fs::read_to_string(&file).unwrap_or_default();
            text.ends_with("# ENRICHMENT_PROVIDERS=zoominfo,apollo\n")
        });
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.map(|line| line.split_once('=').unwrap());
        sandbox.variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        sandbox
    }

    fn serve(&self, place: &Place) -> Server {
        let mut variables: Vec<_> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        variables.push(("ENRICHMENT_PROVIDERS", "zoominfo,apollo"));
        place.serve(&[], &variables)
    }

    /// Where a provider's fake is controlled.
    fn control(&self, provider: &str, what: &str) -> String {
        let base = &self.variables[&format!("{provider}_BASE_URL")];
        format!("{}/_sandbox/{what}", base.trim_end_matches("/gtm"))
    }

    /// What a provider's fake was asked about companies.
    fn asked(&self, server: &Server, provider: &str) -> usize {
        let asked = server.request(|client| client.get(self.control(provider, "requests"))).unwrap().json();
        let asked = asked.as_array().unwrap().clone();
        asked.iter().filter(|exchange| exchange["path"].as_str().unwrap().contains("enrich")).count()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

/// Posts a lead, and returns why it was treated as it was.
fn explained(server: &Server, email: &str) -> Value {
    let accepted = server.post_lead(&json!({"email": email, "campaign_id": "c"})).unwrap().json();
    let id = accepted["lead_id"].as_str().unwrap();
    assert_eq!(settled(server, id)["status"], "synced");
    server.get(&format!("/leads/{id}/explain")).unwrap().json()
}

/// Who said what about the company.
fn said_by(explanation: &Value) -> HashMap<String, String> {
    let facts = explanation["knew"]["facts"].as_array().unwrap();
    let of_company = facts.iter().filter_map(|fact| {
        let field = fact["path"].as_str()?.strip_prefix("enrichment.")?;
        assert!(fact["at"].is_string(), "and when: {fact}");
        Some((field.to_owned(), fact["said_by"].as_str()?.to_owned()))
    });
    of_company.collect()
}

#[test]
fn two_providers_complete_each_other_and_are_asked_once_for_a_company() {
    let place = Place::sqlite();
    let sandbox = Sandbox::start(place.folder.path());
    let server = sandbox.serve(&place);
    let explanation = explained(&server, "ann@saas.example");
    let said = said_by(&explanation);
    for (field, provider) in [
        ("industry", "zoominfo"),
        ("employee_count", "zoominfo"),
        ("country", "apollo"),
        ("technologies", "apollo"),
    ] {
        assert_eq!(said[field], provider, "{field}: {explanation}");
    }
    assert_eq!(said_by(&explained(&server, "bob@saas.example")), said);
    // ZoomInfo's answer is enough for this one.
    assert_eq!(said_by(&explained(&server, "eve@stripe.com"))["industry"], "zoominfo");
    explained(&server, "eve@gmail.com");
    assert_eq!((sandbox.asked(&server, "ZOOMINFO"), sandbox.asked(&server, "APOLLO")), (2, 1));
}

#[test]
fn a_provider_that_refuses_us_costs_its_facts_and_nothing_more() {
    let place = Place::sqlite();
    let sandbox = Sandbox::start(place.folder.path());
    let server = sandbox.serve(&place);
    let fault =
        json!({"path": "/enrich", "do": {"status": 400, "body": {"errors": [{"code": "PFAPI0011"}]}}});
    let told =
        server.request(|client| client.post(sandbox.control("ZOOMINFO", "faults")).json(&fault)).unwrap();
    assert_eq!(told.status, 204, "{told:?}");
    let mut codes = Vec::new();
    for email in ["ann@saas.example", "bob@stripe.com"] {
        let explanation = explained(&server, email);
        assert_eq!(said_by(&explanation)["industry"], "apollo");
        codes.push(explanation["knew"]["unanswered"][0]["code"].as_str().unwrap().to_owned());
    }
    assert_eq!(codes, ["zoominfo_credits_used_up", "breaker_open"]);
    assert_eq!(sandbox.asked(&server, "ZOOMINFO"), 1, "the second lead did not wait for it");
}
