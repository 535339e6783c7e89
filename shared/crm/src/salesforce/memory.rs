//! What the org said a moment ago, so that the steps of a lead share their reads.
//!
//! Nothing here is needed for correctness: a record that is remembered as absent is created by an insert,
//! which the org refuses if a record has the external id.

use std::time::Duration;

use lead::LeadId;
use tokio::time::Instant;

use super::state::State;
use crate::recent::Recent;
use crate::{ActionId, PlannedAction};

/// How long a lead without a record is remembered. The judgement takes place in that time.
const ABSENT_TTL: Duration = Duration::from_mins(5);
/// How long the state of a preview is used for the write that follows.
const PREPARED_TTL: Duration = Duration::from_secs(10);
/// The maximum number of leads without a record.
const MAX_ABSENT: usize = 10_000;
/// The maximum number of states.
const MAX_PREPARED: usize = 1_000;

/// The memory of an executor.
pub(super) struct Memory {
    absent: Recent<LeadId, (), Instant>,
    prepared: Recent<LeadId, (Vec<ActionId>, State), Instant>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            absent: Recent::new(ABSENT_TTL, MAX_ABSENT),
            prepared: Recent::new(PREPARED_TTL, MAX_PREPARED),
        }
    }
}

impl Memory {
    /// Remembers that a lead that was never written has no record.
    pub(super) fn note_absent(&self, lead: &LeadId) {
        self.absent.insert(lead.clone(), (), Instant::now());
    }

    pub(super) fn is_absent(&self, lead: &LeadId) -> bool {
        self.absent.get(lead, Instant::now()).is_some()
    }

    /// Makes the next use of a lead read its records.
    pub(super) fn forget(&self, lead: &LeadId) {
        self.absent.remove(lead);
        self.prepared.remove(lead);
    }

    /// Keeps the state of a preview for the write that follows it.
    pub(super) fn prepare(&self, lead: &LeadId, actions: &[PlannedAction], state: State) {
        self.prepared.insert(lead.clone(), (ids_of(actions), state), Instant::now());
    }

    /// The state for the same actions, if it was read a moment ago. It can be taken once.
    pub(super) fn take_prepared(&self, lead: &LeadId, actions: &[PlannedAction]) -> Option<State> {
        let (ids, state) = self.prepared.take(lead, Instant::now())?;
        (ids == ids_of(actions)).then_some(state)
    }
}

fn ids_of(actions: &[PlannedAction]) -> Vec<ActionId> {
    actions.iter().map(|planned| planned.action_id.clone()).collect()
}
