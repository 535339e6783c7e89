//! Every preset reads the payloads that its maker documents. The values are invented.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::path::Path;

use lead::{Lead, SenderName};
use serde_json::{Value, json};
use sources::{Received, Sources, presets};

/// A file that names one source of a preset.
fn file(preset: &str, more: &str) -> String {
    format!("[[source]]\nname = \"it\"\npreset = \"{preset}\"\nsecrets = \"IT_SECRETS\"\n{more}")
}

fn received(preset: &str, more: &str, payload: &str) -> Received {
    let sources = Sources::parse(&file(preset, more)).unwrap();
    let source = sources.get(&SenderName::parse("it").unwrap()).unwrap();
    source.read(&body(payload), None).unwrap_or_else(|rejection| panic!("{payload}: {rejection}")).unwrap()
}

fn body(payload: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/senders").join(payload);
    std::fs::read(&path).unwrap()
}

fn lead(preset: &str, payload: &str) -> Lead {
    received(preset, "", payload).parsed.lead
}

/// The fields of a person, of which a payload has some.
fn person(lead: &Lead) -> [Option<&str>; 6] {
    [
        lead.name.as_ref().map(|name| name.expose().as_str()),
        lead.first_name.as_ref().map(|name| name.expose().as_str()),
        lead.last_name.as_ref().map(|name| name.expose().as_str()),
        lead.company.as_deref(),
        lead.title.as_deref(),
        lead.phone.as_ref().map(|phone| phone.expose().as_str()),
    ]
}

const FIRST: Option<&str> = Some("Ann");
const LAST: Option<&str> = Some("Example");
const FULL: Option<&str> = Some("Ann Example");
const ACME: Option<&str> = Some("Acme Ltd");
const HEAD: Option<&str> = Some("Head of Marketing");

#[test]
fn every_preset_reads_its_makers_payload() {
    let campaign = "cmp-2026-q4-demo";
    for (preset, payload, campaign, expected) in [
        ("typeform", "typeform.json", campaign, [None, FIRST, LAST, ACME, None, Some("+15550100123")]),
        ("typeform", "typeform-minimal.json", "lT4Z3j", [None; 6]),
        ("webflow", "webflow.json", campaign, [None, FIRST, LAST, ACME, None, Some("15550100123")]),
        ("webflow", "webflow-v1.json", "q4-demo", [None, FIRST, LAST, ACME, None, None]),
        ("elementor", "elementor.form", campaign, [FULL, None, None, ACME, None, Some("+1 555 0100 123")]),
        (
            "elementor",
            "elementor-advanced.form",
            campaign,
            [FULL, None, None, ACME, None, Some("+1 555 0100 123")],
        ),
        ("calendly", "calendly.json", "q4-demo", [FULL, FIRST, LAST, ACME, None, Some("+1 555-0100")]),
        ("meta-lead", "meta-lead.json", "12312312312", [FULL, None, None, ACME, HEAD, Some("+15550100123")]),
        (
            "meta-lead",
            "meta-lead-ads.json",
            "120210000000000003",
            [FULL, None, None, ACME, HEAD, Some("+15550100123")],
        ),
        (
            "meta-lead",
            "meta-lead-flat.json",
            "120210000000000003",
            [FULL, None, None, ACME, HEAD, Some("+15550100123")],
        ),
        (
            "hubspot-form",
            "hubspot-form.json",
            campaign,
            [None, FIRST, LAST, ACME, None, Some("+1 555 0100 123")],
        ),
        (
            "hubspot-form",
            "hubspot-form-flat.json",
            "74d7a7ab-9c33-4f0a-9a0a-9d6b2c1f0e11",
            [None, FIRST, LAST, ACME, None, Some("+1 555 0100 123")],
        ),
        (
            "hubspot-workflow",
            "hubspot-workflow.json",
            "74d7a7ab-9c33-4f0a-9a0a-9d6b2c1f0e11",
            [None, FIRST, LAST, ACME, HEAD, Some("+1 555 0100 123")],
        ),
        (
            "hubspot-workflow",
            "hubspot-workflow-chosen.json",
            campaign,
            [None, FIRST, LAST, ACME, HEAD, Some("+1 555 0100 123")],
        ),
        (
            "linkedin-lead",
            "linkedin-lead-flat.json",
            campaign,
            [None, FIRST, LAST, ACME, HEAD, Some("+15550100123")],
        ),
        ("segment", "segment.json", campaign, [FULL, FIRST, LAST, ACME, HEAD, Some("+1 555 0100 123")]),
        ("zapier", "zapier.json", campaign, [None, FIRST, LAST, ACME, HEAD, Some("+1 555 0100 123")]),
        ("marketo", "marketo.json", "5021", [None, FIRST, LAST, ACME, HEAD, Some("+1 555 0100 123")]),
        ("unbounce", "unbounce.form", campaign, [None, FIRST, LAST, ACME, None, Some("+1 555 0100 123")]),
    ] {
        let lead = lead(preset, payload);
        assert_eq!(lead.email.expose(), "ann@acme.example", "{payload}");
        assert_eq!(lead.campaign_id.as_str(), campaign, "{payload}");
        assert_eq!(person(&lead), expected, "{payload}");
        assert!(
            lead.marketo.is_empty() && lead.product.is_empty() && lead.salesforce.is_empty(),
            "{payload}"
        );
    }
}

#[test]
fn answers_without_a_field_of_ours_are_attributes() {
    let attribute = |preset, payload, name: &str| lead(preset, payload).attributes.get(name).cloned();
    for (preset, payload, name, value) in [
        ("typeform", "typeform.json", "team_size", json!("51-200")),
        ("typeform", "typeform.json", "interests", json!(["Lead scoring", "Routing"])),
        ("typeform", "typeform.json", "utm_source", json!("linkedin")),
        ("webflow", "webflow.json", "Message", json!("We would like a demo next week.")),
        ("elementor", "elementor-advanced.form", "interests", json!("Lead scoring, Routing")),
        ("elementor", "elementor.form", "utm_campaign", json!("q4-demo")),
        ("meta-lead", "meta-lead.json", "how_large_is_your_team?", json!("51-200")),
        ("calendly", "calendly.json", "utm_source", json!("linkedin")),
        ("unbounce", "unbounce.form", "interests", json!(["Lead scoring", "Routing"])),
    ] {
        assert_eq!(attribute(preset, payload, name), Some(value), "{payload}: {name}");
    }
}

#[test]
fn ids_of_submissions_are_read() {
    for (preset, payload, id) in [
        ("typeform", "typeform.json", "a3a12ec67a1365927098a606107fac15"),
        ("webflow", "webflow.json", "6321ca84df3949bfc6752327"),
        ("meta-lead", "meta-lead.json", "123123123123"),
        (
            "calendly",
            "calendly.json",
            "https://api.calendly.com/scheduled_events/GBGBDCAADAEDCRZ2/invitees/AAAAAAAAAAAAAAAB",
        ),
    ] {
        assert_eq!(received(preset, "", payload).id.as_deref(), Some(id), "{payload}");
    }
    assert_eq!(received("elementor", "", "elementor.form").id, None);
}

#[test]
fn events_that_are_no_leads_are_ignored() {
    for (preset, body) in [
        ("typeform", r#"{"event_type":"form_response_partial","form_response":{}}"#),
        ("calendly", r#"{"event":"invitee.canceled","payload":{"email":"ann@acme.example"}}"#),
        ("segment", r#"{"type":"track","traits":{"email":"ann@acme.example"}}"#),
        ("linkedin-lead", r#"{"testLead":true,"email":"ann@acme.example","campaign_id":"c"}"#),
    ] {
        let sources = Sources::parse(&file(preset, "")).unwrap();
        let source = sources.iter().next().unwrap();
        assert!(source.read(body.as_bytes(), None).unwrap().is_none(), "{preset}");
    }
}

#[test]
fn senders_that_want_200_get_it() {
    let status = |preset| Sources::parse(&file(preset, "")).unwrap().iter().next().unwrap().status().as_u16();
    for (preset, expected) in [("elementor", 200), ("webflow", 200), ("unbounce", 200), ("typeform", 202)] {
        assert_eq!(status(preset), expected, "{preset}");
    }
}

#[test]
fn token_replaces_the_signature_of_a_preset() {
    let text = file("webflow", "token = { query = \"token\" }");
    let secret = |_: &str| Some(secrecy::SecretString::from("secret-of-the-site"));
    let senders = sources::Senders::new(&Sources::parse(&text).unwrap(), secret).unwrap();
    let (headers, now) = (http::HeaderMap::new(), jiff::Timestamp::UNIX_EPOCH);
    assert!(
        senders.authenticate("/leads/it", Some("token=secret-of-the-site"), &headers, b"{}", now).is_ok()
    );
    assert!(senders.authenticate("/leads/it", None, &headers, b"{}", now).is_err());
}

#[test]
fn documented_example_is_a_sound_file() {
    let sources = Sources::parse(include_str!("../../../config/sources.example.toml")).unwrap();
    let names: Vec<_> = sources.iter().map(|source| (source.name().as_str(), source.path())).collect();
    let expected = [("marketo", "/leads"), ("demo-form", "/leads/demo-form"), ("product", "/leads/product")];
    assert_eq!(names, expected);
}

#[test]
fn every_preset_is_documented() {
    let page = include_str!("../../../docs/senders.md");
    for (preset, _) in presets() {
        assert!(page.contains(&format!("Preset `{preset}`")), "docs/senders.md has no section of {preset}");
    }
}

#[test]
fn source_adds_facts_and_a_campaign_of_its_own() {
    let more = "facts = [\"marketo.activity\"]\ncampaign = \"autumn\"\n\
                [source.map]\n\"marketo.activity\" = { value = \"demo_request\" }\ncampaign_id = \"nowhere\"";
    let lead = received("typeform", more, "typeform-minimal.json").parsed.lead;
    assert_eq!(lead.campaign_id.as_str(), "autumn");
    assert_eq!(Value::Object(lead.marketo), json!({"activity": "demo_request"}));
}

#[test]
fn linkedin_questions_are_mapped_by_number() {
    let more = "campaign = \"webinar\"\n[source.map]\n\
                email = \"formResponse.answers[questionId=307234246].answerDetails.textQuestionAnswer.answer\"\n\
                company = \"formResponse.answers[questionId=507234246].answerDetails.textQuestionAnswer.answer\"";
    let lead = received("linkedin-lead", more, "linkedin-lead.json").parsed.lead;
    assert_eq!((lead.email.expose(), lead.company.as_deref()), ("ann@acme.example", ACME));
    assert_eq!(lead.campaign_id.as_str(), "urn:li:sponsoredCampaign:190769496");
    assert_eq!(lead.attributes["607234246"], "Head of Marketing");
}

#[test]
fn every_preset_is_a_sound_source() {
    for (preset, text) in presets() {
        Sources::parse(&file(preset, "")).unwrap_or_else(|error| panic!("{preset}: {error}"));
        assert!(text.starts_with("# "), "{preset} says what it is for");
    }
}
