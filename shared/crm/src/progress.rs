use lead::Failure;

use crate::{ActionId, Effect, LedgerState, Object, Outcome, Plan, PlanOutcome, PlannedAction};

/// The progress of a plan in one attempt.
pub(crate) struct Progress<'a> {
    steps: Vec<Step<'a>>,
}

struct Step<'a> {
    planned: &'a PlannedAction,
    before: LedgerState,
    /// The outcome of this attempt.
    outcome: Option<Outcome>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(plan: &'a Plan, states: Vec<LedgerState>) -> Self {
        // If the ledger returns too few states, the outcomes of the other actions are unknown.
        let states = states.into_iter().chain(std::iter::repeat(LedgerState::Unsettled));
        let steps =
            plan.actions.iter().zip(states).map(|(planned, before)| Step { planned, before, outcome: None });
        Self { steps: steps.collect() }
    }

    pub(crate) fn unsettled(&self) -> Vec<&'a PlannedAction> {
        let unsettled = self.steps.iter().filter(|step| step.before == LedgerState::Unsettled);
        unsettled.map(|step| step.planned).collect()
    }

    /// The actions that no earlier attempt may have executed.
    pub(crate) fn new_actions(&self) -> Vec<PlannedAction> {
        let new = self.steps.iter().filter(|step| step.before == LedgerState::New);
        new.map(|step| step.planned.clone()).collect()
    }

    /// The actions without an effect so far.
    pub(crate) fn remaining(&self) -> Vec<PlannedAction> {
        let remaining = self.steps.iter().filter(|step| step.effect().is_none());
        remaining.map(|step| step.planned.clone()).collect()
    }

    pub(crate) fn set(&mut self, position: u32, outcome: Outcome) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.planned.position == position) {
            step.outcome = Some(outcome);
        }
    }

    /// Marks new actions that were not sent as skipped. Actions begun by earlier attempts keep their unknown
    /// outcome.
    pub(crate) fn skip_remaining(&mut self) {
        for step in &mut self.steps {
            if step.outcome.is_none() && step.before == LedgerState::New {
                step.outcome = Some(Outcome::Skipped);
            }
        }
    }

    pub(crate) fn new_outcomes(&self) -> impl Iterator<Item = (&'a PlannedAction, &Outcome)> {
        self.steps.iter().filter_map(|step| Some((step.planned, step.outcome.as_ref()?)))
    }

    pub(crate) fn outcomes(&self) -> Vec<(ActionId, Outcome)> {
        self.new_outcomes().map(|(planned, outcome)| (planned.action_id.clone(), outcome.clone())).collect()
    }

    pub(crate) fn into_result(self, provider: &'static str) -> Result<PlanOutcome, Failure> {
        let mut result = PlanOutcome { provider, lead_record: None, effects: Vec::new(), followed: None };
        for step in self.steps {
            let Some(effect) = step.effect() else {
                let failure = step.outcome.as_ref().and_then(Outcome::failure).cloned();
                return Err(failure
                    .unwrap_or_else(|| Failure::transient("crm_not_done", "not all actions were executed")));
            };
            if step.planned.action.object() == Object::Lead && result.lead_record.is_none() {
                result.lead_record = Some(effect.clone());
            }
            result.effects.push((step.planned.action_id.clone(), effect.clone()));
        }
        Ok(result)
    }
}

impl Step<'_> {
    fn effect(&self) -> Option<&Effect> {
        match (&self.before, &self.outcome) {
            (LedgerState::Done(effect), _) => Some(effect),
            (_, outcome) => outcome.as_ref().and_then(Outcome::effect),
        }
    }
}
