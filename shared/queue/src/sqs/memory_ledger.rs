//! The ledger in memory, for tests and simulations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Clock, Dependency};

use crate::{Ended, Ledger, Pause, QueueError, Tries};

/// A [`Ledger`] in memory, for one process. Clones share it.
#[derive(Clone)]
pub struct MemoryLedger {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    tries: HashMap<String, (Tries, String)>,
    seen: HashMap<String, Timestamp>,
    pauses: Vec<Pause>,
}

impl MemoryLedger {
    /// Creates an empty ledger.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn look(&self, keys: &[&str]) -> Result<HashMap<String, Tries>, QueueError> {
        let state = self.state();
        Ok(keys.iter().filter_map(|key| Some(((*key).to_owned(), state.tries.get(*key)?.0))).collect())
    }

    async fn last_seen(&self, key: &str) -> Result<Option<Timestamp>, QueueError> {
        Ok(self.state().seen.get(key).copied())
    }

    async fn note_sent(&self, key: &str) -> Result<(), QueueError> {
        let now = self.clock.now();
        self.state().seen.insert(key.to_owned(), now);
        Ok(())
    }

    async fn begin(&self, key: &str, lease: &str) -> Result<Tries, QueueError> {
        let now = self.clock.now();
        let mut state = self.state();
        state.seen.insert(key.to_owned(), now);
        let (tries, holder) = state.tries.entry(key.to_owned()).or_default();
        tries.losses += u32::from(tries.is_held);
        tries.is_held = true;
        lease.clone_into(holder);
        Ok(*tries)
    }

    async fn holds(&self, key: &str, lease: &str) -> Result<bool, QueueError> {
        let state = self.state();
        Ok(state.tries.get(key).is_some_and(|(tries, holder)| tries.is_held && holder == lease))
    }

    async fn end(&self, key: &str, lease: &str, ended: Ended) -> Result<bool, QueueError> {
        let now = self.clock.now();
        let mut state = self.state();
        let Some((tries, _)) =
            state.tries.get_mut(key).filter(|(tries, holder)| tries.is_held && holder == lease)
        else {
            return Ok(false);
        };
        tries.is_held = false;
        match ended {
            Ended::Failed => tries.attempts += 1,
            Ended::Deferred | Ended::Settled => tries.losses = 0,
            Ended::Released => {}
        }
        state.seen.insert(key.to_owned(), now);
        if ended == Ended::Settled {
            state.tries.remove(key);
            state.seen.remove(key);
        }
        Ok(true)
    }

    async fn forget(&self, key: &str) -> Result<(), QueueError> {
        let mut state = self.state();
        state.tries.remove(key);
        state.seen.remove(key);
        Ok(())
    }

    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError> {
        let since = self.clock.now();
        let mut state = self.state();
        match state.pauses.iter_mut().find(|pause| pause.dependency == *dependency) {
            Some(pause) => (pause.reason, pause.until) = (reason.to_owned(), until),
            None => state.pauses.push(Pause {
                dependency: dependency.clone(),
                reason: reason.to_owned(),
                since,
                until,
            }),
        }
        Ok(())
    }

    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError> {
        self.state().pauses.retain(|pause| pause.dependency != *dependency);
        Ok(())
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        Ok(self.state().pauses.clone())
    }
}
