use serde_json::json;

use super::*;

fn facts() -> FactSheet {
    serde_json::from_value(json!({
        "salesforce": {"deal_stage": "Qualified"},
        "marketo": {"activity": {"last_page": "/pricing"}, "note": "", "industry": "Fintech"},
        "product": {"seats": 3, "tags": []},
        "enrichment": {"industry": "Fintech", "employees": 1200, "technologies": ["Rust", "HubSpot"], "geo": {"country": null}},
        "computed": {"baseline_score": 70, "stage": "warm"},
    }))
    .unwrap()
}

fn claim(source: &str, field_path: &str, value: Value, claim_type: &str) -> Claim {
    Claim { source: source.into(), field_path: field_path.into(), value, claim_type: claim_type.into() }
}

fn code(facts: &FactSheet, claim: &Claim) -> Option<ReasonCode> {
    judge(facts, claim).err().map(|breach| breach.code)
}

#[test]
fn true_claim_passes_with_the_value_of_its_source() {
    for (source, path, claimed, claim_type, expected) in [
        ("ENRICHMENT", "enrichment.industry", json!("FINTECH "), "FIRMOGRAPHIC", json!("Fintech")),
        ("ENRICHMENT", "enrichment.employees", json!("1,200"), "FIRMOGRAPHIC", json!(1200)),
        ("ENRICHMENT", "enrichment.technologies", json!("hubspot"), "FIRMOGRAPHIC", json!("HubSpot")),
        ("MARKETO", "marketo.activity.last_page", json!("/pricing"), "BEHAVIOR", json!("/pricing")),
        ("PRODUCT", "product.seats", json!(3), "BEHAVIOR", json!(3)),
        ("SALESFORCE", "salesforce.deal_stage", json!("qualified"), "PIPELINE", json!("Qualified")),
        ("COMPUTED", "computed.stage", json!("warm"), "PIPELINE", json!("warm")),
        ("COMPUTED", "computed.baseline_score", json!("70"), "SCORE", json!(70)),
    ] {
        let passed = judge(&facts(), &claim(source, path, claimed, claim_type)).unwrap();
        assert_eq!(passed.claim, claim(source, path, expected, claim_type), "{path}");
    }
}

#[test]
fn unknown_source_is_unauthorized() {
    for source in ["WEB_SEARCH", "LINKEDIN", "", "ENRICHMENT ", "ENRICHMENT, MARKETO"] {
        let claim = claim(source, "enrichment.industry", json!("Fintech"), "FIRMOGRAPHIC");
        assert_eq!(code(&facts(), &claim), Some(ReasonCode::UnauthorizedSource), "{source:?}");
    }
}

#[test]
fn each_claim_type_has_its_own_sources() {
    let paths = [
        ("SALESFORCE", "salesforce.deal_stage", json!("Qualified"), "PIPELINE"),
        ("MARKETO", "marketo.activity.last_page", json!("/pricing"), "BEHAVIOR"),
        ("PRODUCT", "product.seats", json!(3), "BEHAVIOR"),
        ("ENRICHMENT", "enrichment.industry", json!("Fintech"), "FIRMOGRAPHIC"),
        ("COMPUTED", "computed.baseline_score", json!(70), "SCORE"),
        ("COMPUTED", "computed.stage", json!("warm"), "PIPELINE"),
    ];
    for claim_type in ["FIRMOGRAPHIC", "BEHAVIOR", "PIPELINE", "SCORE", "OPINION", ""] {
        for (source, path, value, natural) in &paths {
            let claim = claim(source, path, value.clone(), claim_type);
            let Some(claimed_type) = ClaimType::parse(claim_type) else {
                assert_eq!(code(&facts(), &claim), Some(ReasonCode::SourceMismatch), "{claim_type} {path}");
                continue;
            };
            let passed = judge(&facts(), &claim).unwrap();
            let kept = (claimed_type, *source) == (ClaimType::Pipeline, "COMPUTED")
                || claimed_type.as_str() == *natural;
            let expected = if kept { claim_type } else { natural };
            assert_eq!(passed.claim.claim_type, *expected, "{claim_type} {path}");
            assert_eq!(passed.retyped.is_none(), kept, "{claim_type} {path}");
        }
    }
}

#[test]
fn vocabulary_ignores_case() {
    let lower = claim("enrichment", "enrichment.industry", json!("Fintech"), "Firmographic");
    let passed = judge(&facts(), &lower).unwrap().claim;
    assert_eq!((passed.source.as_str(), passed.claim_type.as_str()), ("ENRICHMENT", "FIRMOGRAPHIC"));
}

#[test]
fn member_of_a_list_is_named_by_its_index() {
    let named = |path: &str, value: Value| {
        let claim = claim("ENRICHMENT", path, value, "FIRMOGRAPHIC");
        judge(&facts(), &claim).map(|passed| passed.claim).map_err(|breach| breach.code)
    };
    for path in ["enrichment.technologies[1]", "enrichment.technologies.1"] {
        let passed = named(path, json!("hubspot")).unwrap();
        assert_eq!((passed.field_path.as_str(), passed.value), ("enrichment.technologies", json!("HubSpot")));
        assert_eq!(named(path, json!("Rust")), Err(ReasonCode::ValueConflict));
        assert_eq!(named(path, json!(["HubSpot"])), Err(ReasonCode::ValueConflict));
    }
    for path in [
        "enrichment.technologies[2]",
        "enrichment.technologies[01]",
        "enrichment.technologies[-1]",
        "enrichment.technologies[]",
        "enrichment.technologies.1.0",
        "enrichment.industry[0]",
        "enrichment.industry.0",
        "technologies[1]",
    ] {
        assert_eq!(named(path, json!("HubSpot")), Err(ReasonCode::UnknownField), "{path}");
    }
}

#[test]
fn source_supports_its_own_namespace_only() {
    for path in ["marketo.industry", "marketo", "marketo..industry", "computed.baseline_score"] {
        let claim = claim("ENRICHMENT", path, json!("Fintech"), "FIRMOGRAPHIC");
        assert_eq!(code(&facts(), &claim), Some(ReasonCode::SourceMismatch), "{path}");
    }
}

#[test]
fn unknown_company_has_no_firmographic_claims() {
    let claim = claim("ENRICHMENT", "enrichment.industry", json!("Fintech"), "FIRMOGRAPHIC");
    for nothing in
        [json!({}), json!({"enrichment": {}}), json!({"enrichment": {"industry": null, "geo": {"city": ""}}})]
    {
        let facts = serde_json::from_value(nothing).unwrap();
        assert_eq!(code(&facts, &claim), Some(ReasonCode::NoEnrichment));
    }
}

#[test]
fn path_without_a_fact_is_unknown() {
    for path in [
        "enrichment.sector",
        "enrichment.Industry",
        "enrichment.industry.name",
        "enrichment.geo.country",
        "enrichment.geo",
        "enrichment.",
        "enrichment",
        "industry",
        "",
        "enrichment.industry ",
    ] {
        let claim = claim("ENRICHMENT", path, json!("Fintech"), "FIRMOGRAPHIC");
        assert_eq!(code(&facts(), &claim), Some(ReasonCode::UnknownField), "{path:?}");
    }
    for (source, path, value) in
        [("MARKETO", "marketo.note", json!("")), ("PRODUCT", "product.tags", json!([]))]
    {
        let claim = claim(source, path, value, "BEHAVIOR");
        assert_eq!(code(&facts(), &claim), Some(ReasonCode::UnknownField), "{path}");
    }
}

#[test]
fn wrong_value_is_a_conflict_with_the_fact() {
    let false_claim = claim("ENRICHMENT", "enrichment.employees", json!(12_000), "FIRMOGRAPHIC");
    let breach = judge(&facts(), &false_claim).unwrap_err();
    assert_eq!((breach.code, breach.fact), (ReasonCode::ValueConflict, Some(json!(1200))));
    assert_eq!(breach.claim, Some(false_claim));
    let group = claim("MARKETO", "marketo.activity", json!({"last_page": "/pricing"}), "BEHAVIOR");
    let breach = judge(&facts(), &group).unwrap_err();
    assert_eq!((breach.code, breach.fact), (ReasonCode::ValueConflict, None));
}

#[test]
fn huge_fact_is_not_repeated() {
    let mut facts = FactSheet::new();
    let note = json!({"note": "x".repeat(Breach::MAX_FACT_BYTES)});
    facts.set(Namespace::Marketo, note.as_object().unwrap().clone());
    let breach = judge(&facts, &claim("MARKETO", "marketo.note", json!("y"), "BEHAVIOR")).unwrap_err();
    assert_eq!((breach.code, breach.fact), (ReasonCode::ValueConflict, None));
}

#[test]
fn no_message_repeats_the_model_or_a_value() {
    let untrue = [
        claim("ANN", "enrichment.industry", json!("x"), "FIRMOGRAPHIC"),
        claim("MARKETO", "marketo.ann", json!("ann"), "BEHAVIOR"),
        claim("MARKETO", "marketo.industry", json!("ann"), "ANN"),
        claim("MARKETO", "marketo.industry", json!("ann"), "BEHAVIOR"),
    ];
    for claim in untrue {
        let message = judge(&facts(), &claim).unwrap_err().message.to_lowercase();
        assert!(!message.contains("ann") && !message.contains("fintech"), "{message}");
    }
}
