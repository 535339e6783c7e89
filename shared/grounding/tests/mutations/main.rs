//! Lies and truths by the hundred thousand: every field of many fact sheets claimed truthfully, then wrongly in every
//! way a model might. No lie may pass and no truth be refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lies;
mod sheets;
mod truths;

use std::collections::BTreeMap;

use grounding::{Answer, Claim, Contract, FactSheet, GroundingStatus, Namespace, ReasonCode, Verdict, check};
use lead::{Decision, FitScore, Intent};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::lies::Lie;
use crate::sheets::{fact_sheet, truthful_claims};

const SHEETS: u64 = 2_000;
/// Lies are told about one fact in so many of a sheet: over all sheets about every field, hundreds of times.
const EVERY: usize = 4;
/// How many lies of each kind are told about one fact, drawn from all there are.
const LIES_OF_A_KIND: usize = 2;

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

/// Calls `test` with every sheet, its truthful claims, and the randomness that belongs to the sheet.
fn for_every_sheet(mut test: impl FnMut(&FactSheet, &[Claim], &mut StdRng)) {
    for seed in 0..SHEETS {
        let mut rng = StdRng::seed_from_u64(seed);
        let facts = fact_sheet(&mut rng);
        let claims = truthful_claims(&facts, &mut rng);
        test(&facts, &claims, &mut rng);
    }
}

/// Tells the lies about every claim of every sheet, each beside a truth, and counts them by kind.
fn assert_all_caught(
    tell: impl Fn(&Claim, &FactSheet, &mut StdRng) -> Vec<Lie>,
) -> BTreeMap<&'static str, usize> {
    let mut told = BTreeMap::new();
    for_every_sheet(|facts, claims, rng| {
        for (i, claim) in claims.iter().enumerate().skip(rng.random_range(0..EVERY)).step_by(EVERY) {
            let truth = &claims[(i + 1) % claims.len()];
            let mut lies = tell(claim, facts, rng);
            lies.shuffle(rng);
            let mut of_kind = BTreeMap::new();
            for Lie { kind, claim: lie, codes } in lies {
                let told_here = of_kind.entry(kind).or_insert(0);
                if *told_here == LIES_OF_A_KIND {
                    continue;
                }
                *told_here += 1;
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
                *told.entry(kind).or_insert(0) += 1;
            }
        }
    });
    told
}

fn assert_told(told: &BTreeMap<&'static str, usize>, kinds: &[&str]) {
    let names: Vec<_> = told.keys().copied().collect();
    let mut expected = kinds.to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert!(told.values().all(|count| *count >= 100), "{told:?}");
}

#[test]
fn the_truth_is_never_refused() {
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
fn the_truth_in_another_dress_is_never_refused() {
    let mut told = BTreeMap::new();
    for_every_sheet(|facts, claims, _| {
        for claim in claims {
            for (kind, value) in truths::dresses(&claim.value, sheets::fact(facts, claim)) {
                let dressed = Claim { value, ..claim.clone() };
                let verdict = judged(facts, &[&dressed]);
                let shown = serde_json::to_string(&dressed).unwrap();
                assert_ne!(verdict.status, GroundingStatus::Rejected, "{kind}: {shown} {}", facts.to_json());
                assert_eq!(verdict.evidence.len(), 1, "{kind}: {shown}");
                *told.entry(kind).or_insert(0) += 1;
            }
        }
    });
    assert_told(&told, &truths::KINDS);
}

#[test]
fn no_lie_about_the_source_passes() {
    let told = assert_all_caught(|claim, _, _| lies::about_the_source(claim));
    assert_told(&told, &["another source", "no such source", "source in another spelling"]);
}

#[test]
fn no_lie_about_the_type_passes() {
    let told = assert_all_caught(|claim, _, _| lies::about_the_type(claim));
    assert_told(&told, &["no such type", "relabelled type"]);
}

#[test]
fn no_lie_about_the_path_passes() {
    let told = assert_all_caught(|claim, facts, _| lies::about_the_path(claim, facts));
    let kinds = [
        "another field of the source",
        "misspelled path",
        "moved to another namespace",
        "moved with its source and type",
        "no namespace",
        "path of a group",
    ];
    assert_told(&told, &kinds);
}

#[test]
fn no_lie_about_a_text_passes() {
    let told = assert_all_caught(|claim, facts, rng| {
        lies::about_a_text(&claim.value, sheets::fact(facts, claim), rng).with(claim)
    });
    let kinds = [
        "empty",
        "invisible character",
        "look-alike letter",
        "negation",
        "part of the text",
        "prose in the value",
        "stale value",
        "text and more",
    ];
    assert_told(&told, &kinds);
}

#[test]
fn no_lie_about_a_number_passes() {
    let told = assert_all_caught(|claim, facts, _| {
        lies::about_a_number(&claim.value, sheets::fact(facts, claim)).with(claim)
    });
    let kinds =
        ["another number", "dressed number", "leading zero", "rounded number", "thousands with a dot"];
    assert_told(&told, &kinds);
}

#[test]
fn no_lie_about_a_boolean_passes() {
    let told = assert_all_caught(|claim, facts, _| {
        lies::about_a_boolean(&claim.value, sheets::fact(facts, claim)).with(claim)
    });
    assert_told(&told, &["not a boolean", "the opposite"]);
}

#[test]
fn no_lie_about_a_list_passes() {
    let told =
        assert_all_caught(|claim, facts, _| lies::about_a_list(sheets::fact(facts, claim)).with(claim));
    assert_told(&told, &["list with one more", "list with one less", "list as one text", "list in a list"]);
}

#[test]
fn no_company_is_invented_where_enrichment_found_none() {
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
