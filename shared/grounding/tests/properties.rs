//! Properties of every answer, sensible or not, under every contract.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use grounding::{
    Answer, Claim, Context, Contract, FactSheet, GroundingStatus, Namespace, Origins, ReasonCode, Verdict,
    check, decide, summary,
};
use lead::{Decision, Fit, FitScore, Intent};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// JSON of every kind, with texts, keys and numbers that often recur.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..5_i64).prop_map(Value::from),
        prop::sample::select(vec![
            "", " ", "x", "X", "1", "1.0", "1,200", "true", "\u{200b}", "é", "e\u{301}"
        ])
        .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "a.b", "", "baseline_score"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn fact_sheet() -> impl Strategy<Value = FactSheet> {
    let facts = || prop::collection::hash_map(key(), any_json(), 0..5);
    let levels = prop::option::of(level());
    (prop::array::uniform5(facts()), prop::option::of(-20..120_i64), levels).prop_map(
        |(all, baseline, level)| {
            let mut sheet = FactSheet::new();
            for (namespace, facts) in Namespace::ALL.into_iter().zip(all) {
                let mut facts: Map<String, Value> = facts.into_iter().collect();
                if let (Namespace::Computed, Some(baseline)) = (namespace, baseline) {
                    facts.insert("baseline_score".into(), json!(baseline));
                }
                if let (Namespace::Computed, Some(level)) = (namespace, level) {
                    facts.insert("intent_level".into(), json!(level));
                }
                sheet.set(namespace, facts);
            }
            sheet
        },
    )
}

fn level() -> impl Strategy<Value = Intent> {
    prop::sample::select(Intent::ALL.to_vec())
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::sample::select(words).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn wild_claim() -> impl Strategy<Value = Claim> {
    let paths =
        &["marketo.a", "marketo.a.b", "product.b", "enrichment.a", "salesforce.a", "computed.baseline_score"];
    let sources = &["SALESFORCE", "MARKETO", "PRODUCT", "ENRICHMENT", "COMPUTED"];
    let types = &["FIRMOGRAPHIC", "BEHAVIOR", "PIPELINE", "SCORE"];
    (word(sources), word(paths), any_json(), word(types))
        .prop_map(|(source, field_path, value, claim_type)| Claim { source, field_path, value, claim_type })
}

/// A sheet, and claims of which some are true. Random claims alone would rarely reach the rules on
/// conclusions.
fn sheet_and_claims() -> impl Strategy<Value = (FactSheet, Vec<Claim>)> {
    (fact_sheet(), prop::collection::vec(wild_claim(), 0..3), any::<u32>(), 0..4_u8).prop_map(
        |(sheet, mut claims, chosen, wild)| {
            if wild > 0 {
                claims.clear();
            }
            for (i, (path, fact)) in sheet.leaves().enumerate() {
                if chosen & (1 << (i % 32)) == 0 {
                    continue;
                }
                let claim_type = match path.namespace() {
                    Namespace::Enrichment => "FIRMOGRAPHIC",
                    Namespace::Marketo | Namespace::Product => "BEHAVIOR",
                    Namespace::Salesforce => "PIPELINE",
                    Namespace::Computed => ["SCORE", "PIPELINE"][(chosen >> 31) as usize],
                };
                let value = match fact {
                    Value::Array(members) if i % 2 == 0 => members.last().cloned().unwrap_or_default(),
                    fact => fact.clone(),
                };
                claims.push(Claim {
                    source: path.namespace().source().into(),
                    field_path: path.to_string(),
                    value,
                    claim_type: claim_type.into(),
                });
            }
            (sheet, claims)
        },
    )
}

fn answer(evidence: Vec<Claim>) -> impl Strategy<Value = Answer> {
    let score = (0..=100_i64).prop_map(FitScore::clamped);
    let intent = prop::sample::select(Intent::ALL.to_vec());
    let decision = prop::sample::select(Decision::ALL.to_vec());
    (score, intent, decision).prop_map(move |(fit_score, intent, decision)| Answer {
        fit_score,
        intent,
        decision,
        reasoning: "because".into(),
        evidence: evidence.clone(),
    })
}

fn contract() -> impl Strategy<Value = Contract> {
    let bands = (prop_oneof![0..=30_u8, 0..=100_u8], 0..=2_u8);
    (1..=99_i64, 1..=99_i64, bands, any::<[bool; 2]>()).prop_map(
        |(medium, above, (score_band, intent_band), [default, call_needs_facts])| {
            if default {
                return Contract::default();
            }
            Contract {
                fit_medium_from: FitScore::clamped(medium),
                fit_high_from: FitScore::clamped(medium + above),
                score_band,
                intent_band,
                call_needs_facts,
                ..Contract::default()
            }
        },
    )
}

/// One fact of each kind, and true claims about some of them, for the rules on conclusions.
fn plain_sheet_and_claims() -> impl Strategy<Value = (FactSheet, Vec<Claim>)> {
    (any::<[bool; 5]>(), 0..=100_i64, level()).prop_map(|(chosen, baseline, level)| {
        let mut sheet = FactSheet::new();
        let mut claims = Vec::new();
        for ((namespace, key, value, claim_type), chosen) in [
            (Namespace::Salesforce, "deal_stage", json!("Qualified"), "PIPELINE"),
            (Namespace::Marketo, "last_page", json!("/pricing"), "BEHAVIOR"),
            (Namespace::Enrichment, "industry", json!("Fintech"), "FIRMOGRAPHIC"),
            (Namespace::Computed, "baseline_score", json!(baseline), "SCORE"),
            (Namespace::Computed, "intent_level", json!(level), "PIPELINE"),
        ]
        .into_iter()
        .zip(chosen)
        {
            let mut facts = sheet.namespace(namespace).cloned().unwrap_or_default();
            facts.insert(key.to_owned(), value.clone());
            if key == "baseline_score" && baseline % 2 == 0 {
                let matched = json!({"marketo.last_page": ["/pricing"], "enrichment.industry": ["Fintech"]});
                facts.insert("matched_facts".to_owned(), matched);
                facts.insert(
                    "opted_out".to_owned(),
                    json!(["unsubscribed"][..usize::from(baseline % 4 == 0)]),
                );
            }
            sheet.set(namespace, facts);
            if chosen {
                let field_path = format!("{namespace}.{key}");
                claims.push(Claim {
                    source: namespace.source().into(),
                    field_path,
                    value,
                    claim_type: claim_type.into(),
                });
            }
        }
        (sheet, claims)
    })
}

fn case() -> impl Strategy<Value = (FactSheet, Answer, Contract)> {
    let sheets = prop_oneof![1 => sheet_and_claims(), 2 => plain_sheet_and_claims()];
    (sheets, contract())
        .prop_flat_map(|((sheet, claims), contract)| (Just(sheet), answer(claims), Just(contract)))
}

fn shown(facts: &FactSheet, verdict: &Verdict) -> String {
    summary(verdict, Context { facts, origins: &Origins::default(), opted_out: &[] })
}

fn as_answer(verdict: &Verdict) -> Answer {
    Answer {
        fit_score: verdict.fit_score,
        intent: verdict.intent,
        decision: verdict.decision,
        reasoning: String::new(),
        evidence: verdict.evidence.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn verdict_never_exceeds_the_answer_or_the_matrix((facts, answer, contract) in case()) {
        let verdict = check(&facts, &answer, &contract);
        prop_assert_eq!(verdict.fit, contract.fit(verdict.fit_score));
        prop_assert!(verdict.intent <= answer.intent);
        if verdict.decision != Decision::ManualReview {
            prop_assert!(verdict.decision <= answer.decision);
            prop_assert!(verdict.decision <= decide(verdict.fit, verdict.intent));
        }
        if verdict.fit_score > answer.fit_score {
            prop_assert!(verdict.reasons.iter().any(|breach| breach.code == ReasonCode::ScoreOutOfBand));
        }
    }

    #[test]
    fn verdict_rests_on_supporting_evidence((facts, answer, contract) in case()) {
        let verdict = check(&facts, &answer, &contract);
        let any = |types: &[&str]| verdict.evidence.iter().any(|claim| types.contains(&claim.claim_type.as_str()));
        prop_assert!(verdict.intent != Intent::High || any(&["BEHAVIOR", "SCORE"]));
        prop_assert!(verdict.fit != Fit::High || any(&["FIRMOGRAPHIC", "SCORE"]));
        prop_assert!(verdict.fit != Fit::Medium || any(&["FIRMOGRAPHIC", "BEHAVIOR", "SCORE"]));
        if verdict.decision == Decision::RouteToSdr {
            prop_assert_eq!((verdict.fit, verdict.intent), (Fit::High, Intent::High));
        }
    }

    #[test]
    fn status_follows_from_the_reasons((facts, answer, contract) in case()) {
        let verdict = check(&facts, &answer, &contract);
        let lies = verdict.reasons.iter().filter(|breach| breach.claim.is_some()).count();
        let expected = match (lies, verdict.reasons.len()) {
            (0, 0) => GroundingStatus::Valid,
            (0, _) => GroundingStatus::Downgraded,
            _ => GroundingStatus::Rejected,
        };
        prop_assert_eq!(verdict.status, expected);
        match expected {
            GroundingStatus::Rejected => prop_assert_eq!(verdict.decision, Decision::ManualReview),
            GroundingStatus::Valid => {
                prop_assert_eq!((verdict.fit_score, verdict.intent, verdict.decision),
                                (answer.fit_score, answer.intent, answer.decision));
            }
            GroundingStatus::Downgraded => {}
        }
    }

    #[test]
    fn repeated_check_changes_nothing((facts, answer, contract) in case()) {
        let once = check(&facts, &answer, &contract);
        let twice = check(&facts, &as_answer(&once), &contract);
        prop_assert_ne!(twice.status, GroundingStatus::Rejected);
        prop_assert_eq!(as_answer(&twice), as_answer(&once));
        prop_assert_eq!(twice.fit, once.fit);
    }

    #[test]
    fn less_evidence_never_strengthens_a_verdict((facts, answer, contract) in case(), kept in any::<u64>()) {
        let whole = check(&facts, &answer, &contract);
        // Without its lie, a rejected answer may stand.
        prop_assume!(whole.status != GroundingStatus::Rejected);
        let mut less = answer;
        let mut place = 0;
        less.evidence.retain(|_| { place += 1; kept & (1 << (place % 64)) != 0 });
        let part = check(&facts, &less, &contract);
        prop_assert_ne!(part.status, GroundingStatus::Rejected);
        prop_assert!(part.fit_score <= whole.fit_score);
        prop_assert!(part.fit <= whole.fit);
        prop_assert!(part.intent <= whole.intent);
        prop_assert!(part.decision <= whole.decision);
        prop_assert!(part.evidence.iter().all(|claim| whole.evidence.contains(claim)));
    }

    #[test]
    fn another_lie_never_strengthens_a_verdict((facts, answer, contract) in case(), lie in wild_claim()) {
        let before = check(&facts, &answer, &contract);
        let mut more = answer;
        more.evidence.push(Claim { source: "WEB_SEARCH".into(), ..lie });
        let after = check(&facts, &more, &contract);
        prop_assert_eq!((after.status, after.decision), (GroundingStatus::Rejected, Decision::ManualReview));
        prop_assert_eq!((after.fit_score, after.intent, after.evidence), (before.fit_score, before.intent, before.evidence));
    }

    #[test]
    fn claims_disappear_with_their_facts((facts, answer, contract) in case(), gone in 0..5_usize) {
        let before = check(&facts, &answer, &contract);
        let mut fewer = facts.clone();
        fewer.set(Namespace::ALL[gone], Map::new());
        let after = check(&fewer, &answer, &contract);
        let source = Namespace::ALL[gone].source();
        let left = |verdict: &Verdict| {
            verdict.evidence.iter().filter(|claim| claim.source != source).cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(&after.evidence, &left(&before));
        if before.evidence.len() != after.evidence.len() {
            prop_assert_eq!(after.status, GroundingStatus::Rejected);
        }
    }

    #[test]
    fn prose_changes_nothing((facts, answer, contract) in case(), prose in any::<String>()) {
        let said = Answer { reasoning: prose, ..answer.clone() };
        prop_assert_eq!(check(&facts, &said, &contract), check(&facts, &answer, &contract));
    }

    #[test]
    fn intent_stays_within_its_band((facts, answer, contract) in case()) {
        let computed = facts.get(&"computed.intent_level".parse().unwrap());
        if let Some(computed) = computed.and_then(Value::as_str).and_then(Intent::parse) {
            let intent = check(&facts, &answer, &contract).intent;
            let place = |level| Intent::ALL.iter().position(|other| *other == level).unwrap();
            prop_assert!(place(intent) <= place(computed) + usize::from(contract.intent_band));
        }
    }

    #[test]
    fn computed_facts_justify_every_call((facts, answer, contract) in case()) {
        let verdict = check(&facts, &answer, &contract);
        if contract.call_needs_facts && verdict.decision == Decision::RouteToSdr {
            let computed = |path: &str| facts.get(&path.parse().unwrap());
            let score = computed("computed.baseline_score").and_then(Value::as_f64).unwrap();
            let level = computed("computed.intent_level").and_then(Value::as_str).and_then(Intent::parse);
            #[expect(clippy::cast_possible_truncation, reason = "between 0 and 100")]
            let baseline = score.clamp(0.0, 100.0).round() as i64;
            let fit = contract.fit(FitScore::clamped(baseline));
            prop_assert_eq!(decide(fit, level.unwrap()), Decision::RouteToSdr);
        }
    }

    #[test]
    fn rise_rests_on_a_matched_fact((facts, answer, contract) in case()) {
        let verdict = check(&facts, &answer, &contract);
        let computed = facts.namespace(Namespace::Computed);
        let has_matched = computed.is_some_and(|facts| facts.contains_key("matched_facts"));
        if !has_matched {
            let level = computed.and_then(|facts| Intent::parse(facts.get("intent_level")?.as_str()?));
            prop_assert!(level.is_none_or(|level| verdict.intent <= level));
            let baseline = computed.and_then(|facts| facts.get("baseline_score")?.as_f64());
            #[expect(clippy::cast_possible_truncation, reason = "between 0 and 100")]
            let baseline = baseline.map(|score| score.clamp(0.0, 100.0).round() as i64);
            prop_assert!(baseline.is_none_or(|baseline| verdict.fit_score.get() <= baseline));
        }
    }

    #[test]
    fn opted_out_person_is_never_called((facts, answer, contract) in case()) {
        let opted_out = facts.namespace(Namespace::Computed).and_then(|facts| facts.get("opted_out"));
        if opted_out.is_some_and(|names| names == &json!(["unsubscribed"])) {
            prop_assert_ne!(check(&facts, &answer, &contract).decision, Decision::RouteToSdr);
        }
    }

    #[test]
    fn stored_input_gives_the_same_bytes((facts, answer, contract) in case()) {
        let verdict = serde_json::to_string(&check(&facts, &answer, &contract)).unwrap();
        let evidence: Vec<Value> = answer.evidence.iter().map(|claim| json!(claim)).collect();
        let raw = json!({
            "fit_score": answer.fit_score, "intent": answer.intent, "decision": answer.decision,
            "reasoning": answer.reasoning, "evidence": evidence,
        });
        let (facts, contract) = (serde_json::to_string(&facts).unwrap(), serde_json::to_string(&contract).unwrap());
        // The database stores them as texts.
        let contract: Contract = serde_json::from_str(&contract).unwrap();
        if let Ok(answer) = Answer::parse(&raw.to_string()) {
            let facts: FactSheet = serde_json::from_str(&facts).unwrap();
            let again = check(&facts, &answer, &contract);
            prop_assert_eq!(&serde_json::to_string(&again).unwrap(), &verdict);
            let stored: Verdict = serde_json::from_str(&verdict).unwrap();
            prop_assert_eq!(&serde_json::to_string(&stored).unwrap(), &verdict);
        }
    }

    #[test]
    fn order_of_claims_is_irrelevant((facts, answer, contract) in case(), turn in 0..8_usize) {
        let mut other = answer.clone();
        if !other.evidence.is_empty() {
            let at = turn % other.evidence.len();
            other.evidence.rotate_left(at);
            other.evidence.reverse();
            other.evidence.push(other.evidence[at].clone());
        }
        let (a, b) = (check(&facts, &answer, &contract), check(&facts, &other, &contract));
        prop_assert_eq!(shown(&facts, &a), shown(&facts, &b));
        prop_assert_eq!(a, b);
    }

    #[test]
    fn passed_value_is_the_fact_itself((facts, answer, contract) in case()) {
        for claim in check(&facts, &answer, &contract).evidence {
            let fact = facts.get(&claim.field_path.parse().unwrap()).unwrap();
            let members = fact.as_array().map_or(&[][..], Vec::as_slice);
            let is_part = claim.value.as_array().is_some_and(|part| part.iter().all(|one| members.contains(one)));
            prop_assert!(*fact == claim.value || members.contains(&claim.value) || is_part);
        }
    }

    #[test]
    fn summary_is_bounded_plain_text((facts, answer, contract) in case()) {
        let text = shown(&facts, &check(&facts, &answer, &contract));
        prop_assert!(text.chars().count() <= 2_000);
        prop_assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || matches!(c, '<' | '>')));
        prop_assert!(!text.to_lowercase().contains("http") && !text.contains("]("));
    }

    #[test]
    fn verdict_survives_serialization((facts, answer, contract) in case()) {
        let verdict = check(&facts, &answer, &contract);
        let stored = serde_json::to_value(&verdict).unwrap();
        prop_assert_eq!(serde_json::from_value::<Verdict>(stored).unwrap(), verdict);
    }

    #[test]
    fn every_leaf_is_found_at_its_path(facts in fact_sheet()) {
        for (path, fact) in facts.leaves() {
            prop_assert_eq!(facts.get(&path), Some(fact));
        }
        prop_assert_eq!(serde_json::from_value::<FactSheet>(facts.to_json()).unwrap(), facts);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), json in any_json()) {
        let _ = Answer::parse(&text);
        let _ = Answer::parse(&json.to_string());
        let _ = Answer::parse(&format!("```json\n{json}\n```"));
        let _ = Answer::parse(&format!("{text}{json}{text}"));
    }
}
