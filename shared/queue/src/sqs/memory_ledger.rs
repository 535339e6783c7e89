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
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    tries: HashMap<String, (Tries, String)>,
    seen: HashMap<String, Timestamp>,
    pauses: Vec<Pause>,
}

impl MemoryLedger {
    /// An empty one.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Arc::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn look(&self, keys: &[&str]) -> Result<HashMap<String, Tries>, QueueError> {
        let kept = self.kept();
        Ok(keys.iter().filter_map(|key| Some(((*key).to_owned(), kept.tries.get(*key)?.0))).collect())
    }

    async fn last_seen(&self, key: &str) -> Result<Option<Timestamp>, QueueError> {
        Ok(self.kept().seen.get(key).copied())
    }

    async fn note_sent(&self, key: &str) -> Result<(), QueueError> {
        let now = self.clock.now();
        self.kept().seen.insert(key.to_owned(), now);
        Ok(())
    }

    async fn begin(&self, key: &str, lease: &str) -> Result<Tries, QueueError> {
        let now = self.clock.now();
        let mut kept = self.kept();
        kept.seen.insert(key.to_owned(), now);
        let (tries, holder) = kept.tries.entry(key.to_owned()).or_default();
        tries.losses += u32::from(tries.is_held);
        tries.is_held = true;
        lease.clone_into(holder);
        Ok(*tries)
    }

    async fn holds(&self, key: &str, lease: &str) -> Result<bool, QueueError> {
        let kept = self.kept();
        Ok(kept.tries.get(key).is_some_and(|(tries, holder)| tries.is_held && holder == lease))
    }

    async fn end(&self, key: &str, lease: &str, ended: Ended) -> Result<bool, QueueError> {
        let now = self.clock.now();
        let mut kept = self.kept();
        let Some((tries, _)) =
            kept.tries.get_mut(key).filter(|(tries, holder)| tries.is_held && holder == lease)
        else {
            return Ok(false);
        };
        tries.is_held = false;
        match ended {
            Ended::Failed => tries.attempts += 1,
            Ended::Deferred | Ended::Settled => tries.losses = 0,
        }
        kept.seen.insert(key.to_owned(), now);
        if ended == Ended::Settled {
            kept.tries.remove(key);
            kept.seen.remove(key);
        }
        Ok(true)
    }

    async fn forget(&self, key: &str) -> Result<(), QueueError> {
        let mut kept = self.kept();
        kept.tries.remove(key);
        kept.seen.remove(key);
        Ok(())
    }

    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError> {
        let since = self.clock.now();
        let mut kept = self.kept();
        match kept.pauses.iter_mut().find(|pause| pause.dependency == *dependency) {
            Some(pause) => (pause.reason, pause.until) = (reason.to_owned(), until),
            None => kept.pauses.push(Pause {
                dependency: dependency.clone(),
                reason: reason.to_owned(),
                since,
                until,
            }),
        }
        Ok(())
    }

    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError> {
        self.kept().pauses.retain(|pause| pause.dependency != *dependency);
        Ok(())
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        Ok(self.kept().pauses.clone())
    }
}
