//! Hundreds of thousands of truths and lies: every field of many fact sheets is claimed truthfully, and then
//! wrongly in every way that a model might produce. No lie may pass, and no truth may be refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conclusions;
mod lies;
mod sheets;
mod truths;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use grounding::{
    Answer, Claim, Context, Contract, FactSheet, GroundingStatus, Namespace, Origins, ReasonCode, Verdict,
    check, decide, summary,
};
use lead::{Decision, Fit, FitScore, Intent};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::conclusions::Overreach;
use crate::lies::Lie;
use crate::sheets::{fact_sheet, truthful_claims};

const SHEETS: u64 = 2_000;
/// Claims about one fact in `EVERY` of a sheet are falsified. Over all sheets that covers every field
/// hundreds of times.
const EVERY: usize = 4;
/// The number of lies of each kind about one fact, sampled from all of them.
const LIES_OF_A_KIND: usize = 2;

/// Whether to test every lie about every fact instead of a sample: `MUTATIONS=all`. It takes minutes.
fn all() -> bool {
    std::env::var("MUTATIONS").is_ok_and(|wanted| wanted == "all")
}

fn answer(evidence: Vec<Claim>) -> Answer {
    Answer {
        fit_score: FitScore::clamped(60),
        intent: Intent::Medium,
        decision: Decision::Nurture,
        reasoning: String::new(),
        evidence,
    }
}

fn judged(facts: &FactSheet, claims: &[&Claim]) -> Verdict {
    check(facts, &answer(claims.iter().copied().cloned().collect()), &Contract::default())
}

fn shown(facts: &FactSheet, verdict: &Verdict) -> String {
    summary(verdict, Context { facts, origins: &Origins::default(), opted_out: &[] })
}

/// Calls `test` with every sheet, its truthful claims, and the random numbers of the sheet.
fn for_every_sheet(mut test: impl FnMut(&FactSheet, &[Claim], &mut StdRng)) {
    for seed in 0..SHEETS {
        let mut rng = StdRng::seed_from_u64(seed);
        let facts = fact_sheet(&mut rng);
        let claims = truthful_claims(&facts, &mut rng);
        test(&facts, &claims, &mut rng);
    }
}

/// Tests the lies about every claim of every sheet, each next to a true claim, and counts them by kind.
fn assert_all_caught(
    lies_about: impl Fn(&Claim, &FactSheet, &mut StdRng) -> Vec<Lie>,
) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    let (every, of_a_kind) = if all() { (1, usize::MAX) } else { (EVERY, LIES_OF_A_KIND) };
    for_every_sheet(|facts, claims, rng| {
        for (i, claim) in claims.iter().enumerate().skip(rng.random_range(0..every)).step_by(every) {
            let truth = &claims[(i + 1) % claims.len()];
            let mut lies = lies_about(claim, facts, rng);
            lies.shuffle(rng);
            let mut of_kind = BTreeMap::new();
            for Lie { kind, claim: lie, codes } in lies {
                let count_here = of_kind.entry(kind).or_insert(0);
                if *count_here == of_a_kind {
                    continue;
                }
                *count_here += 1;
                let verdict = judged(facts, &[&lie, truth]);
                let caught: Vec<_> =
                    verdict.reasons.iter().filter(|breach| breach.claim.as_ref() == Some(&lie)).collect();
                let context = || {
                    let lie = serde_json::to_string(&lie).unwrap_or_default();
                    format!("{kind}: {lie}\nverdict {verdict:?}\nfacts {}", facts.to_json())
                };
                assert_eq!(verdict.status, GroundingStatus::Rejected, "{}", context());
                assert_eq!(verdict.decision, Decision::ManualReview, "{}", context());
                assert_eq!(caught.len(), 1, "{}", context());
                assert!(codes.contains(&caught[0].code), "{}", context());
                assert_eq!(verdict.evidence, std::slice::from_ref(truth), "{}", context());
                *counts.entry(kind).or_insert(0) += 1;
            }
        }
    });
    counts
}

/// Compares the counts with the recorded ones, so that a kind that becomes rarer is noticed, and the figures
/// can be quoted. Sheets and lies follow from seeds: the counts are the same on every machine.
#[expect(clippy::print_stdout, reason = "the figures of a full run are its result")]
fn assert_counts(name: &str, by_kind: &BTreeMap<&'static str, usize>) {
    assert!(by_kind.values().all(|count| *count >= 100), "{by_kind:?}");
    let mut counts = String::new();
    for (kind, count) in by_kind {
        let _ = writeln!(counts, "{count:>7}  {kind}");
    }
    let _ = write!(counts, "{:>7}  in all", by_kind.values().sum::<usize>());
    if all() {
        println!("{name}\n{counts}");
    } else {
        insta::assert_snapshot!(name, counts);
    }
}

#[test]
fn truth_is_never_refused() {
    let mut facts_claimed = 0;
    for_every_sheet(|facts, claims, _| {
        let verdict = judged(facts, &claims.iter().collect::<Vec<_>>());
        assert_ne!(verdict.status, GroundingStatus::Rejected, "{verdict:?}\n{}", facts.to_json());
        assert_eq!(verdict.evidence.len(), claims.len(), "{}", facts.to_json());
        facts_claimed += claims.len();
    });
    assert!(facts_claimed > 10_000, "{facts_claimed}");
}

#[test]
fn truth_in_another_spelling_is_never_refused() {
    let mut counts = BTreeMap::new();
    for_every_sheet(|facts, claims, _| {
        for claim in claims {
            for (kind, value) in truths::spellings(&claim.value, sheets::fact(facts, claim)) {
                let respelled = Claim { value, ..claim.clone() };
                let verdict = judged(facts, &[&respelled]);
                let shown = serde_json::to_string(&respelled).unwrap();
                assert_ne!(verdict.status, GroundingStatus::Rejected, "{kind}: {shown} {}", facts.to_json());
                assert_eq!(verdict.evidence.len(), 1, "{kind}: {shown}");
                *counts.entry(kind).or_insert(0) += 1;
            }
        }
    });
    assert_counts("truths_accepted", &counts);
}

#[test]
fn no_lie_about_the_source_passes() {
    let counts = assert_all_caught(|claim, _, _| lies::about_the_source(claim));
    assert_counts("lies_about_the_source", &counts);
}

#[test]
fn no_lie_about_the_type_passes() {
    let counts = assert_all_caught(|claim, _, _| lies::about_the_type(claim));
    assert_counts("lies_about_the_type", &counts);
}

#[test]
fn wrong_type_of_the_right_source_is_corrected() {
    let mut counts = BTreeMap::new();
    for_every_sheet(|facts, claims, _| {
        for claim in claims {
            for retyped in lies::relabelled(claim) {
                let (verdict, honest) = (judged(facts, &[&retyped]), judged(facts, &[claim]));
                let context = || format!("{:?} {:?}", serde_json::to_string(&retyped), facts.to_json());
                assert_eq!(verdict.status, GroundingStatus::Downgraded, "{}", context());
                assert_eq!(verdict.reasons[0].code, ReasonCode::ClaimRetyped, "{}", context());
                assert_eq!(verdict.evidence[0].field_path, claim.field_path, "{}", context());
                let allowed = sheets::types_of(&claim.source, &claim.field_path);
                assert!(allowed.contains(&verdict.evidence[0].claim_type.as_str()), "{}", context());
                if allowed.len() == 1 {
                    assert_eq!(
                        (verdict.fit_score, verdict.intent),
                        (honest.fit_score, honest.intent),
                        "{}",
                        context()
                    );
                }
                *counts.entry("another type").or_insert(0) += 1;
            }
        }
    });
    assert_counts("types_corrected", &counts);
}

#[test]
fn no_lie_about_the_path_passes() {
    let counts = assert_all_caught(|claim, facts, _| lies::about_the_path(claim, facts));
    assert_counts("lies_about_the_path", &counts);
}

#[test]
fn no_lie_about_a_text_passes() {
    let counts = assert_all_caught(|claim, facts, rng| {
        lies::about_a_text(&claim.value, sheets::fact(facts, claim), rng).with(claim)
    });
    assert_counts("lies_about_a_text", &counts);
}

#[test]
fn no_lie_about_a_number_passes() {
    let counts = assert_all_caught(|claim, facts, _| {
        lies::about_a_number(&claim.value, sheets::fact(facts, claim)).with(claim)
    });
    assert_counts("lies_about_a_number", &counts);
}

#[test]
fn no_lie_about_a_boolean_passes() {
    let counts = assert_all_caught(|claim, facts, _| {
        lies::about_a_boolean(&claim.value, sheets::fact(facts, claim)).with(claim)
    });
    assert_counts("lies_about_a_boolean", &counts);
}

#[test]
fn no_lie_about_a_list_passes() {
    let counts =
        assert_all_caught(|claim, facts, _| lies::about_a_list(sheets::fact(facts, claim)).with(claim));
    assert_counts("lies_about_a_list", &counts);
}

#[test]
fn value_of_another_lead_is_refused() {
    let mut counts = BTreeMap::new();
    let mut last: Option<FactSheet> = None;
    for_every_sheet(|facts, claims, _| {
        for (path, value) in last.iter().flat_map(FactSheet::leaves) {
            let Some(claim) = claims.iter().find(|claim| claim.field_path == path.as_str()) else { continue };
            let fact = sheets::fact(facts, claim);
            let value = value.as_array().and_then(|members| members.first()).unwrap_or(value);
            if lies::says_the_same(fact, value) {
                continue;
            }
            let stale = Claim { value: value.clone(), ..claim.clone() };
            let verdict = judged(facts, &[&stale]);
            let context = || format!("{} {}", serde_json::to_string(&stale).unwrap(), facts.to_json());
            assert_eq!(verdict.status, GroundingStatus::Rejected, "{}", context());
            assert_eq!(verdict.reasons[0].code, ReasonCode::ValueConflict, "{}", context());
            *counts.entry("value of another lead").or_insert(0) += 1;
        }
        last = Some(facts.clone());
    });
    assert_counts("values_of_another_lead", &counts);
}

#[test]
fn honest_answer_is_valid() {
    for_every_sheet(|facts, claims, _| {
        let honest = conclusions::honest(facts, claims);
        let verdict = check(facts, &honest, &Contract::default());
        assert_eq!(verdict.status, GroundingStatus::Valid, "{verdict:?} {}", facts.to_json());
        assert_eq!(
            (verdict.fit_score, verdict.intent, verdict.decision),
            (honest.fit_score, honest.intent, honest.decision)
        );
    });
}

#[test]
fn no_conclusion_exceeds_its_claims() {
    let mut counts = BTreeMap::new();
    for_every_sheet(|facts, claims, rng| {
        let contract = Contract::default();
        let honest = conclusions::honest(facts, claims);
        let computed = conclusions::Computed::of(facts);
        for Overreach { kind, answer, code } in conclusions::overreaches(facts, &honest, rng) {
            let verdict = check(facts, &answer, &contract);
            let context = || format!("{kind}: {answer:?}\n{verdict:?}\n{}", facts.to_json());
            assert_eq!(verdict.status, GroundingStatus::Downgraded, "{}", context());
            assert!(verdict.reasons.iter().any(|breach| breach.code == code), "{}", context());
            let highest = computed.baseline + i64::from(contract.score_band);
            assert!(verdict.fit_score.get() <= highest, "{}", context());
            if computed.intent == Intent::Low {
                assert_ne!(verdict.intent, Intent::High, "{}", context());
            }
            if honest.decision != Decision::RouteToSdr {
                assert_ne!(verdict.decision, Decision::RouteToSdr, "{}", context());
            }
            if verdict.decision != Decision::ManualReview {
                assert!(verdict.decision <= decide(verdict.fit, verdict.intent), "{}", context());
            }
            if answer.evidence.is_empty() {
                assert_eq!(verdict.fit, Fit::Low, "{}", context());
                let kept = if answer.decision == Decision::ManualReview {
                    answer.decision
                } else {
                    Decision::Ignore
                };
                assert_eq!(verdict.decision, kept, "{}", context());
                assert!(!shown(facts, &verdict).contains("speaks for"), "{}", context());
            }
            *counts.entry(kind).or_insert(0) += 1;
        }
    });
    assert_counts("conclusions_lowered", &counts);
}

#[test]
fn no_answer_in_another_shape_is_read() {
    let mut counts = BTreeMap::new();
    for_every_sheet(|facts, claims, rng| {
        let Answer { fit_score, intent, decision, reasoning, mut evidence } =
            conclusions::honest(facts, claims);
        evidence.truncate(Answer::MAX_CLAIMS);
        let answer = json!({
            "fit_score": fit_score, "intent": intent, "decision": decision, "reasoning": reasoning,
            "evidence": evidence,
        });
        assert!(Answer::parse(&answer.to_string()).is_ok(), "{answer}");
        for (kind, text) in conclusions::reshaped(&answer, rng) {
            let read = Answer::parse(&text);
            assert_eq!(read, Answer::parse(&answer.to_string()), "{kind}: {text}");
        }
        for (kind, text) in conclusions::broken(&answer, rng) {
            assert!(Answer::parse(&text).is_err(), "{kind}: {text}");
            *counts.entry(kind).or_insert(0) += 1;
        }
    });
    assert_counts("shapes_refused", &counts);
}

#[test]
fn no_company_is_invented_without_enrichment() {
    let mut invented = 0;
    for_every_sheet(|facts, _, _| {
        if facts.namespace(Namespace::Enrichment).is_some() {
            return;
        }
        let claim = Claim {
            source: "ENRICHMENT".into(),
            field_path: "enrichment.industry".into(),
            value: json!("Fintech"),
            claim_type: "FIRMOGRAPHIC".into(),
        };
        let verdict = judged(facts, &[&claim]);
        assert_eq!(verdict.status, GroundingStatus::Rejected);
        assert_eq!(verdict.reasons[0].code, ReasonCode::NoEnrichment);
        invented += 1;
    });
    assert!(invented > 100, "{invented}");
}
