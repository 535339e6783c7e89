//! The rules on conclusions: score, intent and decision against the claims that passed.

mod support;

use lead::{Decision, Fit, FitScore, Intent};
use serde_json::Value;

use self::support::{Support, Supported};
use crate::claim_rules::Passed;
use crate::decision::{decide, lowered};
use crate::equality::is_empty;
use crate::{Answer, Breach, ClaimType, Contract, FactSheet, Namespace, ReasonCode};

/// The highest score with an unsupported high fit or high intent.
const UNSUPPORTED_HIGH: i64 = 70;
/// The highest score if at most the deal stage supports the fit.
const UNSUPPORTED_MEDIUM: i64 = 40;
/// The key of the computed score, within `computed`.
const BASELINE: &str = "baseline_score";
/// The key of the computed level of intent.
const INTENT_LEVEL: &str = "intent_level";
/// The key of the opt-outs from the sender.
const OPTED_OUT: &str = "opted_out";
/// The evidence, one piece of which the source requires before a call, while none is there.
const CALL_LACKS: &str = "call_lacks";

/// The conclusions of the model, while they are lowered to the support of the claims that passed.
pub(crate) struct Conclusion<'a> {
    contract: &'a Contract,
    supported: Supported,
    pub(crate) score: FitScore,
    pub(crate) intent: Intent,
    pub(crate) decision: Decision,
    pub(crate) breaches: Vec<Breach>,
}

impl<'a> Conclusion<'a> {
    /// The conclusions as the model drew them.
    pub(crate) fn new(answer: &Answer, passed: &[Passed], contract: &'a Contract) -> Self {
        Self {
            contract,
            supported: Supported {
                fit: Support::by(ClaimType::Firmographic, passed),
                intent: Support::by(ClaimType::Behavior, passed),
            },
            score: answer.fit_score,
            intent: answer.intent,
            decision: answer.decision,
            breaches: Vec::new(),
        }
    }

    /// Applies every rule, in an order in which no rule undoes an earlier one: the band moves the score, the
    /// rules on intent and fit lower it to the support of the evidence, and the decision follows from the
    /// result.
    ///
    /// The rules and their order belong to the contract's version, because stored verdicts are reproduced
    /// with them.
    pub(crate) fn lower(mut self, facts: &FactSheet) -> Self {
        self.apply_score_band(facts);
        self.lower_unmatched_score(facts);
        self.lower_weak_intent();
        self.apply_intent_band(facts);
        self.lower_unmatched_intent(facts);
        self.lower_weak_fit();
        self.lower_decision();
        self.require_facts_for_calls(facts);
        self.apply_opt_outs(facts);
        self.apply_call_needs(facts);
        self
    }

    /// The level of fit of the current score.
    pub(crate) fn fit(&self) -> Fit {
        self.contract.fit(self.score)
    }

    /// The band also lifts a score that is too low, but never above the support of the evidence. The later
    /// rules would lower such a score again, or a repeated check would accept it as supported.
    fn apply_score_band(&mut self, facts: &FactSheet) {
        let Some(baseline) = baseline(facts) else { return };
        let band = i64::from(self.contract.score_band);
        let lowest = (baseline - band).min(self.highest_supported());
        let score = self.score.get().min(baseline + band).max(lowest);
        if score != self.score.get() {
            self.score = FitScore::clamped(score);
            let message = format!(
                "The score lay more than {band} points from the computed baseline of {baseline}; it became {score}."
            );
            self.breach(ReasonCode::ScoreOutOfBand, Some(baseline.into()), message);
        }
    }

    fn lower_weak_intent(&mut self) {
        if self.intent != Intent::High || self.supported.intent >= Support::Level {
            return;
        }
        self.intent = Intent::Medium;
        self.cap(UNSUPPORTED_HIGH);
        if self.decision == Decision::RouteToSdr {
            self.decision = Decision::Nurture;
        }
        let message = format!(
            "No behavior and no computed score carries HIGH intent; it became MEDIUM, and the score {}.",
            self.score
        );
        self.breach(ReasonCode::WeakIntent, None, message);
    }

    /// Any true claim about the behaviour of a person supports HIGH intent, including a field that the person
    /// filled in. Without a limit, a person who manipulates the model could obtain a call. The rule only
    /// lowers: an intent that is too low, like a decision that is too weak, triggers nothing.
    fn apply_intent_band(&mut self, facts: &FactSheet) {
        let Some(computed) = computed_intent(facts) else { return };
        let highest = level_above(computed, self.contract.intent_band);
        if self.intent > highest {
            self.intent = highest;
            let message = format!(
                "The intent lay too far above the computed level of {computed}; it became {highest}."
            );
            self.breach(ReasonCode::IntentOutOfBand, Some(computed.as_str().into()), message);
        }
    }

    fn lower_weak_fit(&mut self) {
        if self.fit() == Fit::High && self.supported.fit == Support::Nothing {
            self.cap(self.below_high());
            let message = format!(
                "No fact about the company and no computed score carries a HIGH fit; the score became {}.",
                self.score
            );
            self.breach(ReasonCode::WeakFit, None, message);
        }
        if self.fit() == Fit::Medium && self.supported.fit.max(self.supported.intent) == Support::Nothing {
            self.cap(self.below_medium());
            let message = format!(
                "No fact about the company or the person carries a MEDIUM fit; the score became {}.",
                self.score
            );
            self.breach(ReasonCode::WeakFit, None, message);
        }
    }

    fn lower_decision(&mut self) {
        let (proposed, fit) = (self.decision, self.fit());
        self.decision = lowered(proposed, fit, self.intent);
        if self.decision != proposed {
            let message = format!(
                "{proposed} is more than fit {fit} and intent {} allow; it became {}.",
                self.intent, self.decision
            );
            self.breach(ReasonCode::DecisionLowered, None, message);
        }
    }

    /// Both bands leave room for judgement, and a manipulated model may use all of it. That room must not
    /// include a call: sales calls only if the computed facts alone justify it. A review by a person remains
    /// possible.
    fn require_facts_for_calls(&mut self, facts: &FactSheet) {
        if !self.contract.call_needs_facts || self.decision != Decision::RouteToSdr {
            return;
        }
        let fit = baseline(facts).map(|baseline| self.contract.fit(FitScore::clamped(baseline)));
        let intent = computed_intent(facts);
        if fit.zip(intent).is_some_and(|(fit, intent)| decide(fit, intent) == Decision::RouteToSdr) {
            return;
        }
        self.decision = Decision::ManualReview;
        let subject = match fit.zip(intent) {
            Some((fit, intent)) => format!("The computed fit {fit} and intent {intent}"),
            None => "The computed facts".to_owned(),
        };
        let message = format!("{subject} do not amount to ROUTE_TO_SDR; it became MANUAL_REVIEW.");
        self.breach(ReasonCode::CallNotInFacts, None, message);
    }

    /// A score above the baseline is a judgement of the company. It needs a fact about the company that
    /// matched the profile.
    fn lower_unmatched_score(&mut self, facts: &FactSheet) {
        let Some(baseline) = baseline(facts) else { return };
        if self.score.get() <= baseline || self.supported.fit == Support::Rise {
            return;
        }
        self.cap(baseline);
        let message = format!(
            "No fact that matched the profile carries a score above the computed baseline; it became {baseline}."
        );
        self.breach(ReasonCode::RiseNotInFacts, Some(baseline.into()), message);
    }

    /// An intent above the computed one is a judgement of behaviour. It needs a fact that fired a signal.
    fn lower_unmatched_intent(&mut self, facts: &FactSheet) {
        let Some(computed) = computed_intent(facts) else { return };
        if self.intent <= computed || self.supported.intent == Support::Rise {
            return;
        }
        self.intent = computed;
        let message = format!(
            "No fact that fired a signal carries an intent above the computed level; it became {computed}."
        );
        self.breach(ReasonCode::RiseNotInFacts, Some(computed.as_str().into()), message);
    }

    /// A person who opted out is never called. No setting disables this rule.
    fn apply_opt_outs(&mut self, facts: &FactSheet) {
        let Some(opted_out) = facts.namespace(Namespace::Computed).and_then(|facts| facts.get(OPTED_OUT))
        else {
            return;
        };
        if self.decision != Decision::RouteToSdr || is_empty(opted_out) {
            return;
        }
        self.decision = Decision::ManualReview;
        let message = "The person opted out; ROUTE_TO_SDR became MANUAL_REVIEW.".to_owned();
        self.breach(ReasonCode::OptedOut, Some(opted_out.clone()), message);
    }

    /// A source may require evidence before a person is involved. No setting disables this rule.
    fn apply_call_needs(&mut self, facts: &FactSheet) {
        let Some(lacking) = facts.namespace(Namespace::Computed).and_then(|facts| facts.get(CALL_LACKS))
        else {
            return;
        };
        if self.decision != Decision::RouteToSdr || is_empty(lacking) {
            return;
        }
        self.decision = Decision::ManualReview;
        let message =
            "The sender's leads need further evidence before a call; ROUTE_TO_SDR became MANUAL_REVIEW."
                .to_owned();
        self.breach(ReasonCode::CallLacksEvidence, Some(lacking.clone()), message);
    }

    /// The highest score that no rule on evidence lowers, at any level.
    fn highest_supported(&self) -> i64 {
        match (self.supported.fit >= Support::Level, self.supported.intent >= Support::Level) {
            (true, true) => FitScore::MAX.get(),
            (true, false) => UNSUPPORTED_HIGH,
            (false, true) => self.below_high(),
            (false, false) => self.below_medium(),
        }
    }

    fn below_high(&self) -> i64 {
        UNSUPPORTED_HIGH.min(self.contract.fit_high_from.get() - 1)
    }

    fn below_medium(&self) -> i64 {
        UNSUPPORTED_MEDIUM.min(self.contract.fit_medium_from.get() - 1)
    }

    fn cap(&mut self, most: i64) {
        self.score = self.score.min(FitScore::clamped(most));
    }

    fn breach(&mut self, code: ReasonCode, fact: Option<Value>, message: String) {
        self.breaches.push(Breach { code, claim: None, fact, message });
    }
}

/// The computed baseline, rounded to a whole point; none if it is not a number. Only the product writes this
/// fact.
fn baseline(facts: &FactSheet) -> Option<i64> {
    let score = facts.namespace(Namespace::Computed)?.get(BASELINE)?.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 100")]
    let rounded = score.clamp(0.0, 100.0).round() as i64;
    Some(rounded)
}

/// The computed level of intent; none if it is not a level. Only the product writes this fact.
fn computed_intent(facts: &FactSheet) -> Option<Intent> {
    Intent::parse(facts.namespace(Namespace::Computed)?.get(INTENT_LEVEL)?.as_str()?)
}

fn level_above(level: Intent, steps: u8) -> Intent {
    let above = Intent::ALL.iter().copied().filter(|above| *above >= level);
    above.take(usize::from(steps) + 1).last().unwrap_or(level)
}

#[cfg(test)]
mod tests;
