mod carried;

use lead::{Decision, Fit, FitScore, Intent};
use serde_json::Value;

use self::carried::{Carried, Carries};
use crate::claim_rules::Passed;
use crate::decision::{decide, lowered};
use crate::equality::is_empty;
use crate::{Answer, Breach, ClaimType, Contract, FactSheet, Namespace, ReasonCode};

/// The most a score may be where high fit or high intent was concluded without evidence.
const UNCARRIED_HIGH: i64 = 70;
/// The most a score may be where nothing but the deal stage, or nothing at all, speaks for the fit.
const UNCARRIED_MEDIUM: i64 = 40;
/// Where the facts hold the score that we computed ourselves, within `computed`.
const BASELINE: &str = "baseline_score";
/// And the level of intent.
const INTENT_LEVEL: &str = "intent_level";
/// And what the sender said of not being contacted, where it did.
const OPTED_OUT: &str = "opted_out";

/// What the model concludes from its claims, on its way down to what the claims that passed carry.
pub(crate) struct Conclusion<'a> {
    contract: &'a Contract,
    carried: Carried,
    pub(crate) score: FitScore,
    pub(crate) intent: Intent,
    pub(crate) decision: Decision,
    pub(crate) breaches: Vec<Breach>,
}

impl<'a> Conclusion<'a> {
    /// The conclusion as the model draws it.
    pub(crate) fn new(answer: &Answer, passed: &[Passed], contract: &'a Contract) -> Self {
        Self {
            contract,
            carried: Carried {
                fit: Carries::by(ClaimType::Firmographic, passed),
                intent: Carries::by(ClaimType::Behavior, passed),
            },
            score: answer.fit_score,
            intent: answer.intent,
            decision: answer.decision,
            breaches: Vec::new(),
        }
    }

    /// Applies every rule of the contract's version, in the one order in which none undoes an earlier one: the band moves the
    /// score, intent and fit then lower it to what the evidence carries, and the decision follows from what is left.
    ///
    /// A version's rules and their order stay as they are: stored verdicts are made again by them.
    pub(crate) fn lower(mut self, facts: &FactSheet) -> Self {
        match self.contract.version {
            1 => {
                self.keep_to_the_band(facts);
                self.lower_weak_intent();
                self.lower_weak_fit();
                self.lower_the_decision();
            }
            2 => {
                self.keep_to_the_band(facts);
                self.lower_weak_intent();
                self.keep_intent_to_the_band(facts);
                self.lower_weak_fit();
                self.lower_the_decision();
            }
            3 => {
                self.keep_to_the_band(facts);
                self.lower_weak_intent();
                self.keep_intent_to_the_band(facts);
                self.lower_weak_fit();
                self.lower_the_decision();
                self.keep_calls_to_the_facts(facts);
            }
            _ => {
                self.keep_to_the_band(facts);
                self.lower_unmatched_score(facts);
                self.lower_weak_intent();
                self.keep_intent_to_the_band(facts);
                self.lower_unmatched_intent(facts);
                self.lower_weak_fit();
                self.lower_the_decision();
                self.keep_calls_to_the_facts(facts);
                self.leave_alone_who_opted_out(facts);
            }
        }
        self
    }

    /// The level of fit that the score amounts to by now.
    pub(crate) fn fit(&self) -> Fit {
        self.contract.fit(self.score)
    }

    /// The band also lifts a score that is too low, but never over what the evidence carries: a lifted score
    /// would be taken down again by the next rules, or, worse, be taken for earned when the verdict is checked again.
    fn keep_to_the_band(&mut self, facts: &FactSheet) {
        let Some(baseline) = baseline(facts) else { return };
        let band = i64::from(self.contract.score_band);
        let lowest = (baseline - band).min(self.most_carried());
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
        if self.intent != Intent::High || self.carried.intent >= Carries::Level {
            return;
        }
        self.intent = Intent::Medium;
        self.cap(UNCARRIED_HIGH);
        if self.decision == Decision::RouteToSdr {
            self.decision = Decision::Nurture;
        }
        let message = format!(
            "No behavior and no computed score carries HIGH intent; it became MEDIUM, and the score {}.",
            self.score
        );
        self.breach(ReasonCode::WeakIntent, None, message);
    }

    /// Any true claim about what a person did carries an intent of HIGH, also one about a field that the person filled in:
    /// without a bound, whoever can talk the model round could have themselves called. Only downwards: an intent
    /// that is too low, like a decision that is too weak, starts nothing.
    fn keep_intent_to_the_band(&mut self, facts: &FactSheet) {
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
        if self.fit() == Fit::High && self.carried.fit == Carries::Nothing {
            self.cap(self.below_high());
            let message = format!(
                "No fact about the company and no computed score carries a HIGH fit; the score became {}.",
                self.score
            );
            self.breach(ReasonCode::WeakFit, None, message);
        }
        if self.fit() == Fit::Medium && self.carried.fit.max(self.carried.intent) == Carries::Nothing {
            self.cap(self.below_medium());
            let message = format!(
                "No fact about the company or the person carries a MEDIUM fit; the score became {}.",
                self.score
            );
            self.breach(ReasonCode::WeakFit, None, message);
        }
    }

    fn lower_the_decision(&mut self) {
        let (asked, fit) = (self.decision, self.fit());
        self.decision = lowered(asked, fit, self.intent);
        if self.decision != asked {
            let message = format!(
                "{asked} is more than fit {fit} and intent {} allow; it became {}.",
                self.intent, self.decision
            );
            self.breach(ReasonCode::DecisionLowered, None, message);
        }
    }

    /// Both bands leave room for judgement, and whoever can talk the model round is given all of it. What that room must not hold
    /// is a call: a salesperson is sent only where our own arithmetic would send one. A person may still be asked.
    fn keep_calls_to_the_facts(&mut self, facts: &FactSheet) {
        if !self.contract.call_needs_facts || self.decision != Decision::RouteToSdr {
            return;
        }
        let fit = baseline(facts).map(|baseline| self.contract.fit(FitScore::clamped(baseline)));
        let intent = computed_intent(facts);
        if fit.zip(intent).is_some_and(|(fit, intent)| decide(fit, intent) == Decision::RouteToSdr) {
            return;
        }
        self.decision = Decision::ManualReview;
        let said = match fit.zip(intent) {
            Some((fit, intent)) => format!("The computed fit {fit} and intent {intent}"),
            None => "The computed facts".to_owned(),
        };
        let message = format!("{said} do not amount to ROUTE_TO_SDR; it became MANUAL_REVIEW.");
        self.breach(ReasonCode::CallNotInFacts, None, message);
    }

    /// A score above the baseline is a judgement of the company: it needs a fact about it that matched the profile.
    fn lower_unmatched_score(&mut self, facts: &FactSheet) {
        let Some(baseline) = baseline(facts) else { return };
        if self.score.get() <= baseline || self.carried.fit == Carries::Rise {
            return;
        }
        self.cap(baseline);
        let message = format!(
            "No fact that matched the profile carries a score above the computed baseline; it became {baseline}."
        );
        self.breach(ReasonCode::RiseNotInFacts, Some(baseline.into()), message);
    }

    /// An intent above the computed one is a judgement of what the person did: it needs a fact that fired a signal.
    fn lower_unmatched_intent(&mut self, facts: &FactSheet) {
        let Some(computed) = computed_intent(facts) else { return };
        if self.intent <= computed || self.carried.intent == Carries::Rise {
            return;
        }
        self.intent = computed;
        let message = format!(
            "No fact that fired a signal carries an intent above the computed level; it became {computed}."
        );
        self.breach(ReasonCode::RiseNotInFacts, Some(computed.as_str().into()), message);
    }

    /// A person who opted out is not called, whatever else the facts say. No setting switches this off.
    fn leave_alone_who_opted_out(&mut self, facts: &FactSheet) {
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

    /// The highest score that no rule on evidence would take down, whatever level it amounts to.
    fn most_carried(&self) -> i64 {
        match (self.carried.fit >= Carries::Level, self.carried.intent >= Carries::Level) {
            (true, true) => FitScore::MAX.get(),
            (true, false) => UNCARRIED_HIGH,
            (false, true) => self.below_high(),
            (false, false) => self.below_medium(),
        }
    }

    fn below_high(&self) -> i64 {
        UNCARRIED_HIGH.min(self.contract.fit_high_from.get() - 1)
    }

    fn below_medium(&self) -> i64 {
        UNCARRIED_MEDIUM.min(self.contract.fit_medium_from.get() - 1)
    }

    fn cap(&mut self, most: i64) {
        self.score = self.score.min(FitScore::clamped(most));
    }

    fn breach(&mut self, code: ReasonCode, fact: Option<Value>, message: String) {
        self.breaches.push(Breach { code, claim: None, fact, message });
    }
}

/// The computed baseline, to the nearest whole point. Only we write there; what is no number is no baseline.
fn baseline(facts: &FactSheet) -> Option<i64> {
    let score = facts.namespace(Namespace::Computed)?.get(BASELINE)?.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 100")]
    let rounded = score.clamp(0.0, 100.0).round() as i64;
    Some(rounded)
}

/// The computed level of intent. Only we write there; what is no level is none.
fn computed_intent(facts: &FactSheet) -> Option<Intent> {
    Intent::parse(facts.namespace(Namespace::Computed)?.get(INTENT_LEVEL)?.as_str()?)
}

fn level_above(level: Intent, steps: u8) -> Intent {
    let above = Intent::ALL.iter().copied().filter(|above| *above >= level);
    above.take(usize::from(steps) + 1).last().unwrap_or(level)
}

#[cfg(test)]
mod tests;
