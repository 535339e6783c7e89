use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lead::Failure;

use crate::{Janitor, Round};

/// The shortest time between two prunings, however often the janitor runs.
const INTERVAL: Duration = Duration::from_mins(1);

/// The retention of the quarantine.
#[derive(Debug)]
pub(crate) struct Retention {
    pub(crate) max_age: Duration,
    pub(crate) rows: u32,
    pub(crate) pruned_at: Mutex<Option<Timestamp>>,
}

impl Retention {
    /// Whether a pruning is due; if so, marks it as done now.
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
    /// Removes the bodies beyond the retention.
    pub(crate) async fn prune_quarantine(&self, round: &mut Round) -> Result<(), Failure> {
        let Some(retention) = self.quarantine.as_ref().filter(|retention| retention.is_due(self.clock.now()))
        else {
            return Ok(());
        };
        let removed = self.store.prune_quarantine(self.ago(retention.max_age), retention.rows).await?;
        round.forgotten = usize::try_from(removed).unwrap_or(usize::MAX);
        Ok(())
    }
}
