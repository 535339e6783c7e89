//! The audit trail of leads.

mod chain;
mod remove;
mod verify;

use database::{Connection, DatabaseError, Rows};
use jiff::Timestamp;
use lead::{Actor, DeliveryId, LeadId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::chain::{EVENT_COLUMNS, Heads, Link, head_of};
pub(crate) use self::chain::{Head, act_link, sha256};
pub use self::remove::remove_chains;
pub use self::verify::{AuditBreak, AuditProblem, ChainPosition, ChainsChecked, HeadTable};
use crate::codec::{Columns as _, to_json};
use crate::{Result, Store};

/// One event in the history of a lead. Never changed, except by an erasure, and deleted only with
/// its lead by retention, and for the synthetic lead.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct AuditEvent {
    /// Sequence number within the lead, from 1, without gaps.
    pub seq: i64,
    /// When it happened.
    pub at: Timestamp,
    /// Its kind.
    pub kind: AuditKind,
    /// The author of an act; null for a step of the pipeline.
    #[schema(required)]
    pub actor: Option<Actor>,
    /// The delivery it concerns.
    #[schema(required)]
    pub delivery_id: Option<DeliveryId>,
    /// Details, without personal data.
    pub detail: Value,
}

/// The kinds of audit events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditKind {
    /// The first delivery was accepted.
    Accepted,
    /// A delivery with other content was accepted.
    Revised,
    /// The same content was received again; nothing was done.
    Duplicate,
    /// A delivery was skipped because a newer one exists.
    Superseded,
    /// A worker began work on the delivery.
    Started,
    /// Enrichment ran.
    Enriched,
    /// The facts in the CRM were read.
    CrmRead,
    /// The analyst answered and the grounding contract judged the answer.
    Judged,
    /// Written to the CRM; with the effect of each action.
    Synced,
    /// Held for review.
    Held,
    /// The plan for the CRM was made and saved, and not carried out.
    Planned,
    /// Old values were restored in the CRM.
    Restored,
    /// An operator had the record converted to a contact. Recorded before the conversion.
    Converted,
    /// An attempt failed and will be retried.
    Retrying,
    /// Work was deferred until an outside system or a rate limit permits it.
    Deferred,
    /// A worker of another application on the same queue has processed the delivery.
    WorkedElsewhere,
    /// The synthetic lead reached the end of the pipeline; nothing was written.
    SyntheticEnded,
    /// Dead-lettered.
    DeadLettered,
    /// Reopened for further work.
    Reopened,
    /// Assigned to an owner, or left to the CRM.
    Routed,
    /// The response deadline was missed.
    Overdue,
    /// Reassigned because of a missed response deadline.
    Reassigned,
    /// The owner was written to the CRM, or the CRM refused the owner.
    OwnerWritten,
    /// A response was recorded.
    Responded,
    /// A reviewer approved writing it to the CRM without any result of its analysis.
    ReviewApproved,
    /// A reviewer requested a new judgement.
    ReviewRejudged,
    /// A reviewer dismissed it.
    ReviewDismissed,
    /// Not written, because the person is on the suppression list.
    Suppressed,
    /// The personal data was erased.
    Erased,
}

impl AuditKind {
    fn as_text(self) -> String {
        to_json(&self).trim_matches('"').to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(Value::String(text.to_owned())).ok()
    }
}

/// Appends an event of the pipeline inside the caller's transaction.
pub(crate) async fn append(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: Option<&DeliveryId>,
    at: i64,
    kind: AuditKind,
    detail: &Value,
) -> Result<()> {
    append_by(connection, None, lead, delivery, at, kind, detail).await?;
    Ok(())
}

/// Appends an act, or without an actor an event of the pipeline, inside the caller's transaction, which holds
/// the lock of the lead.
pub(crate) async fn append_by(
    connection: &mut Connection,
    actor: Option<&Actor>,
    lead: &LeadId,
    delivery: Option<&DeliveryId>,
    at: i64,
    kind: AuditKind,
    detail: &Value,
) -> Result<Head> {
    let (kind, detail) = (kind.as_text(), to_json(detail));
    let link = Link {
        chain: lead.as_str(),
        at,
        kind: &kind,
        actor: actor.map(Actor::as_str),
        delivery: delivery.map(DeliveryId::as_str),
        detail_sha256: &sha256(&detail),
    };
    let head = head_of(connection, lead).await?.next(&link);
    sqlx::query(
        "INSERT INTO audit_event (lead_id, seq, at, kind, actor, delivery_id, detail, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(lead.as_str())
    .bind(head.seq)
    .bind(at)
    .bind(&kind)
    .bind(link.actor)
    .bind(link.delivery)
    .bind(&detail)
    .bind(&head.hash)
    .execute(&mut *connection)
    .await?;
    let query = sqlx::query("UPDATE lead SET audit_seq = $2, audit_hash = $3 WHERE lead_id = $1");
    query.bind(lead.as_str()).bind(head.seq).bind(&head.hash).execute(connection).await?;
    Ok(head)
}

/// Events of several leads that are appended with one statement. The caller writes the heads of the chains to
/// the rows of the leads where it writes these anyway.
pub(crate) struct AuditEntries {
    heads: Heads,
    rows: Rows<{ EVENT_COLUMNS.len() }>,
}

impl AuditEntries {
    /// No events yet; they will have this time, in milliseconds.
    pub(crate) fn at(at: i64) -> Self {
        Self { heads: Heads::at(at), rows: Rows::new(EVENT_COLUMNS) }
    }

    /// Sets the newest event of a lead, which the caller's transaction has locked. Without it the lead has
    /// none.
    pub(crate) fn continue_from(&mut self, lead: &LeadId, head: Head) {
        self.heads.set(lead, head);
    }

    /// Adds an event after the others of its lead.
    pub(crate) fn push(&mut self, lead: &LeadId, delivery: &DeliveryId, kind: AuditKind, detail: &Value) {
        self.rows.push(self.heads.push(lead, delivery, &kind.as_text(), detail));
    }

    /// The newest event of a lead, with those that were added.
    pub(crate) fn head(&self, lead: &LeadId) -> Option<&Head> {
        self.heads.get(lead)
    }

    /// Appends the events inside the caller's transaction.
    pub(crate) async fn append(self, connection: &mut Connection) -> Result<()> {
        chain::insert(connection, self.rows).await
    }
}

impl Store {
    /// Up to `limit` events of a lead after `after` (0: from the beginning), oldest first.
    pub async fn audit(&self, lead: &LeadId, after: i64, limit: u32) -> Result<Vec<AuditEvent>> {
        let query = sqlx::query(
            "SELECT seq, at, kind, actor, delivery_id, detail FROM audit_event \
             WHERE lead_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        );
        let rows = self.rows(query.bind(lead.as_str()).bind(after).bind(i64::from(limit))).await?;
        rows.iter()
            .map(|row| {
                Ok::<_, DatabaseError>(AuditEvent {
                    seq: row.number("seq")?,
                    at: row.time("at")?,
                    kind: row.word("kind", AuditKind::parse)?,
                    actor: row.optional_id("actor")?,
                    delivery_id: row.optional_id("delivery_id")?,
                    detail: row.json("detail")?,
                })
            })
            .collect()
    }
}
