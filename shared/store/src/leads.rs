use enrichment::Enrichment;
use jiff::Timestamp;
use lead::{Decision, DeliveryId, Failure, Fit, FitScore, Intent, Lead, LeadId, LeadStatus, Sender};
use serde::Serialize;
use serde_json::Value;
use sqlx::any::AnyRow;

use crate::codec::Columns as _;
use crate::delivery::state_of;
use crate::{CrmRead, DeliveryState, Result, Store};

/// The present state of a lead.
#[derive(Clone, Debug)]
pub struct LeadRecord {
    /// The lead.
    pub lead_id: LeadId,
    /// Its status.
    pub status: LeadStatus,
    /// The newest content.
    pub content: Lead,
    /// The number of contents that it has had.
    pub revision: i64,
    /// The newest delivery.
    pub delivery_id: DeliveryId,
    /// Score in force, once judged.
    pub fit_score: Option<FitScore>,
    /// Level of fit in force.
    pub fit: Option<Fit>,
    /// Intent in force.
    pub intent: Option<Intent>,
    /// Decision in force.
    pub decision: Option<Decision>,
    /// Whether it was judged without an AI.
    pub fallback: bool,
    /// The CRM it was written to.
    pub crm_provider: Option<String>,
    /// The record there.
    pub crm_record_id: Option<String>,
    /// The reason for the wait or the dead-lettering.
    pub failure: Option<Failure>,
    /// When it was first accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One accepted content of a lead.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryRecord {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The number of this content among the lead's contents, from 1.
    pub revision: i64,
    /// Its state.
    pub state: DeliveryState,
    /// How often the same content was received again.
    pub duplicates: i64,
    /// The source that sent it.
    pub sender: Sender,
    /// The enrichment result.
    pub enrichment: Option<Value>,
    /// The reading of the CRM before the last judgement.
    pub crm_read: Option<CrmRead>,
    /// When the delivery was received.
    pub received_at: Timestamp,
}

impl Store {
    /// One lead.
    pub async fn lead(&self, id: &LeadId) -> Result<Option<LeadRecord>> {
        let row = self.row(sqlx::query("SELECT * FROM lead WHERE lead_id = $1").bind(id.as_str())).await?;
        row.as_ref().map(read_lead).transpose()
    }

    /// Up to `limit` lead ids that begin with a text: users often paste shortened ids.
    pub async fn lead_ids_like(&self, beginning: &str, limit: u32) -> Result<Vec<LeadId>> {
        let beginning = beginning.to_ascii_lowercase();
        if beginning.is_empty() || !beginning.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        let query = sqlx::query(
            "SELECT lead_id FROM lead WHERE lead_id >= $1 AND lead_id < $2 ORDER BY lead_id LIMIT $3",
        );
        let rows = self
            .rows(query.bind(&beginning).bind(upper_bound_of_prefix(&beginning)).bind(i64::from(limit)))
            .await?;
        rows.iter().map(|row| row.id("lead_id")).collect()
    }

    /// The enrichment result of a delivery, once enrichment has run.
    pub async fn enrichment_of(&self, delivery: &DeliveryId) -> Result<Option<Enrichment>> {
        let query = sqlx::query("SELECT enrichment FROM delivery WHERE delivery_id = $1");
        let row = self.row(query.bind(delivery.as_str())).await?;
        row.map_or(Ok(None), |row| row.optional_json("enrichment"))
    }

    /// The source that sent a delivery.
    pub async fn sender_of(&self, delivery: &DeliveryId) -> Result<Sender> {
        let query = sqlx::query("SELECT sender FROM delivery WHERE delivery_id = $1");
        let row = self.row(query.bind(delivery.as_str())).await?;
        Ok(row.map_or(Ok(None), |row| row.optional_json("sender"))?.unwrap_or_default())
    }

    /// The newest `limit` deliveries of a lead, newest first.
    pub async fn deliveries(&self, lead: &LeadId, limit: u32) -> Result<Vec<DeliveryRecord>> {
        let query = sqlx::query(
            "SELECT delivery_id, revision, state, duplicates, sender, enrichment, crm_facts, received_at FROM delivery \
             WHERE lead_id = $1 ORDER BY revision DESC LIMIT $2",
        );
        let rows = self.rows(query.bind(lead.as_str()).bind(i64::from(limit))).await?;
        rows.iter()
            .map(|row| {
                Ok(DeliveryRecord {
                    delivery_id: row.id("delivery_id")?,
                    revision: row.number("revision")?,
                    state: state_of(row)?,
                    duplicates: row.number("duplicates")?,
                    sender: row.optional_json("sender")?.unwrap_or_default(),
                    enrichment: row.optional_json("enrichment")?,
                    crm_read: row.optional_json("crm_facts")?,
                    received_at: row.time("received_at")?,
                })
            })
            .collect()
    }
}

/// The upper bound of the ids that begin with these hexadecimal digits, in any collation.
pub(crate) fn upper_bound_of_prefix(digits: &str) -> String {
    format!("{digits}g")
}

pub(crate) fn read_lead(row: &AnyRow) -> Result<LeadRecord> {
    Ok(LeadRecord {
        lead_id: row.id("lead_id")?,
        status: row.word("status", LeadStatus::parse)?,
        content: row.json("content")?,
        revision: row.number("revision")?,
        delivery_id: row.id("delivery_id")?,
        fit_score: row.optional_number("fit_score")?.and_then(FitScore::new),
        fit: row.optional_word("fit", Fit::parse)?,
        intent: row.optional_word("intent", Intent::parse)?,
        decision: row.optional_word("decision", Decision::parse)?,
        fallback: row.flag("fallback")?,
        crm_provider: row.optional_text("crm_provider")?,
        crm_record_id: row.optional_text("crm_record_id")?,
        failure: row.optional_json("failure")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
