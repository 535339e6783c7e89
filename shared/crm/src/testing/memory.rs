use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Failure, LeadId};

use crate::{
    Action, ActionId, ActionState, Authority, BegunPlan, Effect, FieldChange, Ledger, LedgerState, Outcome,
    Plan,
};

/// A ledger in memory. It records no CRM outages of a lead: only the store does.
#[derive(Debug, Default)]
pub struct MemoryLedger(Mutex<HashMap<ActionId, Row>>);

/// A row of a [`MemoryLedger`].
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The state.
    pub state: ActionState,
    /// The effect, if the action is done.
    pub effect: Option<Effect>,
    /// The failure, if the outcome is one.
    pub failure: Option<Failure>,
    /// How often the action was begun.
    pub attempts: u32,
    /// The changes that the action was about to make.
    pub changes: Vec<FieldChange>,
    /// The lead, if the action writes its record.
    pub writes_lead: Option<LeadId>,
    /// The index of the row in order of creation.
    pub index: usize,
}

impl MemoryLedger {
    /// The row of an action.
    pub fn row(&self, id: &ActionId) -> Option<Row> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing was ever begun.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn states(&self, plan: &Plan) -> Result<Vec<LedgerState>, Failure> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = |id: &ActionId| {
            let row = rows.get(id)?;
            LedgerState::of_row(row.state, row.effect.clone())
        };
        let states = plan.actions.iter().map(|planned| state(&planned.action_id));
        Ok(states.map(|state| state.unwrap_or(LedgerState::New)).collect())
    }

    async fn begin(
        &self,
        _provider: &str,
        plan: &Plan,
        changes: Option<&[FieldChange]>,
        _: Authority,
    ) -> Result<BegunPlan, Failure> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let states = plan.actions.iter().map(|planned| {
            let writes_lead = matches!(planned.action, Action::UpsertLead(_) | Action::CreateLead(_));
            let new = Row {
                state: ActionState::Skipped,
                effect: None,
                failure: None,
                attempts: 0,
                changes: Vec::new(),
                writes_lead: writes_lead.then(|| plan.lead_id.clone()),
                index: rows.len(),
            };
            let row = rows.entry(planned.action_id.clone()).or_insert(new);
            let before = LedgerState::of_row(row.state, row.effect.clone());
            if row.state != ActionState::Done {
                if row.state != ActionState::Pending {
                    let its = changes.into_iter().flatten();
                    row.changes = its.filter(|change| change.position == planned.position).cloned().collect();
                }
                row.state = ActionState::Pending;
                row.attempts += 1;
            }
            before.ok_or_else(|| Failure::permanent("stored_data_unreadable", "an unknown state"))
        });
        Ok(BegunPlan::States(states.collect::<Result<_, _>>()?))
    }

    async fn finish(&self, outcomes: &[(ActionId, Outcome)]) -> Result<(), Failure> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, outcome) in outcomes {
            if let Some(row) = rows.get_mut(id).filter(|row| row.state != ActionState::Done) {
                row.state = outcome.state();
                row.effect = outcome.effect().cloned();
                row.failure = outcome.failure().cloned();
            }
        }
        Ok(())
    }

    async fn written_record(&self, _provider: &str, lead: &LeadId) -> Result<Option<String>, Failure> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let done = rows
            .values()
            .filter(|row| row.state == ActionState::Done && row.writes_lead.as_ref() == Some(lead));
        let newest = done.max_by_key(|row| row.index);
        Ok(newest.and_then(|row| row.effect.as_ref()).map(|effect| effect.record_id.clone()))
    }

    async fn record_outage(&self, _: &LeadId) -> Result<(), Failure> {
        Ok(())
    }

    async fn last_outage(&self, _: &LeadId) -> Result<Option<Timestamp>, Failure> {
        Ok(None)
    }
}
