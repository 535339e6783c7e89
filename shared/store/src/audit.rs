use database::{Connection, DatabaseError, Rows};
use jiff::Timestamp;
use lead::{Actor, DeliveryId, LeadId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::codec::{Columns as _, to_json};
use crate::{Result, Store};

/// One event in the history of a lead. Never changed, except by an erasure, and deleted only for the
/// synthetic lead.
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
    append_by(connection, None, lead, delivery, at, kind, detail).await
}

/// Appends an act, or without an actor an event of the pipeline, inside the caller's transaction.
pub(crate) async fn append_by(
    connection: &mut Connection,
    actor: Option<&Actor>,
    lead: &LeadId,
    delivery: Option<&DeliveryId>,
    at: i64,
    kind: AuditKind,
    detail: &Value,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit_event (lead_id, seq, at, kind, actor, delivery_id, detail) \
         SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4, $5, $6 FROM audit_event WHERE lead_id = $1",
    )
    .bind(lead.as_str())
    .bind(at)
    .bind(kind.as_text())
    .bind(actor.map(|actor| actor.as_str().to_owned()))
    .bind(delivery.map(|id| id.as_str().to_owned()))
    .bind(to_json(detail))
    .execute(connection)
    .await?;
    Ok(())
}

/// Events of several leads that are appended with one statement.
pub(crate) struct AuditEntries {
    at: i64,
    rows: Rows<6>,
}

impl AuditEntries {
    /// No events yet; they will have this time, in milliseconds.
    pub(crate) fn at(at: i64) -> Self {
        let rows = Rows::new(["lead_id", "place", "at", "kind", "delivery_id", "detail"]);
        Self { at, rows }
    }

    /// Adds an event after the others of its lead.
    pub(crate) fn push(&mut self, lead: &LeadId, delivery: &DeliveryId, kind: AuditKind, detail: &Value) {
        let place = i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        self.rows.push([
            lead.as_str().into(),
            place.into(),
            self.at.into(),
            kind.as_text().into(),
            delivery.as_str().into(),
            to_json(detail).into(),
        ]);
    }

    /// Appends the events inside the caller's transaction, which holds the locks of their leads.
    pub(crate) async fn append(self, connection: &mut Connection) -> Result<()> {
        self.rows
            .execute(
                connection,
                "INSERT INTO audit_event (lead_id, seq, at, kind, delivery_id, detail) \
                 SELECT lead_id, ROW_NUMBER() OVER (PARTITION BY lead_id ORDER BY place) \
                          + COALESCE((SELECT MAX(seq) FROM audit_event AS before \
                                      WHERE before.lead_id = given.lead_id), 0), \
                        at, kind, delivery_id, detail FROM given",
            )
            .await?;
        Ok(())
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
