//! The rows that results of steps add or change.

use database::{Cell, Connection, Rows};
use enrichment::EnrichmentStatus;
use lead::LeadStatus;
use serde_json::json;

use super::Change;
use super::save::Call;
use crate::assignment::AssignmentRows;
use crate::audit::{AuditEntries, AuditKind};
use crate::codec::to_json;
use crate::state::EnrichmentRetry;
use crate::{AnalysisRecord, Result};

/// Changes of several leads, gathered by table. Each lead and each delivery has one row at most.
pub(super) struct ChangeRows {
    now: i64,
    leads: Rows<11>,
    deliveries: Rows<4>,
    analyses: Rows<19>,
    assignments: AssignmentRows,
}

impl ChangeRows {
    pub(super) fn at(now: i64) -> Self {
        Self {
            now,
            leads: Rows::new([
                "lead_id",
                "delivery_id",
                "now",
                "status",
                "analysis_id",
                "fit_score",
                "fit",
                "intent",
                "decision",
                "grounding",
                "fallback",
            ]),
            deliveries: Rows::new(["delivery_id", "enrichment", "enrichment_retry", "crm_facts"]),
            analyses: AnalysisRecord::rows(),
            assignments: AssignmentRows::default(),
        }
    }

    /// Adds the changes of one lead, and their audit events.
    pub(super) fn add(&mut self, call: &Call, audit: &mut AuditEntries) {
        let (mut status, mut judged) = (None, None);
        let (mut enrichment, mut retry, mut crm_facts) = (None, None, None);
        for change in &call.changes {
            let (kind, detail) = match change.as_ref() {
                Change::Started { attempt } => {
                    status = Some(LeadStatus::Processing.as_str().to_owned());
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
                    judged = Some(analysis);
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
        if status.is_some() || judged.is_some() {
            let verdict = judged.map(|analysis| &analysis.verdict);
            let word = |word: Option<&str>| Cell::from(word.map(str::to_owned));
            self.leads.push([
                call.lead.as_str().into(),
                call.delivery.as_str().into(),
                self.now.into(),
                status.into(),
                judged.map(|analysis| analysis.analysis_id()).into(),
                verdict.map(|verdict| verdict.fit_score.get()).into(),
                word(verdict.map(|verdict| verdict.fit.as_str())),
                word(verdict.map(|verdict| verdict.intent.as_str())),
                word(verdict.map(|verdict| verdict.decision.as_str())),
                word(verdict.map(|verdict| verdict.status.as_str())),
                judged.map(|analysis| i64::from(analysis.fallback)).into(),
            ]);
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
        // A lead whose delivery is not the newest any more keeps the status and the judgement of that one.
        self.leads
            .execute(
                connection,
                "UPDATE lead SET status = COALESCE(given.status, lead.status), \
                 failure = CASE WHEN given.status IS NULL THEN lead.failure END, \
                 analysis_id = COALESCE(given.analysis_id, lead.analysis_id), \
                 fit_score = COALESCE(given.fit_score, lead.fit_score), fit = COALESCE(given.fit, lead.fit), \
                 intent = COALESCE(given.intent, lead.intent), decision = COALESCE(given.decision, lead.decision), \
                 grounding = COALESCE(given.grounding, lead.grounding), \
                 fallback = COALESCE(given.fallback, lead.fallback), updated_at = given.now \
                 FROM given WHERE lead.lead_id = given.lead_id AND lead.delivery_id = given.delivery_id",
            )
            .await?;
        self.assignments.save(connection).await
    }
}
