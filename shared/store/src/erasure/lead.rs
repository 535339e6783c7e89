use database::{Connection, LeadRows};
use lead::{Actor, LeadId};
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{ByHand, Found, REDUCED, REMOVED};
use crate::audit::{self, AuditKind, sha256};
use crate::codec::Columns as _;
use crate::{Result, assignment, lock_lead};

/// Findings by place, in the order in which places were first added.
#[derive(Default)]
pub(super) struct Tally(pub(super) Vec<Found>);

impl Tally {
    pub(super) fn add(&mut self, place: &str, count: u64, becomes: &'static str) {
        if count == 0 {
            return;
        }
        match self.0.iter_mut().find(|found| found.place == place) {
            Some(found) => found.count += count,
            None => self.0.push(Found { place: place.to_owned(), count, becomes }),
        }
    }
}

/// Removes all rows of a lead, or without an actor counts them and changes nothing.
pub(super) async fn erase_lead(
    connection: &mut Connection,
    actor: Option<&Actor>,
    lead: &LeadId,
    rows: &[LeadRows],
    hash: &str,
    now: i64,
    found: &mut Tally,
) -> Result<()> {
    let apply = actor.is_some();
    if apply {
        // First, as in every transaction.
        lock_lead(connection, lead).await?;
    }
    for of_lead in rows {
        let (table, condition) = (of_lead.table, of_lead.condition());
        found.add(table, remove(connection, table, &condition, lead, apply).await?, REMOVED);
    }
    found.add("crm_action", reduce_actions(connection, lead, apply, now).await?, REDUCED);
    found.add("audit_event", reduce_audit(connection, lead, apply).await?, REDUCED);
    let count = remove(connection, "lead_assignment", "lead_id = $1", lead, false).await?;
    found.add("lead_assignment", count, REMOVED);
    if apply {
        assignment::forget(connection, lead, now).await?;
    }
    found.add("lead", remove(connection, "lead", "lead_id = $1", lead, apply).await?, REMOVED);
    if apply {
        let head =
            audit::append_by(connection, actor, lead, None, now, AuditKind::Erased, &json!({})).await?;
        let query = sqlx::query(
            "INSERT INTO erased_lead (lead_id, email_hash, erased_at, audit_seq, audit_hash) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (lead_id) DO UPDATE \
             SET erased_at = excluded.erased_at, audit_seq = excluded.audit_seq, audit_hash = excluded.audit_hash",
        );
        query
            .bind(lead.as_str())
            .bind(hash)
            .bind(now)
            .bind(head.seq)
            .bind(&head.hash)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Removes the rows of a table that match a condition on `$1`, the lead's id; or with `apply` off only counts
/// them. The table and the names in the condition are constants.
async fn remove(
    connection: &mut Connection,
    table: &str,
    condition: &str,
    lead: &LeadId,
    apply: bool,
) -> Result<u64> {
    if apply {
        let sql = AssertSqlSafe(format!("DELETE FROM {table} WHERE {condition}"));
        return Ok(sqlx::query(sql).bind(lead.as_str()).execute(connection).await?.rows_affected());
    }
    let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table} WHERE {condition}"));
    let count: i64 = sqlx::query_scalar(sql).bind(lead.as_str()).fetch_one(connection).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Reduces the ledger to the kinds of effects and the record ids, under action ids that do not collide with
/// those of a later lead of the same person.
async fn reduce_actions(connection: &mut Connection, lead: &LeadId, apply: bool, now: i64) -> Result<u64> {
    let query =
        sqlx::query("SELECT action_id, parameters FROM crm_action WHERE lead_id = $1 AND state <> 'erased'");
    let rows = query.bind(lead.as_str()).fetch_all(&mut *connection).await?;
    for row in rows.iter().filter(|_| apply) {
        let action = row.text("action_id")?;
        sqlx::query(
            "UPDATE crm_action SET action_id = $2, parameters = $3, changes = NULL, failure = NULL, state = 'erased', \
             updated_at = $4 WHERE action_id = $1",
        )
        .bind(&action)
        .bind(format!("erased:{now}:{action}"))
        .bind(hashed(&row.text("parameters")?))
        .bind(now)
        .execute(&mut *connection)
        .await?;
    }
    Ok(rows.len() as u64)
}

/// Replaces the details of audit events by their hashes, which the chain of the events covers.
async fn reduce_audit(connection: &mut Connection, lead: &LeadId, apply: bool) -> Result<u64> {
    let query = sqlx::query(
        "SELECT seq, detail FROM audit_event WHERE lead_id = $1 AND kind <> 'erased' AND redacted = 0",
    );
    let rows = query.bind(lead.as_str()).fetch_all(&mut *connection).await?;
    for row in rows.iter().filter(|_| apply) {
        sqlx::query("UPDATE audit_event SET detail = $3, redacted = 1 WHERE lead_id = $1 AND seq = $2")
            .bind(lead.as_str())
            .bind(row.number("seq")?)
            .bind(hashed(&row.text("detail")?))
            .execute(&mut *connection)
            .await?;
    }
    Ok(rows.len() as u64)
}

/// The hash of a text, as JSON.
fn hashed(text: &str) -> String {
    json!({ "sha256": sha256(text) }).to_string()
}

/// The records written for a lead in external CRMs, that is, in any but the mock CRM.
pub(super) async fn records(connection: &mut Connection, lead: &LeadId) -> Result<Vec<ByHand>> {
    let query = sqlx::query(
        "SELECT DISTINCT provider, kind, record_id FROM crm_action \
         WHERE lead_id = $1 AND record_id IS NOT NULL AND provider <> 'mock' \
         AND kind IN ('upsert_lead', 'create_lead', 'create_task', 'log_activity', 'create_contact', 'create_opportunity', \
                      'convert_lead')",
    );
    let rows = query.bind(lead.as_str()).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(ByHand {
                provider: row.text("provider")?,
                written_by: row.text("kind")?,
                record_id: row.text("record_id")?,
            })
        })
        .collect()
}
