use serde_json::json;

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "the calls stay short")]
fn says(path: &str, fact: &Value, claimed: Value) -> Option<Value> {
    matching(&FieldPath::parse(path).unwrap(), fact, &claimed)
}

fn assert_says(path: &str, fact: &Value, accepted: &[Value], refused: &[Value]) {
    for claimed in accepted {
        assert_eq!(says(path, fact, claimed.clone()).as_ref(), Some(fact), "{path}: {claimed}");
    }
    for claimed in refused {
        assert_eq!(says(path, fact, claimed.clone()), None, "{path}: {claimed}");
    }
}

#[test]
fn range_is_named_by_both_ends() {
    assert_says(
        "enrichment.employee_range",
        &json!({"min": 5001, "max": 10000}),
        &[
            json!("5001-10000"),
            json!("5,001–10,000"),
            json!("5001 — 10000"),
            json!({"min": 5001, "max": 10000}),
            json!({"max": 10000.0, "min": 5001}),
        ],
        &[
            json!("5001-10001"),
            json!("5000-10000"),
            json!("5001+"),
            json!("5001"),
            json!(5001),
            json!("10000-5001"),
            json!("about 5001-10000"),
            json!("5001-10000 employees"),
            json!("5k-10k"),
            json!("$5001-$10000"),
            json!({"min": 5001}),
            json!({"min": 5001, "max": 10000, "unit": "people"}),
            json!([5001, 10000]),
        ],
    );
    assert_says(
        "enrichment.employee_range",
        &json!({"min": 10001}),
        &[json!("10001+"), json!("10,001+"), json!({"min": 10001}), json!({"min": 10001, "max": null})],
        &[json!("10000+"), json!("10001"), json!("10001-"), json!("10001++"), json!(">10001")],
    );
    assert_says(
        "marketo.size",
        &json!({"min": 1, "max": 9}),
        &[],
        &[json!("1-9"), json!({"min": 1, "max": 9})],
    );
    assert_says("enrichment.geo", &json!({"min": 1, "x": 9}), &[], &[json!({"min": 1, "x": 9})]);
}

#[test]
fn money_is_in_dollars_if_the_path_says_so() {
    let fact = json!(5_000_000);
    assert_says(
        "product.contract_usd",
        &fact,
        &[
            json!("$5M"),
            json!("$5,000,000"),
            json!("USD 5M"),
            json!("5M USD"),
            json!("5000k"),
            json!("0.005B"),
        ],
        &[
            json!("$5.1M"),
            json!("€5M"),
            json!("5M EUR"),
            json!("$5m"),
            json!("about $5M"),
            json!("$5M+"),
            json!("5 million"),
            json!("$$5M"),
            json!("5%"),
        ],
    );
    assert_says("product.contract", &fact, &[], &[json!("$5M"), json!("USD 5000000"), json!("5M")]);
    let revenue = json!({"min": 1_000_000, "max": 10_000_000});
    assert_says(
        "enrichment.revenue_usd",
        &revenue,
        &[json!("$1M-$10M")],
        &[json!("$1M-$11M"), json!("€1M-€10M")],
    );
}

#[test]
fn list_is_named_by_all_or_some_members() {
    let fact = json!(["AWS", "Node.js", 7]);
    let path = "enrichment.technologies";
    assert_eq!(says(path, &fact, json!("aws, Node.js, 7")), Some(fact.clone()));
    assert_eq!(says(path, &fact, json!(["node.js", "AWS"])), Some(json!(["AWS", "Node.js"])));
    assert_eq!(says(path, &fact, json!(["AWS", "aws"])), Some(json!(["AWS"])));
    assert_eq!(says(path, &fact, json!("\"AWS\"")), Some(json!("AWS")));
    for refused in [
        json!("AWS, Node.js"),
        json!("Node.js, AWS, 7"),
        json!("AWS,Node.js,7"),
        json!("AWSNode.js7"),
        json!(["AWS", "Rust"]),
        json!([["AWS"]]),
        json!([]),
        json!([""]),
        json!([null]),
    ] {
        assert_eq!(says(path, &fact, refused.clone()), None, "{refused}");
    }
}

#[test]
fn country_is_named_by_code_or_name() {
    let fact = json!("US");
    let accepted = [json!("United States"), json!("united states of america"), json!("USA")];
    assert_says("enrichment.country", &fact, &accepted, &[json!("Canada"), json!("America"), json!("U")]);
    assert_says("marketo.country", &fact, &[], &[json!("United States")]);
    assert_says("enrichment.region", &fact, &[], &[json!("United States")]);
}

#[test]
fn utc_time_has_three_spellings() {
    let fact = json!("2026-11-22T10:00:00Z");
    assert_says(
        "product.last_login_at",
        &fact,
        &[json!("2026-11-22T10:00:00+00:00"), json!("2026-11-22T10:00:00.000Z")],
        &[
            json!("2026-11-22T10:00:00"),
            json!("2026-11-22T10:00:00.001Z"),
            json!("2026-11-22T11:00:00+01:00"),
            json!("2026-11-22"),
            json!("2026-11-22 10:00:00Z"),
            json!("2026-11-22T10:00:00.Z"),
            json!("2026-11-22T10:00:01Z"),
        ],
    );
}

#[test]
fn texts_may_differ_in_quotes_dashes_and_ampersands() {
    assert_says(
        "marketo.program",
        &json!("Oil & Gas - follow-up"),
        &[
            json!("\"Oil & Gas - follow-up\""),
            json!("“Oil &amp; Gas – follow‑up”"),
            json!("Oil &amp; Gas - follow-up"),
        ],
        &[
            json!("\"\"Oil & Gas - follow-up\"\""),
            json!("\"Oil & Gas - follow-up"),
            json!("Oil and Gas - follow-up"),
            json!("Oil &lt; Gas - follow-up"),
            json!("Oil & Gas follow-up"),
            json!("Oil_& Gas - follow-up"),
            json!("about Oil & Gas - follow-up"),
        ],
    );
    for (fact, claimed) in [
        ("A-0042", "A–0042"),
        ("1.10", "1.1"),
        ("007", "7"),
        ("Côte d'Ivoire", "Cote d'Ivoire"),
        ("demo_request", "demo request"),
        ("85%", "85"),
    ] {
        assert_says("marketo.x", &json!(fact), &[], &[json!(claimed)]);
    }
    assert_says("marketo.x", &json!(true), &[], &[json!(1), json!("1"), json!("yes"), json!("\"true\"")]);
    assert_says("marketo.x", &json!(1200), &[], &[json!("\"1200\""), json!("~1200"), json!("1.2k")]);
}

#[test]
fn computed_words_may_have_blanks() {
    let fact = json!("vice_president");
    let accepted = [json!("vice president"), json!("Vice-President"), json!("\"vice president\"")];
    assert_says("computed.title_level", &fact, &accepted, &[json!("vicepresident"), json!("president")]);
    assert_says("computed.icp_version", &json!("2026-11-1"), &[], &[json!("2026 11 1"), json!("2026_11_1")]);
}
