use serde_json::json;

use super::*;
use crate::{Mapping, Object};

fn fit(kind: FieldKind, value: &Value) -> Result<Value, LeftOut> {
    FieldSchema::of(kind).fit(value).map(|fitted| fitted.value)
}

#[test]
fn values_are_converted_to_the_field_type() {
    for (kind, value, fitted) in [
        (FieldKind::Text, json!(7), json!("7")),
        (FieldKind::Text, json!(["AWS", "Go"]), json!("AWS; Go")),
        (FieldKind::Integer, json!("850"), json!(850)),
        (FieldKind::Integer, json!(2.5), json!(3)),
        (FieldKind::Number, json!("2.50"), json!(2.5)),
        (FieldKind::Number, json!(3.0), json!(3)),
        (FieldKind::Boolean, json!("TRUE"), json!(true)),
        (FieldKind::Date, json!("2026-11-25T23:59:59Z"), json!("2026-11-25")),
        (FieldKind::Date, json!("2026-11-25"), json!("2026-11-25")),
        (FieldKind::DateTime, json!("2026-11-25T12:00:00.000+0000"), json!("2026-11-25T12:00:00Z")),
        (FieldKind::DateTime, json!("2026-11-25"), json!("2026-11-25T00:00:00Z")),
        (FieldKind::DateTime, json!(1_795_608_000_000_i64), json!("2026-11-25T12:00:00Z")),
        (FieldKind::DateTime, json!("1795608000000"), json!("2026-11-25T12:00:00Z")),
        (FieldKind::Multipicklist, json!(["a", "b"]), json!("a;b")),
    ] {
        assert_eq!(fit(kind, &value), Ok(fitted), "{kind:?} {value}");
    }
    for (kind, value) in [
        (FieldKind::Integer, json!("many")),
        (FieldKind::Integer, json!(1e300)),
        (FieldKind::Boolean, json!("yes")),
        (FieldKind::Date, json!("tomorrow")),
        (FieldKind::Text, json!({"a": 1})),
        (FieldKind::Text, json!(null)),
    ] {
        assert_eq!(fit(kind, &value), Err(LeftOut::WrongType), "{kind:?} {value}");
    }
}

#[test]
fn text_is_cut_between_characters_by_utf16_length() {
    assert_eq!(truncate("éééé", 3), "ééé");
    assert_eq!(truncate("a👩b", 2), "a");
    assert_eq!(truncate("a👩b", 3), "a👩");
    assert_eq!(truncate("one two", 4), "one");
    assert_eq!(truncate("short", 80), "short");
    assert_eq!(truncate("short", 5), "short");
}

#[test]
fn equal_values_match_in_any_crm_notation() {
    let same = |kind, a: Value, b: Value| FieldSchema::of(kind).same(&a, &b);
    assert!(same(FieldKind::Number, json!(50), json!("50.0")));
    assert!(same(FieldKind::DateTime, json!("2026-11-25T12:00:00Z"), json!("2026-11-25T13:00:00+01:00")));
    assert!(same(FieldKind::Boolean, json!(true), json!("true")));
    assert!(!same(FieldKind::Text, json!("a"), json!("A")));
    assert!(!same(FieldKind::Number, json!(50), json!("x")));
}

#[test]
fn schema_problems_are_reported_and_only_key_problems_block() {
    let mapping = Mapping::parse(
        "version = '1'\ncrm = 'x'\n[lead]\nobject = 'Lead'\nexternal_id = 'Key'\nfields = [
            { source = 'lead.email', field = 'Email' },
            { source = 'lead.title', field = 'Gone' },
            { source = 'lead.phone', field = 'Frozen' },
            { source = 'score.fit_score', field = 'Day' },
            { source = 'company.industry', field = 'Industry' },
            { source = 'lead.status', field = 'Status', values = { new = 'New', working = 'Odd' } },
        ]",
    )
    .unwrap();
    let lead = mapping.object(Object::Lead).unwrap();
    let picklist = |word: &str| FieldSchema {
        options: vec![FieldOption { value: word.into(), label: word.into() }],
        restricted: true,
        ..FieldSchema::of(FieldKind::Picklist)
    };
    let frozen = FieldSchema { createable: false, updateable: false, ..FieldSchema::of(FieldKind::Text) };
    let key = FieldSchema { unique: true, ..FieldSchema::of(FieldKind::Text) };
    let mut schema = ObjectSchema(
        [
            ("Key", key.clone()),
            ("Email", FieldSchema::of(FieldKind::Text)),
            ("Frozen", frozen),
            ("Day", FieldSchema::of(FieldKind::Date)),
            ("Industry", picklist("Software")),
            ("Status", picklist("New")),
        ]
        .map(|(name, field)| (name.to_owned(), field))
        .into(),
    );
    let problems = |schema: Option<&ObjectSchema>| {
        let found = ObjectSchema::problems(lead, schema);
        found.into_iter().map(|p| (p.field.unwrap_or_default(), p.problem, p.blocks)).collect::<Vec<_>>()
    };
    let of_rules = [
        ("Gone".to_owned(), Problem::Missing, false),
        ("Frozen".to_owned(), Problem::NotWritable, false),
        ("Day".to_owned(), Problem::WrongType, false),
        ("Status".to_owned(), Problem::NotInPicklist, false),
    ];
    // An industry can be any text, so it is checked only when it is written.
    assert_eq!(problems(Some(&schema)), of_rules);
    schema.0.insert("Key".into(), FieldSchema { unique: false, ..key });
    assert_eq!(problems(Some(&schema))[0], ("Key".to_owned(), Problem::NotUnique, true));
    schema.0.remove("Key");
    assert_eq!(problems(Some(&schema))[0], ("Key".to_owned(), Problem::Missing, true));
    assert_eq!(problems(None), [(String::new(), Problem::Missing, true)]);
}

#[test]
fn accents_are_ignored_if_one_option_matches() {
    let options = |values: &[&str]| FieldSchema {
        options: values
            .iter()
            .map(|value| FieldOption { value: (*value).into(), label: (*value).into() })
            .collect(),
        restricted: true,
        ..FieldSchema::of(FieldKind::Picklist)
    };
    let field = options(&["São Paulo", "Québec", "Bayern"]);
    for (text, found) in [
        ("Sao Paulo", Some("São Paulo")),
        ("SA\u{303}O PAULO", Some("São Paulo")),
        ("quebec", Some("Québec")),
        ("BAYERN", Some("Bayern")),
        ("Sao", None),
        ("", None),
        ("\u{301}", None),
    ] {
        assert_eq!(field.option(text), found, "{text:?}");
    }
    let both = options(&["Résumé", "Resume", "Réseau", "Reseaù"]);
    assert_eq!(both.option("resume"), Some("Resume"), "the spelling itself counts first");
    assert_eq!(both.option("reseau"), None, "two are meant");
}
