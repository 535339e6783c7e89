//! Lists and counts of leads. Their cost does not grow with the number of leads.

use std::fmt::Write as _;

use database::to_millis;
use jiff::Timestamp;
use lead::{Decision, EmailAddress, Fit, LeadStatus, SYNTHETIC_CAMPAIGN, SYNTHETIC_LEAD_ID, vocabulary};
use sqlx::AssertSqlSafe;
use sqlx::any::{Any, AnyArguments};
use sqlx::query::Query;

use crate::codec::{Columns as _, without_nul};
use crate::leads::read_lead;
use crate::{Cursor, LeadRecord, Result, Store};

/// The most leads that a list with several conditions reads for one page.
const MAX_SCANNED: u32 = 2_000;

/// The highest count of leads in one status.
const MAX_COUNTED: u32 = 50_000;

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

impl LeadFilter {
    /// The conditions, with the value of each that has one. The condition that leaves the fewest leads is
    /// first: its index is read. SQLite has no statistics to choose it by, and those of PostgreSQL do not
    /// contain how conditions depend on each other.
    fn conditions(&self) -> Vec<(&'static str, Option<String>)> {
        let (synced, status) = match self.status {
            Some(LeadStatus::Synced) => (self.status, None),
            status => (None, status),
        };
        let texts = [
            ("email", self.email.as_ref().map(|email| email.expose().to_owned())),
            ("status", status.map(|status| status.as_str().to_owned())),
            ("campaign_id", self.campaign_id.as_deref().map(without_nul)),
            ("decision", self.decision.map(|decision| decision.as_str().to_owned())),
            ("fit", self.fit.map(|fit| fit.as_str().to_owned())),
            ("status", synced.map(|status| status.as_str().to_owned())),
        ];
        let awaits = self.awaits.map(|awaits| (awaits.condition(), None));
        let texts = texts.into_iter().filter(|(_, value)| value.is_some());
        awaits.into_iter().chain(texts).collect()
    }
}

/// The parts of the statement of a list.
struct List {
    /// The end of a `SELECT` of the leads that meet the first condition, newest first.
    scan: String,
    /// The values in `scan`.
    scanned: Vec<String>,
    /// The other conditions.
    others: Vec<String>,
    /// The values in `others`.
    filtered: Vec<String>,
    before: (i64, String),
    since: i64,
}

impl List {
    fn new(filter: &LeadFilter, before: Option<&Cursor>) -> Self {
        let (at, id) = Cursor::before(before);
        let mut conditions = filter.conditions().into_iter();
        let mut scan =
            "FROM lead WHERE (created_at, lead_id) < ($1, $2) AND created_at >= $3 AND ".to_owned();
        let mut scanned = Vec::new();
        // The condition of the partial index on all leads. Without it no other list can use that index.
        let first = conditions.next().unwrap_or(("revision > 0", None));
        scan += &term(first, &mut scanned, 3);
        if filter.campaign_id.as_deref() != Some(SYNTHETIC_CAMPAIGN) {
            scanned.push(SYNTHETIC_LEAD_ID.to_owned());
            let _ = write!(scan, " AND lead_id <> ${}", scanned.len() + 3);
        }
        scan += " ORDER BY created_at DESC, lead_id DESC";
        let mut filtered = Vec::new();
        let others = conditions.map(|other| term(other, &mut filtered, scanned.len() + 3)).collect();
        let since = filter.since.map_or(i64::MIN, to_millis);
        Self { scan, scanned, others, filtered, before: (at, id.to_owned()), since }
    }

    /// The newest leads of the list.
    fn newest(self, limit: u32) -> Query<'static, Any, AnyArguments> {
        let Self { scan, others, .. } = &self;
        let sql = if others.is_empty() {
            format!("SELECT * {scan} LIMIT {limit}")
        } else {
            format!(
                "SELECT * FROM (SELECT * {scan} LIMIT {MAX_SCANNED}) AS scanned WHERE {} \
                 ORDER BY created_at DESC, lead_id DESC LIMIT {limit}",
                others.join(" AND ")
            )
        };
        // Safe: the text is made of constants, counters and numbers; every value is bound.
        let query = sqlx::query(AssertSqlSafe(sql)).bind(self.before.0).bind(self.before.1).bind(self.since);
        self.scanned.into_iter().chain(self.filtered).fold(query, Query::bind)
    }

    /// The last lead that a scan reads, if it stops before the end of the list.
    fn last_scanned(self) -> Option<Query<'static, Any, AnyArguments>> {
        if self.others.is_empty() {
            return None;
        }
        let sql = format!("SELECT created_at, lead_id {} LIMIT 1 OFFSET {}", self.scan, MAX_SCANNED - 1);
        // Safe: as above.
        let query = sqlx::query(AssertSqlSafe(sql)).bind(self.before.0).bind(self.before.1).bind(self.since);
        Some(self.scanned.into_iter().fold(query, Query::bind))
    }
}

/// A condition, whose value becomes the parameter after `used` others and those in `values`.
fn term((condition, value): (&str, Option<String>), values: &mut Vec<String>, used: usize) -> String {
    let Some(value) = value else { return condition.to_owned() };
    values.push(value);
    format!("{condition} = ${}", used + values.len())
}

impl Store {
    /// The newest `limit` leads that match the filter and precede the cursor, newest first. Includes the
    /// synthetic lead only if the filter names its campaign.
    ///
    /// With several conditions it reads at most 2,000 leads that meet the first of them, and may therefore
    /// miss older ones: [`scanned_to`](Self::scanned_to) gives the position to continue from.
    pub async fn leads(
        &self,
        filter: &LeadFilter,
        before: Option<&Cursor>,
        limit: u32,
    ) -> Result<Vec<LeadRecord>> {
        self.rows(List::new(filter, before).newest(limit)).await?.iter().map(read_lead).collect()
    }

    /// The position at which [`leads`](Self::leads) stopped reading before the end of the list; `None` if it
    /// reached the end.
    pub async fn scanned_to(&self, filter: &LeadFilter, before: Option<&Cursor>) -> Result<Option<Cursor>> {
        let Some(query) = List::new(filter, before).last_scanned() else { return Ok(None) };
        let row = self.row(query).await?;
        row.map(|row| Ok(Cursor::at(row.time("created_at")?, row.text("lead_id")?))).transpose()
    }

    /// How many leads are in each status, counted up to 50,000 in each, without the synthetic lead. Leaves
    /// out statuses without leads.
    pub async fn count_leads(&self) -> Result<Vec<(LeadStatus, i64)>> {
        // In the order of the index, so that the planner reads it even where most leads have this status.
        let sql = format!(
            "SELECT COUNT(*) FROM (SELECT lead_id FROM lead WHERE status = $1 AND lead_id <> $2 \
             ORDER BY created_at, lead_id LIMIT {MAX_COUNTED}) AS counted"
        );
        let mut counts = Vec::new();
        for status in LeadStatus::ALL.iter().copied() {
            // Safe: the text is made of constants.
            let query = sqlx::query_scalar(AssertSqlSafe(sql.clone()));
            let leads: i64 =
                query.bind(status.as_str()).bind(SYNTHETIC_LEAD_ID).fetch_one(self.database.pool()).await?;
            counts.push((status, leads));
        }
        counts.retain(|(_, leads)| *leads > 0);
        counts.sort_by_key(|(status, _)| status.as_str());
        Ok(counts)
    }
}
