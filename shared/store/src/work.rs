use std::sync::Arc;

use crm::{ActionId, Outcome};
use enrichment::{Enrichment, EnrichmentStatus};
use jiff::Timestamp;
use lead::{DeliveryId, Lead, LeadId, Sender};
use sqlx::any::AnyRow;

use crate::codec::Columns as _;
use crate::state::EnrichmentRetry;
use crate::{AnalysisRecord, Attempts, Change, CrmFacts, Result, Turn};

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
    /// The turn that the limits of its source gave it; none before it asked for one.
    pub turn: Option<Turn>,
    /// The content.
    pub lead: Lead,
    /// The source that sent it.
    pub sender: Sender,
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
    pub analysis: Option<Arc<AnalysisRecord>>,
    /// How often work on the delivery has failed, by stage.
    pub attempts: Attempts,
    /// The rows of other kinds that the lead may have.
    pub known: KnownRows,
    /// The results of steps that are not saved yet.
    pub(crate) unsaved: Vec<Arc<Change>>,
    /// The outcomes of actions that are not saved yet.
    pub(crate) outcomes: Vec<(ActionId, Outcome)>,
    /// Whether the lead's row lacks saved results: its status and its judgement.
    pub(crate) is_behind: bool,
}

/// The kinds of rows that a lead may have. A kind that it had not when the work began needs no reading: most
/// leads are new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRows {
    /// An assignment.
    pub assignment: bool,
    /// Actions in the ledger.
    pub actions: bool,
    /// Other leads with the same address.
    pub same_address: bool,
}

impl KnownRows {
    /// Any of them.
    pub const ANY: Self = Self { assignment: true, actions: true, same_address: true };
}

/// The columns that [`Work::read`] needs, and those that tell the state of the delivery and of its lead.
macro_rules! work_columns {
    () => {
        "d.lead_id, d.delivery_id, d.state, d.sender, d.turn_at, d.over_limit, d.content_hash, d.revision, d.round, d.enrichment, d.enrichment_retry, \
         d.crm_facts, d.promoted_at, d.crm_read_attempts, d.analysis_attempts, d.crm_write_attempts, \
         d.storage_attempts, d.other_attempts, l.delivery_id AS newest, l.failure"
    };
}
pub(crate) use work_columns;

/// A `SELECT` of those columns and of the content.
macro_rules! select_work {
    ($condition:literal) => {
        concat!(
            "SELECT d.content, ",
            $crate::work::work_columns!(),
            " FROM delivery d JOIN lead l ON l.lead_id = d.lead_id WHERE ",
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
            sender: row.optional_json("sender")?.unwrap_or_default(),
            turn: Turn::read(row)?,
            enrichment: row.optional_json("enrichment")?,
            retry_enrichment: row.word("enrichment_retry", EnrichmentRetry::parse)?
                == EnrichmentRetry::Requested,
            crm_facts: CrmFacts::of_round(row.optional_json("crm_facts")?, round),
            promoted_at: row.optional_time("promoted_at")?,
            analysis: None,
            attempts: Attempts::read(row)?,
            known: KnownRows::ANY,
            unsaved: Vec::new(),
            outcomes: Vec::new(),
            is_behind: false,
        })
    }
}

impl Work {
    /// Everything is saved, in the lead's row too unless that is behind.
    pub(crate) fn saved(&mut self, is_behind: bool) {
        self.unsaved.clear();
        self.outcomes.clear();
        self.is_behind = is_behind;
    }

    /// Whether anything is not.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.is_behind || !(self.unsaved.is_empty() && self.outcomes.is_empty())
    }

    /// Whether a provider may have failed to answer, so that enrichment is requested again after the end.
    pub(crate) fn may_lack_enrichment(&self) -> bool {
        let enrichment = self.enrichment.as_ref();
        self.retry_enrichment
            || enrichment.is_none_or(|result| result.status == EnrichmentStatus::Unavailable)
    }
}
