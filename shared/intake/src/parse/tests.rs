use serde_json::{Value, json};

use super::*;
use crate::{MAX_DEPTH, MAX_FIELDS, MAX_LINE_CHARS, MAX_PHONE_CHARS, MAX_TEXT_CHARS};

fn with(field: &str, value: Value) -> Vec<u8> {
    let mut body = json!({"email": "ann@example.com", "campaign_id": "c1"});
    body[field] = value;
    body.to_string().into_bytes()
}

fn parse(field: &str, value: Value) -> Lead {
    parse_lead(&with(field, value)).unwrap()
}

fn noted(body: &[u8]) -> (Lead, Vec<String>) {
    let parsed = parse_webhook(body, None).unwrap();
    let notes = parsed.notes.iter().map(|note| format!("{} {}", note.field, note.issue)).collect();
    (parsed.lead, notes)
}

fn notes(field: &str, value: Value) -> Vec<String> {
    noted(&with(field, value)).1
}

fn refused(field: &str, value: Value) -> (&'static str, Option<&'static str>) {
    let rejection = parse_lead(&with(field, value)).unwrap_err();
    (rejection.error, rejection.field)
}

#[test]
fn first_byte_decides_the_format() {
    let email = |body: &[u8]| parse_lead(body).unwrap().email.expose().to_owned();
    assert_eq!(
        email(b"\xef\xbb\xbf \r\n{\"email\":\"a@example.com\",\"campaign_id\":\"c\"}\n"),
        "a@example.com"
    );
    assert_eq!(email(b"\nemail=a%40example.com&campaign_id=c\r\n"), "a@example.com");
    assert_eq!(email("\u{feff}email=a%40example.com&campaign_id=c".as_bytes()), "a@example.com");
}

#[test]
fn unusable_bodies_are_rejected_with_their_code() {
    for (body, error) in [
        (&b""[..], "empty_body"),
        (b" \r\n\t", "empty_body"),
        (b"hello", "invalid_form"),
        (b"\x1f\x8b\x08\x00", "unsupported_format"),
        (b"<lead/>", "unsupported_format"),
        (b"\xef\xbb\xbf<?xml version=\"1.0\"?><lead/>", "unsupported_format"),
        (b"email=\xff&campaign_id=c", "invalid_form"),
        (b"{\"email\":\"\xff\"}", "invalid_json"),
        (b"[{\"email\":\"a@example.com\"}]", "invalid_json"),
        (b"\"text\"", "invalid_json"),
        (b"{}", "missing_field"),
    ] {
        assert_eq!(parse_lead(body).unwrap_err().error, error, "{body:?}");
    }
}

#[test]
fn only_email_and_campaign_cause_a_rejection() {
    let mut body = json!({"phone": [1], "company": [1], "campaign_id": [1], "email": [1]});
    let mut reported = Vec::new();
    for fix in ["email", "campaign_id"] {
        let rejection = parse_lead(body.to_string().as_bytes()).unwrap_err();
        reported.push((rejection.error, rejection.field.unwrap()));
        body[fix] = "ann@example.com".into();
    }
    assert_eq!(reported, [("invalid_email", "email"), ("invalid_field", "campaign_id")]);
    let (lead, notes) = noted(body.to_string().as_bytes());
    assert_eq!((lead.company, lead.phone), (None, None));
    assert_eq!(notes, ["company wrong_type", "phone wrong_type"]);
}

#[test]
fn required_field_must_have_a_value() {
    for nothing in
        [json!(null), json!(""), json!(" \n"), json!("null"), json!("NULL"), json!([]), json!([{}])]
    {
        assert_eq!(refused("email", nothing.clone()), ("missing_field", Some("email")), "{nothing}");
        assert_eq!(refused("campaign_id", nothing), ("missing_field", Some("campaign_id")));
    }
}

#[test]
fn identity_is_rejected_rather_than_cleaned() {
    assert_eq!(refused("email", json!("an\u{0}n@example.com")), ("invalid_email", Some("email")));
    assert_eq!(refused("email", json!(true)), ("invalid_email", Some("email")));
    assert_eq!(refused("campaign_id", json!("c\u{0}1")), ("invalid_field", Some("campaign_id")));
    assert_eq!(refused("campaign_id", json!("c".repeat(256))), ("too_long", Some("campaign_id")));
    assert_eq!(refused("campaign_id", json!({"id": 1})), ("invalid_field", Some("campaign_id")));
}

#[test]
fn numbers_become_text_in_text_fields() {
    let raw = |field: &str, literal: &str| {
        let body = format!("{{\"email\":\"ann@example.com\",\"campaign_id\":\"c\",\"{field}\":{literal}}}");
        parse_lead(
            body.replacen("\"campaign_id\":\"c\",", "", usize::from(field == "campaign_id")).as_bytes(),
        )
        .unwrap()
    };
    for (literal, text) in [
        ("1042", "1042"),
        ("1042.0", "1042"),
        ("1.042e3", "1042"),
        ("12.5", "12.5"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740993.0", "9007199254740993"),
        ("120210000000000000001", "120210000000000000001"),
        ("120210000000000000002", "120210000000000000002"),
        ("\"1042.0\"", "1042"),
    ] {
        assert_eq!(raw("campaign_id", literal).campaign_id.as_str(), text, "{literal}");
        assert_eq!(raw("phone", literal).phone.unwrap().expose(), text, "{literal}");
    }
    assert_eq!(raw("phone", "15550000000.0").phone.unwrap().expose(), "15550000000");
    assert_eq!(raw("company", "1e2").company.as_deref(), Some("100"));
    assert_eq!(raw("marketo", "{\"id\":120210000000000000001}").marketo["id"], "120210000000000000001");
    assert_eq!(raw("other", "9007199254740993.0").attributes["other"], 9_007_199_254_740_993_i64);
    let body = br#"{"email":"ann@example.com","campaign_id":1e999}"#;
    assert!(parse_lead(body).unwrap_err().message.starts_with("campaign_id is a number that cannot be kept"));
    assert_eq!(
        noted(br#"{"email":"ann@example.com","campaign_id":"c","a":1e999}"#).1,
        ["attributes.a inexact_number"]
    );
}

#[test]
fn malformed_field_is_dropped_or_cut() {
    for (field, value, note) in [
        ("name", json!(true), "name wrong_type"),
        ("name", json!({"x": 1}), "name wrong_type"),
        ("firstName", json!(["Ann"]), "first_name wrong_type"),
        ("last_name", json!({"value": ["x"]}), "last_name wrong_type"),
        ("company", json!(["Acme"]), "company wrong_type"),
        ("Job Title", json!(false), "title wrong_type"),
        ("phone", json!("1".repeat(MAX_PHONE_CHARS + 1)), "phone too_long"),
        ("marketo", json!([1]), "marketo wrong_type"),
        ("product", json!("Enterprise Plan"), "product wrong_type"),
        ("salesforce", json!("{\"a\":"), "salesforce wrong_type"),
        ("company", json!("{{company.Company Name}}"), "company unreplaced_token"),
        ("utm", json!({"source": "{{ my.source }}"}), "attributes.utm.source unreplaced_token"),
        ("marketo", json!({"a": ["x".repeat(MAX_TEXT_CHARS + 1)]}), "marketo.a[0] cut"),
        ("comments", json!("x ".repeat(9000)), "attributes.comments cut"),
        (&"q".repeat(300), json!("0-100"), "attributes.* long_name"),
    ] {
        let (lead, notes) = noted(&with(field, value));
        assert_eq!(notes, [note], "{field}");
        assert_eq!(lead.id(), parse("x", json!(1)).id());
    }
}

#[test]
fn each_text_has_its_limit() {
    for (field, max) in [
        ("name", MAX_LINE_CHARS),
        ("firstName", MAX_LINE_CHARS),
        ("last_name", MAX_LINE_CHARS),
        ("company", MAX_LINE_CHARS),
        ("title", MAX_LINE_CHARS),
        ("other", MAX_TEXT_CHARS),
    ] {
        let fits = json!("é".repeat(max));
        assert_eq!(notes(field, fits.clone()), [""; 0], "{field}");
        assert_eq!(parse(field, json!("é".repeat(max + 1))), parse(field, fits), "{field}");
        assert_eq!(notes(field, json!("é".repeat(max + 1))).len(), 1, "{field}");
    }
    assert_eq!(
        parse("phone", json!("1".repeat(MAX_PHONE_CHARS))).phone.unwrap().expose().len(),
        MAX_PHONE_CHARS
    );
}

#[test]
fn documented_spelling_takes_precedence() {
    let lead = parse("firstName", json!("Ann"));
    assert_eq!(lead.first_name.unwrap().expose(), "Ann");
    let both = json!({"email": "", "emailAddress": "a@example.com", "Email": "A@example.com", "campaignId": "c1",
        "jobTitle": "Chief", "Title": "Ms", "title": "CTO", "job title": "CTO"});
    let (lead, notes) = noted(both.to_string().as_bytes());
    assert_eq!(lead.email.expose(), "a@example.com");
    assert_eq!(lead.title.as_deref(), Some("CTO"));
    assert_eq!(Value::Object(lead.attributes), json!({"jobTitle": "Chief", "Title": "Ms"}));
    assert_eq!(notes, ["attributes.jobTitle repeated", "attributes.Title repeated"]);
}

#[test]
fn two_addresses_or_campaigns_are_rejected() {
    for body in [
        r#"{"email":"a@example.com","campaign_id":"c","email":"b@example.com"}"#,
        r#"{"email":"a@example.com","campaign_id":"c","E-Mail":"b@example.com"}"#,
        r#"{"email":"a@example.com","campaign_id":"c","emailAddress":"b@example.com"}"#,
        "email=a%40example.com&campaign_id=c&email=b%40example.com",
    ] {
        let rejection = parse_lead(body.as_bytes()).unwrap_err();
        assert_eq!((rejection.error, rejection.field), ("duplicate_field", Some("email")), "{body}");
        assert!(rejection.message.contains("different values"));
    }
    let rejection = parse_lead(b"email=a%40example.com&campaign_id=c&campaign_id=d").unwrap_err();
    assert_eq!((rejection.error, rejection.field), ("duplicate_field", Some("campaign_id")));
    let same = b"email=a%40example.com&campaign_id=1&Email=A%40EXAMPLE.com&campaign_id=1.0";
    assert_eq!(noted(same).1, [""; 0]);
    let (lead, notes) = noted(b"email=n%2Fa&campaign_id=1&Email=a%40example.com");
    assert_eq!((lead.email.expose(), &notes[..]), ("a@example.com", &["email repeated".to_owned()][..]));
}

#[test]
fn repeated_optional_field_does_not_reject_the_lead() {
    let body = b"email=a%40example.com&campaign_id=c&interest=pricing&interest=demo&interest=demo\
        &company=Acme&company=Other&marketo.score=1&marketo%5Bscore%5D=99&marketo=%7B%22b%22%3A2%7D&title=CTO&title=CTO";
    let (lead, notes) = noted(body);
    assert_eq!(Value::Object(lead.attributes), json!({"interest": ["pricing", "demo"]}));
    assert_eq!((lead.company, lead.title.as_deref()), (None, Some("CTO")));
    assert_eq!(Value::Object(lead.marketo), json!({"b": 2}));
    assert_eq!(notes, ["company repeated", "marketo.score repeated"]);
}

#[test]
fn object_in_a_text_field_is_replaced_by_its_name() {
    for (field, value, text) in [
        ("company", json!({"name": "Acme", "id": "42"}), "Acme"),
        ("company", json!({"value": 7}), "7"),
        ("name", json!({"first": "Ann", "last": "Lee"}), "Ann Lee"),
        ("title", json!({"label": "CTO", "name": null}), "CTO"),
    ] {
        let lead = parse(field, value.clone());
        let found = match field {
            "company" => lead.company,
            "title" => lead.title,
            _ => lead.name.map(lead::Personal::into_exposed),
        };
        assert_eq!(found.as_deref(), Some(text), "{value}");
        assert!(lead.attributes.contains_key(field));
        assert_eq!(notes(field, value), [""; 0]);
    }
}

#[test]
fn object_is_accepted_as_json_text() {
    let object = json!({"lead_id": 1042, "engagement_score": 82});
    for field in ["marketo", "product", "salesforce", "attributes"] {
        assert_eq!(parse(field, object.to_string().into()), parse(field, object.clone()), "{field}");
    }
    let form = b"email=ann%40example.com&campaign_id=c1&marketo=%7B%22lead_id%22%3A1042%2C%22engagement_score%22%3A82%7D";
    assert_eq!(parse_lead(form).unwrap(), parse("marketo", object));
    let encoded = json!("\u{feff} {&quot;lead_id&quot;:1042,&quot;engagement_score&quot;:82}");
    assert_eq!(parse("marketo", encoded), parse("marketo", json!({"lead_id": 1042, "engagement_score": 82})));
    assert_eq!(parse("product", json!("Enterprise Plan")).attributes["product"], "Enterprise Plan");
}

#[test]
fn entities_and_unicode_forms_do_not_change_the_content() {
    let encoded = json!({"email": "ann&#64;example.com", "campaign_id": "R&amp;D", "first_name": "Ann\u{200b}",
        "last_name": "O&#039;Brien", "company": "Company GmbH &#38; Co. KG", "title": "Jose\u{301}"});
    let plain = json!({"email": "ann@example.com", "campaign_id": "R&D", "first_name": "Ann",
        "last_name": "O'Brien", "company": "Company GmbH & Co. KG", "title": "Jos\u{e9}"});
    assert_eq!(parse_lead(encoded.to_string().as_bytes()), parse_lead(plain.to_string().as_bytes()));
}

#[test]
fn unreplaced_token_as_identity_is_rejected() {
    for token in [
        "{{lead.Email Address}}",
        "{{lead.X:default=edit me}}",
        "{{ my.x }}",
        "a {{program.Name}}",
        "&#123;{x}}",
        "%7B%7Blead.X%7D%7D",
        " *|CAMPAIGN_UID|*",
        "%%emailaddr%%",
        "${email}",
    ] {
        for field in ["email", "campaign_id"] {
            let rejection = parse_lead(&with(field, token.into())).unwrap_err();
            assert_eq!(rejection.field, Some(field), "{token}");
            assert!(rejection.message.contains("was not replaced"), "{rejection}");
        }
    }
    let form = b"email=ann%40example.com&campaign_id=%7B%7Bprogram.Name%7D%7D";
    assert!(parse_lead(form).unwrap_err().message.contains("was not replaced"));
    for campaign in ["[[spring]] {a}", "50%% off, ${2} *|only|* today"] {
        assert_eq!(parse("campaign_id", json!(campaign)).campaign_id.as_str(), campaign);
    }
}

#[test]
fn null_is_a_family_name_beside_capitals() {
    let last = |first: &str, last: &str| {
        let body =
            json!({"email": "ann@example.com", "campaign_id": "c", "first_name": first, "Last Name": last});
        parse_lead(body.to_string().as_bytes()).unwrap().last_name.map(lead::Personal::into_exposed)
    };
    assert_eq!(last("ANN", "NULL").as_deref(), Some("NULL"));
    assert_eq!(last("ANN", " NULL\n").as_deref(), Some("NULL"));
    for (first, null) in
        [("Ann", "NULL"), ("NULL", "NULL"), ("", "NULL"), ("A", "NULL"), ("ANN", "null"), ("王", "NULL")]
    {
        assert_eq!(last(first, null), None, "{first} {null}");
    }
}

#[test]
fn rejection_names_the_path_of_a_misplaced_address() {
    for (body, path) in [
        (r#"{"campaign_id":"c","payload":{"email":"ann@example.com"}}"#, "payload.email"),
        (r#"{"campaign_id":"c","email":{"value":"ann@example.com"}}"#, "email.value"),
        ("campaign_id=c&fields[email][value]=ann%40example.com", "fields[email][value]"),
    ] {
        let rejection = parse_lead(body.as_bytes()).unwrap_err();
        assert_eq!(rejection.field, Some("email"));
        assert!(rejection.message.ends_with(&format!("an e-mail address is at {path}")), "{rejection}");
    }
}

#[test]
fn only_the_engagement_score_becomes_a_number() {
    let sent = json!({"engagement_score": " 82 ", "lead_id": "1042", "opted_in": "true"});
    let kept = json!({"engagement_score": 82, "lead_id": "1042", "opted_in": "true"});
    assert_eq!(Value::Object(parse("marketo", sent).marketo), kept);
    for text in ["high", "NaN", "inf", "1e999", "0x10", "080", "1,200", "18446744073709551617"] {
        assert_eq!(parse("marketo", json!({"engagement_score": text})).marketo["engagement_score"], text);
    }
}

#[test]
fn unknown_fields_become_attributes() {
    let lead = parse("utm", json!({"source": " newsletter ", "medium": null}));
    assert_eq!(Value::Object(lead.attributes), json!({"utm": {"source": "newsletter"}}));
}

#[test]
fn limits_on_the_body_are_enforced() {
    assert_eq!(parse_lead(&vec![b' '; MAX_BODY_BYTES + 1]).unwrap_err().error, "body_too_large");
    assert_eq!(parse_lead(&vec![b' '; MAX_BODY_BYTES]).unwrap_err().error, "empty_body");
    let deep = |levels: usize| (1..=levels).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(notes("marketo", json!({"a": deep(MAX_DEPTH)})), ["marketo.a[0][0][0][0][0][0] too_deep"]);
    assert_eq!(refused("marketo", deep(70)), ("too_deep", None));
    assert_eq!(notes("list", json!(vec![1; MAX_FIELDS + 1])), ["attributes.list too_many"]);
    let many: serde_json::Map<String, Value> = (0..MAX_FIELDS).map(|n| (format!("p{n}"), json!(1))).collect();
    assert_eq!(refused("properties", many.into()), ("too_many_fields", None));
}

#[test]
fn rejections_and_notes_never_quote_the_body() {
    for body in [
        r#"{"email":"sentinel","campaign_id":"c"}"#,
        r#"{"email":"a@example.com","campaign_id":"sen\u0000tinel"}"#,
        r#"{"email":"{{sentinel}}","campaign_id":"c"}"#,
        r#"{"sentinel@example.com":1,"sentinel@example.com":1}"#,
        r#"{"sentinel 1":{"x":"sentinel@example.com"}}"#,
        r#"{"email":["sentinel@example.com"]}"#,
        r#"{"email":""sentinel@example.com""}"#,
        r#"{"email":"sentinel\x"}"#,
        "sentinel@example.com",
        "email=sentinel&campaign_id=c",
        "sentinel=%FF",
        "marketo={\"sentinel\"",
    ] {
        let rejection = parse_lead(body.as_bytes()).unwrap_err();
        let shown = format!("{rejection:?} {rejection} {}", serde_json::to_string(&rejection).unwrap());
        assert!(!shown.contains("sen") || !shown.contains("tinel"), "{shown}");
    }
    let body = json!({"email": "a@example.com", "campaign_id": "c", "name": ["sentinel"], "sentinel is here": "{{x}}"});
    let notes = noted(body.to_string().as_bytes()).1;
    assert_eq!(notes, ["name wrong_type", "attributes.* unreplaced_token"]);
}
