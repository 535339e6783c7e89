//! Going live with the CRM lead by lead, and stopping it.

use lead::LeadId;
use pipeline::{NoPlan, PlannedLead};

use crate::operations::{NOT_JUDGED, OperationError, Operations};
use crate::people::single_line;

impl Operations {
    /// The planned changes to the CRM for a lead, field by field with the present values. Reads the CRM;
    /// writes nothing.
    pub async fn plan(&self, id: &LeadId) -> Result<PlannedLead, OperationError> {
        self.pipeline().planned(id).await.map_err(|none| match none {
            NoPlan::NoLead => OperationError::NotFound("lead"),
            NoPlan::NotJudged(_) => NOT_JUDGED,
            NoPlan::Failed(failure) => failure.into(),
        })
    }

    /// Releases a planned lead to the CRM, once: it is planned again against the CRM's present values, and
    /// written.
    ///
    /// After a crash between the two steps the delivery is open, and the janitor sends open deliveries that
    /// are in no queue.
    pub async fn promote(&self, id: &LeadId) -> Result<(), OperationError> {
        self.store().lead(id).await?.ok_or(OperationError::NotFound("lead"))?;
        let event = self.store().promote(id).await?;
        let event =
            event.ok_or(OperationError::Conflict("the lead is not planned: there is nothing to promote"))?;
        self.queue().send(&event).await?;
        Ok(())
    }

    /// Keeps plans from now on instead of executing them, in every process and regardless of `CRM_MODE`.
    /// Leads that were promoted before and are still queued are kept as well.
    pub async fn hold_crm(&self, reason: &str) -> Result<(), OperationError> {
        let reason = single_line("the reason", reason)?;
        Ok(self.store().hold_crm(self.pipeline().guard.provider(), &reason).await?)
    }

    /// Ends [`hold_crm`](Self::hold_crm). False if the CRM was not held.
    pub async fn resume_crm(&self) -> Result<bool, OperationError> {
        Ok(self.store().unhold_crm(self.pipeline().guard.provider()).await?)
    }
}
