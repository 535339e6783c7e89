use async_trait::async_trait;
use lead::Failure;

use crate::{BATCH, Janitor, Round};

/// What came of a look at the leads that nobody responded to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Leads that nobody responded to in time.
    pub overdue: usize,
    /// Of those, given to somebody else.
    pub reassigned: usize,
    /// Leads that the CRM shows to have been responded to.
    pub responded: usize,
}

/// Looks after leads whose time to respond is over.
#[async_trait]
pub trait Chase: Send + Sync {
    /// Looks at no more than `limit` of them. May be done again at any time, by several processes at once.
    async fn chase(&self, limit: u32) -> Result<Overdue, Failure>;
}

impl Janitor {
    /// Lets somebody look after the leads that nobody responded to in time.
    pub(crate) async fn overdue(&self, round: &mut Round) -> Result<(), Failure> {
        let Some(chaser) = &self.chaser else { return Ok(()) };
        let chased = chaser.chase(BATCH).await?;
        (round.overdue, round.reassigned, round.responded) =
            (chased.overdue, chased.reassigned, chased.responded);
        Ok(())
    }
}
