//! What the org said a moment ago, so that the steps of a lead share their reads.
//!
//! Nothing here is needed for correctness: a record that is remembered as absent is created by an insert,
//! which the org refuses if a record has the external id.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lead::LeadId;
use tokio::time::Instant;

use super::state::State;
use crate::{ActionId, PlannedAction};

/// How long a lead without a record is remembered. The judgement takes place in that time.
const ABSENT_TTL: Duration = Duration::from_mins(5);
/// How long the state of a preview is used for the write that follows.
const PREPARED_TTL: Duration = Duration::from_secs(10);
/// The maximum number of entries of each kind. A full map is cleared.
const MAX_ENTRIES: usize = 10_000;

/// The memory of an executor.
#[derive(Default)]
pub(super) struct Memory {
    absent: Mutex<HashMap<LeadId, Instant>>,
    prepared: Mutex<HashMap<LeadId, (Instant, Vec<ActionId>, State)>>,
}

impl Memory {
    /// Remembers that a lead that was never written has no record.
    pub(super) fn note_absent(&self, lead: &LeadId) {
        insert(&self.absent, lead, Instant::now());
    }

    pub(super) fn is_absent(&self, lead: &LeadId) -> bool {
        lock(&self.absent).get(lead).is_some_and(|at| at.elapsed() < ABSENT_TTL)
    }

    /// Makes the next use of a lead read its records.
    pub(super) fn forget(&self, lead: &LeadId) {
        lock(&self.absent).remove(lead);
        lock(&self.prepared).remove(lead);
    }

    /// Keeps the state of a preview for the write that follows it.
    pub(super) fn prepare(&self, lead: &LeadId, actions: &[PlannedAction], state: State) {
        insert(&self.prepared, lead, (Instant::now(), ids_of(actions), state));
    }

    /// The state for the same actions, if it was read a moment ago. It can be taken once.
    pub(super) fn take_prepared(&self, lead: &LeadId, actions: &[PlannedAction]) -> Option<State> {
        let (at, ids, state) = lock(&self.prepared).remove(lead)?;
        (at.elapsed() < PREPARED_TTL && ids == ids_of(actions)).then_some(state)
    }
}

fn ids_of(actions: &[PlannedAction]) -> Vec<ActionId> {
    actions.iter().map(|planned| planned.action_id.clone()).collect()
}

fn insert<K: Clone + Eq + Hash, V>(map: &Mutex<HashMap<K, V>>, key: &K, value: V) {
    let mut map = lock(map);
    if map.len() >= MAX_ENTRIES {
        map.clear();
    }
    map.insert(key.clone(), value);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
