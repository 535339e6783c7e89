//! Properties of parsing that hold for every body.

use intake::{MAX_NOTES, parse_lead, parse_webhook};
use lead::{Lead, LeadEvent};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Optional fields of a lead, all as text, with names that both formats share.
fn fields() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    const NAMES: [&str; 8] =
        ["name", "first_name", "last_name", "company", "title", "phone", "utm_source", "note"];
    proptest::sample::subsequence(NAMES.to_vec(), 0..=NAMES.len()).prop_flat_map(|names| {
        let values = proptest::collection::vec("[^\\p{C}]{0,40}", names.len());
        values.prop_map(move |values| names.iter().copied().zip(values).collect())
    })
}

/// Any JSON value within the limits.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just("null".into()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_.]{1,8}", inner, 0..4)
                .prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

/// Names of fields other than address and campaign, in various spellings.
const OTHERS: [&str; 16] = [
    "name",
    "Name",
    "first_name",
    "firstName",
    "Last Name",
    "company",
    "Company",
    "title",
    "jobTitle",
    "phone",
    "marketo",
    "product",
    "Salesforce",
    "attributes",
    "interest",
    "a.b[c]",
];

fn identity() -> [(&'static str, String); 2] {
    [("email", "Ann@Example.com".into()), ("campaign_id", "c1".into())]
}

/// JSON text with its members in the given order.
fn ordered(members: &[(&str, Value)]) -> Vec<u8> {
    let members: Vec<String> =
        members.iter().map(|(key, value)| format!("{}: {value}", Value::from(*key))).collect();
    format!("{{{}}}", members.join(", ")).into_bytes()
}

fn content(body: &[u8]) -> (String, String) {
    let lead = parse_lead(body).expect("accepted");
    (lead.id().to_string(), lead.content_hash().to_string())
}

proptest! {
    #[test]
    fn parser_never_panics_on_bytes(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_lead(&body);
    }

    #[test]
    fn parser_never_panics_on_text_like_json_or_form(body in "[{\\[\"]?[a-z{}\\[\\]\":,=&%+.\\\\ 0-9é\\n-]{0,200}") {
        let _ = parse_lead(body.as_bytes());
    }

    #[test]
    fn json_and_form_give_the_same_content(fields in fields()) {
        let fields: Vec<_> = identity().into_iter().chain(fields).collect();
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        let json: Map<String, Value> = fields.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
        prop_assert_eq!(content(form.as_bytes()), content(Value::Object(json).to_string().as_bytes()));
    }

    #[test]
    fn order_and_absent_values_do_not_change_the_content(
        (plain, shuffled) in (fields(), tree()).prop_flat_map(|(fields, tree)| {
            let plain: Vec<(&str, Value)> = identity().into_iter().chain(fields)
                .map(|(key, text)| (key, Value::from(text)))
                .chain([("marketo", json!({"tree": tree}))])
                .collect();
            let noise = [
                ("noise_1", json!(null)), ("noise_2", json!(" ")), ("noise_3", json!("NULL")),
                ("noise_4", json!({"a": [[], "", {"b": null}]})), ("product", json!({})),
            ];
            let noisy: Vec<_> = plain.iter().cloned().chain(noise).collect();
            (Just(plain), Just(noisy).prop_shuffle())
        })
    ) {
        prop_assert_eq!(content(&ordered(&plain)), content(&ordered(&shuffled)));
    }

    #[test]
    fn no_other_field_causes_a_rejection(
        fields in proptest::collection::vec((proptest::sample::select(OTHERS.to_vec()), tree()), 0..12)
    ) {
        let identity = identity().map(|(key, text)| (key, Value::from(text)));
        let body: Vec<(&str, Value)> = fields.into_iter().chain(identity).collect();
        let parsed = parse_webhook(&ordered(&body), None).unwrap();
        prop_assert_eq!(parsed.lead.email.expose(), "ann@example.com");
        prop_assert!(parsed.notes.len() <= MAX_NOTES);
    }

    #[test]
    fn lead_survives_the_queue_unchanged(tree in tree()) {
        let body = json!({"email": "ann@example.com", "campaign_id": "c1", "marketo": {"tree": tree}});
        let lead = parse_lead(body.to_string().as_bytes()).unwrap();
        let event = LeadEvent::new(lead, jiff::Timestamp::UNIX_EPOCH);
        let read: LeadEvent = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
        prop_assert!(read.is_consistent());
        prop_assert_eq!(read, event);
    }

    #[test]
    fn parsed_lead_parses_to_itself(tree in tree(), fields in fields()) {
        let body: Vec<(&str, Value)> = identity().into_iter().chain(fields)
            .map(|(key, text)| (key, Value::from(text)))
            .chain([("marketo", json!({"tree": tree})), ("product", json!({"score": "82"}))])
            .collect();
        let lead = parse_lead(&ordered(&body)).unwrap();
        let again = parse_lead(&top_level(&lead)).unwrap();
        prop_assert_eq!(again, lead);
    }
}

/// The lead as a body, with its attributes at the top level again.
fn top_level(lead: &Lead) -> Vec<u8> {
    let mut body = serde_json::to_value(lead).expect("a lead is JSON");
    let object = body.as_object_mut().expect("a lead is an object");
    if let Some(Value::Object(attributes)) = object.remove("attributes") {
        object.extend(attributes);
    }
    body.to_string().into_bytes()
}
