//! The rows that results of steps add or change.

use database::{Connection, Rows};
use enrichment::EnrichmentStatus;
use lead::LeadStatus;
use serde_json::json;

use super::Change;
use super::save::{Call, Present};
use crate::assignment::AssignmentRows;
use crate::audit::{AuditEntries, AuditKind};
use crate::codec::to_json;
use crate::lead_changes::{LeadChange, LeadChanges};
use crate::state::EnrichmentRetry;
use crate::{AnalysisRecord, Result};

/// Changes of several leads, gathered by table. Each lead and each delivery has one row at most.
pub(super) struct ChangeRows {
    leads: LeadChanges,
    deliveries: Rows<4>,
    analyses: Rows<19>,
    assignments: AssignmentRows,
}

impl ChangeRows {
    pub(super) fn at(now: i64) -> Self {
        Self {
            leads: LeadChanges::at(now),
            deliveries: Rows::new(["delivery_id", "enrichment", "enrichment_retry", "crm_facts"]),
            analyses: AnalysisRecord::rows(),
            assignments: AssignmentRows::default(),
        }
    }

    /// Adds the changes of one lead, and their audit events.
    pub(super) fn add(&mut self, call: &Call, present: &Present, audit: &mut AuditEntries) {
        let (mut enrichment, mut retry, mut crm_facts) = (None, None, None);
        for change in &call.changes {
            let (kind, detail) = match change.as_ref() {
                Change::Started { attempt } => {
                    (AuditKind::Started, Some(json!({ "attempt": attempt, "round": call.round })))
                }
                Change::Enriched { enrichment: result, detail } => {
                    enrichment = Some(to_json(result));
                    retry = Some(match result.status {
                        EnrichmentStatus::Unavailable => EnrichmentRetry::Missing,
                        _ => EnrichmentRetry::None,
                    });
                    (AuditKind::Enriched, Some(detail.clone()))
                }
                Change::CrmRead(read) => {
                    crm_facts = Some(to_json(read));
                    (AuditKind::CrmRead, read.audited())
                }
                Change::Judged { analysis, first } => {
                    self.analyses.push(analysis.row());
                    (AuditKind::Judged, Some(analysis.audited(first.as_ref())))
                }
                Change::Assigned(assignment) => {
                    self.assignments.push(assignment);
                    (AuditKind::Routed, assignment.audited())
                }
            };
            if let Some(detail) = detail {
                audit.push(&call.lead, &call.delivery, kind, &detail);
            }
        }
        if enrichment.is_some() || crm_facts.is_some() {
            let retry = retry.map(|retry| retry.as_str().to_owned());
            self.deliveries.push([
                call.delivery.as_str().into(),
                enrichment.into(),
                retry.into(),
                crm_facts.into(),
            ]);
        }
        if present.is_newest && call.shows_progress() {
            self.leads.push(&LeadChange {
                lead: &call.lead,
                status: Some(LeadStatus::Processing),
                analysis: call.analysis.as_deref(),
                written: None,
                audit: audit.head(&call.lead),
            });
        }
    }

    /// Writes the rows inside the caller's transaction.
    pub(super) async fn write(self, connection: &mut Connection) -> Result<()> {
        self.deliveries
            .execute(
                connection,
                "UPDATE delivery SET enrichment = COALESCE(given.enrichment, delivery.enrichment), \
                 enrichment_retry = COALESCE(given.enrichment_retry, delivery.enrichment_retry), \
                 crm_facts = COALESCE(given.crm_facts, delivery.crm_facts) \
                 FROM given WHERE delivery.delivery_id = given.delivery_id",
            )
            .await?;
        AnalysisRecord::insert(connection, self.analyses).await?;
        self.leads.write(connection).await?;
        self.assignments.save(connection).await
    }
}
