//! Bodies as real senders post them, and their results. The sources stand beside the cases: public bug
//! reports and documentation, in our own words, with fictitious people.

#![allow(clippy::unwrap_used, reason = "a test")]

#[allow(dead_code, reason = "shared with the tests of the answers")]
mod support;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use lead::{Lead, LeadEvent, Personal};
use serde_json::{Value, json};
use support::{Fault, Fixture, json, request};

/// An accepted body: the lead on the queue.
struct AcceptedCase {
    title: &'static str,
    body: &'static str,
    /// The expected fields of the lead, by their names in its JSON, and `notes`.
    lead: Value,
}

fn shown(event: &LeadEvent) -> Value {
    let mut shown = serde_json::to_value(&event.lead).unwrap();
    let (first, last) = event.lead.name_parts();
    shown["first"] = json!(first.map(Personal::into_exposed));
    shown["last"] = json!(last.map(Personal::into_exposed));
    let notes: Vec<_> = event.notes.iter().map(|note| format!("{} {}", note.field, note.issue)).collect();
    shown["notes"] = json!(notes);
    shown
}

async fn event(body: &str) -> LeadEvent {
    let fixture = Fixture::new(Fault::None);
    let response = fixture.post(body.to_owned()).await;
    assert_eq!(response.status(), 202, "{body}: {}", json(&response));
    fixture.accepted().pop().expect("one event")
}

async fn lead(body: &str) -> Lead {
    event(body).await.lead
}

fn taken() -> Vec<AcceptedCase> {
    vec![
        AcceptedCase {
            // verbb/formie#1294, mautic/mautic#13092
            title: "a platform that encodes texts as HTML",
            body: r#"{"email":"ann@example.com","campaign_id":"a","first_name":"Ann","last_name":"O&#039;Brien",
                "company":"Company GmbH &#38; Co. KG"}"#,
            lead: json!({"last": "O'Brien", "company": "Company GmbH & Co. KG", "notes": []}),
        },
        AcceptedCase {
            // twilio.com/docs/segment/unify/traits
            title: "traits whose company is an object",
            body: r#"{"email":"ann@example.com","campaign_id":"a","name":"Ann Lee","company":{"name":"Acme","id":"42"}}"#,
            lead: json!({"company": "Acme", "last": "Lee", "notes": []}),
        },
        AcceptedCase {
            // usebruno/bruno#2426
            title: "a form with several ticked boxes",
            body: "email=ann%40example.com&campaign_id=a&interest=pricing&interest=demo",
            lead: json!({"attributes": {"interest": ["pricing", "demo"]}, "notes": []}),
        },
        AcceptedCase {
            // demarche-numerique/demarche.numerique.gouv.fr#2434
            title: "a survey whose questions are the names",
            body: r#"{"email":"ann@example.com","campaign_id":"a",
                "Which of the following best describes how your organisation handles incoming requests today, and roughly how many of them do you deal with in a year?":"0-100"}"#,
            lead: json!({"notes": ["attributes.* long_name"]}),
        },
        AcceptedCase {
            title: "a text field called product",
            body: r#"{"email":"ann@example.com","campaign_id":"a","product":"Enterprise Plan"}"#,
            lead: json!({"attributes": {"product": "Enterprise Plan"}, "notes": ["product wrong_type"]}),
        },
        AcceptedCase {
            title: "the same as a form",
            body: "email=ann%40example.com&campaign_id=a&product=Enterprise+Plan",
            lead: json!({"attributes": {"product": "Enterprise Plan"}, "notes": ["product wrong_type"]}),
        },
        AcceptedCase {
            // blog.teknkl.com on request token encoding
            title: "one token that holds an encoded object",
            body: r#"{"email":"ann@example.com","campaign_id":"a","marketo":"{\"lead_id\":1042,\"engagement_score\":82}"}"#,
            lead: json!({"marketo": {"lead_id": 1042, "engagement_score": 82}, "notes": []}),
        },
        AcceptedCase {
            // giggsey/libphonenumber-for-php#21
            title: "a phone that went through a float",
            body: r#"{"email":"ann@example.com","campaign_id":"a","phone":15550000000.0}"#,
            lead: json!({"phone": "15550000000", "notes": []}),
        },
        AcceptedCase {
            title: "a phone with an exponent",
            body: r#"{"email":"ann@example.com","campaign_id":"a","phone":1.555e10}"#,
            lead: json!({"phone": "15550000000", "notes": []}),
        },
        AcceptedCase {
            // developers.webflow.com on working with webhooks
            title: "labels as names",
            body: r#"{"Email":"ann@example.com","First Name":"Ann","last-name":"Lee","Campaign ID":"a","notes":"x"}"#,
            lead: json!({"email": "ann@example.com", "first": "Ann", "last": "Lee", "campaign_id": "a"}),
        },
        AcceptedCase {
            // civicrm/civicrm-packages#79
            title: "a family named Null in capitals",
            body: r#"{"email":"ann@example.com","campaign_id":"a","first_name":"ANN","last_name":"NULL"}"#,
            lead: json!({"first": "ANN", "last": "NULL"}),
        },
        AcceptedCase {
            title: "a sender's NULL beside an ordinary name",
            body: r#"{"email":"ann@example.com","campaign_id":"a","first_name":"Ann","last_name":"NULL"}"#,
            lead: json!({"first": "Ann", "last": null}),
        },
        AcceptedCase {
            title: "a family name of several words",
            body: r#"{"email":"ann@example.com","campaign_id":"a","name":"Mary Ann Van Der Berg"}"#,
            lead: json!({"first": "Mary Ann", "last": "Van Der Berg"}),
        },
        AcceptedCase {
            title: "an ideographic blank in a name",
            body: "{\"email\":\"ann@example.com\",\"campaign_id\":\"a\",\"name\":\"山田\u{3000}太郎\"}",
            lead: json!({"name": "山田 太郎"}),
        },
        AcceptedCase {
            title: "a campaign with a directional override",
            body: "{\"email\":\"ann@example.com\",\"campaign_id\":\"launch\u{202e}gnp.exe\u{202c}\"}",
            lead: json!({"campaign_id": "launchgnp.exe"}),
        },
        AcceptedCase {
            title: "a text that was cut inside an emoji",
            body: r#"{"email":"ann@example.com","campaign_id":"a","company":"Rockets \ud83d"}"#,
            lead: json!({"company": "Rockets", "notes": ["company not_text"]}),
        },
    ]
}

#[tokio::test]
async fn lead_is_read_as_its_sender_means_it() {
    for AcceptedCase { title, body, lead } in taken() {
        let shown = shown(&event(body).await);
        for (field, value) in lead.as_object().unwrap() {
            assert_eq!(&shown[field], value, "{title}: {field}");
        }
    }
    let long = json!({"email": "ann@example.com", "campaign_id": "a", "comments": "x ".repeat(4600)});
    let event = event(&long.to_string()).await;
    assert_eq!(event.notes.len(), 1);
    assert!(event.lead.attributes["comments"].as_str().unwrap().len() > 8000);
}

#[tokio::test]
async fn equal_identities_are_one_lead() {
    let with = |email: &str, campaign: &str| format!("{{\"email\":\"{email}\",\"campaign_id\":{campaign}}}");
    for (one, other) in [
        (with("info@münchen.example", "\"b\""), with("info@xn--mnchen-3ya.example", "\"b\"")),
        (with("jos\u{e9}@example.com", "\"b\""), with("jose\u{301}@example.com", "\"b\"")),
        (
            with("ann@example.com", "\"b\""),
            with("\u{200b}ａｎｎ＠example.com\u{3000}", "\"\u{3000}b\u{feff}\""),
        ),
        (with("ann@example.com", "1042"), with("ann@example.com", "1042.0")),
        (with("ann@example.com", "\"1042\""), "email=ann%40example.com&campaign_id=1042.0".to_owned()),
        (with("ann@example.com", "\"R&D\""), with("ann@example.com", "\"R&amp;D\"")),
    ] {
        assert_eq!(lead(&one).await.content_hash(), lead(&other).await.content_hash(), "{other}");
    }
    // huandu/facebook#19: ids beyond 64 bits
    for (one, other) in [
        ("120210000000000000001", "120210000000000000002"),
        ("9007199254740992", "9007199254740993"),
        ("9007199254740992.0", "9007199254740993.0"),
    ] {
        let (one, other) = (with("ann@example.com", one), with("ann@example.com", other));
        assert_ne!(lead(&one).await.id(), lead(&other).await.id(), "{other}");
    }
}

/// A rejected body: headers, body, error code, and a part of the message.
type Refused =
    (&'static str, &'static [(&'static str, &'static str)], &'static [u8], &'static str, &'static str);

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];

const REFUSED: &[Refused] = &[
    (
        "a token in quotes as the campaign", // experienceleague.adobe.com on Marketo webhooks
        JSON,
        br#"{"email":"ann@example.com","campaign_id":"{{program.Name}}","last_name":"{{lead.Last Name}}"}"#,
        "invalid_field",
        "a {{token}} was not replaced",
    ),
    (
        "a token in a form as the address",
        FORM,
        b"email=%7B%7Blead.Email+Address%3Adefault%3Dedit+me%7D%7D&campaign_id=a",
        "invalid_email",
        "a {{token}} was not replaced",
    ),
    ("a plus that became a blank", FORM, b"email=ann+demo@example.com&campaign_id=a", "invalid_email", "%2B"), // mautic/mautic#6197
    (
        "multipart/form-data", // windmill-labs/windmill#3529
        &[("content-type", "multipart/form-data; boundary=X1")],
        b"--X1\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nann@example.com\r\n--X1--\r\n",
        "unsupported_format",
        "multipart/form-data",
    ),
    (
        "XML",
        &[("content-type", "application/xml")],
        b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<lead><email>ann@example.com</email></lead>",
        "unsupported_format",
        "XML",
    ),
    (
        "gzip",
        &[("content-encoding", "gzip")],
        b"\x1f\x8b\x08\x00\x00\x00",
        "unsupported_format",
        "Content-Encoding",
    ),
    (
        "brotli",
        &[("content-encoding", "br")],
        b"\x8b\x05\x80\xff\xfe",
        "unsupported_format",
        "Content-Encoding",
    ),
    ("UTF-16", JSON, b"\xff\xfe{\x00\"\x00", "unsupported_format", "UTF-8"),
    (
        "a lead ad's list of fields", // fbsamples/lead-ads-webhook-sample#1
        JSON,
        br#"{"campaign_id":"2","field_data":[{"name":"email","values":["ann@example.com"]}]}"#,
        "missing_field",
        "field_data[0].values[0]",
    ),
    (
        "a booking below payload", // PipedreamHQ/pipedream#6543
        JSON,
        br#"{"event":"invitee.created","payload":{"email":"ann@example.com","name":"Ann Lee"}}"#,
        "missing_field",
        "payload.email",
    ),
    (
        "a plug-in's paths", // elementor/elementor#4376
        FORM,
        b"fields[email][id]=email&fields[email][value]=ann%40example.com&campaign_id=a",
        "missing_field",
        "fields[email][value]",
    ),
    (
        "an address that is an object",
        JSON,
        br#"{"email":{"value":"ann@example.com"},"campaign_id":"a"}"#,
        "invalid_email",
        "email.value",
    ),
    (
        "two addresses in one field", // frappe/erpnext#3498
        JSON,
        br#"{"email":"ann@example.com; bob@example.org","campaign_id":"a"}"#,
        "invalid_email",
        "one address",
    ),
    (
        "a display name", // sendgrid/docs#1642
        JSON,
        br#"{"email":"Ann Lee <ann@example.com>","campaign_id":"a"}"#,
        "invalid_email",
        "display name",
    ),
    ("a link", JSON, br#"{"email":"mailto:ann@example.com","campaign_id":"a"}"#, "invalid_email", "mailto:"),
    (
        "two spellings with two addresses",
        JSON,
        br#"{"email":"ann@example.com","Email":"bob@example.com","campaign_id":"a"}"#,
        "duplicate_field",
        "different values",
    ),
];

#[tokio::test]
async fn rejection_names_the_cause() {
    for (title, headers, body, error, words) in REFUSED {
        let fixture = Fixture::new(Fault::None);
        let mut request = request(Bytes::from_static(body));
        for (name, value) in *headers {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let response = fixture.send(request).await;
        let answer = json(&response);
        assert_eq!((response.status().as_u16(), &answer["error"]), (400, &json!(error)), "{title}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(words), "{title}: {answer}");
        assert!(!answer.to_string().contains("ann@"), "{title}: {answer}");
        assert_eq!((fixture.accepted().len(), fixture.quarantined().len()), (0, 1), "{title}");
    }
}

#[tokio::test]
async fn record_of_properties_is_rejected_with_a_hint() {
    // PipedreamHQ/pipedream#8256
    let property = |n: usize| (format!("p{n}"), json!({"value": "x", "versions": []}));
    let properties: serde_json::Map<String, Value> = (0..600).map(property).collect();
    let body = json!({"vid": 51, "campaign_id": "a", "properties": properties}).to_string();
    let response = Fixture::new(Fault::None).post(body).await;
    let answer = json(&response);
    assert_eq!((response.status().as_u16(), &answer["error"]), (400, &json!("too_many_fields")));
    assert!(answer["message"].as_str().unwrap().contains("top level"), "{answer}");
}
