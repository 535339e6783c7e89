use std::borrow::Cow;

use database::{Connection, from_millis, to_millis};
use lead::{DeliveryId, LeadEvent, LeadStatus};
use serde_json::{Value, json};
use sqlx::any::AnyRow;

use super::reopen::reopen_posted_again;
use super::repeat::{Order, count_duplicate, refresh_received_at};
use super::rows::event_of_delivery;
use super::synthetic;
use super::transitions::open_row;
use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, to_json};
use crate::erased::Tombstones;
use crate::{DeliveryState, Result, Store, dead_letters};

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
    /// Received before the person was erased, or a late copy of a delivery whose lead retention has removed:
    /// none of it is saved.
    Erased,
}

/// The result of accepting a delivery.
struct Accepted<'a> {
    accept: Accept,
    /// The row that holds it: its own, or that of the delivery it repeats.
    delivery: DeliveryId,
    /// The event as saved.
    event: Cow<'a, LeadEvent>,
}

impl Store {
    /// Accepts a delivery in its own transaction.
    ///
    /// The delivery received last is the newest in the end, in whatever order deliveries of a lead are
    /// processed; the delivery id breaks ties, so that every process agrees.
    pub async fn accept(&self, event: &LeadEvent) -> Result<Accept> {
        let mut transaction = self.database.begin().await?;
        let accepted = self.accept_ordered(&mut transaction, event, Order::Received).await?.accept;
        transaction.commit().await?;
        Ok(accepted)
    }

    /// Accepts a delivery that is already in a queue, so that it is visible before a worker receives it. A
    /// delivery that is already known, because a worker was faster, stays unchanged and does not count as a
    /// duplicate.
    pub(super) async fn note_in(&self, connection: &mut Connection, event: &LeadEvent) -> Result<()> {
        if !is_known(connection, &event.delivery_id()).await? {
            self.accept_ordered(connection, event, Order::Received).await?;
        }
        Ok(())
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

    /// The delivery that an event refers to, and its row if it still has work to do. The delivery is the
    /// event's own, which is accepted if it is not known yet, or the one that it repeats.
    pub(super) async fn open_delivery(
        &self,
        connection: &mut Connection,
        event: &LeadEvent,
    ) -> Result<(DeliveryId, Option<AnyRow>)> {
        let delivery = self.resolve(connection, event).await?;
        let row = open_row(connection, &event.lead_id, &delivery, self.now_millis()).await?;
        Ok((delivery, row))
    }

    /// The delivery that an event refers to.
    pub(super) async fn resolve(&self, connection: &mut Connection, event: &LeadEvent) -> Result<DeliveryId> {
        let delivery = event.delivery_id();
        if is_known(connection, &delivery).await? {
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
        let tombstones = Tombstones::of(connection, &event).await?;
        // What its sender posts now is no late copy, whatever the clock says.
        let is_late = order == Order::Received && tombstones.is_expired(&event);
        if is_late || tombstones.is_erased(&event) {
            return Ok(Accepted { accept: Accept::Erased, delivery, event });
        }
        let content = to_json(&event.lead);
        let newest = lock_lead(connection, &event, &delivery, &content, now).await?;
        if let Some(known) = self.find_repeated(connection, &event, &newest.delivery, order).await? {
            let is_newest = known == newest.delivery;
            return accept_repeat(connection, event, known, is_newest, order, now).await;
        }
        let is_new = newest.delivery == delivery;
        if order == Order::Arrival && !is_new && to_millis(event.received_at) <= newest.received_at {
            event.to_mut().received_at = from_millis(newest.received_at + 1);
            delivery = event.delivery_id();
        }
        let received = (to_millis(event.received_at), delivery.as_str());
        let (accept, kind, state, revision) = if is_new {
            (Accept::New, AuditKind::Accepted, DeliveryState::Open, newest.revision)
        } else if (newest.received_at, newest.delivery.as_str()) < received {
            (Accept::Revision, AuditKind::Revised, DeliveryState::Open, newest.revision + 1)
        } else {
            (Accept::Superseded, AuditKind::Superseded, DeliveryState::Superseded, newest.revision + 1)
        };
        sqlx::query(
            "INSERT INTO delivery (delivery_id, lead_id, revision, content_hash, content, received_at, state, \
                                   created_at, arrival, sender) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
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
        .bind(stored_sender(&event))
        .execute(&mut *connection)
        .await?;
        match accept {
            Accept::Revision => {
                revise_lead(connection, &event, &delivery, &content, revision, now).await?;
                // A redrive must not send the superseded delivery any more.
                dead_letters::forget(connection, newest.delivery.as_str()).await?;
                if event.lead_id.is_synthetic() {
                    synthetic::keep_only(connection, &event.lead_id, &delivery).await?;
                }
            }
            // It takes a revision number, and changes nothing else about the lead.
            Accept::Superseded => {
                let query = sqlx::query("UPDATE lead SET revision = $2 WHERE lead_id = $1");
                query.bind(event.lead_id.as_str()).bind(revision).execute(&mut *connection).await?;
            }
            Accept::New | Accept::Duplicate { .. } | Accept::Reopened | Accept::Erased => {}
        }
        let detail = accepted_detail(&event, revision);
        audit::append(connection, &event.lead_id, Some(&delivery), now, kind, &detail).await?;
        Ok(Accepted { accept, delivery, event })
    }
}

/// The sender of a delivery as its column has it.
pub(super) fn stored_sender(event: &LeadEvent) -> Option<String> {
    (!event.sender.is_unnamed()).then(|| to_json(&event.sender))
}

/// The detail of the audit event of an accepted delivery.
pub(super) fn accepted_detail(event: &LeadEvent, revision: i64) -> Value {
    let mut detail = json!({ "revision": revision, "received_at": event.received_at });
    if !event.sender.is_unnamed() {
        detail["sender"] = json!(event.sender);
    }
    if !event.notes.is_empty() {
        detail["fields"] = json!(event.notes);
    }
    detail
}

async fn is_known(connection: &mut Connection, delivery: &DeliveryId) -> Result<bool> {
    let query = sqlx::query("SELECT 1 FROM delivery WHERE delivery_id = $1");
    let known = query.bind(delivery.as_str()).fetch_optional(connection).await?;
    Ok(known.is_some())
}

/// The newest delivery of a lead.
struct Newest {
    delivery: DeliveryId,
    revision: i64,
    received_at: i64,
}

/// Locks the row of an event's lead, which is inserted with this delivery if it is the lead's first one.
/// The row is locked first, as in every transaction: concurrent deliveries of one lead wait for each other.
async fn lock_lead(
    connection: &mut Connection,
    event: &LeadEvent,
    delivery: &DeliveryId,
    content: &str,
    now: i64,
) -> Result<Newest> {
    let row = sqlx::query(
        "INSERT INTO lead (lead_id, email, campaign_id, content, status, revision, delivery_id, received_at, \
                           created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8, $8) \
         ON CONFLICT (lead_id) DO UPDATE SET revision = lead.revision \
         RETURNING revision, received_at, delivery_id",
    )
    .bind(event.lead_id.as_str())
    .bind(event.lead.email.expose())
    .bind(event.lead.campaign_id.as_str())
    .bind(content)
    .bind(LeadStatus::Queued.as_str())
    .bind(delivery.as_str())
    .bind(to_millis(event.received_at))
    .bind(now)
    .fetch_one(connection)
    .await?;
    Ok(Newest {
        delivery: row.id("delivery_id")?,
        revision: row.number("revision")?,
        received_at: row.number("received_at")?,
    })
}

/// Makes a delivery the newest of its lead.
async fn revise_lead(
    connection: &mut Connection,
    event: &LeadEvent,
    delivery: &DeliveryId,
    content: &str,
    revision: i64,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE lead SET revision = $2, content = $3, status = $4, delivery_id = $5, received_at = $6, \
         failure = NULL, awaits_enrichment = 0, updated_at = $7 WHERE lead_id = $1",
    )
    .bind(event.lead_id.as_str())
    .bind(revision)
    .bind(content)
    .bind(LeadStatus::Queued.as_str())
    .bind(delivery.as_str())
    .bind(to_millis(event.received_at))
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
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
        let posted_at = (order == Order::Received).then(|| to_millis(event.received_at));
        if reopen_posted_again(connection, &event.lead_id, &known, posted_at, now).await? {
            let stored = event_of_delivery(connection, &known).await?;
            let event = Cow::Owned(stored.traced(event.traceparent));
            return Ok(Accepted { accept: Accept::Reopened, delivery: known, event });
        }
    }
    Ok(Accepted { accept: Accept::Duplicate { open }, delivery: known, event })
}
