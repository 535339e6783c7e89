use serde_json::json;

use super::*;
use crate::Claim;

/// Score, intent, decision and the codes of the broken rules.
type Outcome = (i64, Intent, Decision, Vec<ReasonCode>);

/// Concludes from computed facts. Each claim comes with the flag whether its fact is matched.
#[expect(clippy::needless_pass_by_value, reason = "the calls stay short")]
fn conclude_from(
    contract: &Contract,
    computed: Value,
    proposed: (i64, Intent, Decision),
    evidence: &[(ClaimType, bool)],
) -> Outcome {
    let mut facts = FactSheet::new();
    facts.set(Namespace::Computed, computed.as_object().unwrap().clone());
    let answer = Answer {
        fit_score: FitScore::new(proposed.0).unwrap(),
        intent: proposed.1,
        decision: proposed.2,
        reasoning: String::new(),
        evidence: Vec::new(),
    };
    let claim = Claim {
        source: String::new(),
        field_path: String::new(),
        value: json!(1),
        claim_type: String::new(),
    };
    let with = |&(claim_type, is_matched): &(ClaimType, bool)| Passed {
        claim: claim.clone(),
        claim_type,
        is_matched,
        retyped: None,
    };
    let passed: Vec<_> = evidence.iter().map(with).collect();
    let end = Conclusion::new(&answer, &passed, contract).lower(&facts);
    (end.score.get(), end.intent, end.decision, end.breaches.iter().map(|breach| breach.code).collect())
}

/// Concludes from claims whose facts are matched.
fn conclude(
    contract: &Contract,
    baseline: Option<f64>,
    proposed: (i64, Intent, Decision),
    evidence: &[ClaimType],
) -> Outcome {
    let computed = baseline.map_or(json!({}), |baseline| json!({ "baseline_score": baseline }));
    conclude_from(contract, computed, proposed, &matched(evidence))
}

fn matched(evidence: &[ClaimType]) -> Vec<(ClaimType, bool)> {
    evidence.iter().map(|&claim_type| (claim_type, true)).collect()
}

/// Without the rule about computed facts for calls.
fn evidence_rules_only() -> Contract {
    Contract { call_needs_facts: false, ..Contract::default() }
}

use ClaimType::{Behavior, Firmographic, Pipeline, Score};
use Decision::{Ignore, ManualReview, Nurture, RouteToSdr};
use Intent::{High, Low, Medium};
use ReasonCode::{
    CallLacksEvidence, DecisionLowered, OptedOut, RiseNotInFacts, ScoreOutOfBand, WeakFit, WeakIntent,
};

#[test]
fn supported_conclusion_stands() {
    for evidence in [&[Firmographic, Behavior][..], &[Score], &[Score, Pipeline]] {
        let outcome = conclude(&evidence_rules_only(), None, (90, High, RouteToSdr), evidence);
        assert_eq!(outcome, (90, High, RouteToSdr, vec![]), "{evidence:?}");
    }
}

#[test]
fn high_intent_needs_behavior_or_a_score() {
    let contract = evidence_rules_only();
    let weak = conclude(&contract, None, (90, High, RouteToSdr), &[Firmographic, Pipeline]);
    assert_eq!(weak, (70, Medium, Nurture, vec![WeakIntent]));
    // A score below the cap stays, and so does a manual review.
    let low = conclude(&contract, None, (60, High, ManualReview), &[Firmographic]);
    assert_eq!(low, (60, Medium, ManualReview, vec![WeakIntent]));
    let medium = conclude(&contract, None, (90, Medium, Nurture), &[Firmographic]);
    assert_eq!(medium, (90, Medium, Nurture, vec![]));
}

#[test]
fn high_fit_needs_a_firmographic_or_a_score() {
    let contract = evidence_rules_only();
    let weak = conclude(&contract, None, (80, High, RouteToSdr), &[Behavior]);
    assert_eq!(weak, (70, High, ManualReview, vec![WeakFit, DecisionLowered]));
    let below = conclude(&contract, None, (79, High, ManualReview), &[Behavior]);
    assert_eq!(below, (79, High, ManualReview, vec![]));
}

#[test]
fn medium_fit_needs_more_than_a_deal_stage() {
    let contract = Contract::default();
    for evidence in [&[][..], &[Pipeline]] {
        let weak = conclude(&contract, None, (50, Low, Nurture), evidence);
        assert_eq!(weak, (40, Low, Ignore, vec![WeakFit, DecisionLowered]));
        let below = conclude(&contract, None, (49, Low, Ignore), evidence);
        assert_eq!(below, (49, Low, Ignore, vec![]));
    }
    for supporting in [Firmographic, Behavior, Score] {
        let supported = conclude(&contract, None, (50, Low, Nurture), &[supporting]);
        assert_eq!(supported, (50, Low, Nurture, vec![]), "{supporting:?}");
    }
}

#[test]
fn answer_without_evidence_is_lowered_in_order() {
    let outcome = conclude(&Contract::default(), Some(50.0), (100, High, RouteToSdr), &[]);
    let codes = vec![ScoreOutOfBand, RiseNotInFacts, WeakIntent, WeakFit, DecisionLowered];
    assert_eq!(outcome, (40, Medium, Ignore, codes));
}

#[test]
fn cap_ends_below_its_level() {
    let contract = Contract {
        fit_high_from: FitScore::clamped(65),
        fit_medium_from: FitScore::clamped(30),
        ..Contract::default()
    };
    let high = conclude(&contract, None, (90, Low, Nurture), &[Behavior]);
    assert_eq!(high, (64, Low, Nurture, vec![WeakFit]));
    let medium = conclude(&contract, None, (90, Low, Ignore), &[]);
    assert_eq!(medium, (29, Low, Ignore, vec![WeakFit, WeakFit]));
}

#[test]
fn score_stays_within_the_band() {
    let contract = Contract::default();
    for (baseline, claimed, score) in [
        (50.0, 20, 20),
        (50.0, 19, 20),
        (50.0, 80, 80),
        (50.0, 81, 80),
        (10.0, 0, 0),
        (90.0, 100, 100),
        (90.0, 59, 60),
        (49.5, 81, 80),
        (1e9, 50, 70),
        (-5.0, 50, 30),
    ] {
        let (end, .., codes) =
            conclude(&contract, Some(baseline), (claimed, Low, Ignore), &[Score, Firmographic]);
        assert_eq!(end, score, "{baseline} {claimed}");
        assert_eq!(codes.is_empty(), claimed == score, "{baseline} {claimed}");
    }
}

#[test]
fn band_does_not_lift_a_score_above_its_support() {
    let contract = Contract { score_band: 5, ..Contract::default() };
    let lifted = |evidence: &[ClaimType]| conclude(&contract, Some(100.0), (0, Low, Ignore), evidence).0;
    assert_eq!(lifted(&[Firmographic, Behavior]), 95);
    assert_eq!(lifted(&[Score]), 95);
    assert_eq!(lifted(&[Firmographic]), 70);
    assert_eq!(lifted(&[Behavior]), 70);
    assert_eq!(lifted(&[Pipeline]), 40);
}

#[test]
fn intent_stays_within_the_band() {
    let conclude = |computed: &str, intent_band: u8, proposed: Intent, evidence: &[ClaimType]| {
        let (contract, level) =
            (Contract { intent_band, ..evidence_rules_only() }, json!({ "intent_level": computed }));
        let (_, intent, decision, codes) =
            conclude_from(&contract, level, (90, proposed, RouteToSdr), &matched(evidence));
        (intent, decision, codes)
    };
    let supported = [Firmographic, Behavior];
    assert_eq!(
        conclude("LOW", 1, High, &supported),
        (Medium, Nurture, vec![ReasonCode::IntentOutOfBand, DecisionLowered])
    );
    assert_eq!(conclude("MEDIUM", 1, High, &supported), (High, RouteToSdr, vec![]));
    assert_eq!(conclude("LOW", 1, Medium, &supported).0, Medium);
    assert_eq!(conclude("LOW", 0, Medium, &supported).0, Low);
    assert_eq!(conclude("LOW", 2, High, &supported), (High, RouteToSdr, vec![]));
    assert_eq!(conclude("HIGH", 0, Low, &supported).0, Low, "an intent that is too low is kept");
    assert_eq!(conclude("high", 0, High, &supported).0, High, "an unknown level sets no band");
    // Both rules on intent: weak intent is lowered first, and reduces the score.
    assert_eq!(
        conclude("LOW", 0, High, &[Firmographic]),
        (Low, Nurture, vec![WeakIntent, ReasonCode::IntentOutOfBand])
    );
}

#[test]
fn baseline_that_is_not_a_number_is_none() {
    for wrong in [json!("70"), json!(null), json!([70]), json!(true)] {
        let mut facts = FactSheet::new();
        facts.set(Namespace::Computed, json!({"baseline_score": wrong}).as_object().unwrap().clone());
        assert_eq!(baseline(&facts), None, "{wrong}");
    }
    assert_eq!(baseline(&FactSheet::new()), None);
}

#[test]
fn call_needs_computed_facts_that_justify_it() {
    let conclude = |contract: &Contract, computed: Value, proposed: Decision| {
        let supported = matched(&[Firmographic, Behavior]);
        let (_, _, decision, codes) = conclude_from(contract, computed, (90, High, proposed), &supported);
        (decision, codes)
    };
    let latest = Contract::default();
    let lowered = (ManualReview, vec![ReasonCode::CallNotInFacts]);
    let computed = |baseline: i64, level: &str| json!({ "baseline_score": baseline, "intent_level": level });
    assert_eq!(conclude(&latest, computed(80, "HIGH"), RouteToSdr), (RouteToSdr, vec![]));
    assert_eq!(conclude(&latest, computed(79, "HIGH"), RouteToSdr), lowered, "borderline");
    assert_eq!(conclude(&latest, computed(100, "MEDIUM"), RouteToSdr), lowered, "warm");
    assert_eq!(conclude(&latest, json!({ "baseline_score": 100 }), RouteToSdr), lowered, "unknown intent");
    assert_eq!(conclude(&latest, json!({ "intent_level": "HIGH" }), RouteToSdr), lowered, "unknown fit");
    for weaker in [ManualReview, Nurture, Ignore] {
        assert_eq!(conclude(&latest, computed(79, "MEDIUM"), weaker), (weaker, vec![]), "not a call");
    }
    let off = Contract { call_needs_facts: false, ..latest };
    assert_eq!(conclude(&off, computed(79, "HIGH"), RouteToSdr), (RouteToSdr, vec![]));
}

#[test]
fn rise_needs_a_matched_fact_or_a_fired_signal() {
    let computed = json!({"baseline_score": 60, "intent_level": "MEDIUM"});
    let proposed = (75, High, ManualReview);
    let conclude = |evidence: &[(ClaimType, bool)]| {
        conclude_from(&Contract::default(), computed.clone(), proposed, evidence)
    };
    let both = [(Firmographic, true), (Behavior, true), (Score, false)];
    assert_eq!(conclude(&both), (75, High, ManualReview, vec![]));
    let intent_only = [(Firmographic, false), (Behavior, true), (Score, false)];
    assert_eq!(conclude(&intent_only), (60, High, ManualReview, vec![RiseNotInFacts]));
    let fit_only = [(Firmographic, true), (Behavior, false), (Score, false)];
    assert_eq!(conclude(&fit_only), (75, Medium, ManualReview, vec![RiseNotInFacts]));
    let neither = [(Firmographic, false), (Behavior, false), (Score, true), (Pipeline, true)];
    assert_eq!(conclude(&neither), (60, Medium, ManualReview, vec![RiseNotInFacts, RiseNotInFacts]));
    let not_above = conclude_from(&Contract::default(), computed.clone(), (60, Medium, Nurture), &neither);
    assert_eq!(not_above, (60, Medium, Nurture, vec![]), "the rule applies to rises only");
}

#[test]
fn call_without_the_required_evidence_becomes_a_review() {
    let evidence = [(Firmographic, true), (Behavior, true)];
    let computed = |lacks: Value| json!({"baseline_score": 90, "intent_level": "HIGH", "call_lacks": lacks});
    let proposed = (90, High, RouteToSdr);
    let lacking = computed(json!(["verified_email"]));
    let out = conclude_from(&Contract::default(), lacking.clone(), proposed, &evidence);
    assert_eq!(out, (90, High, ManualReview, vec![CallLacksEvidence]));
    let unrestricted = Contract { call_needs_facts: false, ..Contract::default() };
    let decision = conclude_from(&unrestricted, lacking, proposed, &evidence).2;
    assert_eq!(decision, ManualReview, "no setting disables it");
    assert_eq!(conclude_from(&Contract::default(), computed(json!([])), proposed, &evidence).2, RouteToSdr);
}

#[test]
fn opted_out_person_is_not_called() {
    let evidence = [(Firmographic, true), (Behavior, true)];
    let computed =
        |opted_out: Value| json!({"baseline_score": 90, "intent_level": "HIGH", "opted_out": opted_out});
    let proposed = (90, High, RouteToSdr);
    let out = conclude_from(&Contract::default(), computed(json!(["unsubscribed"])), proposed, &evidence);
    assert_eq!(out, (90, High, ManualReview, vec![OptedOut]));
    assert_eq!(conclude_from(&Contract::default(), computed(json!([])), proposed, &evidence).2, RouteToSdr);
    let nurtured =
        conclude_from(&Contract::default(), computed(json!(["bounced"])), (90, High, Nurture), &evidence);
    assert_eq!(nurtured, (90, High, Nurture, vec![]));
}
