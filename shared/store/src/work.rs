use enrichment::Enrichment;
use jiff::Timestamp;
use lead::{DeliveryId, Lead, LeadId};
use sqlx::any::AnyRow;

use crate::codec::Columns as _;
use crate::state::EnrichmentRetry;
use crate::{AnalysisRecord, Attempts, CrmFacts, Result};

/// A delivery being worked on, with the results of earlier attempts.
#[derive(Debug)]
pub struct Work {
    /// The lead.
    pub lead_id: LeadId,
    /// Its delivery.
    pub delivery_id: DeliveryId,
    /// The number of this content among the lead's contents, from 1.
    pub revision: i64,
    /// The number of this judgement of the delivery, from 1.
    pub round: i64,
    /// The content.
    pub lead: Lead,
    /// The enrichment result, once enrichment has run.
    pub enrichment: Option<Enrichment>,
    /// Whether the enrichment result is `unavailable` and must be requested again before this judgement.
    pub retry_enrichment: bool,
    /// The CRM facts read for this round's judgement, once they were read.
    pub crm_facts: Option<CrmFacts>,
    /// When an operator promoted the delivery: it is written even while the CRM is only shadowed, unless the
    /// CRM was put on hold since.
    pub promoted_at: Option<Timestamp>,
    /// This round's analysis, once it has run.
    pub analysis: Option<AnalysisRecord>,
    /// How often work on the delivery has failed, by stage.
    pub attempts: Attempts,
}

/// A `SELECT` of the columns that [`Work::read`] needs, and of the state of the delivery and of its lead.
macro_rules! select_work {
    ($condition:literal) => {
        concat!(
            "SELECT d.lead_id, d.delivery_id, d.state, d.content, d.content_hash, d.revision, d.round, d.enrichment, \
             d.enrichment_retry, d.crm_facts, d.promoted_at, d.crm_read_attempts, d.analysis_attempts, \
             d.crm_write_attempts, d.storage_attempts, d.other_attempts, l.delivery_id AS newest, l.failure \
             FROM delivery d JOIN lead l ON l.lead_id = d.lead_id WHERE ",
            $condition
        )
    };
}
pub(crate) use select_work;

impl Work {
    /// The work on the delivery of a row, without its analysis.
    pub(crate) fn read(row: &AnyRow, lead: Lead) -> Result<Self> {
        let round = row.number("round")?;
        Ok(Self {
            lead_id: row.id("lead_id")?,
            delivery_id: row.id("delivery_id")?,
            revision: row.number("revision")?,
            round,
            lead,
            enrichment: row.optional_json("enrichment")?,
            retry_enrichment: row.word("enrichment_retry", EnrichmentRetry::parse)?
                == EnrichmentRetry::Requested,
            crm_facts: CrmFacts::of_round(row.optional_json("crm_facts")?, round),
            promoted_at: row.optional_time("promoted_at")?,
            analysis: None,
            attempts: Attempts::read(row)?,
        })
    }
}
