use std::fmt::Write as _;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use jiff::Timestamp;
use lead::{Decision, DeliveryId, EmailAddress, Failure, Fit, FitScore, Intent, Lead, LeadId, LeadStatus};
use serde::Serialize;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::codec::{Columns as _, parsed, without_nul};
use crate::{CrmRead, Result, Store};

/// Where a lead stands.
#[derive(Clone, Debug)]
pub struct LeadRecord {
    /// Which lead.
    pub lead_id: LeadId,
    /// Where it stands.
    pub status: LeadStatus,
    /// The newest content.
    pub content: Lead,
    /// How many contents it has had.
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
    /// Why it waits or was parked.
    pub failure: Option<Failure>,
    /// First accepted.
    pub created_at: Timestamp,
    /// Last changed.
    pub updated_at: Timestamp,
}

/// One accepted content of a lead.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryRecord {
    /// Which.
    pub delivery_id: DeliveryId,
    /// Its place among the lead's contents, from 1.
    pub revision: i64,
    /// `open`, `done`, `superseded` or `failed`.
    pub state: String,
    /// How often the same content came again.
    pub duplicates: i64,
    /// What enrichment found.
    pub enrichment: Option<Value>,
    /// What the CRM was read for before its last judgement.
    pub crm_read: Option<CrmRead>,
    /// When the webhook was accepted.
    pub received_at: Timestamp,
}

/// Which leads to list. Every condition given must hold.
#[derive(Clone, Debug, Default)]
pub struct LeadFilter {
    /// In this status.
    pub status: Option<LeadStatus>,
    /// With this decision in force.
    pub decision: Option<Decision>,
    /// With this fit in force.
    pub fit: Option<Fit>,
    /// Of this campaign.
    pub campaign_id: Option<String>,
    /// Of this person.
    pub email: Option<EmailAddress>,
    /// Accepted at or after.
    pub since: Option<Timestamp>,
}

/// The id of a cursor, without the rule that unused bits are zero: a pattern cannot say that.
const BASE64: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// The digits of the longest time in a cursor: milliseconds until the year 5138.
const MAX_TIME_DIGITS: usize = 14;

/// The longest id in a cursor, as base64: ids have at most 255 bytes.
const MAX_CODED_ID: usize = 343;

/// A place in a list that is ordered by time and id. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    at: i64,
    id: String,
}

impl Cursor {
    /// The place of a row.
    pub fn at(time: Timestamp, id: impl Into<String>) -> Self {
        Self { at: database::to_millis(time), id: id.into() }
    }

    /// Its time and id, as rows are compared with it.
    pub(crate) fn place(&self) -> (i64, &str) {
        (self.at, &self.id)
    }

    /// What the rows of a list that goes backwards must come before; without a cursor, everything does.
    pub(crate) fn before(cursor: Option<&Self>) -> (i64, &str) {
        cursor.map_or((i64::MAX, ""), Self::place)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, BASE64.encode(&self.id))
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    /// Takes every text of a cursor's form, which the API description gives: a place between rows is as good as one at a row.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let decode = || {
            let (at, id) = text.split_once('.')?;
            let is_time = (1..=MAX_TIME_DIGITS).contains(&at.len()) && at.bytes().all(|b| b.is_ascii_digit());
            (is_time && id.len() <= MAX_CODED_ID).then_some(())?;
            let id = String::from_utf8_lossy(&BASE64.decode(id).ok()?).replace('\0', "");
            Some(Self { at: at.parse().ok()?, id })
        };
        decode().ok_or("is not a cursor that this API gave out")
    }
}

impl Store {
    /// One lead.
    pub async fn lead(&self, id: &LeadId) -> Result<Option<LeadRecord>> {
        let row = sqlx::query("SELECT * FROM lead WHERE lead_id = $1")
            .bind(id.as_str())
            .fetch_optional(self.database.pool())
            .await?;
        row.as_ref().map(read_lead).transpose()
    }

    /// The ids that begin with a text, at most `limit`: what people paste is often cut short.
    pub async fn lead_ids_like(&self, beginning: &str, limit: u32) -> Result<Vec<LeadId>> {
        let beginning = beginning.to_ascii_lowercase();
        if beginning.is_empty() || !beginning.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(
            "SELECT lead_id FROM lead WHERE lead_id >= $1 AND lead_id < $2 ORDER BY lead_id LIMIT $3",
        )
        .bind(&beginning)
        .bind(after_all_beginning_with(&beginning))
        .bind(i64::from(limit))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(|row| row.id("lead_id")).collect()
    }

    /// The newest `limit` leads that match and come before a cursor, newest first.
    pub async fn leads(
        &self,
        filter: &LeadFilter,
        before: Option<&Cursor>,
        limit: u32,
    ) -> Result<Vec<LeadRecord>> {
        let (at, id) = Cursor::before(before);
        let mut sql = String::from("SELECT * FROM lead WHERE (created_at, lead_id) < ($1, $2)");
        let mut texts = Vec::new();
        let mut condition = |column: &str, value: Option<String>| {
            if let Some(value) = value {
                texts.push(value);
                let _ = write!(sql, " AND {column} = ${}", texts.len() + 3);
            }
        };
        condition("status", filter.status.map(|v| v.as_str().to_owned()));
        condition("decision", filter.decision.map(|v| v.as_str().to_owned()));
        condition("fit", filter.fit.map(|v| v.as_str().to_owned()));
        condition("campaign_id", filter.campaign_id.as_deref().map(without_nul));
        condition("email", filter.email.as_ref().map(|v| v.expose().to_owned()));
        sql.push_str(" AND created_at >= $3 ORDER BY created_at DESC, lead_id DESC");
        let _ = write!(sql, " LIMIT {limit}");
        // Safe: the text is made of constants, counters and a number; every value is bound.
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(at).bind(id);
        query = query.bind(filter.since.map_or(i64::MIN, database::to_millis));
        for text in texts {
            query = query.bind(text);
        }
        query.fetch_all(self.database.pool()).await?.iter().map(read_lead).collect()
    }

    /// How many leads are in each status.
    pub async fn count_leads(&self) -> Result<Vec<(LeadStatus, i64)>> {
        let rows = sqlx::query("SELECT status, COUNT(*) AS leads FROM lead GROUP BY status ORDER BY status")
            .fetch_all(self.database.pool())
            .await?;
        rows.iter()
            .map(|row| Ok((parsed("status", LeadStatus::parse(&row.text("status")?))?, row.number("leads")?)))
            .collect()
    }

    /// What enrichment found for a delivery, once it has run.
    pub async fn enrichment_of(&self, delivery: &DeliveryId) -> Result<Option<Value>> {
        let row = sqlx::query("SELECT enrichment FROM delivery WHERE delivery_id = $1")
            .bind(delivery.as_str())
            .fetch_optional(self.database.pool())
            .await?;
        row.map_or(Ok(None), |row| row.optional_json("enrichment"))
    }

    /// The newest `limit` deliveries of a lead, newest first.
    pub async fn deliveries(&self, lead: &LeadId, limit: u32) -> Result<Vec<DeliveryRecord>> {
        let rows = sqlx::query(
            "SELECT delivery_id, revision, state, duplicates, enrichment, crm_facts, received_at FROM delivery \
             WHERE lead_id = $1 ORDER BY revision DESC LIMIT $2",
        )
        .bind(lead.as_str())
        .bind(i64::from(limit))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(DeliveryRecord {
                    delivery_id: row.id("delivery_id")?,
                    revision: row.number("revision")?,
                    state: row.text("state")?,
                    duplicates: row.number("duplicates")?,
                    enrichment: row.optional_json("enrichment")?,
                    crm_read: row.optional_json("crm_facts")?,
                    received_at: row.time("received_at")?,
                })
            })
            .collect()
    }
}

/// Comes after every id that begins with these hexadecimal digits, in any collation.
pub(crate) fn after_all_beginning_with(digits: &str) -> String {
    format!("{digits}g")
}

fn read_lead(row: &AnyRow) -> Result<LeadRecord> {
    Ok(LeadRecord {
        lead_id: row.id("lead_id")?,
        status: parsed("status", LeadStatus::parse(&row.text("status")?))?,
        content: row.json("content")?,
        revision: row.number("revision")?,
        delivery_id: row.id("delivery_id")?,
        fit_score: row.optional_number("fit_score")?.and_then(FitScore::new),
        fit: row.optional_word("fit", Fit::parse)?,
        intent: row.optional_word("intent", Intent::parse)?,
        decision: row.optional_word("decision", Decision::parse)?,
        fallback: row.number("fallback")? == 1,
        crm_provider: row.optional_text("crm_provider")?,
        crm_record_id: row.optional_text("crm_record_id")?,
        failure: row.optional_json("failure")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
