use database::Connection;
use lead::{DeliveryId, Lead, LeadEvent, LeadId, LeadStatus};
use serde::Serialize;
use serde_json::Value;

use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, parsed, to_json};
use crate::reopen::{event_of_delivery, note_reopened};
use crate::{Result, Store};

/// How often enrichment is asked again for one delivery. With the waits between, for some 21 hours.
pub const MAX_ENRICH_TRIES: i64 = 8;

/// The wait before the first time, in milliseconds; the second is 8 times as long, the third 27 times, and so on.
const FIRST_WAIT_MS: i64 = 60_000;

/// In the column `unenriched`: no provider could answer.
pub(crate) const MISSING: i64 = 1;

/// The same, and it is asked for again with the next judgement.
pub(crate) const ASK_AGAIN: i64 = 2;

/// A lead that was judged while no enrichment provider could answer.
#[derive(Debug)]
pub struct Unenriched {
    /// Which lead.
    pub lead_id: LeadId,
    /// Which delivery of it.
    pub delivery_id: DeliveryId,
    /// Its content.
    pub lead: Lead,
}

/// Has a delivery that has just ended asked about again, where no provider could answer.
pub(crate) async fn schedule(connection: &mut Connection, delivery: &DeliveryId, now: i64) -> Result<()> {
    sqlx::query(
        "UPDATE delivery SET enrich_again_at = $2 + $3 * (1 + enrich_tries) * (1 + enrich_tries) * (1 + enrich_tries) \
         WHERE delivery_id = $1 AND unenriched > 0 AND enrich_tries < $4",
    )
    .bind(delivery.as_str())
    .bind(now)
    .bind(FIRST_WAIT_MS)
    .bind(MAX_ENRICH_TRIES)
    .execute(connection)
    .await?;
    Ok(())
}

impl Store {
    /// The next lead to ask enrichment about again, the one that is due longest; none where none is due. Deliveries that
    /// newer content has overtaken, and leads that nothing is written for any more, are dropped on the way.
    pub async fn next_unenriched(&self) -> Result<Option<Unenriched>> {
        let mut transaction = self.database.begin().await?;
        loop {
            let row = sqlx::query(
                "SELECT d.delivery_id, d.lead_id, d.content, d.state, l.status, l.delivery_id AS newest \
                 FROM delivery d JOIN lead l ON l.lead_id = d.lead_id \
                 WHERE d.enrich_again_at <= $1 ORDER BY d.enrich_again_at LIMIT 1",
            )
            .bind(self.now_millis())
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(row) = row else {
                transaction.commit().await?;
                return Ok(None);
            };
            let delivery: DeliveryId = row.id("delivery_id")?;
            let status = parsed("status", LeadStatus::parse(&row.text("status")?))?;
            let is_written = matches!(status, LeadStatus::Synced | LeadStatus::Held | LeadStatus::Planned);
            if is_written && row.text("state")? == "done" && row.text("newest")? == delivery.as_str() {
                transaction.commit().await?;
                let (lead_id, lead) = (row.id("lead_id")?, row.json("content")?);
                return Ok(Some(Unenriched { lead_id, delivery_id: delivery, lead }));
            }
            sqlx::query("UPDATE delivery SET enrich_again_at = NULL WHERE delivery_id = $1")
                .bind(delivery.as_str())
                .execute(&mut *transaction)
                .await?;
        }
    }

    /// Keeps that no provider could answer again: the delivery waits longer, or is not asked about any more.
    pub async fn still_unenriched(&self, delivery: &DeliveryId) -> Result<()> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "UPDATE delivery SET enrich_tries = enrich_tries + 1, enrich_again_at = NULL \
             WHERE delivery_id = $1 AND enrich_again_at IS NOT NULL",
        )
        .bind(delivery.as_str())
        .execute(&mut *transaction)
        .await?;
        schedule(&mut transaction, delivery, self.now_millis()).await?;
        transaction.commit().await
    }

    /// Keeps what enrichment said after all, and puts the delivery up for judgement again. Returns the event to send; none
    /// where it was overtaken or taken up meanwhile.
    pub async fn reopen_enriched(
        &self,
        found: &Unenriched,
        enrichment: &impl Serialize,
        detail: &Value,
    ) -> Result<Option<LeadEvent>> {
        let (now, lead, delivery) = (self.now_millis(), &found.lead_id, &found.delivery_id);
        let mut transaction = self.begin_on(lead).await?;
        let reopened = sqlx::query(
            "UPDATE delivery SET enrichment = $2, unenriched = 0, enrich_again_at = NULL, state = 'open', \
             enrich_tries = enrich_tries + 1, finished_at = NULL, released = 0, round = round + 1 \
             WHERE delivery_id = $1 AND state = 'done' AND enrich_again_at IS NOT NULL \
             AND EXISTS (SELECT 1 FROM lead WHERE lead.lead_id = delivery.lead_id AND lead.delivery_id = $1)",
        )
        .bind(delivery.as_str())
        .bind(to_json(enrichment))
        .execute(&mut *transaction)
        .await?;
        if reopened.rows_affected() == 0 {
            return Ok(None);
        }
        audit::append(&mut transaction, lead, Some(delivery), now, AuditKind::Enriched, detail).await?;
        let reason = "judged without enrichment";
        note_reopened(&mut transaction, lead, delivery, true, reason, now).await?;
        let event = event_of_delivery(&mut transaction, delivery).await?;
        transaction.commit().await?;
        Ok(Some(event))
    }
}
