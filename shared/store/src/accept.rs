use database::{Connection, to_millis};
use lead::{DeliveryId, LeadEvent, LeadStatus};
use serde_json::json;

use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, to_json};
use crate::dead_letter;
use crate::erasure;
use crate::{Result, Store};

/// The first few duplicates are worth a line in the audit trail; a sender in a loop is not worth a million.
const MAX_AUDITED_DUPLICATES: i64 = 10;

/// What a delivery turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// The first of its lead.
    New,
    /// Other content for a lead that we know; it is now the newest.
    Revision,
    /// Other content for a lead that we know, received before the newest: kept, and never worked on.
    Superseded,
    /// The same content again.
    Duplicate {
        /// Whether the first one is still to be worked on: then it must be in the queue.
        open: bool,
    },
    /// Received before its person was erased: nothing is kept of it.
    Erased,
}

impl Store {
    /// Takes in a delivery in a transaction of its own.
    pub async fn accept(&self, event: &LeadEvent) -> Result<Accept> {
        let mut transaction = self.database.begin().await?;
        let accepted = self.accept_in(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(accepted)
    }

    /// Takes in a delivery that a queue has already, so that it can be seen before a worker has it. One that is known,
    /// since a worker was faster, is left alone and is no duplicate.
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

    /// Takes in a delivery inside the caller's transaction, so that it can be queued in the same one.
    ///
    /// Whatever the order in which deliveries of a lead arrive, the one received last is the newest in the end;
    /// equal times are settled by the delivery id, so that every process agrees.
    pub async fn accept_in(&self, connection: &mut Connection, event: &LeadEvent) -> Result<Accept> {
        let now = self.now_millis();
        let delivery = event.delivery_id();
        if erasure::is_erased(connection, event).await? {
            return Ok(Accept::Erased);
        }
        let content = to_json(&event.lead);
        // The lead's row comes first, as in every transaction: concurrent deliveries of one lead wait for each other.
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
        if let Some(state) = count_duplicate(connection, event, &delivery, now).await? {
            return Ok(Accept::Duplicate { open: state == "open" });
        }

        let (newest_id, revision) = (newest.text("delivery_id")?, newest.number("revision")?);
        let place = (to_millis(event.received_at), delivery.as_str());
        let (accepted, kind, state, revision) = if newest_id == delivery.as_str() {
            (Accept::New, AuditKind::Accepted, "open", revision)
        } else if (newest.number("received_at")?, newest_id.as_str()) < place {
            (Accept::Revision, AuditKind::Revised, "open", revision + 1)
        } else {
            (Accept::Superseded, AuditKind::Superseded, "superseded", revision + 1)
        };
        sqlx::query(
            "INSERT INTO delivery (delivery_id, lead_id, revision, content_hash, content, received_at, state, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(delivery.as_str())
        .bind(event.lead_id.as_str())
        .bind(revision)
        .bind(event.content_hash.as_str())
        .bind(&content)
        .bind(to_millis(event.received_at))
        .bind(state)
        .bind(now)
        .execute(&mut *connection)
        .await?;
        match accepted {
            Accept::Revision => {
                sqlx::query(
                    "UPDATE lead SET revision = $2, content = $3, status = $4, delivery_id = $5, received_at = $6, \
                     failure = NULL, updated_at = $7 WHERE lead_id = $1",
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
                // What it overtakes is not to be sent again any more.
                dead_letter::forget(connection, &newest_id).await?;
            }
            // It takes a number, and changes nothing else about the lead.
            Accept::Superseded => {
                sqlx::query("UPDATE lead SET revision = $2 WHERE lead_id = $1")
                    .bind(event.lead_id.as_str())
                    .bind(revision)
                    .execute(&mut *connection)
                    .await?;
            }
            Accept::New | Accept::Duplicate { .. } | Accept::Erased => {}
        }
        let mut detail = json!({ "revision": revision, "received_at": event.received_at });
        if !event.notes.is_empty() {
            detail["fields"] = json!(event.notes);
        }
        audit::append(connection, &event.lead_id, Some(&delivery), now, kind, &detail).await?;
        Ok(accepted)
    }
}

/// Counts a delivery that is there already, and says in which state it is; none where it is not there.
async fn count_duplicate(
    connection: &mut Connection,
    event: &LeadEvent,
    delivery: &DeliveryId,
    now: i64,
) -> Result<Option<String>> {
    let counted = sqlx::query(
        "UPDATE delivery SET duplicates = duplicates + 1 WHERE delivery_id = $1 RETURNING state, duplicates",
    )
    .bind(delivery.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = counted else { return Ok(None) };
    let times = row.number("duplicates")?;
    if times <= MAX_AUDITED_DUPLICATES {
        let (kind, detail) = (AuditKind::Duplicate, json!({ "times": times }));
        audit::append(connection, &event.lead_id, Some(delivery), now, kind, &detail).await?;
    }
    row.text("state").map(Some)
}
