use jiff::Timestamp;
use lead::{Lead, LeadId, SYNTHETIC_LEAD_ID};
use sqlx::any::AnyRow;

use crate::codec::{Columns as _, from_json};
use crate::{AnalysisRecord, Result, Store};

/// Rows read at a time: each may hold some hundred kilobytes.
const PAGE: i64 = 100;

/// A stored judgement with its inputs.
#[derive(Debug)]
pub struct StoredAnalysis {
    /// [`AnalysisRecord::analysis_id`].
    pub analysis_id: String,
    /// The lead that was judged.
    pub lead_id: LeadId,
    /// The judgement; an error if the row cannot be read any more.
    pub analysis: Result<AnalysisRecord>,
    /// The verdict, byte for byte as stored.
    pub verdict: String,
    /// The content of the judged delivery, and its enrichment result.
    pub basis: Result<Basis>,
}

/// The inputs of a judgement.
#[derive(Debug)]
pub struct Basis {
    /// The content of the delivery.
    pub content: Lead,
    /// The enrichment result of this delivery, as JSON.
    pub enrichment: serde_json::Value,
}

/// The judgements to read. Those of the synthetic lead are always excluded, and those whose raw answer
/// retention has removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All judgements, including those of superseded deliveries and of earlier rounds.
    Every,
    /// The judgements in force: one for each lead that has been judged.
    InForce,
}

/// Reads stored judgements page by page, in a stable order, with one page in memory at any time.
///
/// The order is that of the ids, which are hashes: the first N are a fair sample, and always the same one.
pub struct StoredAnalyses<'a> {
    store: &'a Store,
    scope: Scope,
    since: i64,
    after: String,
}

impl Store {
    /// Reads the judgements made at or after a time, or all of them.
    pub fn stored_analyses(&self, scope: Scope, since: Option<Timestamp>) -> StoredAnalyses<'_> {
        let since = since.map_or(i64::MIN, database::to_millis);
        StoredAnalyses { store: self, scope, since, after: String::new() }
    }
}

impl StoredAnalyses<'_> {
    /// The total number of judgements.
    pub async fn count(&self) -> Result<u64> {
        let sql = match self.scope {
            Scope::Every => {
                "SELECT COUNT(*) AS judgements FROM analysis \
                 WHERE created_at >= $1 AND lead_id <> $2 AND answer_removed_at IS NULL"
            }
            Scope::InForce => {
                "SELECT COUNT(*) AS judgements FROM lead l JOIN analysis a ON a.analysis_id = l.analysis_id \
                 WHERE a.created_at >= $1 AND l.lead_id <> $2 AND a.answer_removed_at IS NULL"
            }
        };
        let row = sqlx::query(sql)
            .bind(self.since)
            .bind(SYNTHETIC_LEAD_ID)
            .fetch_one(self.store.database().pool())
            .await?;
        Ok(u64::try_from(row.number("judgements")?).unwrap_or(0))
    }

    /// The number of judgements that are left out because retention has removed their raw answer.
    pub async fn count_removed(&self) -> Result<u64> {
        let query = sqlx::query(
            "SELECT COUNT(*) AS judgements FROM analysis WHERE created_at >= $1 AND answer_removed_at IS NOT NULL",
        );
        let row = query.bind(self.since).fetch_one(self.store.database().pool()).await?;
        Ok(u64::try_from(row.number("judgements")?).unwrap_or(0))
    }

    /// The next page; empty at the end.
    pub async fn next_page(&mut self) -> Result<Vec<StoredAnalysis>> {
        let sql = match self.scope {
            Scope::Every => {
                "SELECT a.*, a.analysis_id AS place, d.content, d.enrichment \
                 FROM analysis a LEFT JOIN delivery d ON d.delivery_id = a.delivery_id \
                 WHERE a.analysis_id > $1 AND a.created_at >= $2 AND a.lead_id <> $4 AND a.answer_removed_at IS NULL \
                 ORDER BY a.analysis_id LIMIT $3"
            }
            Scope::InForce => {
                "SELECT a.*, l.lead_id AS place, d.content, d.enrichment \
                 FROM lead l JOIN analysis a ON a.analysis_id = l.analysis_id \
                 LEFT JOIN delivery d ON d.delivery_id = a.delivery_id \
                 WHERE l.lead_id > $1 AND a.created_at >= $2 AND l.lead_id <> $4 AND a.answer_removed_at IS NULL \
                 ORDER BY l.lead_id LIMIT $3"
            }
        };
        let query = sqlx::query(sql);
        let query = query.bind(&self.after).bind(self.since).bind(PAGE).bind(SYNTHETIC_LEAD_ID);
        let rows = self.store.rows(query).await?;
        if let Some(last) = rows.last() {
            self.after = last.text("place")?;
        }
        rows.iter().map(StoredAnalysis::read).collect()
    }
}

impl StoredAnalysis {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            analysis_id: row.text("analysis_id")?,
            lead_id: row.id("lead_id")?,
            analysis: AnalysisRecord::read(row),
            verdict: row.text("verdict")?,
            basis: Basis::read(row),
        })
    }
}

impl Basis {
    fn read(row: &AnyRow) -> Result<Self> {
        // A delivery that no longer exists, or that was judged without enrichment, reads as null.
        let text = |column| row.optional_text(column).map(|text| text.unwrap_or_else(|| "null".to_owned()));
        Ok(Self {
            content: from_json("content", &text("content")?)?,
            enrichment: from_json("enrichment", &text("enrichment")?)?,
        })
    }
}

/// The total cost of one model's stored judgements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The number of judgements.
    pub judgements: u64,
    /// Their total cost, in millionths of a US dollar.
    pub cost_microusd: u64,
}

impl Store {
    /// The total cost of a model so far, without judgements by the fallback.
    pub async fn spent_on(&self, provider: &str, model: &str) -> Result<Spent> {
        let query = sqlx::query(
            "SELECT COUNT(*) AS judgements, CAST(COALESCE(SUM(cost_microusd), 0) AS BIGINT) AS cost \
             FROM analysis WHERE provider = $1 AND model = $2 AND fallback = 0",
        );
        let row = query.bind(provider).bind(model).fetch_one(self.database.pool()).await?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Spent { judgements: count(row.number("judgements")?), cost_microusd: count(row.number("cost")?) })
    }
}
