use async_trait::async_trait;
use grounding::{Claim, ClaimType, FactSheet, FieldPath, decide};
use lead::{Decision, Failure, FitScore, Intent};
use serde_json::{Value, json};

use crate::evidence::Found;
use crate::{Analysis, AnalysisError, Analyst, Icp, Usage};

/// The maximum number of quoted technologies: enough to explain the score, within the limits of an answer.
const MAX_TECHNOLOGIES: usize = 5;
/// The maximum number of quoted signals, for the same reason.
const MAX_SIGNALS: usize = 15;

/// The analyst without an AI: it puts the scores of the profile into the form of an answer.
///
/// It copies every claim from the fact sheet, so grounding has nothing to correct. The same facts always give
/// the same answer.
pub struct Rules {
    icp: Icp,
    model: String,
}

impl Rules {
    /// An analyst that judges with `icp`, which must be the profile of the fact sheets.
    pub fn new(icp: Icp) -> Self {
        let model = format!("icp-{}", icp.version());
        Self { icp, model }
    }

    /// The answer as JSON; none if [`fact_sheet`](crate::fact_sheet) did not create the sheet.
    fn answer(&self, facts: &FactSheet) -> Option<Value> {
        let fit_score = FitScore::new(number(facts, "baseline_score")?)?;
        let intent = fact(facts, "computed.intent_level")?.1.as_str().and_then(Intent::parse)?;
        let fit = self.icp.contract.fit(fit_score);
        let decision = match decide(fit, intent) {
            Decision::RouteToSdr
                if ["computed.opted_out", "computed.call_lacks"]
                    .into_iter()
                    .any(|path| fact(facts, path).is_some()) =>
            {
                Decision::ManualReview
            }
            decision => decision,
        };
        let mut evidence = Evidence { facts, claims: Vec::new() };
        evidence.company();
        evidence.behaviour(&self.icp);
        evidence.scores();
        Some(json!({
            "fit_score": fit_score,
            "intent": intent,
            "decision": decision,
            "reasoning": reasoning(facts),
            "evidence": evidence.claims,
        }))
    }
}

#[async_trait]
impl Analyst for Rules {
    fn provider(&self) -> &'static str {
        "rules"
    }

    fn model(&self) -> &str {
        &self.model
    }

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, AnalysisError> {
        let answer = self.answer(facts).ok_or_else(|| {
            Failure::permanent("facts_incomplete", "the fact sheet has no computed baseline")
        })?;
        Ok(Analysis {
            provider: self.provider().to_owned(),
            model: self.model.clone(),
            prompt_version: None,
            raw_answer: answer.to_string(),
            usage: Usage::default(),
            latency_ms: 0,
        })
    }
}

/// The claims of an answer, each copied from a fact.
struct Evidence<'a> {
    facts: &'a FactSheet,
    claims: Vec<Claim>,
}

impl Evidence<'_> {
    /// Quotes the known facts about the company, favourable or not.
    fn company(&mut self) {
        self.quote("enrichment.industry", ClaimType::Firmographic);
        if !self.quote("enrichment.employee_count", ClaimType::Firmographic) {
            self.quote("enrichment.employee_range.min", ClaimType::Firmographic);
        }
        self.quote("enrichment.country", ClaimType::Firmographic);
        let listed = |path| {
            fact(self.facts, path).and_then(|(_, value)| value.as_array()).map_or(&[][..], Vec::as_slice)
        };
        let used = listed("enrichment.technologies");
        let matched = listed("computed.tech_match").iter().filter(|technology| used.contains(technology));
        for value in matched.take(MAX_TECHNOLOGIES) {
            if let Some((path, _)) = fact(self.facts, "enrichment.technologies") {
                self.claims.push(claim(&path, value, ClaimType::Firmographic));
            }
        }
    }

    /// Quotes the actions of the person that add to the intent.
    fn behaviour(&mut self, icp: &Icp) {
        let engagement = icp.engagement.level(self.facts);
        let engagement =
            engagement.filter(|(level, _)| icp.engagement.points(*level) > 0).map(|(_, found)| found);
        let signals = icp.signals.iter().filter_map(|signal| signal.fired_by(self.facts)).take(MAX_SIGNALS);
        for Found { path, value } in engagement.into_iter().chain(signals) {
            let claim = claim(&path, &value, ClaimType::Behavior);
            // One activity may fire two signals; it is quoted once.
            if !self.claims.contains(&claim) {
                self.claims.push(claim);
            }
        }
    }

    /// Quotes the computed facts.
    fn scores(&mut self) {
        self.quote("computed.baseline_score", ClaimType::Score);
        self.quote("computed.intent_score", ClaimType::Score);
        for (name, points, claim_type) in [
            ("campaign_tier", "campaign_points", ClaimType::Pipeline),
            ("title_level", "title_points", ClaimType::Score),
            ("mailbox", "mailbox_points", ClaimType::Pipeline),
        ] {
            if number(self.facts, points).is_some_and(|points| points != 0) {
                self.quote(&format!("computed.{name}"), claim_type);
            }
        }
        if fact(self.facts, "computed.executive_stealth")
            .is_some_and(|(_, value)| value == &Value::Bool(true))
        {
            self.quote("computed.executive_stealth", ClaimType::Pipeline);
        }
    }

    /// Quotes a single fact unchanged; returns whether there is one.
    fn quote(&mut self, path: &str, claim_type: ClaimType) -> bool {
        match fact(self.facts, path) {
            Some((path, value)) if !value.is_array() && !value.is_object() => {
                self.claims.push(claim(&path, value, claim_type));
                true
            }
            _ => false,
        }
    }
}

fn claim(path: &FieldPath, value: &Value, claim_type: ClaimType) -> Claim {
    Claim {
        source: path.namespace().source().to_owned(),
        field_path: path.as_str().to_owned(),
        value: value.clone(),
        claim_type: claim_type.as_str().to_owned(),
    }
}

fn fact<'a>(facts: &'a FactSheet, path: &str) -> Option<(FieldPath, &'a Value)> {
    let path = FieldPath::parse(path).ok()?;
    let value = facts.get(&path)?;
    Some((path, value))
}

fn number(facts: &FactSheet, computed: &str) -> Option<i64> {
    fact(facts, &format!("computed.{computed}"))?.1.as_i64()
}

/// The sums as text. It holds numbers only, so text of the lead cannot appear in it.
fn reasoning(facts: &FactSheet) -> String {
    let sum = |total: &str, parts: &[(&str, &str)]| {
        let parts: Vec<_> =
            parts.iter().map(|(name, fact)| format!("{name} {}", number(facts, fact).unwrap_or(0))).collect();
        format!("{} of 100: {}.", number(facts, total).unwrap_or(0), parts.join(", "))
    };
    format!(
        "Fit {} Intent {}",
        sum(
            "baseline_score",
            &[
                ("industry", "industry_points"),
                ("size", "size_points"),
                ("country", "geo_points"),
                ("technologies", "tech_points"),
                ("mailbox", "mailbox_points"),
                ("executive stealth", "stealth_fit_points"),
            ]
        ),
        sum(
            "intent_score",
            &[
                ("engagement", "engagement_points"),
                ("signals", "signal_points"),
                ("campaign", "campaign_points"),
                ("title", "title_points"),
                ("executive stealth", "stealth_intent_points"),
            ]
        ),
    )
}
