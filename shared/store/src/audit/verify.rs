//! Verification of the audit trail, in pages.

use jiff::Timestamp;
use lead::{LeadId, SYNTHETIC_LEAD_ID};
use serde::Serialize;
use serde_json::Value;
use sqlx::any::AnyRow;

use super::chain::ACTS;
use super::{AuditKind, Head, Link, sha256};
use crate::codec::Columns as _;
use crate::{Result, Store};

/// The first place at which a chain does not match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditBreak {
    /// The lead; none in the chain of acts.
    pub lead_id: Option<LeadId>,
    /// The number of the event.
    pub seq: i64,
    /// When the event happened, if it is there.
    pub at: Option<Timestamp>,
    /// What does not match.
    pub problem: AuditProblem,
}

/// The way in which a chain does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditProblem {
    /// The event is missing, although later ones are there.
    Missing,
    /// The event, or the order of events, was changed, or the event was inserted.
    Changed,
    /// The detail was replaced by its hash without an erasure.
    Redacted,
    /// The end of the chain is missing or was changed: the row of the lead, of its erasure or of the newest
    /// act names another event.
    End,
}

/// A place in a page-wise verification of all leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainPosition {
    /// The chain of the event that was checked last.
    lead: String,
    /// The number of that event.
    seq: i64,
    state: ChainState,
}

/// How far one chain is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ChainState {
    head: Head,
    /// The first redacted event that no erasure follows yet.
    redacted: Option<(i64, Timestamp)>,
    is_broken: bool,
}

/// The result of checking one page.
#[derive(Clone, Debug, Default)]
pub struct ChainsChecked {
    /// The number of chains that begin in the page.
    pub chains: u64,
    /// The number of events.
    pub events: u64,
    /// The chains that do not match.
    pub breaks: Vec<AuditBreak>,
    /// Where to continue; none after the last page.
    pub next: Option<ChainPosition>,
}

/// A table whose rows name the end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadTable {
    /// The leads.
    Leads,
    /// The erased leads.
    Erased,
}

/// The ends of chains that rows of a table name, with the hashes of these events.
macro_rules! ends {
    ($table:literal, $rows:literal) => {
        concat!(
            "SELECT l.lead_id, l.audit_seq, l.audit_hash, e.hash AS found FROM \
             (SELECT lead_id, audit_seq, audit_hash FROM ",
            $table,
            " WHERE ",
            $rows,
            ") AS l LEFT JOIN audit_event e ON e.lead_id = l.lead_id AND e.seq = l.audit_seq ORDER BY l.lead_id"
        )
    };
}

impl ChainState {
    /// Checks the next event of a chain, and returns the first break.
    fn check(&mut self, chain: &str, row: &AnyRow) -> Result<Option<(i64, Option<Timestamp>, AuditProblem)>> {
        if self.is_broken {
            return Ok(None);
        }
        let (seq, at, kind, detail) =
            (row.number("seq")?, row.time("at")?, row.text("kind")?, row.text("detail")?);
        if seq != self.head.seq + 1 {
            self.is_broken = true;
            return Ok(Some((self.head.seq + 1, None, AuditProblem::Missing)));
        }
        let is_redacted = chain != ACTS && row.flag("redacted")?;
        let detail_sha256 = if is_redacted { redacted_hash(&detail) } else { sha256(&detail) };
        let (actor, delivery) = (row.optional_text("actor")?, row.optional_text("delivery_id")?);
        let next = self.head.next(&Link {
            chain,
            at: row.number("at")?,
            kind: &kind,
            actor: actor.as_deref(),
            delivery: delivery.as_deref(),
            detail_sha256: &detail_sha256,
        });
        if next.hash != row.text("hash")? {
            self.is_broken = true;
            return Ok(Some((seq, Some(at), AuditProblem::Changed)));
        }
        self.head = next;
        if is_redacted {
            self.redacted.get_or_insert((seq, at));
        } else if AuditKind::parse(&kind) == Some(AuditKind::Erased) {
            self.redacted = None;
        }
        Ok(None)
    }

    /// The break that shows only at the end of the chain.
    fn end(&self) -> Option<(i64, Option<Timestamp>, AuditProblem)> {
        let (seq, at) = self.redacted.filter(|_| !self.is_broken)?;
        Some((seq, Some(at), AuditProblem::Redacted))
    }
}

/// The hash that replaced a detail; anything else matches no chain.
fn redacted_hash(detail: &str) -> String {
    let detail: Value = serde_json::from_str(detail).unwrap_or_default();
    detail["sha256"].as_str().unwrap_or_default().to_owned()
}

fn broken(chain: &str, (seq, at, problem): (i64, Option<Timestamp>, AuditProblem)) -> AuditBreak {
    AuditBreak { lead_id: chain.to_owned().try_into().ok(), seq, at, problem }
}

impl Store {
    /// Checks a page of up to `limit` audit events of leads, from a position on. The synthetic lead is left
    /// out: its history is not kept.
    pub async fn check_chains(&self, from: ChainPosition, limit: u32) -> Result<ChainsChecked> {
        let ChainPosition { mut lead, mut seq, mut state } = from;
        let query = sqlx::query(
            "SELECT lead_id, seq, at, kind, actor, delivery_id, detail, redacted, hash FROM audit_event \
             WHERE (lead_id, seq) > ($1, $2) AND lead_id <> $3 ORDER BY lead_id, seq LIMIT $4",
        );
        let query = query.bind(&lead).bind(seq).bind(SYNTHETIC_LEAD_ID).bind(i64::from(limit));
        let rows = self.rows(query).await?;
        let mut checked = ChainsChecked { events: rows.len() as u64, ..ChainsChecked::default() };
        let mut suspects = Vec::new();
        for row in &rows {
            let chain = row.text("lead_id")?;
            if chain != lead {
                suspects.extend(state.end().map(|_| lead.clone()));
                (lead, state) = (chain, ChainState::default());
                checked.chains += 1;
            }
            suspects.extend(state.check(&lead, row)?.map(|_| lead.clone()));
            seq = row.number("seq")?;
        }
        if rows.len() < limit as usize {
            suspects.extend(state.end().map(|_| lead.clone()));
        } else {
            checked.next = Some(ChainPosition { lead, seq, state });
        }
        // Read again as a whole: between two pages the chain may have been removed and begun again.
        for lead in suspects {
            checked.breaks.extend(self.check_chain(&lead).await?.1);
        }
        Ok(checked)
    }

    /// Checks the audit events of one lead, and the end of their chain. Returns their number.
    pub async fn check_lead_chain(&self, lead: &LeadId) -> Result<(u64, Option<AuditBreak>)> {
        let (events, found) = self.check_chain(lead.as_str()).await?;
        if found.is_some() || lead.is_synthetic() {
            return Ok((events, found.filter(|_| !lead.is_synthetic())));
        }
        for sql in [ends!("lead", "lead_id = $1 LIMIT $2"), ends!("erased_lead", "lead_id = $1 LIMIT $2")] {
            if let Some(found) = self.wrong_ends(sql, lead.as_str(), 1).await?.1.pop() {
                return Ok((events, Some(found)));
            }
        }
        Ok((events, None))
    }

    /// One reading of a whole chain: a lead has few events.
    async fn check_chain(&self, lead: &str) -> Result<(u64, Option<AuditBreak>)> {
        let query = sqlx::query(
            "SELECT seq, at, kind, actor, delivery_id, detail, redacted, hash FROM audit_event \
             WHERE lead_id = $1 ORDER BY seq",
        );
        let rows = self.rows(query.bind(lead)).await?;
        let mut state = ChainState::default();
        for row in &rows {
            if let Some(found) = state.check(lead, row)? {
                return Ok((rows.len() as u64, Some(broken(lead, found))));
            }
        }
        Ok((rows.len() as u64, state.end().map(|found| broken(lead, found))))
    }

    /// Checks that the events which the rows of a table name as ends of chains are there, for a page of up to
    /// `limit` rows after a lead. Returns the lead to continue after, none after the last page, and the
    /// breaks.
    pub async fn check_heads(
        &self,
        table: HeadTable,
        after: &str,
        limit: u32,
    ) -> Result<(Option<String>, Vec<AuditBreak>)> {
        let sql = match table {
            HeadTable::Leads => ends!("lead", "lead_id > $1 ORDER BY lead_id LIMIT $2"),
            HeadTable::Erased => ends!("erased_lead", "lead_id > $1 ORDER BY lead_id LIMIT $2"),
        };
        self.wrong_ends(sql, after, limit).await
    }

    /// The last of the rows, if there are any, and the breaks among them.
    async fn wrong_ends(
        &self,
        sql: &'static str,
        lead: &str,
        limit: u32,
    ) -> Result<(Option<String>, Vec<AuditBreak>)> {
        let rows = self.rows(sqlx::query(sql).bind(lead).bind(i64::from(limit))).await?;
        let (mut last, mut breaks) = (None, Vec::new());
        for row in &rows {
            let lead = row.text("lead_id")?;
            let is_right = row.optional_text("found")?.as_deref() == Some(row.text("audit_hash")?.as_str());
            if !is_right && lead != SYNTHETIC_LEAD_ID {
                breaks.push(broken(&lead, (row.number("audit_seq")?, None, AuditProblem::End)));
            }
            last = Some(lead);
        }
        Ok((last, breaks))
    }

    /// Checks the chain of acts. Returns their number, their newest hash, and the first break. Calls
    /// `progress` with the number of acts so far.
    pub async fn check_acts(
        &self,
        limit: u32,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<(u64, String, Option<AuditBreak>)> {
        // First, so that acts that follow are not taken for a wrong end.
        let row = self.row(sqlx::query("SELECT seq, hash FROM audit_act_head")).await?;
        let end = match row {
            Some(row) => Head { seq: row.number("seq")?, hash: row.text("hash")? },
            None => Head::default(),
        };
        let (mut state, mut after, mut count, mut has_end) =
            (ChainState::default(), i64::MIN, 0, end.seq == 0);
        loop {
            let query = sqlx::query(
                "SELECT seq, at, kind, actor, NULL AS delivery_id, detail, hash FROM audit_act WHERE seq > $1 \
                 ORDER BY seq LIMIT $2",
            );
            let rows = self.rows(query.bind(after).bind(i64::from(limit))).await?;
            for row in &rows {
                if let Some(found) = state.check(ACTS, row)? {
                    return Ok((count, end.hash, Some(broken(ACTS, found))));
                }
                has_end |= state.head == end;
                (after, count) = (state.head.seq, count + 1);
            }
            progress(count);
            if rows.len() < limit as usize {
                break;
            }
        }
        let found = (!has_end).then(|| broken(ACTS, (end.seq, None, AuditProblem::End)));
        Ok((count, end.hash, found))
    }
}
