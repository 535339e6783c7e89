use database::{Cell, Connection, Rows};
use lead::{LeadId, LeadStatus};

use crate::audit::Head;
use crate::{AnalysisRecord, Result};

/// What work on a lead changes in its row. Everything that is none stays as it is.
pub(crate) struct LeadChange<'a> {
    pub(crate) lead: &'a LeadId,
    /// The new status. It ends an earlier failure.
    pub(crate) status: Option<LeadStatus>,
    /// The judgement that is in force from now on.
    pub(crate) analysis: Option<&'a AnalysisRecord>,
    /// The CRM and the record that the lead was written to.
    pub(crate) written: Option<(&'a str, &'a str)>,
    /// The newest audit event.
    pub(crate) audit: Option<&'a Head>,
}

/// Changes of the rows of leads, one for each lead at most.
pub(crate) struct LeadChanges {
    now: i64,
    rows: Rows<14>,
}

impl LeadChanges {
    pub(crate) fn at(now: i64) -> Self {
        let columns = [
            "lead_id",
            "status",
            "analysis_id",
            "fit_score",
            "fit",
            "intent",
            "decision",
            "grounding",
            "fallback",
            "crm_provider",
            "crm_record_id",
            "updated_at",
            "audit_seq",
            "audit_hash",
        ];
        Self { now, rows: Rows::new(columns) }
    }

    pub(crate) fn push(&mut self, change: &LeadChange<'_>) {
        let LeadChange { lead, status, analysis, written, audit } = change;
        let verdict = analysis.map(|analysis| &analysis.verdict);
        let word = |word: Option<&str>| Cell::from(word.map(str::to_owned));
        self.rows.push([
            lead.as_str().into(),
            word(status.map(LeadStatus::as_str)),
            analysis.map(AnalysisRecord::analysis_id).into(),
            verdict.map(|verdict| verdict.fit_score.get()).into(),
            word(verdict.map(|verdict| verdict.fit.as_str())),
            word(verdict.map(|verdict| verdict.intent.as_str())),
            word(verdict.map(|verdict| verdict.decision.as_str())),
            word(verdict.map(|verdict| verdict.status.as_str())),
            analysis.map(|analysis| i64::from(analysis.fallback)).into(),
            word(written.map(|(provider, _)| provider)),
            word(written.map(|(_, record)| record)),
            status.map(|_| self.now).into(),
            audit.map(|head| head.seq).into(),
            word(audit.map(|head| head.hash.as_str())),
        ]);
    }

    /// Writes the changes inside the caller's transaction.
    pub(crate) async fn write(self, connection: &mut Connection) -> Result<()> {
        self.rows
            .execute(
                connection,
                "UPDATE lead SET status = COALESCE(given.status, lead.status), \
                 failure = CASE WHEN given.status IS NULL THEN lead.failure END, \
                 analysis_id = COALESCE(given.analysis_id, lead.analysis_id), \
                 fit_score = COALESCE(given.fit_score, lead.fit_score), fit = COALESCE(given.fit, lead.fit), \
                 intent = COALESCE(given.intent, lead.intent), decision = COALESCE(given.decision, lead.decision), \
                 grounding = COALESCE(given.grounding, lead.grounding), \
                 fallback = COALESCE(given.fallback, lead.fallback), \
                 crm_provider = COALESCE(given.crm_provider, lead.crm_provider), \
                 crm_record_id = COALESCE(given.crm_record_id, lead.crm_record_id), \
                 updated_at = COALESCE(given.updated_at, lead.updated_at), \
                 audit_seq = COALESCE(given.audit_seq, lead.audit_seq), \
                 audit_hash = COALESCE(given.audit_hash, lead.audit_hash) \
                 FROM given WHERE lead.lead_id = given.lead_id",
            )
            .await?;
        Ok(())
    }
}
