use std::borrow::Cow;

use database::{Connection, from_millis, to_millis};
use lead::{Arrival, DeliveryId, LeadEvent, LeadStatus};
use serde_json::json;

use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, to_json};
use crate::dead_letter;
use crate::erasure;
use crate::reopen::{event_of_delivery, reopen_posted_again};
use crate::state::DeliveryState;
use crate::synthetic;
use crate::work::delivery_state;
use crate::{Result, Store};

/// The number of duplicates of a delivery that are audited, so that a sender in a loop does not fill the
/// audit trail.
const MAX_AUDITED_DUPLICATES: i64 = 10;

/// The classification of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// The first delivery of its lead.
    New,
    /// Other content than the lead's newest delivery, including a return to an earlier content; it is now the
    /// newest.
    Revision,
    /// Other content for a known lead, received before the newest delivery: saved, and never worked on.
    Superseded,
    /// The content of the newest delivery, a delivery that is already known, or, within the retry window, an
    /// older content.
    Duplicate {
        /// Whether the known delivery still needs work: then it must be in the queue.
        open: bool,
    },
    /// The newest delivery, posted again after it was dead-lettered: that delivery is reopened, and must be
    /// in the queue.
    Reopened,
    /// Received before the person was erased: none of it is saved.
    Erased,
}

/// The order of a lead's deliveries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// By the time of receipt: the deliveries are read from a queue, in any order.
    Received,
    /// By the lock of the lead's row: the deliveries are received directly from their senders. A clock that
    /// was set back does not make a delivery an old one.
    Arrival,
}

/// The result of accepting a delivery.
pub(crate) struct Accepted<'a> {
    pub(crate) accept: Accept,
    /// The row that holds it: its own, or that of the delivery it repeats.
    pub(crate) delivery: DeliveryId,
    /// The event as saved.
    event: Cow<'a, LeadEvent>,
}

impl Store {
    /// Accepts a delivery in its own transaction, ordered by the time of receipt.
    pub async fn accept(&self, event: &LeadEvent) -> Result<Accept> {
        let mut transaction = self.database.begin().await?;
        let accepted = self.accept_in(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(accepted)
    }

    /// Accepts a delivery that is already in a queue, so that it is visible before a worker receives it. A
    /// delivery that is already known, because a worker was faster, stays unchanged and does not count as a
    /// duplicate.
    pub async fn note(&self, event: &LeadEvent) -> Result<()> {
        let mut transaction = self.database.begin().await?;
        let known = sqlx::query("SELECT 1 FROM delivery WHERE delivery_id = $1")
            .bind(event.delivery_id().as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        if known.is_none() {
            self.accept_in(&mut transaction, event).await?;
        }
        transaction.commit().await
    }

    /// Accepts a delivery inside the caller's transaction.
    ///
    /// The delivery received last is the newest in the end, in whatever order deliveries of a lead are
    /// processed; the delivery id breaks ties, so that every process agrees.
    pub async fn accept_in(&self, connection: &mut Connection, event: &LeadEvent) -> Result<Accept> {
        Ok(self.accept_ordered(connection, event, Order::Received).await?.accept)
    }

    /// Accepts a delivery directly from its sender inside the caller's transaction, which can then also queue
    /// it, and returns the event to queue. The lock of the lead's row gives the order: a delivery that the
    /// clock does not date after the newest one is dated a millisecond after it.
    pub async fn accept_arrival(
        &self,
        connection: &mut Connection,
        event: &LeadEvent,
    ) -> Result<(Accept, LeadEvent)> {
        let accepted = self.accept_ordered(connection, event, Order::Arrival).await?;
        Ok((accepted.accept, accepted.event.into_owned()))
    }

    /// The delivery that an event refers to: its own, which is accepted if it is not known yet, or the one
    /// that it repeats.
    pub(crate) async fn resolve(&self, connection: &mut Connection, event: &LeadEvent) -> Result<DeliveryId> {
        let delivery = event.delivery_id();
        let known = sqlx::query("SELECT 1 FROM delivery WHERE delivery_id = $1")
            .bind(delivery.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        if known.is_some() {
            return Ok(delivery);
        }
        Ok(self.accept_ordered(connection, event, Order::Received).await?.delivery)
    }

    async fn accept_ordered<'a>(
        &self,
        connection: &mut Connection,
        event: &'a LeadEvent,
        order: Order,
    ) -> Result<Accepted<'a>> {
        let now = self.now_millis();
        let mut event = Cow::Borrowed(event);
        let mut delivery = event.delivery_id();
        if erasure::is_erased(connection, &event).await? {
            return Ok(Accepted { accept: Accept::Erased, delivery, event });
        }
        let content = to_json(&event.lead);
        // The lead's row is locked first, as in every transaction: concurrent deliveries of one lead wait for
        // each other.
        let newest = sqlx::query(
            "INSERT INTO lead (lead_id, email, campaign_id, content, status, revision, delivery_id, received_at, \
                               created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8, $8) \
             ON CONFLICT (lead_id) DO UPDATE SET revision = lead.revision \
             RETURNING revision, received_at, delivery_id",
        )
        .bind(event.lead_id.as_str())
        .bind(event.lead.email.expose())
        .bind(event.lead.campaign_id.as_str())
        .bind(&content)
        .bind(LeadStatus::Queued.as_str())
        .bind(delivery.as_str())
        .bind(to_millis(event.received_at))
        .bind(now)
        .fetch_one(&mut *connection)
        .await?;
        let (newest_id, revision) = (newest.text("delivery_id")?, newest.number("revision")?);
        let newest_at = newest.number("received_at")?;
        if let Some(known) = self.find_repeated(connection, &event, &newest_id, order).await? {
            let is_newest = known.as_str() == newest_id;
            return accept_repeat(connection, event, known, is_newest, order, now).await;
        }

        let is_new = newest_id == delivery.as_str();
        if order == Order::Arrival && !is_new && to_millis(event.received_at) <= newest_at {
            event.to_mut().received_at = from_millis(newest_at + 1);
            delivery = event.delivery_id();
        }
        let order_key = (to_millis(event.received_at), delivery.as_str());
        let (accept, kind, state, revision) = if is_new {
            (Accept::New, AuditKind::Accepted, DeliveryState::Open, revision)
        } else if (newest_at, newest_id.as_str()) < order_key {
            (Accept::Revision, AuditKind::Revised, DeliveryState::Open, revision + 1)
        } else {
            (Accept::Superseded, AuditKind::Superseded, DeliveryState::Superseded, revision + 1)
        };
        sqlx::query(
            "INSERT INTO delivery (delivery_id, lead_id, revision, content_hash, content, received_at, state, \
                                   created_at, arrival) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(delivery.as_str())
        .bind(event.lead_id.as_str())
        .bind(revision)
        .bind(event.content_hash.as_str())
        .bind(&content)
        .bind(to_millis(event.received_at))
        .bind(state.as_str())
        .bind(now)
        .bind((!event.arrival.is_content()).then(|| event.arrival.to_string()))
        .execute(&mut *connection)
        .await?;
        match accept {
            Accept::Revision => {
                sqlx::query(
                    "UPDATE lead SET revision = $2, content = $3, status = $4, delivery_id = $5, received_at = $6, \
                     failure = NULL, awaits_enrichment = 0, updated_at = $7 WHERE lead_id = $1",
                )
                .bind(event.lead_id.as_str())
                .bind(revision)
                .bind(&content)
                .bind(LeadStatus::Queued.as_str())
                .bind(delivery.as_str())
                .bind(to_millis(event.received_at))
                .bind(now)
                .execute(&mut *connection)
                .await?;
                // A redrive must not send the superseded delivery any more.
                dead_letter::forget(connection, &newest_id).await?;
                if event.lead_id.is_synthetic() {
                    synthetic::keep_only(connection, &event.lead_id, &delivery).await?;
                }
            }
            // It takes a revision number, and changes nothing else about the lead.
            Accept::Superseded => {
                sqlx::query("UPDATE lead SET revision = $2 WHERE lead_id = $1")
                    .bind(event.lead_id.as_str())
                    .bind(revision)
                    .execute(&mut *connection)
                    .await?;
            }
            Accept::New | Accept::Duplicate { .. } | Accept::Reopened | Accept::Erased => {}
        }
        let mut detail = json!({ "revision": revision, "received_at": event.received_at });
        if !event.notes.is_empty() {
            detail["fields"] = json!(event.notes);
        }
        audit::append(connection, &event.lead_id, Some(&delivery), now, kind, &detail).await?;
        Ok(Accepted { accept, delivery, event })
    }

    /// The known delivery that an event repeats; none if it is a delivery of its own.
    async fn find_repeated(
        &self,
        connection: &mut Connection,
        event: &LeadEvent,
        newest: &str,
        order: Order,
    ) -> Result<Option<DeliveryId>> {
        let delivery = event.delivery_id();
        let rows =
            sqlx::query("SELECT delivery_id, content_hash FROM delivery WHERE delivery_id IN ($1, $2)")
                .bind(delivery.as_str())
                .bind(newest)
                .fetch_all(&mut *connection)
                .await?;
        let (mut is_known, mut is_newest) = (false, false);
        for row in &rows {
            is_known |= row.text("delivery_id")? == delivery.as_str();
            is_newest |= row.text("delivery_id")? == newest
                && row.text("content_hash")? == event.content_hash.as_str();
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
            let newest = newest.to_owned().try_into().map_err(|_| corrupt("delivery_id"))?;
            if is_signed {
                save_receipt(connection, event, &delivery, &newest).await?;
            }
            return Ok(Some(newest));
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

/// Accepts an event that repeats a known delivery.
async fn accept_repeat<'a>(
    connection: &mut Connection,
    event: Cow<'a, LeadEvent>,
    known: DeliveryId,
    is_newest: bool,
    order: Order,
    now: i64,
) -> Result<Accepted<'a>> {
    let open = count_duplicate(connection, &event, &known, now).await?;
    if is_newest {
        refresh_received_at(connection, &event).await?;
        let posted_at = (order == Order::Received).then_some(event.received_at);
        if reopen_posted_again(connection, &event.lead_id, &known, posted_at, now).await? {
            let stored = event_of_delivery(connection, &known).await?;
            let event = Cow::Owned(stored.traced(event.traceparent));
            return Ok(Accepted { accept: Accept::Reopened, delivery: known, event });
        }
    }
    Ok(Accepted { accept: Accept::Duplicate { open }, delivery: known, event })
}

fn corrupt(what: &'static str) -> database::DatabaseError {
    database::DatabaseError::Corrupt { what, why: "not a known value".to_owned() }
}

/// Moves the time of receipt of the newest content forward, because it was received again: other content
/// received before that time is older.
async fn refresh_received_at(connection: &mut Connection, event: &LeadEvent) -> Result<()> {
    sqlx::query("UPDATE lead SET received_at = $2 WHERE lead_id = $1 AND received_at < $2")
        .bind(event.lead_id.as_str())
        .bind(to_millis(event.received_at))
        .execute(connection)
        .await?;
    Ok(())
}

/// The delivery that a signed webhook repeated when it was first seen.
async fn find_receipt(connection: &mut Connection, receipt: &DeliveryId) -> Result<Option<DeliveryId>> {
    let row = sqlx::query("SELECT delivery_id FROM webhook_receipt WHERE receipt_id = $1")
        .bind(receipt.as_str())
        .fetch_optional(connection)
        .await?;
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
async fn count_duplicate(
    connection: &mut Connection,
    event: &LeadEvent,
    delivery: &DeliveryId,
    now: i64,
) -> Result<bool> {
    let row = sqlx::query(
        "UPDATE delivery SET duplicates = duplicates + 1 WHERE delivery_id = $1 RETURNING state, duplicates",
    )
    .bind(delivery.as_str())
    .fetch_one(&mut *connection)
    .await?;
    let times = row.number("duplicates")?;
    if times <= MAX_AUDITED_DUPLICATES {
        let (kind, detail) = (AuditKind::Duplicate, json!({ "times": times }));
        audit::append(connection, &event.lead_id, Some(delivery), now, kind, &detail).await?;
    }
    Ok(delivery_state(&row)? == DeliveryState::Open)
}
