//! Going live with the CRM lead by lead, and back.

use lead::LeadId;
use pipeline::{NoPlan, PlannedLead};

use crate::operations::{NOT_JUDGED, OperationError, Operations};
use crate::people::words;

impl Operations {
    /// What would be written to the CRM now for a lead, field by field with the value that is there. The CRM is read; nothing
    /// is written.
    pub async fn plan(&self, id: &LeadId) -> Result<PlannedLead, OperationError> {
        self.pipeline().planned(id).await.map_err(|none| match none {
            NoPlan::NoLead => OperationError::NotFound("lead"),
            NoPlan::NotJudged(_) => NOT_JUDGED,
            NoPlan::Failed(failure) => failure.into(),
        })
    }

    /// Lets a planned lead through to the CRM, once: it is planned anew against the CRM's present values, and written.
    ///
    /// Dies between the two steps: the delivery is open, and the janitor sends what is open and in no queue.
    pub async fn promote(&self, id: &LeadId) -> Result<(), OperationError> {
        self.store().lead(id).await?.ok_or(OperationError::NotFound("lead"))?;
        let event = self.store().promote(id).await?;
        let event = event
            .ok_or(OperationError::Conflict("the lead is not planned: there is nothing to let through"))?;
        self.queue().send(&event).await?;
        Ok(())
    }

    /// Keeps plans from now on instead of carrying them out, in every process, whatever `CRM_MODE` says. What was promoted
    /// before and is still on its way is kept as well.
    pub async fn hold_crm(&self, reason: &str) -> Result<(), OperationError> {
        let reason = words("the reason", reason)?;
        Ok(self.store().hold_crm(self.pipeline().guard.provider(), &reason).await?)
    }

    /// Ends [`hold_crm`](Self::hold_crm). False where the CRM was not held.
    pub async fn resume_crm(&self) -> Result<bool, OperationError> {
        Ok(self.store().unhold_crm(self.pipeline().guard.provider()).await?)
    }
}
