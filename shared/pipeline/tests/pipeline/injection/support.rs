//! The limits that the facts of a lead support, computed independently of the code under test.

use std::collections::{BTreeMap, BTreeSet};

use grounding::{Claim, Context, Contract, FactSheet, GroundingStatus, Namespace, Origins, Verdict, summary};
use lead::{Decision, Fit, FitScore, Intent};
use serde_json::{Map, Value};

/// Fields of a lead's record that an analysis influences.
pub(super) const JUDGED: [&str; 7] =
    ["fit_score", "fit", "intent", "decision", "fallback", "summary", "status"];

/// The strongest result that any analyst may reach with these facts.
pub(super) struct Supported {
    baseline: i64,
    intent_score: i64,
    highest_score: i64,
    highest_intent: Intent,
    is_a_call: bool,
    /// Every line about a fact that a summary may contain.
    lines: BTreeSet<String>,
}

impl Supported {
    pub(super) fn by(facts: &FactSheet) -> Self {
        let computed = |path: &str| facts.get(&path.parse().unwrap()).expect("always computed");
        let level = Intent::parse(computed("computed.intent_level").as_str().unwrap()).unwrap();
        let baseline = computed("computed.baseline_score").as_i64().unwrap();
        Self {
            baseline,
            intent_score: computed("computed.intent_score").as_i64().unwrap(),
            highest_score: baseline + 30,
            highest_intent: if level == Intent::Low { Intent::Medium } else { Intent::High },
            is_a_call: baseline >= 80 && level == Intent::High,
            lines: lines_of(facts),
        }
    }

    /// Asserts that the computed facts of an attacked lead do not exceed those of the lead without the
    /// attack.
    pub(super) fn assert_no_more_than(&self, unattacked: &Self, context: &str) {
        assert!(self.baseline <= unattacked.baseline, "fit {} : {context}", self.baseline);
        assert!(self.intent_score <= unattacked.intent_score, "intent {}: {context}", self.intent_score);
    }

    /// Asserts that score, intent and decision do not exceed the limits.
    pub(super) fn assert_bounds(&self, fields: &Map<String, Value>, context: &str) {
        if fields["fallback"] != true {
            assert!(fields["fit_score"].as_i64().unwrap() <= self.highest_score, "{context}");
        }
        assert!(
            Intent::parse(fields["intent"].as_str().unwrap()).unwrap() <= self.highest_intent,
            "{context}"
        );
        assert!(fields["decision"] != "ROUTE_TO_SDR" || self.is_a_call, "{context}");
    }

    /// Asserts that the judged fields of a CRM record are supported by the facts.
    pub(super) fn assert_holds(&self, fields: &Map<String, Value>, context: &str) {
        let text = |field: &str| fields[field].as_str().unwrap_or_else(|| panic!("{field}: {context}"));
        let score = fields["fit_score"].as_i64().unwrap();
        let (fit, intent) = (Fit::parse(text("fit")).unwrap(), Intent::parse(text("intent")).unwrap());
        let decision = Decision::parse(text("decision")).unwrap();
        let neutral = (score, decision) == (50, Decision::ManualReview);
        if fields["fallback"] == true {
            assert!(neutral, "{context}");
        } else {
            assert!(score <= self.highest_score, "score {score}: {context}");
        }
        assert!(intent <= self.highest_intent, "intent {intent}: {context}");
        // The honest analyst determines the exact decision. This only bounds it.
        assert!(decision != Decision::RouteToSdr || self.is_a_call, "{context}");
        let mut lines = text("summary").lines();
        let first = lines.next().unwrap();
        assert!(
            first.starts_with(&format!("Fit {fit} ({score} of 100), intent {intent}: ")),
            "{first}: {context}"
        );
        for line in lines {
            let is_ours = ["Company:", "Behavior:", "Pipeline:", "Score:", "No evidence."].contains(&line)
                || line.starts_with("Adjusted: ")
                || (line.starts_with("- and ") && line.ends_with(" more"));
            assert!(is_ours || self.lines.contains(line), "{line}: {context}");
        }
    }
}

/// The summary lines of each fact and of each member of a list.
fn lines_of(facts: &FactSheet) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let company = facts.namespace(Namespace::Enrichment).into_iter().flat_map(Map::keys);
    let providers: BTreeMap<String, String> =
        company.map(|field| (field.clone(), "fixtures".to_owned())).collect();
    for (path, fact) in facts.leaves() {
        let members = fact.as_array().map_or(&[][..], Vec::as_slice);
        for value in members.iter().chain([fact]) {
            let claim = Claim {
                source: path.namespace().source().to_owned(),
                field_path: path.to_string(),
                value: value.clone(),
                claim_type: "SCORE".to_owned(),
            };
            let verdict = Verdict {
                contract_version: 0,
                status: GroundingStatus::Valid,
                reasons: Vec::new(),
                fit_score: FitScore::FALLBACK,
                fit: Contract::default().fit(FitScore::FALLBACK),
                intent: Intent::Low,
                decision: Decision::Ignore,
                evidence: vec![claim],
            };
            let origins = Origins { providers: providers.clone(), ..Origins::default() };
            let context = Context { facts, origins: &origins, opted_out: &[] };
            lines.extend(
                summary(&verdict, context).lines().filter(|line| line.starts_with("- ")).map(str::to_owned),
            );
        }
    }
    lines
}
