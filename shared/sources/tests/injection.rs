//! Texts that a person typed into a form and that add fields to the body of the sender.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use lead::{Lead, SenderName};
use sources::{Source, Sources};

/// A company name that adds parameters, where the token encoding of Marketo is "None".
const FORM: &[u8] =
    b"email=eve%40acme.example&company=Acme&marketo.engagement_score=99&marketo.activity=demo_request\
      &salesforce.contract_signed=true&campaign_id=launch";

/// A company name that adds members, where a token is in quotes and its encoding is "None".
const JSON: &[u8] = br#"{"email":"eve@acme.example","company":"Acme","marketo":{"engagement_score":99,"activity":"demo_request"},"x":"","campaign_id":"launch"}"#;

const FORM_TEMPLATE: &str =
    "email={{lead.Email Address}}&company={{company.Company Name}}&campaign_id=launch";
const JSON_TEMPLATE: &str =
    r#"{"email":"{{lead.Email Address}}","company":"{{company.Company Name}}","campaign_id":"launch"}"#;

fn source(keys: &str) -> Source {
    let text = format!("[[source]]\nname = \"it\"\nsecrets = \"IT\"\n{keys}");
    Sources::parse(&text).unwrap().get(&SenderName::parse("it").unwrap()).unwrap().clone()
}

/// The lead, and the notes on its facts.
fn read(source: &Source, body: &[u8]) -> (Lead, Vec<String>) {
    let parsed = source.read(body, None).unwrap().unwrap().parsed;
    (parsed.lead, parsed.notes.iter().map(|note| format!("{} {}", note.field, note.issue)).collect())
}

fn has_facts(lead: &Lead) -> bool {
    !(lead.marketo.is_empty() && lead.product.is_empty() && lead.salesforce.is_empty())
}

#[test]
fn injected_fields_are_no_facts_where_the_template_is_known() {
    for (template, body) in [(FORM_TEMPLATE, FORM), (JSON_TEMPLATE, JSON)] {
        let source = source(&format!("preset = \"marketo\"\nform_facts = true\ntemplate = '''{template}'''"));
        let (lead, notes) = read(&source, body);
        assert!(!has_facts(&lead), "{lead:?}");
        assert_eq!(notes[0], "marketo not_in_template");
        assert_eq!(lead.attributes["marketo"]["activity"], "demo_request", "kept without a meaning");
    }
}

#[test]
fn injected_verification_does_not_count() {
    let keys = format!("email_verified = \"verified\"\ntemplate = '''{FORM_TEMPLATE}'''");
    let body = b"email=eve%40acme.example&company=Acme&verified=true&campaign_id=launch";
    for keys in [keys.as_str(), "email_verified = \"verified\""] {
        assert!(!source(keys).read(body, None).unwrap().unwrap().sender.email_verified, "{keys}");
    }
    let json = br#"{"email":"ann@acme.example","campaign_id":"c","verified":true}"#;
    assert!(source("email_verified = \"verified\"").read(json, None).unwrap().unwrap().sender.email_verified);
}

#[test]
fn injected_fields_are_no_facts_of_a_source_without_facts() {
    for body in [FORM, JSON] {
        let (lead, notes) = read(&source("preset = \"generic\"\nfacts = []"), body);
        assert!(!has_facts(&lead), "{lead:?}");
        assert!(notes.contains(&"marketo not_allowed".to_owned()), "{notes:?}");
    }
}

#[test]
fn form_of_the_unnamed_source_has_no_facts() {
    let sources = Sources::unnamed();
    let (lead, notes) = read(sources.iter().next().unwrap(), FORM);
    assert!(!has_facts(&lead), "{lead:?}");
    assert_eq!(notes, ["marketo not_allowed", "salesforce not_allowed"]);
}

#[test]
fn second_object_of_facts_removes_the_first() {
    let body = br#"{"email":"eve@acme.example","campaign_id":"launch","company":"Acme","marketo":{"activity":"demo_request"},"x":"","marketo":{"engagement_score":3}}"#;
    let sources = Sources::unnamed();
    let (lead, notes) = read(sources.iter().next().unwrap(), body);
    assert!(!has_facts(&lead), "a template has each name once");
    assert_eq!(notes, ["marketo repeated"]);
}

#[test]
fn body_of_the_template_keeps_its_facts() {
    let template = r#"{"email":{{lead.Email Address}},"company":{{company.Company Name}},"campaign_id":"launch","marketo":{"activity":"webinar","score":{{lead.Lead Score}}}}"#;
    let source = source(&format!("preset = \"marketo\"\ntemplate = '''{template}'''"));
    let body = br#"{"email":"ann@acme.example","company":"Acme \"Best\" & Sons","campaign_id":"launch","marketo":{"activity":"webinar","score":"7"}}"#;
    let (lead, notes) = read(&source, body);
    assert_eq!((lead.marketo["activity"].as_str(), notes), (Some("webinar"), vec![]));
    assert_eq!(lead.company.as_deref(), Some("Acme \"Best\" & Sons"));
}

#[test]
fn source_sets_only_the_facts_that_it_lists() {
    let body = br#"{"email":"a@acme.example","campaign_id":"c","product":{"plan":"pro","seats":4},"salesforce":{"deal_stage":"Closed"},"marketo":{"activity":"x"}}"#;
    let (lead, notes) = read(&source("facts = [\"product.plan\"]"), body);
    assert_eq!(lead.product.keys().collect::<Vec<_>>(), ["plan"]);
    assert!(lead.marketo.is_empty() && lead.salesforce.is_empty());
    assert_eq!(notes, ["marketo not_allowed", "product.seats not_allowed", "salesforce not_allowed"]);
    assert_eq!(lead.attributes["salesforce"]["deal_stage"], "Closed");
}
