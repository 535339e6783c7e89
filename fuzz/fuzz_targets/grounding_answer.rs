//! A model's answer, as text, against one fact sheet: for any answer, the verdict contains only true claims.
#![no_main]

use std::sync::LazyLock;

use grounding::{Answer, Context, Contract, FactSheet, GroundingStatus, Origins, check, decide, summary};
use lead::Decision;
use libfuzzer_sys::fuzz_target;

static FACTS: LazyLock<FactSheet> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../facts.json")).expect("a fact sheet")
});

fuzz_target!(|raw: &str| {
    let contract = Contract::default();
    let Ok(answer) = Answer::parse(raw) else { return };
    assert!(raw.len() <= Answer::MAX_BYTES && answer.evidence.len() <= Answer::MAX_CLAIMS);
    let verdict = check(&FACTS, &answer, &contract);
    for claim in &verdict.evidence {
        let fact = FACTS.get(&claim.field_path.parse().expect("a path")).expect("a fact");
        let has = |value| fact.as_array().is_some_and(|members| members.contains(value));
        // A claim may name one or several members of a list.
        let is_part = has(&claim.value) || claim.value.as_array().is_some_and(|claimed| claimed.iter().all(has));
        assert!(*fact == claim.value || is_part);
    }
    assert_eq!(verdict.fit, contract.fit(verdict.fit_score));
    assert!(verdict.intent <= answer.intent);
    match verdict.decision {
        Decision::ManualReview => {}
        decision => assert!(decision <= decide(verdict.fit, verdict.intent) && decision <= answer.decision),
    }
    if verdict.status == GroundingStatus::Rejected {
        assert_eq!(verdict.decision, Decision::ManualReview);
    }
    let context = Context { facts: &FACTS, origins: &Origins::default(), opted_out: &[] };
    assert!(summary(&verdict, context).chars().count() <= 2_000);

    let stored = serde_json::to_string(&verdict).expect("a verdict is JSON");
    let again = check(&FACTS, &Answer::parse(raw).expect("it parsed before"), &contract);
    assert_eq!(serde_json::to_string(&again).expect("a verdict is JSON"), stored, "identical bytes");
});
