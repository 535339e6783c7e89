use std::fmt::Write as _;

use database::Backend;
use enrichment::Enrichment;
use jiff::Timestamp;
use lead::{
    Decision, DeliveryId, EmailAddress, Failure, Fit, FitScore, Intent, Lead, LeadId, LeadStatus,
    SYNTHETIC_CAMPAIGN, SYNTHETIC_LEAD_ID, vocabulary,
};
use serde::Serialize;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::codec::{Columns as _, without_nul};
use crate::delivery::state_of;
use crate::{CrmRead, Cursor, DeliveryState, Result, Store};

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
    /// The enrichment result.
    pub enrichment: Option<Value>,
    /// The reading of the CRM before the last judgement.
    pub crm_read: Option<CrmRead>,
    /// When the delivery was received.
    pub received_at: Timestamp,
}

/// A filter for lists of leads. All given conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct LeadFilter {
    /// Status.
    pub status: Option<LeadStatus>,
    /// Decision in force.
    pub decision: Option<Decision>,
    /// Fit in force.
    pub fit: Option<Fit>,
    /// Campaign.
    pub campaign_id: Option<String>,
    /// Address of the person.
    pub email: Option<EmailAddress>,
    /// Reason for a pending new judgement.
    pub awaits: Option<Awaits>,
    /// Accepted at or after this time.
    pub since: Option<Timestamp>,
}

vocabulary! {
    /// The dependency that a lead waits for before it is judged again.
    Awaits {
        /// The lead was judged without an AI.
        Ai = "ai",
        /// The lead was judged while no enrichment provider could answer, and enrichment will be requested
        /// again.
        Enrichment = "enrichment",
    }
}

impl Awaits {
    fn condition(self) -> &'static str {
        match self {
            Self::Ai => "fallback = 1",
            Self::Enrichment => "awaits_enrichment = 1",
        }
    }
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

    /// The newest `limit` leads that match the filter and precede the cursor, newest first. Includes the
    /// synthetic lead only if the filter names its campaign.
    pub async fn leads(
        &self,
        filter: &LeadFilter,
        before: Option<&Cursor>,
        limit: u32,
    ) -> Result<Vec<LeadRecord>> {
        let (at, id) = Cursor::before(before);
        let mut sql = String::from("SELECT * FROM lead WHERE (created_at, lead_id) < ($1, $2)");
        let mut texts = Vec::new();
        // SQLite has no statistics, and would search for the few held leads among all leads of one fit.
        // Therefore the condition that leaves the fewest rows is first, and a plus before the other columns
        // disables their indexes. PostgreSQL chooses by its statistics.
        let no_index = if self.database.backend() == Backend::Sqlite { "+" } else { "" };
        let mut is_indexed = false;
        if let Some(awaits) = filter.awaits {
            let _ = write!(sql, " AND {}", awaits.condition());
            is_indexed = true;
        }
        let (synced, status) = match filter.status {
            Some(LeadStatus::Synced) => (filter.status, None),
            status => (None, status),
        };
        for (column, value) in [
            ("email", filter.email.as_ref().map(|email| email.expose().to_owned())),
            ("status", status.map(|status| status.as_str().to_owned())),
            ("campaign_id", filter.campaign_id.as_deref().map(without_nul)),
            ("decision", filter.decision.map(|decision| decision.as_str().to_owned())),
            ("fit", filter.fit.map(|fit| fit.as_str().to_owned())),
            ("status", synced.map(|status| status.as_str().to_owned())),
        ] {
            let Some(value) = value else { continue };
            texts.push(value);
            let hint = if is_indexed { no_index } else { "" };
            let _ = write!(sql, " AND {hint}{column} = ${}", texts.len() + 3);
            is_indexed = true;
        }
        if filter.campaign_id.as_deref() != Some(SYNTHETIC_CAMPAIGN) {
            texts.push(SYNTHETIC_LEAD_ID.to_owned());
            let _ = write!(sql, " AND lead_id <> ${}", texts.len() + 3);
        }
        sql.push_str(" AND created_at >= $3 ORDER BY created_at DESC, lead_id DESC");
        let _ = write!(sql, " LIMIT {limit}");
        // Safe: the text is made of constants, counters and a number; every value is bound.
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(at).bind(id);
        query = query.bind(filter.since.map_or(i64::MIN, database::to_millis));
        for text in texts {
            query = query.bind(text);
        }
        self.rows(query).await?.iter().map(read_lead).collect()
    }

    /// How many leads are in each status, without the synthetic lead.
    pub async fn count_leads(&self) -> Result<Vec<(LeadStatus, i64)>> {
        let sql =
            "SELECT status, COUNT(*) AS leads FROM lead WHERE lead_id <> $1 GROUP BY status ORDER BY status";
        let rows = self.rows(sqlx::query(sql).bind(SYNTHETIC_LEAD_ID)).await?;
        rows.iter().map(|row| Ok((row.word("status", LeadStatus::parse)?, row.number("leads")?))).collect()
    }

    /// The enrichment result of a delivery, once enrichment has run.
    pub async fn enrichment_of(&self, delivery: &DeliveryId) -> Result<Option<Enrichment>> {
        let query = sqlx::query("SELECT enrichment FROM delivery WHERE delivery_id = $1");
        let row = self.row(query.bind(delivery.as_str())).await?;
        row.map_or(Ok(None), |row| row.optional_json("enrichment"))
    }

    /// The newest `limit` deliveries of a lead, newest first.
    pub async fn deliveries(&self, lead: &LeadId, limit: u32) -> Result<Vec<DeliveryRecord>> {
        let query = sqlx::query(
            "SELECT delivery_id, revision, state, duplicates, enrichment, crm_facts, received_at FROM delivery \
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

fn read_lead(row: &AnyRow) -> Result<LeadRecord> {
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
