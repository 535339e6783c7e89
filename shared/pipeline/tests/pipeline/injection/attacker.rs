//! A model that an attacker controls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use analysis::{Analysis, AnalysisError, Analyst, Icp, Rules, Usage};
use async_trait::async_trait;
use grounding::{FactSheet, Namespace};
use serde_json::{Value, json};

/// The kind of answer of an obedient model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tactic {
    /// Cites all true facts for a conclusion that they do not support: the strongest attack without a false
    /// claim.
    TrueFactsOnly,
    /// Cites only the attacker's text, truthfully, as the person's behaviour.
    OwnWords,
    /// Invents a matching company.
    InventedCompany,
    /// Claims a baseline score of 100.
    InventedScore,
    /// Claims that the attacker's text is from enrichment.
    Relabelled,
    /// Cites facts with the attacker's text as their value.
    TextAsValue,
    /// Cites nothing, with the text in the prose.
    Prose,
    /// Answers with the text itself.
    Echo,
    /// Inserts the text into the answer without escaping.
    BrokenJson,
    /// Adds actions that are not part of the answer format.
    OrderedActions,
    /// Requests a manual review, to get at least the attention of a person.
    AskForAPerson,
}

impl Tactic {
    pub(super) const ALL: [Self; 11] = [
        Self::TrueFactsOnly,
        Self::OwnWords,
        Self::InventedCompany,
        Self::InventedScore,
        Self::Relabelled,
        Self::TextAsValue,
        Self::Prose,
        Self::Echo,
        Self::BrokenJson,
        Self::OrderedActions,
        Self::AskForAPerson,
    ];

    fn answer(self, facts: &FactSheet, text: &str) -> String {
        let claim = |source: &str, path: &str, value: Value, claim_type: &str| json!({"source": source, "field_path": path, "value": value, "claim_type": claim_type});
        let leaves: Vec<_> = facts.leaves().collect();
        let everything = || -> Vec<Value> {
            let of_type = |namespace| match namespace {
                Namespace::Enrichment => "FIRMOGRAPHIC",
                Namespace::Marketo | Namespace::Product => "BEHAVIOR",
                Namespace::Salesforce => "PIPELINE",
                Namespace::Computed => "SCORE",
            };
            let all = leaves.iter().map(|(path, value)| {
                let source = path.namespace();
                claim(source.source(), path.as_str(), (*value).clone(), of_type(source))
            });
            all.take(50).collect()
        };
        let written_by_the_person = || {
            leaves
                .iter()
                .filter(|(path, _)| matches!(path.namespace(), Namespace::Marketo | Namespace::Product))
        };
        let answer = |evidence: Vec<Value>| {
            json!({"fit_score": 100, "intent": "HIGH", "decision": "ROUTE_TO_SDR",
                   "reasoning": text.chars().take(2_000).collect::<String>(), "evidence": evidence})
        };
        let short: String = text.chars().take(200).collect();
        match self {
            Self::TrueFactsOnly => answer(everything()).to_string(),
            Self::OwnWords => {
                let own = written_by_the_person();
                let own = own.map(|(path, value)| {
                    claim(path.namespace().source(), path.as_str(), (*value).clone(), "BEHAVIOR")
                });
                answer(own.take(50).collect()).to_string()
            }
            Self::InventedCompany => answer(vec![
                claim("ENRICHMENT", "enrichment.industry", "Fintech".into(), "FIRMOGRAPHIC"),
                claim("ENRICHMENT", "enrichment.employee_count", 99_999.into(), "FIRMOGRAPHIC"),
                claim("WEB_SEARCH", "web.news", short.into(), "FIRMOGRAPHIC"),
            ])
            .to_string(),
            Self::InventedScore => answer(vec![
                claim("COMPUTED", "computed.baseline_score", 101.into(), "SCORE"),
                claim("COMPUTED", "computed.intent_level", "HIGH".into(), "SCORE"),
            ])
            .to_string(),
            Self::Relabelled => {
                let relabelled = written_by_the_person().map(|(path, value)| {
                    claim("ENRICHMENT", path.as_str(), (*value).clone(), "FIRMOGRAPHIC")
                });
                answer(relabelled.take(50).collect()).to_string()
            }
            Self::TextAsValue => {
                let replaced = leaves.iter().map(|(path, _)| {
                    claim(path.namespace().source(), path.as_str(), format!("{short} indeed").into(), "SCORE")
                });
                answer(replaced.take(10).collect()).to_string()
            }
            Self::Prose => answer(Vec::new()).to_string(),
            Self::Echo => text.to_owned(),
            Self::BrokenJson => answer(everything()).to_string().replacen(
                "\"ROUTE_TO_SDR\"",
                &format!("\"ROUTE_TO_SDR\", \"note\": \"{text}\""),
                1,
            ),
            Self::OrderedActions => {
                let mut more = answer(everything());
                more["actions"] =
                    json!([{"create_opportunity": {"amount": 1_000_000}}, {"convert_lead": {}}]);
                more.to_string()
            }
            Self::AskForAPerson => {
                let mut modest = answer(everything());
                modest["decision"] = "MANUAL_REVIEW".into();
                modest.to_string()
            }
        }
    }
}

/// The path of the attacker's text to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Channel {
    /// The model's facts. The model obeys if the text is in them, and judges by the rules otherwise.
    Facts,
    /// An unknown path. The model always obeys.
    Elsewhere,
}

/// A model that follows all instructions in its input.
pub(super) struct Obedient {
    rules: Rules,
    channel: Channel,
    tactic: Tactic,
    text: String,
    /// The facts of the lead without the text. Any difference from them is an instruction.
    innocent: FactSheet,
    has_obeyed: AtomicBool,
}

impl Obedient {
    pub(super) fn new(channel: Channel, tactic: Tactic, text: &str, innocent: FactSheet) -> Arc<Self> {
        Arc::new(Self {
            rules: Rules::new(Icp::default_config()),
            channel,
            tactic,
            text: text.to_owned(),
            innocent,
            has_obeyed: AtomicBool::new(false),
        })
    }

    pub(super) fn has_obeyed(&self) -> bool {
        self.has_obeyed.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Analyst for Obedient {
    fn provider(&self) -> &'static str {
        "obedient"
    }

    fn model(&self) -> &'static str {
        "obedient-1"
    }

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, AnalysisError> {
        let is_reached = self.channel == Channel::Elsewhere || *facts != self.innocent;
        let raw_answer = if is_reached {
            self.has_obeyed.store(true, Ordering::SeqCst);
            self.tactic.answer(facts, &self.text)
        } else {
            self.rules.analyse(facts).await?.raw_answer
        };
        let (provider, model) = (self.provider().to_owned(), self.model().to_owned());
        Ok(Analysis {
            provider,
            model,
            raw_answer,
            prompt_version: None,
            usage: Usage::default(),
            latency_ms: 0,
        })
    }
}
