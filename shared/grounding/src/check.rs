use lead::{Decision, canonical_json};

use crate::claim_rules::judge;
use crate::conclusion_rules::Conclusion;
use crate::{Answer, Claim, Contract, FactSheet, GroundingStatus, Verdict};

/// Checks an answer against the facts that the model received.
///
/// The function is pure and total: the same input gives the same verdict, the order and repetition of claims
/// are irrelevant, and no input makes it panic. One untrue claim rejects the whole answer: the decision
/// becomes `MANUAL_REVIEW`, because nothing of the answer may be acted on. The conclusions are lowered to the
/// support of the claims that passed, so that no stored verdict exceeds its evidence. Checking a verdict as
/// an answer changes nothing.
pub fn check(facts: &FactSheet, answer: &Answer, contract: &Contract) -> Verdict {
    let mut claims: Vec<&Claim> = answer.evidence.iter().collect();
    claims.sort_by_cached_key(|claim| stable_key(claim));
    claims.dedup();

    let mut passed = Vec::new();
    let mut reasons = Vec::new();
    for claim in claims {
        match judge(facts, claim) {
            Ok(claim) => passed.push(claim),
            Err(breach) => reasons.push(*breach),
        }
    }
    let rejected = !reasons.is_empty();
    reasons.extend(passed.iter().filter_map(|passed| passed.retyped.clone()));

    let conclusion = Conclusion::new(answer, &passed, contract).lower(facts);
    let fit = conclusion.fit();
    reasons.extend(conclusion.breaches);

    // One fact in two spellings is one piece of evidence.
    let mut evidence: Vec<Claim> = passed.into_iter().map(|passed| passed.claim).collect();
    evidence.sort_by_cached_key(stable_key);
    evidence.dedup();

    Verdict {
        contract_version: contract.version,
        status: if rejected {
            GroundingStatus::Rejected
        } else if reasons.is_empty() {
            GroundingStatus::Valid
        } else {
            GroundingStatus::Downgraded
        },
        reasons,
        fit_score: conclusion.score,
        fit,
        intent: conclusion.intent,
        decision: if rejected { Decision::ManualReview } else { conclusion.decision },
        evidence,
    }
}

/// The sort key of a claim, independent of its position in the answer.
fn stable_key(claim: &Claim) -> (String, String, String, String) {
    (claim.source.clone(), claim.field_path.clone(), claim.claim_type.clone(), canonical_json(&claim.value))
}

#[cfg(test)]
mod tests {
    use lead::{Fit, FitScore, Intent};
    use serde_json::{Value, json};

    use super::*;
    use crate::ReasonCode;

    fn facts() -> FactSheet {
        serde_json::from_value(json!({
            "marketo": {"activity": {"last_page": "/pricing"}},
            "enrichment": {"industry": "Fintech", "employees": 1200},
            "computed": {"baseline_score": 80, "intent_level": "HIGH",
                         "matched_facts": {"enrichment.industry": ["Fintech"]}},
        }))
        .unwrap()
    }

    fn claim(source: &str, field_path: &str, value: Value, claim_type: &str) -> Claim {
        Claim { source: source.into(), field_path: field_path.into(), value, claim_type: claim_type.into() }
    }

    fn industry(value: &str) -> Claim {
        claim("ENRICHMENT", "enrichment.industry", json!(value), "FIRMOGRAPHIC")
    }

    fn page() -> Claim {
        claim("MARKETO", "marketo.activity.last_page", json!("/pricing"), "BEHAVIOR")
    }

    fn answer(evidence: Vec<Claim>) -> Answer {
        Answer {
            fit_score: FitScore::clamped(92),
            intent: Intent::High,
            decision: Decision::RouteToSdr,
            reasoning: "trust me".into(),
            evidence,
        }
    }

    #[test]
    fn true_and_supported_answer_is_valid() {
        let verdict = check(&facts(), &answer(vec![page(), industry("Fintech")]), &Contract::default());
        assert_eq!((verdict.status, verdict.reasons.len()), (GroundingStatus::Valid, 0));
        assert_eq!((verdict.fit_score.get(), verdict.fit), (92, Fit::High));
        assert_eq!((verdict.intent, verdict.decision), (Intent::High, Decision::RouteToSdr));
        assert_eq!(verdict.evidence, [industry("Fintech"), page()]);
        assert_eq!(verdict.contract_version, Contract::default().version);
    }

    #[test]
    fn one_lie_rejects_the_answer_and_keeps_true_claims() {
        use ReasonCode::{DecisionLowered, RiseNotInFacts, ValueConflict, WeakFit};
        let verdict = check(&facts(), &answer(vec![industry("Retail"), page()]), &Contract::default());
        assert_eq!((verdict.status, verdict.decision), (GroundingStatus::Rejected, Decision::ManualReview));
        assert_eq!(verdict.evidence, [page()]);
        let codes: Vec<_> = verdict.reasons.iter().map(|breach| breach.code).collect();
        // Without the claim about the company, the page view does not support a high fit.
        assert_eq!(codes, [ValueConflict, RiseNotInFacts, WeakFit, DecisionLowered]);
        assert_eq!((verdict.fit_score.get(), verdict.fit), (70, Fit::Medium));
    }

    #[test]
    fn every_lie_is_named_once() {
        let lies = vec![industry("Retail"), industry("Mining"), industry("Retail")];
        let verdict = check(&facts(), &answer(lies), &Contract::default());
        let named = verdict.reasons.iter().filter(|breach| breach.code == ReasonCode::ValueConflict).count();
        assert_eq!(named, 2);
    }

    #[test]
    fn two_spellings_of_a_fact_are_one_piece_of_evidence() {
        let verdict = check(
            &facts(),
            &answer(vec![industry("FINTECH"), page(), industry("fintech")]),
            &Contract::default(),
        );
        assert_eq!(verdict.evidence, [industry("Fintech"), page()]);
    }

    #[test]
    fn answer_without_evidence_is_lowered() {
        let verdict = check(&facts(), &answer(vec![]), &Contract::default());
        assert_eq!((verdict.status, verdict.decision), (GroundingStatus::Downgraded, Decision::Ignore));
        assert_eq!((verdict.fit_score.get(), verdict.intent), (40, Intent::Medium));
    }

    #[test]
    fn verdict_survives_serialization() {
        let verdict = check(&facts(), &answer(vec![industry("Retail"), page()]), &Contract::default());
        let stored = serde_json::to_value(&verdict).unwrap();
        assert_eq!(
            (&stored["status"], &stored["reasons"][0]["code"]),
            (&json!("REJECTED"), &json!("value_conflict"))
        );
        assert_eq!(serde_json::from_value::<Verdict>(stored).unwrap(), verdict);
    }

    #[test]
    fn fallback_claims_nothing_and_needs_a_review() {
        let verdict = Verdict::fallback(&Contract::default());
        assert_eq!((verdict.fit_score.get(), verdict.fit), (50, Fit::Medium));
        assert_eq!((verdict.decision, verdict.intent), (Decision::ManualReview, Intent::Low));
        assert!(verdict.evidence.is_empty() && verdict.reasons.is_empty());
    }
}
