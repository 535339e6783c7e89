//! A CRM in memory that falls ill.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use crm::{About, Effect, Executor, FieldChange, Known, PlannedAction, Restored, SchemaProblem};
use jiff::Timestamp;
use lead::{Clock as _, Failure, LeadId, ManualClock};

use crate::support::House;

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Illness {
    None,
    /// Nothing is answered. Every third write has its effect all the same.
    Down,
    /// It can be read, and every write is answered with 503.
    TakesNothing,
    /// Every write of one lead is answered with 500.
    Chokes(LeadId),
}

/// Clones share one CRM.
#[derive(Clone)]
pub(crate) struct SickCrm {
    clock: ManualClock,
    state: Arc<Mutex<State>>,
}

struct State {
    illness: Illness,
    /// How often each record was written.
    writes: HashMap<String, usize>,
    /// Who tried to write.
    tried: Vec<LeadId>,
    /// Whose writes were done, when, and how many.
    done: Vec<(LeadId, Timestamp, usize)>,
}

impl SickCrm {
    pub(crate) fn new(house: &House) -> Self {
        let (writes, tried, done) = (HashMap::new(), Vec::new(), Vec::new());
        let state = State { illness: Illness::None, writes, tried, done };
        Self { clock: house.clock.clone(), state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn is(&self, illness: Illness) {
        self.state().illness = illness;
    }

    /// How often somebody tried to write.
    pub(crate) fn tries(&self) -> usize {
        self.state().tried.len()
    }

    pub(crate) fn tries_of(&self, lead: &LeadId) -> usize {
        self.state().tried.iter().filter(|tried| *tried == lead).count()
    }

    /// Whose writes were done, when, and how many, in that order.
    pub(crate) fn done(&self) -> Vec<(LeadId, Timestamp, usize)> {
        self.state().done.clone()
    }

    pub(crate) fn has_each_record_once(&self) {
        for (record, writes) in &self.state().writes {
            assert_eq!(*writes, 1, "{record}");
        }
    }

    fn answer<T>(&self, answer: T) -> Result<T, Failure> {
        if self.state().illness == Illness::Down { Err(unavailable()) } else { Ok(answer) }
    }
}

fn unavailable() -> Failure {
    Failure::transient("crm_unavailable", "the CRM answered 503")
}

/// A record is known by its external id, and what one action writes to it by the action's.
fn key(action: &PlannedAction) -> String {
    action.action_id.to_string()
}

fn effect(lead: &LeadId, action: &PlannedAction) -> Effect {
    Effect::new(format!("r-{}", action.external_id(lead)), true)
}

#[async_trait]
impl Executor for SickCrm {
    fn provider(&self) -> &'static str {
        "mock"
    }

    async fn execute(&self, lead: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        let mut state = self.state();
        state.tried.push(lead.clone());
        let is_well = match &state.illness {
            Illness::None => true,
            Illness::Down | Illness::TakesNothing => false,
            Illness::Chokes(on) => on != lead,
        };
        let is_done = is_well || (state.illness == Illness::Down && state.tried.len().is_multiple_of(3));
        if is_done {
            for action in actions {
                *state.writes.entry(key(action)).or_default() += 1;
            }
        }
        if !is_well {
            return actions.iter().map(|_| Err(unavailable())).collect();
        }
        state.done.push((lead.clone(), self.clock.now(), actions.len()));
        actions.iter().map(|action| Ok(effect(lead, action))).collect()
    }

    async fn find(&self, lead: &LeadId, action: &PlannedAction) -> Result<Option<Effect>, Failure> {
        let is_there = self.state().writes.contains_key(&key(action));
        self.answer(is_there.then(|| effect(lead, action)))
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.answer(())
    }

    async fn facts(&self, _: &About) -> Result<Known, Failure> {
        self.answer(Known::default())
    }

    async fn preview(&self, _: &LeadId, _: &[PlannedAction]) -> Result<Vec<FieldChange>, Failure> {
        self.answer(Vec::new())
    }

    async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure> {
        self.answer(Vec::new())
    }

    async fn restore(&self, changes: &[FieldChange]) -> Result<Vec<Restored>, Failure> {
        self.answer(vec![Restored::Unchanged; changes.len()])
    }
}
