//! The verdicts of each version of the contract on the same answers, to the byte: stored judgements stay
//! reproducible.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use grounding::{Answer, Contract, FactSheet, check};
use serde_json::{Value, json};

/// A call on true claims. The computed facts leave room for it within both bands, or do not.
fn judged(version: u32, baseline: i64, level: &str) -> String {
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
    // As stored with a judgement of that version, without later settings.
    let mut stored =
        json!({ "version": version, "fit_high_from": 80, "fit_medium_from": 50, "score_band": 30 });
    if version >= 2 {
        stored["intent_band"] = json!(1);
    }
    let contract: Contract = serde_json::from_value(stored).unwrap();
    let answer = Answer::parse(&answer.to_string(), &contract).unwrap();
    serde_json::to_string(&check(&facts, &answer, &contract)).unwrap()
}

/// A verdict with the parts that differ between versions.
fn verdict(version: u32, reasons: &Value, intent: &str, decision: &str) -> String {
    let status = if reasons.as_array().unwrap().is_empty() { "VALID" } else { "DOWNGRADED" };
    format!(
        concat!(
            r#"{{"contract_version":{},"status":"{}","reasons":{},"fit_score":85,"fit":"HIGH","intent":"{}","decision":"{}","#,
            r#""evidence":[{{"source":"ENRICHMENT","field_path":"enrichment.industry","value":"Fintech","claim_type":"FIRMOGRAPHIC"}},"#,
            r#"{{"source":"MARKETO","field_path":"marketo.comment","value":"call me","claim_type":"BEHAVIOR"}}]}}"#
        ),
        version, status, reasons, intent, decision
    )
}

#[test]
fn cold_lead() {
    let out_of_band = "The intent lay too far above the computed level of LOW; it became MEDIUM.";
    let lowered = "ROUTE_TO_SDR is more than fit HIGH and intent MEDIUM allow; it became NURTURE.";
    let reasons = json!([
        { "code": "intent_out_of_band", "fact": "LOW", "message": out_of_band },
        { "code": "decision_lowered", "message": lowered },
    ]);
    assert_eq!(judged(1, 90, "LOW"), verdict(1, &json!([]), "HIGH", "ROUTE_TO_SDR"));
    assert_eq!(judged(2, 90, "LOW"), verdict(2, &reasons, "MEDIUM", "NURTURE"));
    assert_eq!(judged(3, 90, "LOW"), verdict(3, &reasons, "MEDIUM", "NURTURE"));
    let unmatched = "No fact that fired a signal carries an intent above the computed level; it became LOW.";
    let reasons = json!([
        { "code": "intent_out_of_band", "fact": "LOW", "message": out_of_band },
        { "code": "rise_not_in_facts", "fact": "LOW", "message": unmatched },
        { "code": "decision_lowered", "message": lowered.replace("MEDIUM", "LOW") },
    ]);
    assert_eq!(judged(4, 90, "LOW"), verdict(4, &reasons, "LOW", "NURTURE"));
}

#[test]
fn warm_lead() {
    let message =
        "The computed fit MEDIUM and intent MEDIUM do not amount to ROUTE_TO_SDR; it became MANUAL_REVIEW.";
    let reasons = json!([{ "code": "call_not_in_facts", "message": message }]);
    assert_eq!(judged(1, 60, "MEDIUM"), verdict(1, &json!([]), "HIGH", "ROUTE_TO_SDR"));
    assert_eq!(judged(2, 60, "MEDIUM"), verdict(2, &json!([]), "HIGH", "ROUTE_TO_SDR"));
    assert_eq!(judged(3, 60, "MEDIUM"), verdict(3, &reasons, "HIGH", "MANUAL_REVIEW"));
}

#[test]
fn hot_lead() {
    for version in 1..=4 {
        assert_eq!(judged(version, 85, "HIGH"), verdict(version, &json!([]), "HIGH", "ROUTE_TO_SDR"));
    }
}

/// An answer in spellings that only version 4 accepts.
#[test]
fn spellings_of_version_4_are_refused_before() {
    let facts: FactSheet = serde_json::from_value(json!({
        "enrichment": { "country": "US", "employee_range": { "min": 5001, "max": 10000 } },
        "computed": { "baseline_score": 85, "intent_level": "LOW" },
    }))
    .unwrap();
    let claims = [("enrichment.country", "United States"), ("enrichment.employee_range", "5,001-10,000")];
    for (path, value) in claims {
        let answer = json!({
            "fit_score": 85, "intent": "LOW", "decision": "NURTURE", "reasoning": "",
            "evidence": [{ "source": "ENRICHMENT", "field_path": path, "value": value, "claim_type": "FIRMOGRAPHIC" }],
        });
        for (version, status) in [(1, "REJECTED"), (2, "REJECTED"), (3, "REJECTED"), (4, "VALID")] {
            let contract = Contract::default().of_version(version).unwrap();
            let answer = Answer::parse(&answer.to_string(), &contract).unwrap();
            assert_eq!(check(&facts, &answer, &contract).status.as_str(), status, "{path} {version}");
        }
    }
}
