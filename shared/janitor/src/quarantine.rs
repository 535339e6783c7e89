use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lead::Failure;

use crate::{Janitor, Round};

/// What is too old or too much is looked for no more often than this, however often the janitor makes its round.
const INTERVAL: Duration = Duration::from_mins(1);

/// How much of the quarantine is kept.
#[derive(Debug)]
pub(crate) struct Keep {
    pub(crate) for_: Duration,
    pub(crate) rows: u32,
    pub(crate) pruned_at: Mutex<Option<Timestamp>>,
}

impl Keep {
    /// Whether it is time; takes note that it is done now.
    fn is_due(&self, now: Timestamp) -> bool {
        let mut pruned_at = self.pruned_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = pruned_at.is_none_or(|at| now.duration_since(at).unsigned_abs() >= INTERVAL);
        if is_due {
            *pruned_at = Some(now);
        }
        is_due
    }
}

impl Janitor {
    /// Removes from the quarantine what is too old or too much.
    pub(crate) async fn prune_quarantine(&self, round: &mut Round) -> Result<(), Failure> {
        let Some(keep) = self.quarantine.as_ref().filter(|keep| keep.is_due(self.clock.now())) else {
            return Ok(());
        };
        let removed = self.store.prune_quarantine(self.ago(keep.for_), keep.rows).await?;
        round.forgotten = usize::try_from(removed).unwrap_or(usize::MAX);
        Ok(())
    }
}
