//! Real clients of enrichment providers against `revenueflow sandbox`, without an account.

use std::collections::HashMap;

use serde_json::{Value, json};
use testkit::Server;

use crate::support::{Fixture, Sandbox, explained};

/// The number of enrichment requests that a provider's fake received.
fn requested(sandbox: &Sandbox, server: &Server, provider: &str) -> usize {
    let requests = sandbox.requests(server, provider);
    requests.iter().filter(|exchange| exchange["path"].as_str().unwrap().contains("enrich")).count()
}

fn start(fixture: &Fixture) -> (Sandbox, Server) {
    let sandbox =
        Sandbox::start(fixture.folder.path(), "zoominfo,apollo", "# ENRICHMENT_PROVIDERS=zoominfo,apollo");
    let server = sandbox.serve(fixture, &[("ENRICHMENT_PROVIDERS", "zoominfo,apollo")]);
    (sandbox, server)
}

/// The provider behind each fact about the company.
fn said_by(explanation: &Value) -> HashMap<String, String> {
    let facts = explanation["knew"]["facts"].as_array().unwrap();
    let of_company = facts.iter().filter_map(|fact| {
        let field = fact["path"].as_str()?.strip_prefix("enrichment.")?;
        assert!(fact["at"].is_string(), "with its time: {fact}");
        Some((field.to_owned(), fact["said_by"].as_str()?.to_owned()))
    });
    of_company.collect()
}

#[test]
fn two_providers_are_combined_and_called_once_per_company() {
    let fixture = Fixture::sqlite();
    let (sandbox, server) = start(&fixture);
    let explanation = explained(&server, "ann@saas.example").1;
    let sources = said_by(&explanation);
    for (field, provider) in [
        ("industry", "zoominfo"),
        ("employee_count", "zoominfo"),
        ("country", "apollo"),
        ("technologies", "apollo"),
    ] {
        assert_eq!(sources[field], provider, "{field}: {explanation}");
    }
    assert_eq!(said_by(&explained(&server, "bob@saas.example").1), sources);
    // ZoomInfo's answer is complete for this company.
    assert_eq!(said_by(&explained(&server, "eve@stripe.com").1)["industry"], "zoominfo");
    explained(&server, "eve@gmail.com");
    assert_eq!((requested(&sandbox, &server, "ZOOMINFO"), requested(&sandbox, &server, "APOLLO")), (2, 1));
}

#[test]
fn a_refusing_provider_loses_only_its_own_facts() {
    let fixture = Fixture::sqlite();
    let (sandbox, server) = start(&fixture);
    let fault =
        json!({"path": "/enrich", "do": {"status": 400, "body": {"errors": [{"code": "PFAPI0011"}]}}});
    sandbox.misbehaves(&server, "ZOOMINFO", &fault);
    let mut codes = Vec::new();
    for email in ["ann@saas.example", "bob@stripe.com"] {
        let explanation = explained(&server, email).1;
        assert_eq!(said_by(&explanation)["industry"], "apollo");
        codes.push(explanation["knew"]["unanswered"][0]["code"].as_str().unwrap().to_owned());
    }
    assert_eq!(codes, ["zoominfo_credits_used_up", "breaker_open"]);
    assert_eq!(requested(&sandbox, &server, "ZOOMINFO"), 1, "the second lead did not wait for it");
}
