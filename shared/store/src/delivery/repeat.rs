//! Recognition of repeats: retries and duplicates of a known delivery.

use database::{Connection, to_millis};
use lead::{Arrival, DeliveryId, LeadEvent};
use serde_json::json;

use super::rows::state_of;
use crate::audit::{self, AuditKind};
use crate::codec::Columns as _;
use crate::{DeliveryState, Result, Store};

/// The number of duplicates of a delivery that are audited, so that a sender in a loop does not fill the
/// audit trail.
const MAX_AUDITED_DUPLICATES: i64 = 10;

/// The order of a lead's deliveries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By the time of receipt: the deliveries are read from a queue, in any order.
    Received,
    /// By the lock of the lead's row: the deliveries are received directly from their senders. A clock that
    /// was set back does not make a delivery an old one.
    Arrival,
}

impl Store {
    /// The known delivery that an event repeats; none if it is a delivery of its own.
    pub(super) async fn find_repeated(
        &self,
        connection: &mut Connection,
        event: &LeadEvent,
        newest: &DeliveryId,
        order: Order,
    ) -> Result<Option<DeliveryId>> {
        let delivery = event.delivery_id();
        let query =
            sqlx::query("SELECT delivery_id, content_hash FROM delivery WHERE delivery_id IN ($1, $2)");
        let rows = query.bind(delivery.as_str()).bind(newest.as_str()).fetch_all(&mut *connection).await?;
        let (mut is_known, mut is_newest) = (false, false);
        for row in &rows {
            let known: DeliveryId = row.id("delivery_id")?;
            is_known |= known == delivery;
            is_newest |= known == *newest && row.text("content_hash")? == event.content_hash.as_str();
        }
        let is_signed = matches!(event.arrival, Arrival::Webhook(_));
        // Directly from its sender, a delivery that is identified by its time does not repeat one received in
        // the same millisecond.
        if is_known && (is_signed || order == Order::Received) {
            return Ok(Some(delivery));
        }
        if is_signed && let Some(known) = find_receipt(connection, &delivery).await? {
            return Ok(Some(known));
        }
        if is_newest {
            if is_signed {
                save_receipt(connection, event, &delivery, newest).await?;
            }
            return Ok(Some(newest.clone()));
        }
        if is_signed || self.retry_window.is_zero() {
            return Ok(None);
        }
        self.within_retry_window(connection, event).await
    }

    /// The newest delivery with the same content that was received within the retry window before the event.
    async fn within_retry_window(
        &self,
        connection: &mut Connection,
        event: &LeadEvent,
    ) -> Result<Option<DeliveryId>> {
        let received_at = to_millis(event.received_at);
        let window = i64::try_from(self.retry_window.as_millis()).unwrap_or(i64::MAX);
        let row = sqlx::query(
            "SELECT delivery_id FROM delivery WHERE lead_id = $1 AND content_hash = $2 \
             AND received_at >= $3 AND received_at <= $4 ORDER BY revision DESC LIMIT 1",
        )
        .bind(event.lead_id.as_str())
        .bind(event.content_hash.as_str())
        .bind(received_at.saturating_sub(window))
        .bind(received_at)
        .fetch_optional(connection)
        .await?;
        row.map(|row| row.id("delivery_id")).transpose()
    }
}

/// Moves the time of receipt of the newest content forward, because it was received again: other content
/// received before that time is older.
pub(super) async fn refresh_received_at(connection: &mut Connection, event: &LeadEvent) -> Result<()> {
    let query = sqlx::query("UPDATE lead SET received_at = $2 WHERE lead_id = $1 AND received_at < $2");
    query.bind(event.lead_id.as_str()).bind(to_millis(event.received_at)).execute(connection).await?;
    Ok(())
}

/// The delivery that a signed webhook repeated when it was first seen.
async fn find_receipt(connection: &mut Connection, receipt: &DeliveryId) -> Result<Option<DeliveryId>> {
    let query = sqlx::query("SELECT delivery_id FROM webhook_receipt WHERE receipt_id = $1");
    let row = query.bind(receipt.as_str()).fetch_optional(connection).await?;
    row.map(|row| row.id("delivery_id")).transpose()
}

/// Saves the receipt of a signed webhook that made no delivery of its own, so that a retry of it is
/// recognised.
async fn save_receipt(
    connection: &mut Connection,
    event: &LeadEvent,
    receipt: &DeliveryId,
    delivery: &DeliveryId,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO webhook_receipt (receipt_id, lead_id, delivery_id) VALUES ($1, $2, $3) \
         ON CONFLICT (receipt_id) DO NOTHING",
    )
    .bind(receipt.as_str())
    .bind(event.lead_id.as_str())
    .bind(delivery.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts a duplicate of a delivery, and returns whether the delivery is still open.
pub(super) async fn count_duplicate(
    connection: &mut Connection,
    event: &LeadEvent,
    delivery: &DeliveryId,
    now: i64,
) -> Result<bool> {
    let query = sqlx::query(
        "UPDATE delivery SET duplicates = duplicates + 1 WHERE delivery_id = $1 RETURNING state, duplicates",
    );
    let row = query.bind(delivery.as_str()).fetch_one(&mut *connection).await?;
    let times = row.number("duplicates")?;
    if times <= MAX_AUDITED_DUPLICATES {
        let (kind, detail) = (AuditKind::Duplicate, json!({ "times": times }));
        audit::append(connection, &event.lead_id, Some(delivery), now, kind, &detail).await?;
    }
    Ok(state_of(&row)? == DeliveryState::Open)
}
