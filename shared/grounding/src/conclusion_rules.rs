use lead::{Decision, Fit, FitScore, Intent};
use serde_json::Value;

use crate::claim_rules::Passed;
use crate::decision::{decide, lowered};
use crate::{Answer, Breach, ClaimType, Contract, FactSheet, Namespace, ReasonCode};

/// The most a score may be where high fit or high intent was concluded without evidence.
const UNCARRIED_HIGH: i64 = 70;
/// The most a score may be where nothing but the deal stage, or nothing at all, speaks for the fit.
const UNCARRIED_MEDIUM: i64 = 40;
/// Where the facts hold the score that we computed ourselves, within `computed`.
const BASELINE: &str = "baseline_score";
/// And the level of intent.
const INTENT_LEVEL: &str = "intent_level";

/// What the model concludes from its claims, on its way down to what the claims that passed carry.
pub(crate) struct Conclusion<'a> {
    contract: &'a Contract,
    carried: Carried,
    pub(crate) score: FitScore,
    pub(crate) intent: Intent,
    pub(crate) decision: Decision,
    pub(crate) breaches: Vec<Breach>,
}

/// What kinds of evidence there are.
#[derive(Clone, Copy)]
struct Carried {
    /// FIRMOGRAPHIC or SCORE.
    fit: bool,
    /// BEHAVIOR or SCORE.
    intent: bool,
}

impl<'a> Conclusion<'a> {
    /// The conclusion as the model draws it.
    pub(crate) fn new(answer: &Answer, passed: &[Passed], contract: &'a Contract) -> Self {
        let any = |types: [ClaimType; 2]| passed.iter().any(|claim| types.contains(&claim.claim_type));
        Self {
            contract,
            carried: Carried {
                fit: any([ClaimType::Firmographic, ClaimType::Score]),
                intent: any([ClaimType::Behavior, ClaimType::Score]),
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
            _ => {
                self.keep_to_the_band(facts);
                self.lower_weak_intent();
                self.keep_intent_to_the_band(facts);
                self.lower_weak_fit();
                self.lower_the_decision();
                self.keep_calls_to_the_facts(facts);
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
        if self.intent != Intent::High || self.carried.intent {
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
        if self.fit() == Fit::High && !self.carried.fit {
            self.cap(self.below_high());
            let message = format!(
                "No fact about the company and no computed score carries a HIGH fit; the score became {}.",
                self.score
            );
            self.breach(ReasonCode::WeakFit, None, message);
        }
        if self.fit() == Fit::Medium && !self.carried.fit && !self.carried.intent {
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

    /// The highest score that no rule on evidence would take down, whatever level it amounts to.
    fn most_carried(&self) -> i64 {
        match (self.carried.fit, self.carried.intent) {
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
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Claim;

    /// What comes out: score, intent, decision and the codes of the rules that were broken.
    type Outcome = (i64, Intent, Decision, Vec<ReasonCode>);

    fn conclude(
        contract: &Contract,
        baseline: Option<f64>,
        asked: (i64, Intent, Decision),
        evidence: &[ClaimType],
    ) -> Outcome {
        let mut facts = FactSheet::new();
        if let Some(baseline) = baseline {
            facts.set(Namespace::Computed, json!({"baseline_score": baseline}).as_object().unwrap().clone());
        }
        let answer = Answer {
            fit_score: FitScore::new(asked.0).unwrap(),
            intent: asked.1,
            decision: asked.2,
            reasoning: String::new(),
            evidence: Vec::new(),
        };
        let passed: Vec<_> = evidence.iter().map(|&claim_type| passed(claim_type)).collect();
        let end = Conclusion::new(&answer, &passed, contract).lower(&facts);
        (end.score.get(), end.intent, end.decision, end.breaches.iter().map(|breach| breach.code).collect())
    }

    /// The rules of version 2, which know nothing of what a call needs.
    fn carried_only() -> Contract {
        Contract::default().of_version(2).unwrap()
    }

    fn passed(claim_type: ClaimType) -> Passed {
        let claim = Claim {
            source: String::new(),
            field_path: String::new(),
            value: json!(1),
            claim_type: String::new(),
        };
        Passed { claim, claim_type }
    }

    use ClaimType::{Behavior, Firmographic, Pipeline, Score};
    use Decision::{Ignore, ManualReview, Nurture, RouteToSdr};
    use Intent::{High, Low, Medium};
    use ReasonCode::{DecisionLowered, ScoreOutOfBand, WeakFit, WeakIntent};

    #[test]
    fn what_is_carried_stands() {
        for evidence in [&[Firmographic, Behavior][..], &[Score], &[Score, Pipeline]] {
            let outcome = conclude(&carried_only(), None, (90, High, RouteToSdr), evidence);
            assert_eq!(outcome, (90, High, RouteToSdr, vec![]), "{evidence:?}");
        }
    }

    #[test]
    fn high_intent_needs_behavior_or_a_score() {
        let contract = carried_only();
        let weak = conclude(&contract, None, (90, High, RouteToSdr), &[Firmographic, Pipeline]);
        assert_eq!(weak, (70, Medium, Nurture, vec![WeakIntent]));
        // A score that is low enough stays, and so does asking for a person.
        let low = conclude(&contract, None, (60, High, ManualReview), &[Firmographic]);
        assert_eq!(low, (60, Medium, ManualReview, vec![WeakIntent]));
        let medium = conclude(&contract, None, (90, Medium, Nurture), &[Firmographic]);
        assert_eq!(medium, (90, Medium, Nurture, vec![]));
    }

    #[test]
    fn high_fit_needs_a_firmographic_or_a_score() {
        let contract = carried_only();
        let weak = conclude(&contract, None, (80, High, RouteToSdr), &[Behavior]);
        assert_eq!(weak, (70, High, ManualReview, vec![WeakFit, DecisionLowered]));
        let below = conclude(&contract, None, (79, High, ManualReview), &[Behavior]);
        assert_eq!(below, (79, High, ManualReview, vec![]));
    }

    #[test]
    fn medium_fit_needs_more_than_a_deal_stage() {
        let contract = Contract::default();
        for evidence in [&[][..], &[Pipeline]] {
            let weak = conclude(&contract, None, (50, Low, Nurture), evidence);
            assert_eq!(weak, (40, Low, Ignore, vec![WeakFit, DecisionLowered]));
            let below = conclude(&contract, None, (49, Low, Ignore), evidence);
            assert_eq!(below, (49, Low, Ignore, vec![]));
        }
        for carrier in [Firmographic, Behavior, Score] {
            let carried = conclude(&contract, None, (50, Low, Nurture), &[carrier]);
            assert_eq!(carried, (50, Low, Nurture, vec![]), "{carrier:?}");
        }
    }

    #[test]
    fn without_any_evidence_everything_goes_down_in_order() {
        let outcome = conclude(&Contract::default(), Some(50.0), (100, High, RouteToSdr), &[]);
        let codes = vec![ScoreOutOfBand, WeakIntent, WeakFit, DecisionLowered];
        assert_eq!(outcome, (40, Medium, Ignore, codes));
    }

    #[test]
    fn a_cap_always_ends_below_its_level() {
        let contract = Contract {
            fit_high_from: FitScore::clamped(65),
            fit_medium_from: FitScore::clamped(30),
            ..Contract::default()
        };
        let high = conclude(&contract, None, (90, Low, Nurture), &[Behavior]);
        assert_eq!(high, (64, Low, Nurture, vec![WeakFit]));
        let medium = conclude(&contract, None, (90, Low, Ignore), &[]);
        assert_eq!(medium, (29, Low, Ignore, vec![WeakFit, WeakFit]));
    }

    #[test]
    fn the_score_keeps_to_the_band() {
        let contract = Contract::default();
        for (baseline, claimed, score) in [
            (50.0, 20, 20),
            (50.0, 19, 20),
            (50.0, 80, 80),
            (50.0, 81, 80),
            (10.0, 0, 0),
            (90.0, 100, 100),
            (90.0, 59, 60),
            (49.5, 81, 80),
            (1e9, 50, 70),
            (-5.0, 50, 30),
        ] {
            let (end, .., codes) = conclude(&contract, Some(baseline), (claimed, Low, Ignore), &[Score]);
            assert_eq!(end, score, "{baseline} {claimed}");
            assert_eq!(codes.is_empty(), claimed == score, "{baseline} {claimed}");
        }
    }

    #[test]
    fn the_band_lifts_no_score_over_what_is_carried() {
        let contract = Contract { score_band: 5, ..Contract::default() };
        let lifted = |evidence: &[ClaimType]| conclude(&contract, Some(100.0), (0, Low, Ignore), evidence).0;
        assert_eq!(lifted(&[Firmographic, Behavior]), 95);
        assert_eq!(lifted(&[Score]), 95);
        assert_eq!(lifted(&[Firmographic]), 70);
        assert_eq!(lifted(&[Behavior]), 70);
        assert_eq!(lifted(&[Pipeline]), 40);
    }

    #[test]
    fn intent_keeps_to_the_band_above_the_computed_level() {
        let conclude = |computed: &str, intent_band: u8, asked: Intent, evidence: &[ClaimType]| {
            let mut facts = FactSheet::new();
            let level = json!({ "intent_level": computed });
            facts.set(Namespace::Computed, level.as_object().unwrap().clone());
            let answer = Answer {
                fit_score: FitScore::clamped(90),
                intent: asked,
                decision: RouteToSdr,
                reasoning: String::new(),
                evidence: Vec::new(),
            };
            let passed: Vec<_> = evidence.iter().map(|&claim_type| passed(claim_type)).collect();
            let contract = Contract { intent_band, ..carried_only() };
            let end = Conclusion::new(&answer, &passed, &contract).lower(&facts);
            (end.intent, end.decision, end.breaches.iter().map(|breach| breach.code).collect::<Vec<_>>())
        };
        let carried = [Firmographic, Behavior];
        assert_eq!(
            conclude("LOW", 1, High, &carried),
            (Medium, Nurture, vec![ReasonCode::IntentOutOfBand, DecisionLowered])
        );
        assert_eq!(conclude("MEDIUM", 1, High, &carried), (High, RouteToSdr, vec![]));
        assert_eq!(conclude("LOW", 1, Medium, &carried).0, Medium);
        assert_eq!(conclude("LOW", 0, Medium, &carried).0, Low);
        assert_eq!(conclude("LOW", 2, High, &carried), (High, RouteToSdr, vec![]));
        assert_eq!(conclude("HIGH", 0, Low, &carried).0, Low, "an intent that is too low is kept");
        assert_eq!(conclude("high", 0, High, &carried).0, High, "what is no level is no band");
        // Both rules on intent: what is weak is lowered first, and costs the score.
        assert_eq!(
            conclude("LOW", 0, High, &[Firmographic]),
            (Low, Nurture, vec![WeakIntent, ReasonCode::IntentOutOfBand])
        );
    }

    #[test]
    fn a_baseline_that_is_no_number_is_none() {
        for wrong in [json!("70"), json!(null), json!([70]), json!(true)] {
            let mut facts = FactSheet::new();
            facts.set(Namespace::Computed, json!({"baseline_score": wrong}).as_object().unwrap().clone());
            assert_eq!(baseline(&facts), None, "{wrong}");
        }
        assert_eq!(baseline(&FactSheet::new()), None);
    }

    #[test]
    fn a_call_needs_computed_facts_that_amount_to_one() {
        let conclude = |contract: &Contract, computed: Value, asked: Decision| {
            let mut facts = FactSheet::new();
            facts.set(Namespace::Computed, computed.as_object().unwrap().clone());
            let answer = Answer {
                fit_score: FitScore::clamped(90),
                intent: High,
                decision: asked,
                reasoning: String::new(),
                evidence: Vec::new(),
            };
            let carried = [Firmographic, Behavior].map(passed);
            let end = Conclusion::new(&answer, &carried, contract).lower(&facts);
            (end.decision, end.breaches.iter().map(|breach| breach.code).collect::<Vec<_>>())
        };
        let latest = Contract::default();
        let lowered = (ManualReview, vec![ReasonCode::CallNotInFacts]);
        let computed =
            |baseline: i64, level: &str| json!({ "baseline_score": baseline, "intent_level": level });
        assert_eq!(conclude(&latest, computed(80, "HIGH"), RouteToSdr), (RouteToSdr, vec![]));
        assert_eq!(conclude(&latest, computed(79, "HIGH"), RouteToSdr), lowered, "borderline");
        assert_eq!(conclude(&latest, computed(100, "MEDIUM"), RouteToSdr), lowered, "warm");
        assert_eq!(conclude(&latest, json!({ "baseline_score": 100 }), RouteToSdr), lowered, "not known");
        assert_eq!(conclude(&latest, json!({ "intent_level": "HIGH" }), RouteToSdr), lowered, "not known");
        for weaker in [ManualReview, Nurture, Ignore] {
            assert_eq!(conclude(&latest, computed(79, "MEDIUM"), weaker), (weaker, vec![]), "it is no call");
        }
        let off = Contract { call_needs_facts: false, ..latest };
        assert_eq!(conclude(&off, computed(79, "HIGH"), RouteToSdr), (RouteToSdr, vec![]));
    }
}
