use async_trait::async_trait;
use lead::Failure;

use crate::{BATCH, Janitor, Round};

/// The counts of one escalation round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EscalationCounts {
    /// Leads without a response in time.
    pub overdue: usize,
    /// EscalationCounts leads that were assigned to another owner.
    pub reassigned: usize,
    /// Leads with a response according to the CRM.
    pub responded: usize,
}

/// Escalates leads without a response in time.
#[async_trait]
pub trait Escalate: Send + Sync {
    /// Handles at most `limit` leads. Idempotent and safe to run in several processes at once.
    async fn escalate_overdue(&self, limit: u32) -> Result<EscalationCounts, Failure>;
}

impl Janitor {
    /// Escalates overdue leads, where an escalation is configured.
    pub(crate) async fn escalate(&self, round: &mut Round) -> Result<(), Failure> {
        let Some(escalation) = &self.escalation else { return Ok(()) };
        let summary = escalation.escalate_overdue(BATCH).await?;
        (round.overdue, round.reassigned, round.responded) =
            (summary.overdue, summary.reassigned, summary.responded);
        Ok(())
    }
}
