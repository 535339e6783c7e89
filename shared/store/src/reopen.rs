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
    /// Puts a lead's newest delivery up for work again, and returns the event to send. `rejudge` starts a new round of
    /// judgement, for which enrichment is asked again where it could not answer; without it the work goes on from what is
    /// stored. None where there is no such lead.
    ///
    /// A delivery that is open already stays as it is: sending its event again is harmless. A dead letter of it is
    /// forgotten; should it fail again, there will be another.
    pub async fn reopen(&self, lead: &LeadId, rejudge: bool, reason: &str) -> Result<Option<LeadEvent>> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        let newest: Option<String> = sqlx::query_scalar("SELECT delivery_id FROM lead WHERE lead_id = $1")
            .bind(lead.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(delivery) = newest.and_then(|id| id.parse::<DeliveryId>().ok()) else { return Ok(None) };
        let reopened = sqlx::query(
            "UPDATE delivery SET state = 'open', finished_at = NULL, released = 0, round = round + $2, \
             enrich_again_at = NULL, unenriched = CASE WHEN unenriched = 1 AND $2 = 1 THEN 2 ELSE unenriched END \
             WHERE delivery_id = $1 AND state <> 'open'",
        )
        .bind(delivery.as_str())
        .bind(i64::from(rejudge))
        .execute(&mut *transaction)
        .await?;
        if reopened.rows_affected() == 1 {
            unenriched::note_on_lead(&mut transaction, &delivery).await?;
            note_reopened(&mut transaction, lead, &delivery, rejudge, reason, now).await?;
        }
        let event = event_of_delivery(&mut transaction, &delivery).await?;
        transaction.commit().await?;
        Ok(Some(event))
    }

    /// Puts a delivery up for work again that was given up, where it is still its lead's newest: for somebody who has put its
    /// message back into the queue. False where there is nothing to put up again.
    pub async fn reopen_given_up(&self, event: &LeadEvent, reason: &str) -> Result<bool> {
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

    /// Leads that were judged without an AI, oldest first: to be judged again. After each judgement that nobody could make a
    /// lead rests: for `rest` after the first, four times as long after the second, nine times after the third, and so on.
    pub async fn fallback_leads(&self, now: Timestamp, rest: Duration, limit: u32) -> Result<Vec<LeadId>> {
        let rest = i64::try_from(rest.as_millis()).unwrap_or(i64::MAX);
        // The statuses are told by what they are not: SQLite would otherwise go through every synced lead to find the few
        // that are flagged, instead of through the index of those.
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

    /// Deliveries that are still open although they were received before a time, oldest first, `limit` of them from behind
    /// the place `after` on: where the queue does not have them any more, sending them again is what keeps them from being
    /// lost; where it does, it is a duplicate.
    pub async fn open_deliveries(
        &self,
        after: Option<&Cursor>,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<LeadEvent>> {
        let (at, id) = after.map_or((i64::MIN, ""), Cursor::place);
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

/// Puts a lead's newest delivery up for work again that failed for good and was posted once more. `posted_at`: by the clock of
/// who took the post in, where that is not this transaction; a message that was only delivered twice was posted before the
/// failure, and opens nothing. False where there is nothing to put up again.
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

/// What goes with opening a delivery again.
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

/// The event of a delivery that is there.
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

/// How a delivery arrived; rows of versions before the column are known by their content.
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
        traceparent: None, // not stored: what is begun again is a trace of its own
    })
}
