//! Fact sheets as sources fill them: with gaps, blanks, numbers as texts, keys with dots and other scripts.

use grounding::{Claim, FactSheet, Namespace};
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};

pub(crate) const INDUSTRIES: [&str; 8] = [
    "Fintech",
    "Real Estate",
    "Crédit & Assurance",
    "Straßenbau",
    "Retail",
    "Пищевая промышленность",
    "半導体",
    "Oil, Gas and Coal",
];
const PAGES: [&str; 4] = ["/pricing", "/docs/api?tab=2", "https://example.com/Case-Studies", "/"];
const STAGES: [&str; 4] = ["Qualified", "Closed Won", "Proposal / Price Quote", "2 - Discovery"];
const TECHNOLOGIES: [&str; 6] = ["Rust", "HubSpot", "Salesforce", "C++", "Node.js", "Oracle Database 19c"];
const COUNTRIES: [&str; 4] = ["Switzerland", "Côte d'Ivoire", "日本", "United  States"];
const CODES: [&str; 5] = ["007", "1.10", "522110", "1e3", "A-0042"];

fn pick<'a>(rng: &mut StdRng, from: &[&'a str]) -> &'a str {
    from[rng.random_range(0..from.len())]
}

/// A number as in real sources: small, grouped, beyond the exact integers of a float, negative, or a
/// fraction.
fn number(rng: &mut StdRng) -> Value {
    match rng.random_range(0..5) {
        0 => json!(rng.random_range(0..10)),
        1 => json!(rng.random_range(1_000..5_000_000)),
        2 => json!(rng.random_range(9_007_199_254_740_993_u64..=u64::MAX - 1)),
        3 => json!(-rng.random_range(1..100_000)),
        _ => json!(f64::from(rng.random_range(1..100_000)) / 8.0),
    }
}

fn some_of(rng: &mut StdRng, values: Vec<(&str, Value)>) -> Map<String, Value> {
    values
        .into_iter()
        .filter_map(|(key, value)| match rng.random_range(0..10) {
            0 | 1 => None,
            2 => Some((
                key.to_owned(),
                [json!(null), json!(""), json!(" "), json!([]), json!({})][key.len() % 5].clone(),
            )),
            _ => Some((key.to_owned(), value)),
        })
        .collect()
}

/// A sheet in which no two sources have a field of the same name and value.
pub(crate) fn fact_sheet(rng: &mut StdRng) -> FactSheet {
    let mut sheet = FactSheet::new();
    if rng.random_ratio(4, 5) {
        let technologies: Vec<&str> = TECHNOLOGIES.into_iter().filter(|_| rng.random_ratio(2, 3)).collect();
        let facts = vec![
            ("industry", json!(pick(rng, &INDUSTRIES))),
            ("employees", number(rng)),
            ("is_public", json!(rng.random_ratio(1, 2))),
            ("naics", json!(pick(rng, &CODES))),
            ("technologies", json!(technologies)),
            ("geo", json!({"country": pick(rng, &COUNTRIES), "offices": number(rng)})),
        ];
        sheet.set(Namespace::Enrichment, some_of(rng, facts));
    }
    if rng.random_ratio(9, 10) {
        let facts = vec![
            ("program", json!("Spring\u{200b} Webinar 2026")),
            ("engagement_score", json!(rng.random_range(1..100_000).to_string())),
            ("activity", json!({"last_page": pick(rng, &PAGES), "visits": number(rng), "opted_in": "true"})),
            ("utm.source", json!("linkedin-ads")),
            ("industry", json!("Industrie (self-declared)")),
            ("scores", json!([number(rng), number(rng), "42"])),
        ];
        sheet.set(Namespace::Marketo, some_of(rng, facts));
    }
    if rng.random_ratio(3, 4) {
        let facts = vec![
            ("usage_signals", json!({"seats": number(rng), "invited_team": rng.random_ratio(1, 2)})),
            ("activation_state", json!("trial: day 3")),
            ("version", json!("1.10")),
        ];
        sheet.set(Namespace::Product, some_of(rng, facts));
    }
    if rng.random_ratio(3, 4) {
        let facts = vec![("deal_stage", json!(pick(rng, &STAGES))), ("amount", number(rng))];
        sheet.set(Namespace::Salesforce, some_of(rng, facts));
    }
    let baseline = rng.random_range(0..=100);
    // The matches of a profile: every industry and page, so that a rise can have evidence.
    let matched = |path: &str| Some((path.to_owned(), json!([sheet.get(&path.parse().ok()?)?])));
    let matched: Map<String, Value> =
        ["enrichment.industry", "marketo.activity.last_page"].into_iter().filter_map(matched).collect();
    let computed = json!({
        "baseline_score": baseline,
        "intent_level": pick(rng, &["LOW", "MEDIUM", "HIGH"]),
        "icp": {"size_band": "51-200", "industry_match": true},
        "matched_facts": matched,
    });
    sheet.set(Namespace::Computed, computed.as_object().unwrap().clone());
    sheet
}

/// The claim types that a fact may support: an independent copy of the contract's table.
pub(crate) fn types_of(source: &str, path: &str) -> &'static [&'static str] {
    match source {
        "COMPUTED" if !path.ends_with("_score") && !path.ends_with("_level") => &["PIPELINE"],
        "ENRICHMENT" => &["FIRMOGRAPHIC"],
        "MARKETO" | "PRODUCT" => &["BEHAVIOR"],
        "SALESFORCE" => &["PIPELINE"],
        "COMPUTED" => &["PIPELINE", "SCORE"],
        _ => &[],
    }
}

/// A true claim about every non-empty fact: the fact itself, or one member of a list.
pub(crate) fn truthful_claims(facts: &FactSheet, rng: &mut StdRng) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (path, fact) in facts.leaves().filter(|(path, _)| !path.as_str().contains("matched_facts")) {
        let value = match fact {
            Value::Null => continue,
            Value::String(text) if text.trim().is_empty() => continue,
            Value::Array(members) if members.is_empty() => continue,
            Value::Array(members) => members[rng.random_range(0..members.len())].clone(),
            Value::Object(_) => panic!("an object is no leaf"),
            single => single.clone(),
        };
        let source = path.namespace().as_str().to_uppercase();
        let types = types_of(&source, path.as_str());
        let claim_type = types[rng.random_range(0..types.len())].to_owned();
        claims.push(Claim { source, field_path: path.to_string(), value, claim_type });
    }
    claims
}

/// The fact that a true claim is about.
pub(crate) fn fact<'a>(facts: &'a FactSheet, claim: &Claim) -> &'a Value {
    facts.get(&claim.field_path.parse().unwrap()).unwrap()
}
