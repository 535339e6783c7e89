//! A sheet of facts, a contract and an answer, all from outside: two lines and the rest.
#![no_main]

use grounding::{Answer, Claim, Contract, FactSheet, GroundingStatus, check};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let mut parts = input.splitn(3, '\n');
    let mut next = || parts.next().unwrap_or_default();
    let (facts, contract, raw) = (next(), next(), next());
    let Ok(facts) = serde_json::from_str::<FactSheet>(facts) else { return };
    let contract = serde_json::from_str(contract).unwrap_or_else(|_| Contract::default());
    for (path, fact) in facts.leaves() {
        assert_eq!(facts.get(&path), Some(fact), "every leaf is found by its path");
    }
    let Ok(answer) = Answer::parse(raw) else { return };
    let verdict = check(&facts, &answer, &contract);
    // A verdict passes the check that produced it.
    let held = Answer {
        fit_score: verdict.fit_score,
        intent: verdict.intent,
        decision: verdict.decision,
        reasoning: String::new(),
        evidence: verdict.evidence.clone(),
    };
    let twice = check(&facts, &held, &contract);
    assert!(twice.status != GroundingStatus::Rejected);
    assert_eq!((twice.fit_score, twice.intent, twice.decision), (held.fit_score, held.intent, held.decision));
    // No claim is true of an empty sheet.
    let unfounded = check(&FactSheet::new(), &answer, &contract);
    assert!(unfounded.evidence.is_empty());
    // Less evidence never raises the score, the intent or the decision.
    if verdict.status != GroundingStatus::Rejected {
        let evidence: Vec<Claim> = answer.evidence.iter().skip(1).cloned().collect();
        let less = check(&facts, &Answer { evidence, ..answer.clone() }, &contract);
        assert!(less.fit_score <= verdict.fit_score && less.intent <= verdict.intent && less.decision <= verdict.decision);
    }
});
