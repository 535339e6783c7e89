use crm::{CrmMode, FieldChange, Followed, Review};
use grounding::GroundingStatus;
use lead::{Failure, LeadId, LeadStatus};
use serde::Serialize;

use crate::Pipeline;
use crate::plan::Rejected;

/// The CRM plan for a lead at present, and the reasons why it would not be executed.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct PlannedLead {
    /// The lead.
    pub lead_id: LeadId,
    /// The lead's status.
    pub status: LeadStatus,
    /// The CRM.
    pub provider: &'static str,
    /// Whether plans are executed at present.
    pub mode: CrmMode,
    /// The version of the field mapping.
    pub mapping_version: String,
    /// Whether nothing would be written because the analysis was rejected.
    pub held: bool,
    /// Whether nothing would be written because the person is on the suppression list.
    pub suppressed: bool,
    /// The merge in the CRM that would be followed to the lead's record, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followed: Option<Followed>,
    /// The guard's review of each action. Empty for the synthetic lead.
    pub actions: Vec<Review>,
    /// The field changes of the actions that the guard permits.
    pub changes: Vec<FieldChange>,
}

/// Why there is no plan to show.
#[derive(Clone, Debug)]
pub enum NoPlan {
    /// The lead does not exist.
    NoLead,
    /// The lead has not been judged yet.
    NotJudged(LeadStatus),
    /// A dependency failed, for example the CRM or the store.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for NoPlan {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Pipeline {
    /// The plan for a lead's judgement in force, compared with the CRM's present values. Writes nothing.
    pub async fn planned(&self, lead: &LeadId) -> Result<PlannedLead, NoPlan> {
        let (Some(record), Some(work)) = (self.store.lead(lead).await?, self.store.settled_work(lead).await?)
        else {
            return Err(NoPlan::NoLead);
        };
        let (Some(analysis), Some(enrichment)) = (&work.analysis, &work.enrichment) else {
            return Err(NoPlan::NotJudged(record.status));
        };
        let is_shadowed = self.is_shadowed().await?;
        let is_rejected = analysis.verdict.status == GroundingStatus::Rejected;
        let is_held =
            is_rejected && self.rejected == Rejected::Hold && !self.store.is_approved(&work).await?;
        let mut planned = PlannedLead {
            lead_id: lead.clone(),
            status: record.status,
            provider: self.guard.provider(),
            mode: if is_shadowed { CrmMode::Shadow } else { CrmMode::Live },
            mapping_version: self.guard.mapping().version().to_owned(),
            held: is_held,
            suppressed: self.store.suppressed(&work.lead.email).await?.is_some(),
            followed: None,
            actions: Vec::new(),
            changes: Vec::new(),
        };
        if !planned.held && !planned.suppressed && !lead.is_synthetic() {
            let assignment = self.preview_route(&work, analysis).await?;
            let plan = self.plan(&work, enrichment, analysis, &assignment).await?;
            let preview = self.guard.preview(&plan).await?;
            planned.followed = preview.followed;
            planned.actions = preview.reviews;
            planned.changes = preview.changes;
        }
        Ok(planned)
    }
}
