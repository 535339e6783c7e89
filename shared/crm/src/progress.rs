use lead::Failure;

use crate::{ActionId, Effect, LedgerState, Object, Outcome, Plan, PlanOutcome, PlannedAction};

/// How far a plan has come.
pub(crate) struct Progress<'a> {
    steps: Vec<Step<'a>>,
}

struct Step<'a> {
    planned: &'a PlannedAction,
    before: LedgerState,
    /// What this try made of it.
    outcome: Option<Outcome>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(plan: &'a Plan, states: Vec<LedgerState>) -> Self {
        // A ledger that answers for fewer actions than it was asked about leaves the others to be looked up.
        let states = states.into_iter().chain(std::iter::repeat(LedgerState::Unsettled));
        let steps =
            plan.actions.iter().zip(states).map(|(planned, before)| Step { planned, before, outcome: None });
        Self { steps: steps.collect() }
    }

    pub(crate) fn unsettled(&self) -> Vec<&'a PlannedAction> {
        let unsettled = self.steps.iter().filter(|step| step.before == LedgerState::Unsettled);
        unsettled.map(|step| step.planned).collect()
    }

    /// What this try is the first to do.
    pub(crate) fn beginning(&self) -> Vec<PlannedAction> {
        let beginning = self.steps.iter().filter(|step| step.before == LedgerState::New);
        beginning.map(|step| step.planned.clone()).collect()
    }

    /// What is still to be done.
    pub(crate) fn open(&self) -> Vec<PlannedAction> {
        let open = self.steps.iter().filter(|step| step.effect().is_none());
        open.map(|step| step.planned.clone()).collect()
    }

    pub(crate) fn set(&mut self, position: u32, outcome: Outcome) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.planned.position == position) {
            step.outcome = Some(outcome);
        }
    }

    /// What was begun in this try and not sent has had no effect. Of what was begun earlier that is not known.
    pub(crate) fn skip_the_rest(&mut self) {
        for step in &mut self.steps {
            if step.outcome.is_none() && step.before == LedgerState::New {
                step.outcome = Some(Outcome::Skipped);
            }
        }
    }

    pub(crate) fn news(&self) -> impl Iterator<Item = (&'a PlannedAction, &Outcome)> {
        self.steps.iter().filter_map(|step| Some((step.planned, step.outcome.as_ref()?)))
    }

    pub(crate) fn outcomes(&self) -> Vec<(ActionId, Outcome)> {
        self.news().map(|(planned, outcome)| (planned.action_id.clone(), outcome.clone())).collect()
    }

    pub(crate) fn into_result(self, provider: &'static str) -> Result<PlanOutcome, Failure> {
        let mut result = PlanOutcome { provider, lead_record: None, effects: Vec::new(), followed: None };
        for step in self.steps {
            let Some(effect) = step.effect() else {
                let failure = step.outcome.as_ref().and_then(Outcome::failure).cloned();
                return Err(failure.unwrap_or_else(|| Failure::transient("crm_not_done", "not all was done")));
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
