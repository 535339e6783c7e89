use database::{Connection, LeadRows, Rows};
use lead::{Actor, LeadStatus};
use sqlx::any::AnyRow;

use super::{Expired, ExpiredKind, Limits, Retention, RetentionBatch};
use crate::codec::Columns as _;
use crate::{Cursor, Result, Store};

/// The most leads that one batch looks at.
const BATCH: u32 = 500;

/// The most leads that one transaction removes or reduces. Arriving leads wait for it.
const AT_ONCE: usize = 25;

/// A lead as a pass found it.
pub(super) struct Seen {
    pub(super) lead_id: String,
    pub(super) delivery_id: String,
    pub(super) status: LeadStatus,
    revision: i64,
    updated_at: i64,
    received_at: i64,
    has_dead_letter: bool,
}

impl Seen {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            lead_id: row.text("lead_id")?,
            delivery_id: row.text("delivery_id")?,
            status: row.word("status", LeadStatus::parse)?,
            revision: row.number("revision")?,
            updated_at: row.number("updated_at")?,
            received_at: row.number("received_at")?,
            has_dead_letter: row.flag("has_dead_letter")?,
        })
    }

    /// The last change or delivery.
    fn last_at(&self) -> i64 {
        self.updated_at.max(self.received_at)
    }

    fn is_due(&self, limits: &Limits) -> bool {
        !self.has_dead_letter && limits.of(self.status).is_some_and(|before| self.last_at() < before)
    }

    fn kind(&self) -> ExpiredKind {
        match self.status {
            LeadStatus::Held | LeadStatus::Planned => ExpiredKind::HeldLeads,
            _ => ExpiredKind::Leads,
        }
    }
}

impl Store {
    /// Looks at the next leads after a position, oldest first: removes those that are due, with everything
    /// that belongs to them, and the contents of the others that are due. Without `apply` it only counts.
    ///
    /// `rows` are the rows of a lead in the tables of all crates, [`LEAD_ROWS`](crate::LEAD_ROWS) last: they
    /// map the other ids to the lead. A lead that changes in the meantime is left to the next pass.
    pub async fn retain_leads(
        &self,
        actor: &Actor,
        retention: &Retention,
        rows: &[LeadRows],
        after: Option<&Cursor>,
        apply: bool,
    ) -> Result<RetentionBatch> {
        let now = self.now_millis();
        let limits = retention.limits(now);
        let (leads, next) = self.leads_after(after, limits.newest()).await?;
        let mut expired = Expired::default();
        let (due, others): (Vec<_>, Vec<_>) = leads.iter().partition(|lead| lead.is_due(&limits));
        for leads in due.chunks(AT_ONCE) {
            let removed =
                if apply { self.remove_leads(actor, leads, rows, now).await? } else { leads.to_vec() };
            for lead in removed {
                expired.add(lead.kind(), lead.last_at());
            }
        }
        if let Some(before) = limits.content {
            let settled: Vec<_> = others.into_iter().filter(|lead| lead.status.is_settled()).collect();
            for leads in settled.chunks(if apply { AT_ONCE } else { BATCH as usize }) {
                expired.merge(&self.remove_contents(leads, before, now, apply).await?);
            }
        }
        Ok(RetentionBatch { expired, looked_at: leads.len() as u64, next })
    }

    /// The next leads after a position that were created before a time, and the position of the following
    /// batch.
    async fn leads_after(
        &self,
        after: Option<&Cursor>,
        created_before: i64,
    ) -> Result<(Vec<Seen>, Option<Cursor>)> {
        let (at, id) = after.map_or((i64::MIN, ""), Cursor::position);
        let query = sqlx::query(
            "SELECT l.lead_id, l.delivery_id, l.status, l.revision, l.created_at, l.updated_at, l.received_at, \
             CAST(CASE WHEN EXISTS (SELECT 1 FROM dead_letter d WHERE d.lead_id = l.lead_id) THEN 1 ELSE 0 END AS BIGINT) \
               AS has_dead_letter \
             FROM lead l WHERE l.revision > 0 AND (l.created_at, l.lead_id) > ($1, $2) AND l.created_at < $3 \
             ORDER BY l.created_at, l.lead_id LIMIT $4",
        );
        let rows = self.rows(query.bind(at).bind(id).bind(created_before).bind(i64::from(BATCH))).await?;
        let is_full = rows.len() == BATCH as usize;
        let next = match rows.last().filter(|_| is_full) {
            Some(last) => Some(Cursor::at(last.time("created_at")?, last.text("lead_id")?)),
            None => None,
        };
        Ok((rows.iter().map(Seen::read).collect::<Result<_>>()?, next))
    }
}

/// The leads that are as they were seen.
const UNCHANGED: &str = "SELECT l.lead_id FROM given JOIN lead l ON l.lead_id = given.lead_id \
     WHERE l.status = given.status AND l.revision = given.revision AND l.updated_at = given.updated_at \
     AND l.received_at = given.received_at";

/// The same on PostgreSQL, with the lock that every writer of a lead takes. SQLite has one writer anyway.
const UNCHANGED_AND_LOCKED: &str = "SELECT l.lead_id FROM given JOIN lead l ON l.lead_id = given.lead_id \
     WHERE l.status = given.status AND l.revision = given.revision AND l.updated_at = given.updated_at \
     AND l.received_at = given.received_at FOR UPDATE OF l SKIP LOCKED";

/// Locks those of the leads that are as they were seen, inside the caller's transaction, and returns them.
/// Leads that another transaction works on are left out.
pub(super) async fn lock<'a>(connection: &mut Connection, leads: &[&'a Seen]) -> Result<Vec<&'a Seen>> {
    let mut rows = Rows::new(["lead_id", "status", "revision", "updated_at", "received_at"]);
    for lead in leads {
        rows.push([
            lead.lead_id.as_str().into(),
            lead.status.as_str().into(),
            lead.revision.into(),
            lead.updated_at.into(),
            lead.received_at.into(),
        ]);
    }
    let statement = match connection.backend() {
        database::Backend::Sqlite => UNCHANGED,
        database::Backend::Postgres => UNCHANGED_AND_LOCKED,
    };
    let found = rows.fetch_all(connection, statement).await?;
    let locked: Vec<String> = found.iter().map(|row| row.text("lead_id")).collect::<Result<_>>()?;
    Ok(leads.iter().filter(|lead| locked.contains(&lead.lead_id)).copied().collect())
}
