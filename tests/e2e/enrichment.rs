//! Real clients of enrichment providers against `revenueflow sandbox`, as somebody without an account would try them.

use std::collections::HashMap;

use e2e::Server;
use serde_json::{Value, json};

use crate::support::{Place, Sandbox, explained};

/// What a provider's fake was asked about companies.
fn asked(sandbox: &Sandbox, server: &Server, provider: &str) -> usize {
    let asked = sandbox.requests(server, provider);
    asked.iter().filter(|exchange| exchange["path"].as_str().unwrap().contains("enrich")).count()
}

fn start(place: &Place) -> (Sandbox, Server) {
    let sandbox =
        Sandbox::start(place.folder.path(), "zoominfo,apollo", "# ENRICHMENT_PROVIDERS=zoominfo,apollo");
    let server = sandbox.serve(place, &[("ENRICHMENT_PROVIDERS", "zoominfo,apollo")]);
    (sandbox, server)
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
    let (sandbox, server) = start(&place);
    let explanation = explained(&server, "ann@saas.example").1;
    let said = said_by(&explanation);
    for (field, provider) in [
        ("industry", "zoominfo"),
        ("employee_count", "zoominfo"),
        ("country", "apollo"),
        ("technologies", "apollo"),
    ] {
        assert_eq!(said[field], provider, "{field}: {explanation}");
    }
    assert_eq!(said_by(&explained(&server, "bob@saas.example").1), said);
    // ZoomInfo's answer is enough for this one.
    assert_eq!(said_by(&explained(&server, "eve@stripe.com").1)["industry"], "zoominfo");
    explained(&server, "eve@gmail.com");
    assert_eq!((asked(&sandbox, &server, "ZOOMINFO"), asked(&sandbox, &server, "APOLLO")), (2, 1));
}

#[test]
fn a_provider_that_refuses_us_costs_its_facts_and_nothing_more() {
    let place = Place::sqlite();
    let (sandbox, server) = start(&place);
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
    assert_eq!(asked(&sandbox, &server, "ZOOMINFO"), 1, "the second lead did not wait for it");
}
