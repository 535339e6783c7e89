use std::time::Duration;

use database::{Connection, from_millis, to_millis};
use jiff::Timestamp;
use lead::{Arrival, DeliveryId, EVENT_VERSION, LeadEvent, LeadId, LeadStatus};
use serde_json::json;
use sqlx::any::AnyRow;

use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, parsed};
use crate::dead_letter;
use crate::work::set_status;
use crate::{Cursor, Result, Store, unenriched};

impl Store {
    /// Reopens a lead's newest delivery, and returns the event to send; none if there is no such lead.
    /// `rejudge` starts a new round of judgement, which requests enrichment again if no provider could
    /// answer; without it, work continues from the saved results.
    ///
    /// A delivery that is already open stays unchanged: sending its event again is harmless. Deletes the
    /// delivery's dead letter; another failure makes a new one.
    pub async fn reopen(&self, lead: &LeadId, rejudge: bool, reason: &str) -> Result<Option<LeadEvent>> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        let newest: Option<String> = sqlx::query_scalar("SELECT delivery_id FROM lead WHERE lead_id = $1")
            .bind(lead.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(delivery) = newest.and_then(|id| id.parse::<DeliveryId>().ok()) else { return Ok(None) };
        if open_again(&mut transaction, &delivery, rejudge).await? {
            note_reopened(&mut transaction, lead, &delivery, rejudge, reason, now).await?;
        }
        let event = event_of_delivery(&mut transaction, &delivery).await?;
        transaction.commit().await?;
        Ok(Some(event))
    }

    /// Reopens a dead-lettered delivery whose message was put back into the queue by hand, if it is still its
    /// lead's newest. False if there is nothing to reopen.
    pub async fn reopen_dead_lettered(&self, event: &LeadEvent, reason: &str) -> Result<bool> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&event.lead_id).await?;
        let delivery = self.resolve(&mut transaction, event).await?;
        let reopened = sqlx::query(
            "UPDATE delivery SET state = 'open', finished_at = NULL WHERE delivery_id = $1 AND state = 'failed' \
             AND EXISTS (SELECT 1 FROM lead WHERE lead.lead_id = delivery.lead_id AND lead.delivery_id = $1)",
        )
        .bind(delivery.as_str())
        .execute(&mut *transaction)
        .await?;
        let is_reopened = reopened.rows_affected() == 1;
        if is_reopened {
            note_reopened(&mut transaction, &event.lead_id, &delivery, false, reason, now).await?;
        }
        transaction.commit().await?;
        Ok(is_reopened)
    }

    /// Leads that were judged without an AI and are due for rescoring, oldest first. The wait grows with each
    /// judgement that the AI could not make: `rest` after the first, four times as long after the second,
    /// nine times after the third, and so on.
    pub async fn leads_to_rescore(&self, now: Timestamp, rest: Duration, limit: u32) -> Result<Vec<LeadId>> {
        let rest = i64::try_from(rest.as_millis()).unwrap_or(i64::MAX);
        // The statuses are excluded rather than listed: otherwise SQLite would search all synced leads for
        // the few that are flagged, instead of the index of flagged leads.
        let rows = sqlx::query(
            "SELECT lead_id FROM lead WHERE fallback = 1 AND updated_at < $1 - $2 \
             AND status NOT IN ('queued', 'processing', 'retrying', 'permanently_failed', 'dismissed', \
             'suppressed') \
             AND updated_at < $1 - $2 * (SELECT d.round * d.round FROM delivery d \
                 WHERE d.delivery_id = lead.delivery_id) \
             ORDER BY updated_at LIMIT $3",
        )
        .bind(to_millis(now))
        .bind(rest)
        .bind(i64::from(limit))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(|row| row.id("lead_id")).collect()
    }

    /// Up to `limit` deliveries received before a time that are still open, oldest first, starting after
    /// `after`. Sending one again keeps it from being lost if the queue lost its message, and is a duplicate
    /// otherwise.
    pub async fn open_deliveries(
        &self,
        after: Option<&Cursor>,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<LeadEvent>> {
        let (at, id) = after.map_or((i64::MIN, ""), Cursor::position);
        let rows = sqlx::query(
            "SELECT lead_id, content_hash, received_at, arrival, content FROM delivery \
             WHERE state = 'open' AND (received_at, delivery_id) > ($1, $2) AND received_at < $3 \
             ORDER BY received_at, delivery_id LIMIT $4",
        )
        .bind(at)
        .bind(id)
        .bind(to_millis(before))
        .bind(i64::from(limit))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(event_of).collect()
    }
}

/// Reopens a lead's newest delivery if it was dead-lettered and posted again. False if there is nothing to
/// reopen.
///
/// `posted_at` is the time of the post by the clock of the process that accepted it, or none if this
/// transaction accepts it. A message that was merely delivered twice was posted before the failure, and
/// reopens nothing.
pub(crate) async fn reopen_posted_again(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: &DeliveryId,
    posted_at: Option<Timestamp>,
    now: i64,
) -> Result<bool> {
    let reopened = sqlx::query(
        "UPDATE delivery SET state = 'open', finished_at = NULL \
         WHERE delivery_id = $1 AND state = 'failed' AND finished_at < $2 \
         AND EXISTS (SELECT 1 FROM lead WHERE lead.lead_id = delivery.lead_id AND lead.delivery_id = $1)",
    )
    .bind(delivery.as_str())
    .bind(posted_at.map_or(i64::MAX, to_millis))
    .execute(&mut *connection)
    .await?;
    let is_reopened = reopened.rows_affected() == 1;
    if is_reopened {
        note_reopened(connection, lead, delivery, false, "posted again", now).await?;
    }
    Ok(is_reopened)
}

/// Opens a delivery that is not open, without its promotion. `rejudge` starts a new round, which requests
/// enrichment again if no provider could answer. False if it is open already.
pub(crate) async fn open_again(
    connection: &mut Connection,
    delivery: &DeliveryId,
    rejudge: bool,
) -> Result<bool> {
    let opened = sqlx::query(
        "UPDATE delivery SET state = 'open', finished_at = NULL, promoted_at = NULL, round = round + $2, \
         enrich_again_at = NULL, \
         enrichment_retry = CASE WHEN enrichment_retry = 'missing' AND $2 = 1 THEN 'requested' \
         ELSE enrichment_retry END WHERE delivery_id = $1 AND state <> 'open'",
    )
    .bind(delivery.as_str())
    .bind(i64::from(rejudge))
    .execute(&mut *connection)
    .await?;
    let is_opened = opened.rows_affected() == 1;
    if is_opened {
        unenriched::note_on_lead(connection, delivery).await?;
    }
    Ok(is_opened)
}

/// The changes that accompany every reopening: deletes the dead letter, sets the status, and writes the audit
/// event.
pub(crate) async fn note_reopened(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: &DeliveryId,
    rejudge: bool,
    reason: &str,
    now: i64,
) -> Result<()> {
    dead_letter::forget(connection, delivery.as_str()).await?;
    set_status(connection, lead, delivery, LeadStatus::Queued, None, now).await?;
    let detail = json!({ "reason": reason, "rejudge": rejudge });
    audit::append(connection, lead, Some(delivery), now, AuditKind::Reopened, &detail).await
}

/// The event of a stored delivery.
pub(crate) async fn event_of_delivery(
    connection: &mut Connection,
    delivery: &DeliveryId,
) -> Result<LeadEvent> {
    let row = sqlx::query(
        "SELECT lead_id, content_hash, received_at, arrival, content FROM delivery WHERE delivery_id = $1",
    )
    .bind(delivery.as_str())
    .fetch_one(connection)
    .await?;
    event_of(&row)
}

/// The arrival of a delivery; rows of versions before that column are identified by their content.
fn arrival_of(row: &AnyRow) -> Result<Arrival> {
    match row.optional_text("arrival")? {
        None => Ok(Arrival::Content),
        Some(text) => parsed("arrival", Arrival::try_from(text).ok()),
    }
}

pub(crate) fn event_of(row: &AnyRow) -> Result<LeadEvent> {
    Ok(LeadEvent {
        version: EVENT_VERSION,
        lead_id: row.id("lead_id")?,
        content_hash: row.id("content_hash")?,
        received_at: from_millis(row.number("received_at")?),
        arrival: arrival_of(row)?,
        lead: row.json("content")?,
        notes: Vec::new(), // in the audit trail since the delivery was accepted
        traceparent: None, // not stored: reopened work is a new trace
    })
}
