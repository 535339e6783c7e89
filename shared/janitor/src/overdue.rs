use lead::Failure;
use pipeline::EscalationSummary;

use crate::{BATCH, Janitor, Round};

impl Janitor {
    /// Escalates leads without a response in time.
    pub(crate) async fn escalate(&self, round: &mut Round) -> Result<(), Failure> {
        let Some(pipeline) = &self.pipeline else { return Ok(()) };
        let EscalationSummary { overdue, reassigned, responded } = pipeline.escalate_overdue(BATCH).await?;
        (round.overdue, round.reassigned, round.responded) = (overdue, reassigned, responded);
        Ok(())
    }
}
