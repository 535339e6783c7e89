//! An in-memory CRM with switchable faults.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use crm::{About, Effect, Executor, FieldChange, Known, PlannedAction, Restored, SchemaProblem};
use jiff::Timestamp;
use lead::{Clock as _, Failure, LeadId, ManualClock};

use crate::support::Fixture;

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// No request is answered, but every third write takes effect.
    Down,
    /// Reads succeed; every write is answered with 503.
    ReadOnly,
    /// Every write of one lead is answered with 503.
    RejectsLead(LeadId),
}

/// Clones share one CRM.
#[derive(Clone)]
pub(crate) struct FaultyCrm {
    clock: ManualClock,
    state: Arc<Mutex<State>>,
}

struct State {
    fault: Fault,
    /// The number of writes of each record.
    writes: HashMap<String, usize>,
    /// The lead of each attempted write.
    tried: Vec<LeadId>,
    /// The lead, the time and the number of actions of each successful write.
    done: Vec<(LeadId, Timestamp, usize)>,
}

impl FaultyCrm {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        let (writes, tried, done) = (HashMap::new(), Vec::new(), Vec::new());
        let state = State { fault: Fault::None, writes, tried, done };
        Self { clock: fixture.clock.clone(), state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn is(&self, fault: Fault) {
        self.state().fault = fault;
    }

    /// The number of attempted writes.
    pub(crate) fn tries(&self) -> usize {
        self.state().tried.len()
    }

    pub(crate) fn tries_of(&self, lead: &LeadId) -> usize {
        self.state().tried.iter().filter(|tried| *tried == lead).count()
    }

    /// The lead, the time and the number of actions of each successful write, in order.
    pub(crate) fn done(&self) -> Vec<(LeadId, Timestamp, usize)> {
        self.state().done.clone()
    }

    pub(crate) fn has_each_record_once(&self) {
        for (record, writes) in &self.state().writes {
            assert_eq!(*writes, 1, "{record}");
        }
    }

    fn answer<T>(&self, answer: T) -> Result<T, Failure> {
        if self.state().fault == Fault::Down { Err(unavailable()) } else { Ok(answer) }
    }
}

fn unavailable() -> Failure {
    Failure::transient("crm_unavailable", "the CRM answered 503")
}

/// Each action writes one record, identified by its action id.
fn key(action: &PlannedAction) -> String {
    action.action_id.to_string()
}

fn effect(lead: &LeadId, action: &PlannedAction) -> Effect {
    Effect::new(format!("r-{}", action.external_id(lead)), true)
}

#[async_trait]
impl Executor for FaultyCrm {
    fn provider(&self) -> &'static str {
        "mock"
    }

    async fn execute(&self, lead: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        let mut state = self.state();
        state.tried.push(lead.clone());
        let is_healthy = match &state.fault {
            Fault::None => true,
            Fault::Down | Fault::ReadOnly => false,
            Fault::RejectsLead(on) => on != lead,
        };
        let is_done = is_healthy || (state.fault == Fault::Down && state.tried.len().is_multiple_of(3));
        if is_done {
            for action in actions {
                *state.writes.entry(key(action)).or_default() += 1;
            }
        }
        if !is_healthy {
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
