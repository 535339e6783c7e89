use std::time::Duration;

use lead::Failure;

use crate::{Janitor, Round};

/// How long a count of an owner's open leads stays valid.
const COUNTED_EVERY: Duration = Duration::from_hours(1);

/// The most owners that one round recounts.
const OWNERS: usize = 20;

impl Janitor {
    /// Recounts the open leads of some owners from their assignments, each owner once an hour, and corrects
    /// the counts that routing uses.
    pub(crate) async fn recount_owners(&self, round: &mut Round) -> Result<(), Failure> {
        let before = self.ago(COUNTED_EVERY);
        for _ in 0..OWNERS {
            let Some(count) = self.store.recount_owner(before).await? else { break };
            if count.open != count.before {
                tracing::warn!(
                    owner = %count.owner, before = count.before, open = count.open,
                    "owner's count of open leads corrected"
                );
                round.recounted += 1;
            }
        }
        Ok(())
    }
}
