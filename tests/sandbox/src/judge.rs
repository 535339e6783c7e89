//! The deterministic judge behind the fakes of AI services.

use serde_json::{Map, Value, json};

/// Facts to quote if present, with their source and the type of claim that they support.
const QUOTED: [(&str, &str, &str); 8] = [
    ("enrichment.industry", "ENRICHMENT", "FIRMOGRAPHIC"),
    ("enrichment.employee_count", "ENRICHMENT", "FIRMOGRAPHIC"),
    ("enrichment.country", "ENRICHMENT", "FIRMOGRAPHIC"),
    ("marketo.activity", "MARKETO", "BEHAVIOR"),
    ("marketo.engagement_score", "MARKETO", "BEHAVIOR"),
    ("product.activation_state", "PRODUCT", "BEHAVIOR"),
    ("computed.baseline_score", "COMPUTED", "SCORE"),
    ("computed.intent_score", "COMPUTED", "SCORE"),
];

/// The fact sheet in a prompt: the last JSON object with one of the five namespaces as a key, since an
/// example may precede it.
pub(crate) fn fact_sheet(prompt: &str) -> Option<Map<String, Value>> {
    let starts: Vec<_> = prompt.match_indices('{').map(|(start, _)| start).collect();
    let mut found = None;
    for start in starts {
        let mut values = serde_json::Deserializer::from_str(&prompt[start..]).into_iter::<Value>();
        if let Some(Ok(Value::Object(object))) = values.next()
            && ["salesforce", "marketo", "product", "enrichment", "computed"]
                .iter()
                .any(|namespace| object.get(*namespace).is_some_and(Value::is_object))
        {
            found = Some(object);
        }
    }
    found
}

/// A truthful answer: the computed score and intent, the decision that follows from them, and facts quoted
/// verbatim.
pub(crate) fn judge(facts: &Map<String, Value>) -> Value {
    let fact = |path: &str| {
        let (namespace, name) = path.split_once('.')?;
        facts.get(namespace)?.get(name)
    };
    let score = fact("computed.baseline_score").and_then(Value::as_i64).unwrap_or(0);
    let intent = fact("computed.intent_level").and_then(Value::as_str).unwrap_or("LOW");
    let decision = match (score, intent) {
        (80.., "HIGH") => "ROUTE_TO_SDR",
        (50..80, "HIGH") => "MANUAL_REVIEW",
        (50.., _) => "NURTURE",
        _ => "IGNORE",
    };
    let evidence: Vec<_> = QUOTED
        .iter()
        .filter_map(|(path, source, claim_type)| {
            let value = fact(path).filter(|value| !value.is_array() && !value.is_object())?;
            Some(json!({ "source": source, "field_path": path, "value": value, "claim_type": claim_type }))
        })
        .collect();
    json!({
        "fit_score": score,
        "intent": intent,
        "decision": decision,
        "reasoning": "The computed score and intent, and the facts they rest on.",
        "evidence": evidence,
    })
}

/// A hallucinated answer: the best values throughout, and an industry that no source supports.
pub(crate) fn invent(facts: &Map<String, Value>) -> Value {
    let mut answer = judge(facts);
    answer["fit_score"] = json!(100);
    answer["intent"] = json!("HIGH");
    answer["decision"] = json!("ROUTE_TO_SDR");
    answer["evidence"] = json!([{
        "source": "ENRICHMENT", "field_path": "enrichment.industry", "value": "Interplanetary Banking",
        "claim_type": "FIRMOGRAPHIC",
    }]);
    answer
}

/// An estimate of a text's tokens: four bytes each, rounded up.
pub(crate) fn tokens(text: &str) -> u64 {
    text.len().div_ceil(4) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fact_sheet_is_found_after_an_example() {
        let prompt = r#"For {"computed":{"baseline_score":1}} say so. <fact_sheet>{"marketo":{"activity":"{x}"},"computed":{"baseline_score":85,"intent_level":"HIGH"}}</fact_sheet> {"not":"facts"}"#;
        let facts = fact_sheet(prompt).unwrap();
        assert_eq!(facts["computed"]["baseline_score"], 85);
        let answer = judge(&facts);
        assert_eq!(answer["decision"], "ROUTE_TO_SDR");
        assert_eq!(answer["evidence"][0]["value"], "{x}");
        assert!(fact_sheet("Say OK.").is_none());
    }
}
