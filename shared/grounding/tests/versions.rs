//! The verdicts of the contract's version, to the byte: stored judgements stay reproducible.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use grounding::{Answer, Contract, FactSheet, check};
use serde_json::{Value, json};

/// A call on true claims. The computed facts leave room for it within both bands, or do not.
fn judged(baseline: i64, level: &str) -> String {
    let facts: FactSheet = serde_json::from_value(json!({
        "marketo": { "comment": "call me" },
        "enrichment": { "industry": "Fintech" },
        "computed": { "baseline_score": baseline, "intent_level": level },
    }))
    .unwrap();
    let answer = json!({
        "fit_score": 85, "intent": "HIGH", "decision": "ROUTE_TO_SDR", "reasoning": "",
        "evidence": [
            { "source": "MARKETO", "field_path": "marketo.comment", "value": "call me", "claim_type": "BEHAVIOR" },
            { "source": "ENRICHMENT", "field_path": "enrichment.industry", "value": "Fintech", "claim_type": "FIRMOGRAPHIC" },
        ],
    });
    // As stored with a judgement.
    let stored = json!({
        "version": 4, "fit_high_from": 80, "fit_medium_from": 50, "score_band": 30, "intent_band": 1,
        "call_needs_facts": true,
    });
    let contract: Contract = serde_json::from_value(stored).unwrap();
    let answer = Answer::parse(&answer.to_string()).unwrap();
    serde_json::to_string(&check(&facts, &answer, &contract)).unwrap()
}

/// A verdict with the parts that differ between leads.
fn verdict(reasons: &Value, intent: &str, decision: &str) -> String {
    let status = if reasons.as_array().unwrap().is_empty() { "VALID" } else { "DOWNGRADED" };
    format!(
        concat!(
            r#"{{"contract_version":4,"status":"{}","reasons":{},"fit_score":85,"fit":"HIGH","intent":"{}","decision":"{}","#,
            r#""evidence":[{{"source":"ENRICHMENT","field_path":"enrichment.industry","value":"Fintech","claim_type":"FIRMOGRAPHIC"}},"#,
            r#"{{"source":"MARKETO","field_path":"marketo.comment","value":"call me","claim_type":"BEHAVIOR"}}]}}"#
        ),
        status, reasons, intent, decision
    )
}

#[test]
fn cold_lead() {
    let out_of_band = "The intent lay too far above the computed level of LOW; it became MEDIUM.";
    let unmatched = "No fact that fired a signal carries an intent above the computed level; it became LOW.";
    let lowered = "ROUTE_TO_SDR is more than fit HIGH and intent LOW allow; it became NURTURE.";
    let reasons = json!([
        { "code": "intent_out_of_band", "fact": "LOW", "message": out_of_band },
        { "code": "rise_not_in_facts", "fact": "LOW", "message": unmatched },
        { "code": "decision_lowered", "message": lowered },
    ]);
    assert_eq!(judged(90, "LOW"), verdict(&reasons, "LOW", "NURTURE"));
}

#[test]
fn hot_lead() {
    assert_eq!(judged(85, "HIGH"), verdict(&json!([]), "HIGH", "ROUTE_TO_SDR"));
}
