use database::{Connection, DatabaseError};
use jiff::Timestamp;
use lead::{DeliveryId, Failure, LeadId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::codec::{Columns as _, parsed, to_json};
use crate::{Result, Store};

/// One thing that happened to a lead. Never changed, and deleted for the synthetic lead alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditEvent {
    /// Per lead, from 1, without gaps.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: AuditKind,
    /// Which delivery it belongs to.
    pub delivery_id: Option<DeliveryId>,
    /// Its particulars; no personal data.
    pub detail: Value,
}

/// What can happen to a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditKind {
    /// The first delivery was accepted.
    Accepted,
    /// A delivery with other content was accepted.
    Revised,
    /// The same content came again; nothing was done.
    Duplicate,
    /// A delivery was skipped because a newer one is there.
    Superseded,
    /// A worker took it.
    Started,
    /// Enrichment ran.
    Enriched,
    /// The CRM was asked what it knows.
    CrmRead,
    /// The analyst answered and the grounding contract judged the answer.
    Judged,
    /// The CRM has it; with the effect of each action.
    Synced,
    /// Held for a person.
    Held,
    /// Its plan for the CRM was made and kept, and not carried out.
    Planned,
    /// Old values were put back in the CRM.
    Restored,
    /// An attempt failed; another follows.
    Retrying,
    /// It could not be tried; it waits for an outside system.
    Deferred,
    /// A worker of another application on the same queue has done it.
    WorkedElsewhere,
    /// The synthetic lead has gone all the way; nothing was written.
    SyntheticEnded,
    /// Given up.
    DeadLettered,
    /// Put up for judgement again.
    Reopened,
    /// Given to somebody, or left to the CRM.
    Routed,
    /// Nobody responded in time.
    Overdue,
    /// Given to somebody else, since nobody responded.
    Reassigned,
    /// The CRM was told who it was given to, or refused.
    OwnerWritten,
    /// Somebody responded.
    Responded,
    /// A person let it go to the CRM without anything from its analysis.
    ReviewApproved,
    /// A person had it judged again.
    ReviewRejudged,
    /// A person put it aside.
    ReviewDismissed,
    /// Not written, since the person is on the suppression list.
    Suppressed,
    /// What identifies the person was removed.
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

/// Appends an event inside the caller's transaction.
pub(crate) async fn append(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: Option<&DeliveryId>,
    at: i64,
    kind: AuditKind,
    detail: &Value,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit_event (lead_id, seq, at, kind, delivery_id, detail) \
         SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4, $5 FROM audit_event WHERE lead_id = $1",
    )
    .bind(lead.as_str())
    .bind(at)
    .bind(kind.as_text())
    .bind(delivery.map(|id| id.as_str().to_owned()))
    .bind(to_json(detail))
    .execute(connection)
    .await?;
    Ok(())
}

/// How long a deferral is not repeated in the trail for the same reason, in milliseconds.
const SAID_FOR: i64 = 60 * 60 * 1_000;

/// Whether the newest event of a lead is a deferral for the same reason, within an hour.
pub(crate) async fn has_said(
    connection: &mut Connection,
    lead: &LeadId,
    now: i64,
    failure: &Failure,
) -> Result<bool> {
    let newest = sqlx::query(
        "SELECT detail FROM audit_event WHERE lead_id = $1 AND kind = $2 AND at > $3 \
         AND seq = (SELECT MAX(seq) FROM audit_event WHERE lead_id = $1)",
    )
    .bind(lead.as_str())
    .bind(AuditKind::Deferred.as_text())
    .bind(now - SAID_FOR)
    .fetch_optional(connection)
    .await?;
    let Some(newest) = newest else { return Ok(false) };
    let said: Deferred = newest.json("detail")?;
    Ok(said.failure.code == failure.code)
}

/// The detail of a [`AuditKind::Deferred`], as far as it is compared.
#[derive(Deserialize)]
struct Deferred {
    failure: Failure,
}

impl Store {
    /// Up to `limit` events of a lead after `after` (0: from the beginning), oldest first.
    pub async fn audit(&self, lead: &LeadId, after: i64, limit: u32) -> Result<Vec<AuditEvent>> {
        let rows = sqlx::query(
            "SELECT seq, at, kind, delivery_id, detail FROM audit_event \
             WHERE lead_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(lead.as_str())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok::<_, DatabaseError>(AuditEvent {
                    seq: row.number("seq")?,
                    at: row.time("at")?,
                    kind: parsed("kind", AuditKind::parse(&row.text("kind")?))?,
                    delivery_id: row.optional_text("delivery_id")?.and_then(|id| id.parse().ok()),
                    detail: row.json("detail")?,
                })
            })
            .collect()
    }
}
