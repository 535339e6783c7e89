use grounding::{Answer, Claim, Contract, GroundingStatus, Namespace, ReasonCode, Verdict, check, decide};
use lead::{Decision, Fit, FitScore, Intent};
use serde::Serialize;
use store::AnalysisRecord;

use super::{KnownFacts, ScoreBreakdown, ScorePart, plain};

/// A condition that would have changed the outcome.
///
/// Derived from stored data by the functions that made the judgement; no analyst is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Counterfactual {
    /// The changed condition.
    #[serde(rename = "if")]
    pub condition: String,
    /// Its consequence.
    #[serde(rename = "then")]
    pub outcome: String,
}

pub(super) fn counterfactuals(analysis: &AnalysisRecord, knew: &KnownFacts) -> Vec<Counterfactual> {
    let verdict = &analysis.verdict;
    let mut list = List(Vec::new());
    if analysis.fallback {
        list.with_an_answer(analysis, knew);
    } else if verdict.status == GroundingStatus::Rejected {
        list.without_false_claims(analysis);
    } else {
        list.lowered_conclusions(verdict);
        let matrix = Matrix { verdict, contract: &analysis.contract, knew };
        list.0.extend(matrix.fit_above());
        list.0.extend(matrix.intent_above());
        list.0.extend(matrix.both_above());
        list.0.extend(matrix.fit_below());
        list.0.extend(matrix.intent_below());
    }
    let company_known = list.company(analysis);
    for sum in knew.sums.iter().filter(|sum| sum.of != "fit" || company_known) {
        list.idle_parts(sum);
    }
    knew.sums.iter().for_each(|sum| list.penalties(sum));
    list.0
}

struct List(Vec<Counterfactual>);

impl List {
    fn push(&mut self, condition: impl Into<String>, outcome: impl Into<String>) {
        self.0.push(Counterfactual { condition: condition.into(), outcome: outcome.into() });
    }

    /// A fallback has no answer, so the outcome uses our own scores.
    fn with_an_answer(&mut self, analysis: &AnalysisRecord, knew: &KnownFacts) {
        let computed = knew.computed("baseline_score").and_then(serde_json::Value::as_i64);
        let intent = knew.computed("intent_level").and_then(|level| Intent::parse(level.as_str()?));
        let outcome = match computed.zip(intent) {
            Some((baseline, intent)) => {
                let fit = analysis.contract.fit(FitScore::clamped(baseline));
                let decision = decide(fit, intent);
                format!(
                    "its claims would have been checked and acted on; by our own arithmetic alone the score is \
                     {baseline}, so fit {fit} with intent {intent}, which makes {decision}"
                )
            }
            None => "its claims would have been checked and acted on".to_owned(),
        };
        self.push("the analyst had answered", outcome);
    }

    /// The verdict on the same answer without its false claims.
    fn without_false_claims(&mut self, analysis: &AnalysisRecord) {
        let Ok(answer) = Answer::parse(&analysis.raw_answer) else { return };
        let broken: Vec<_> = (analysis.verdict.reasons.iter())
            .filter_map(|breach| Some((breach.code, breach.claim.as_ref()?)))
            .collect();
        let condition = match broken[..] {
            [] => return,
            [(code, claim)] => {
                let path = plain::line(&claim.field_path, plain::MAX_VALUE_CHARS);
                format!("the claim that {path} is {} had not been made ({code})", plain::value(&claim.value))
            }
            _ => format!("none of the {} claims that broke a rule had been made", broken.len()),
        };
        let true_ones = |claim: &&Claim| !broken.iter().any(|(_, false_one)| false_one == claim);
        let evidence = answer.evidence.iter().filter(true_ones).cloned().collect();
        let verdict = check(&analysis.facts, &Answer { evidence, ..answer.clone() }, &analysis.contract);
        self.push(condition, outcome_of(&verdict));
    }

    /// The evidence that would have prevented the lowering of a conclusion.
    fn lowered_conclusions(&mut self, verdict: &Verdict) {
        for breach in verdict.reasons.iter().filter(|breach| breach.claim.is_none()) {
            match breach.code {
                ReasonCode::WeakIntent => self.push(
                    "one true claim about what the person did, or of a computed score, had been made",
                    "intent would have stayed HIGH",
                ),
                ReasonCode::WeakFit => self.push(
                    "one true claim about the company, or of a computed score, had been made",
                    "the score would not have been lowered for lack of evidence",
                ),
                ReasonCode::ScoreOutOfBand => self.push(
                    "the analyst's score had been within the band around the computed baseline",
                    "it would not have been changed",
                ),
                ReasonCode::IntentOutOfBand => self.push(
                    "the analyst's intent had been within the band above the computed level",
                    "it would not have been changed",
                ),
                ReasonCode::RiseNotInFacts => self.push(
                    "the analyst had rested the rise on a fact that matched the profile or fired a signal",
                    "it would have stayed within the band",
                ),
                ReasonCode::OptedOut => {
                    self.push("the person had not opted out", "the lead would have gone to a representative");
                }
                ReasonCode::CallLacksEvidence => self.push(
                    "the lead had the evidence that its source requires for a call",
                    "the lead would have gone to a representative",
                ),
                // The neighbouring cells of the matrix cover the rest.
                _ => {}
            }
        }
    }

    /// The effect of an unknown company. Returns whether the company is known.
    fn company(&mut self, analysis: &AnalysisRecord) -> bool {
        let is_known = analysis.facts.namespace(Namespace::Enrichment).is_some();
        if !is_known {
            self.push(
                "a provider had known the company",
                "its industry, size, country and technologies would have counted; without them no claim about the company \
                 can pass",
            );
        }
        is_known
    }

    /// The parts that added nothing to a computed score.
    fn idle_parts(&mut self, sum: &ScoreBreakdown) {
        let adds = |part: &&ScorePart| part.points == 0 && part.name != "mailbox";
        let idle: Vec<&str> = sum.parts.iter().filter(adds).map(|part| part.name).collect();
        if !idle.is_empty() && sum.total < 100 {
            let condition = format!("{} had matched something in the profile", in_words(&idle, "or"));
            self.push(
                condition,
                format!("the computed {} could be more than its {} of 100 points", sum.of, sum.total),
            );
        }
    }

    /// The parts that lowered a computed score.
    fn penalties(&mut self, sum: &ScoreBreakdown) {
        for part in sum.parts.iter().filter(|part| part.points < 0) {
            let kind = part.matched.as_ref().and_then(serde_json::Value::as_str).unwrap_or("other");
            let all: i64 = sum.parts.iter().map(|part| part.points).sum();
            let otherwise = (all - part.points).clamp(0, 100);
            self.push(
                format!("the {} had been an employer's and not {kind}", part.name),
                format!("the computed {} would be {otherwise} and not {} of 100 points", sum.of, sum.total),
            );
        }
    }
}

/// The neighbours of a verdict in the decision matrix.
struct Matrix<'a> {
    verdict: &'a Verdict,
    contract: &'a Contract,
    knew: &'a KnownFacts,
}

impl Matrix<'_> {
    /// The nearest higher fit with another decision, and the score that it requires.
    fn fit_above(&self) -> Option<Counterfactual> {
        let above = Fit::ALL.iter().copied().filter(|fit| *fit > self.verdict.fit);
        let fit = self.nearest(above, |fit| decide(fit, self.verdict.intent))?;
        let mut outcome = self.allows(decide(fit, self.verdict.intent));
        outcome.push_str(&self.out_of_reach(fit));
        Some(Counterfactual { condition: self.higher_score(fit), outcome })
    }

    fn intent_above(&self) -> Option<Counterfactual> {
        let above = Intent::ALL.iter().copied().filter(|intent| *intent > self.verdict.intent);
        let intent = self.nearest(above, |intent| decide(self.verdict.fit, intent))?;
        let condition = format!("intent had been {intent} and not {}", self.verdict.intent);
        Some(Counterfactual { condition, outcome: self.allows(decide(self.verdict.fit, intent)) })
    }

    /// Both together, where neither alone leads to a call.
    fn both_above(&self) -> Option<Counterfactual> {
        let (fit, intent) = (self.verdict.fit, self.verdict.intent);
        if fit == Fit::High || intent == Intent::High {
            return None;
        }
        let condition = format!("{}, and intent HIGH", self.higher_score(Fit::High));
        let mut outcome = self.allows(decide(Fit::High, Intent::High));
        outcome.push_str(&self.out_of_reach(Fit::High));
        Some(Counterfactual { condition, outcome })
    }

    fn fit_below(&self) -> Option<Counterfactual> {
        let below = Fit::ALL.iter().rev().copied().filter(|fit| *fit < self.verdict.fit);
        let fit = self.nearest(below, |fit| decide(fit, self.verdict.intent))?;
        let limit = self.from(if fit == Fit::Low { Fit::Medium } else { Fit::High });
        let points = self.verdict.fit_score.get() - limit + 1;
        let condition = format!("the score had been below {limit} ({} less), so fit {fit}", counted(points));
        Some(Counterfactual { condition, outcome: self.allows(decide(fit, self.verdict.intent)) })
    }

    fn intent_below(&self) -> Option<Counterfactual> {
        let below = Intent::ALL.iter().rev().copied().filter(|intent| *intent < self.verdict.intent);
        let intent = self.nearest(below, |intent| decide(self.verdict.fit, intent))?;
        let condition = format!("intent had been {intent} and not {}", self.verdict.intent);
        Some(Counterfactual { condition, outcome: self.allows(decide(self.verdict.fit, intent)) })
    }

    fn nearest<T: Copy>(
        &self,
        mut levels: impl Iterator<Item = T>,
        decision: impl Fn(T) -> Decision,
    ) -> Option<T> {
        let now = decide(self.verdict.fit, self.verdict.intent);
        levels.find(|level| decision(*level) != now)
    }

    /// The matrix gives the highest allowed decision; an analyst may always choose less, or a person.
    fn allows(&self, decision: Decision) -> String {
        if decision == self.verdict.decision {
            format!("the decision matrix says {decision}, which was decided anyway")
        } else {
            format!("the decision matrix says {decision}")
        }
    }

    fn higher_score(&self, fit: Fit) -> String {
        let from = self.from(fit);
        let missing = counted(from - self.verdict.fit_score.get());
        format!("the score had been {from} or more ({missing} more), so fit {fit}")
    }

    /// A remark if the band around the baseline excludes the score for every analyst.
    fn out_of_reach(&self, fit: Fit) -> String {
        let baseline = self.knew.computed("baseline_score").and_then(serde_json::Value::as_i64);
        let band = i64::from(self.contract.score_band);
        match baseline {
            Some(baseline) if baseline + band < self.from(fit) => {
                format!(
                    "; but no analyst could have given that score, with a computed baseline of {baseline} and a band of {band}"
                )
            }
            _ => String::new(),
        }
    }

    fn from(&self, fit: Fit) -> i64 {
        match fit {
            Fit::High => self.contract.fit_high_from.get(),
            Fit::Medium => self.contract.fit_medium_from.get(),
            Fit::Low => 0,
        }
    }
}

fn outcome_of(verdict: &Verdict) -> String {
    let Verdict { status, fit_score, fit, intent, decision, .. } = verdict;
    format!(
        "the analysis would have been {status}: score {fit_score}, fit {fit}, intent {intent}, {decision}"
    )
}

fn counted(points: i64) -> String {
    if points == 1 { "1 point".to_owned() } else { format!("{points} points") }
}

fn in_words(names: &[&str], and: &str) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} {and} {last}", first.join(", ")),
    }
}
