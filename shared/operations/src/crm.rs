//! Going live with the CRM lead by lead, and stopping it.

use ::crm::{CrmMode, Restored, Text};
use lead::{Actor, LeadId, LeadStatus};
use pipeline::{Conversion, NoPlan, NotConverted, PlannedLead};
use serde::Serialize;
use store::{CrmHold, Cursor, LeadFilter, WrittenAction};

use crate::operations::{MAX_PAGE, OperationError, Operations};
use crate::people::single_line;

impl Operations {
    /// The planned changes to the CRM for a lead, field by field with the present values. Reads the CRM;
    /// writes nothing.
    pub async fn plan(&self, id: &LeadId) -> Result<PlannedLead, OperationError> {
        self.pipeline.planned(id).await.map_err(|none| match none {
            NoPlan::NoLead => OperationError::NotFound("lead"),
            NoPlan::NotJudged(status) => OperationError::NotJudged { id: id.clone(), status },
            NoPlan::Failed(failure) => failure.into(),
        })
    }

    /// Releases a planned lead to the CRM, once: it is planned again against the CRM's present values, and
    /// written.
    ///
    /// After a crash between the two steps the delivery is open, and the janitor sends open deliveries that
    /// are in no queue.
    pub async fn promote(&self, actor: &Actor, id: &LeadId) -> Result<(), OperationError> {
        self.store().lead(id).await?.ok_or(OperationError::NotFound("lead"))?;
        let event = self.store().promote(actor, id).await?;
        let event =
            event.ok_or(OperationError::Conflict("the lead is not planned: there is nothing to promote"))?;
        self.queue().send(&event).await?;
        Ok(())
    }

    /// Keeps plans from now on instead of executing them, in every process and regardless of `CRM_MODE`.
    /// Leads that were promoted before and are still queued are kept as well.
    pub async fn hold_crm(&self, actor: &Actor, reason: &str) -> Result<(), OperationError> {
        let reason = single_line("the reason", reason)?;
        Ok(self.store().hold_crm(actor, self.pipeline.guard.provider(), &reason).await?)
    }

    /// Ends [`hold_crm`](Self::hold_crm). False if the CRM was not held.
    pub async fn resume_crm(&self, actor: &Actor) -> Result<bool, OperationError> {
        Ok(self.store().unhold_crm(actor, self.pipeline.guard.provider()).await?)
    }

    /// The mode of the CRM, its hold, and the number of planned leads.
    pub async fn crm_status(&self) -> Result<CrmStatus, OperationError> {
        let guard = &self.pipeline.guard;
        let counts = self.store().count_leads().await?;
        let planned = counts.into_iter().find(|(status, _)| *status == LeadStatus::Planned);
        Ok(CrmStatus {
            provider: guard.provider(),
            mode: guard.mode(),
            mapping_version: guard.mapping().version().to_owned(),
            hold: self.store().crm_hold(guard.provider()).await?,
            planned: planned.map_or(0, |(_, leads)| leads),
        })
    }

    /// Every planned lead, oldest first.
    pub async fn planned_leads(&self) -> Result<Vec<LeadId>, OperationError> {
        let filter = LeadFilter { status: Some(LeadStatus::Planned), ..LeadFilter::default() };
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = self.store().leads(&filter, before.as_ref(), MAX_PAGE).await?;
            let Some(last) = page.last() else { break };
            before = Some(Cursor::at(last.created_at, last.lead_id.as_str()));
            found.extend(page.into_iter().map(|lead| lead.lead_id));
        }
        found.reverse();
        Ok(found)
    }

    /// Every lead with effects on the CRM that were not undone, whatever its present status.
    pub async fn written_leads(&self) -> Result<Vec<LeadId>, OperationError> {
        let (mut found, provider): (Vec<LeadId>, _) = (Vec::new(), self.pipeline.guard.provider());
        loop {
            let page = self.store().written_leads(provider, found.last(), MAX_PAGE).await?;
            if page.is_empty() {
                return Ok(found);
            }
            found.extend(page);
        }
    }

    /// The past writes of a lead, newest first. With `restore`, restores the old values in fields that still
    /// hold the written ones, and gives the result for each field.
    pub async fn roll_back(
        &self,
        actor: &Actor,
        id: &LeadId,
        restore: bool,
    ) -> Result<RolledBack, OperationError> {
        let actions = if restore {
            self.pipeline.restore(actor, id).await?
        } else {
            let written = self.store().written(self.pipeline.guard.provider(), id).await?;
            written.into_iter().map(|action| (action, Vec::new())).collect()
        };
        let action = |(action, restored)| RolledBackAction { action, restored };
        Ok(RolledBack { lead_id: id.clone(), actions: actions.into_iter().map(action).collect() })
    }

    /// Converts the lead's record in the CRM to a contact, which cannot be undone. Without `apply`, plans the
    /// conversion only.
    pub async fn convert(
        &self,
        actor: &Actor,
        id: &LeadId,
        status: &str,
        apply: bool,
    ) -> Result<Conversion, OperationError> {
        let status = Text::fit(status);
        let status =
            status.ok_or_else(|| OperationError::Invalid("the status must not be empty".to_owned()))?;
        self.pipeline.convert(actor, id, status, apply).await.map_err(|not| match not {
            NotConverted::NoLead => OperationError::NotFound("lead"),
            NotConverted::NotSynced(status) => OperationError::NotSynced(status),
            NotConverted::Suppressed => OperationError::Conflict("the person is on the suppression list"),
            NotConverted::Shadowed => OperationError::CrmHeld,
            NotConverted::Failed(failure) => failure.into(),
        })
    }
}

/// The past writes of a lead, and the outcomes of restoring the old values.
#[derive(Clone, Debug, Serialize)]
pub struct RolledBack {
    /// The lead.
    pub lead_id: LeadId,
    /// The writes, newest first.
    pub actions: Vec<RolledBackAction>,
}

/// A past write, and the outcome of restoring the old value of each field.
#[derive(Clone, Debug, Serialize)]
pub struct RolledBackAction {
    /// The write.
    #[serde(flatten)]
    pub action: WrittenAction,
    /// The outcomes, in the order of the changed fields; empty if nothing was restored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<Restored>,
}

/// Whether the CRM is written to.
#[derive(Clone, Debug, Serialize)]
pub struct CrmStatus {
    /// The CRM.
    pub provider: &'static str,
    /// The mode by `CRM_MODE`.
    pub mode: CrmMode,
    /// The version of the field mapping.
    pub mapping_version: String,
    /// The hold of an operator, if any.
    pub hold: Option<CrmHold>,
    /// Leads whose plans are stored and not executed.
    pub planned: i64,
}
