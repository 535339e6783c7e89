use database::Connection;
use enrichment::Enrichment;
use lead::{Actor, DeliveryId, Lead, LeadEvent, LeadId, LeadStatus};
use serde_json::Value;

use super::reopen::reopen;
use super::rows::{event_of_delivery, state_of};
use super::transitions::Opening;
use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, to_json};
use crate::{DeliveryState, Result, Store};

/// The number of repeated enrichment requests for one delivery. With the waits between them they span some 21
/// hours.
pub const MAX_ENRICH_TRIES: i64 = 8;

/// The wait before the first repeated request, in milliseconds; before the second it is 8 times as long,
/// before the third 27 times, and so on.
const FIRST_WAIT_MS: i64 = 60_000;

/// A lead that was judged while no enrichment provider could answer.
#[derive(Debug)]
pub struct Unenriched {
    /// The lead.
    pub lead_id: LeadId,
    /// Its delivery.
    pub delivery_id: DeliveryId,
    /// Its content.
    pub lead: Lead,
}

/// Schedules a repeated enrichment request for a delivery that has just ended, if no provider could answer.
pub(crate) async fn schedule(connection: &mut Connection, delivery: &DeliveryId, now: i64) -> Result<()> {
    let scheduled = sqlx::query(
        "UPDATE delivery SET enrich_again_at = $2 + $3 * (1 + enrich_tries) * (1 + enrich_tries) * (1 + enrich_tries) \
         WHERE delivery_id = $1 AND enrichment_retry <> 'none' AND enrich_tries < $4",
    )
    .bind(delivery.as_str())
    .bind(now)
    .bind(FIRST_WAIT_MS)
    .bind(MAX_ENRICH_TRIES)
    .execute(&mut *connection)
    .await?;
    if scheduled.rows_affected() == 1 {
        note_on_lead(connection, delivery).await?;
    }
    Ok(())
}

/// Cancels the repeated enrichment request for a delivery.
pub(super) async fn forget(connection: &mut Connection, delivery: &DeliveryId) -> Result<()> {
    let query = sqlx::query("UPDATE delivery SET enrich_again_at = NULL WHERE delivery_id = $1");
    query.bind(delivery.as_str()).execute(&mut *connection).await?;
    note_on_lead(connection, delivery).await
}

/// Copies to the lead whether its delivery awaits a repeated enrichment request, for lists of leads. Called
/// after every change of `enrich_again_at`; where a delivery is opened or superseded, the same statement
/// clears the flag.
async fn note_on_lead(connection: &mut Connection, delivery: &DeliveryId) -> Result<()> {
    let query = sqlx::query(
        "UPDATE lead SET awaits_enrichment = \
         (SELECT CASE WHEN d.enrich_again_at IS NULL THEN 0 ELSE 1 END FROM delivery d WHERE d.delivery_id = $1) \
         WHERE lead_id = (SELECT d.lead_id FROM delivery d WHERE d.delivery_id = $1) AND delivery_id = $1",
    );
    query.bind(delivery.as_str()).execute(connection).await?;
    Ok(())
}

impl Store {
    /// The lead whose repeated enrichment request is due longest; none if none is due. Cancels the requests
    /// of superseded deliveries and of leads that are no longer written to the CRM.
    pub async fn next_unenriched(&self) -> Result<Option<Unenriched>> {
        loop {
            let query = sqlx::query(
                "SELECT d.delivery_id, d.lead_id, d.content, d.state, l.status, l.delivery_id AS newest \
                 FROM delivery d JOIN lead l ON l.lead_id = d.lead_id \
                 WHERE d.enrich_again_at <= $1 ORDER BY d.enrich_again_at LIMIT 1",
            );
            let row = self.row(query.bind(self.now_millis())).await?;
            let Some(row) = row else { return Ok(None) };
            let (lead_id, delivery_id): (LeadId, DeliveryId) = (row.id("lead_id")?, row.id("delivery_id")?);
            let status = row.word("status", LeadStatus::parse)?;
            let is_written = matches!(status, LeadStatus::Synced | LeadStatus::Held | LeadStatus::Planned);
            let is_done = state_of(&row)? == DeliveryState::Done;
            if is_written && is_done && row.text("newest")? == delivery_id.as_str() {
                return Ok(Some(Unenriched { lead_id, delivery_id, lead: row.json("content")? }));
            }
            let mut transaction = self.begin_on(&lead_id).await?;
            forget(&mut transaction, &delivery_id).await?;
            transaction.commit().await?;
        }
    }

    /// Records that again no provider could answer: schedules the next request after a longer wait, or ends
    /// them.
    pub async fn still_unenriched(&self, found: &Unenriched) -> Result<()> {
        let delivery = &found.delivery_id;
        let mut transaction = self.begin_on(&found.lead_id).await?;
        let query = sqlx::query(
            "UPDATE delivery SET enrich_tries = enrich_tries + 1, enrich_again_at = NULL \
             WHERE delivery_id = $1 AND enrich_again_at IS NOT NULL",
        );
        query.bind(delivery.as_str()).execute(&mut *transaction).await?;
        note_on_lead(&mut transaction, delivery).await?;
        schedule(&mut transaction, delivery, self.now_millis()).await?;
        transaction.commit().await
    }

    /// Saves an enrichment result that arrived late, and reopens the delivery for a new judgement. Returns
    /// the event to send; none if the delivery was superseded or reopened meanwhile.
    pub async fn reopen_enriched(
        &self,
        found: &Unenriched,
        enrichment: &Enrichment,
        detail: &Value,
    ) -> Result<Option<LeadEvent>> {
        let (now, lead, delivery) = (self.now_millis(), &found.lead_id, &found.delivery_id);
        let mut transaction = self.begin_on(lead).await?;
        let saved = sqlx::query(
            "UPDATE delivery SET enrichment = $2, enrichment_retry = 'none', enrich_tries = enrich_tries + 1 \
             WHERE delivery_id = $1 AND state = 'done' AND enrich_again_at IS NOT NULL \
             AND EXISTS (SELECT 1 FROM lead WHERE lead.lead_id = delivery.lead_id AND lead.delivery_id = $1)",
        )
        .bind(delivery.as_str())
        .bind(to_json(enrichment))
        .execute(&mut *transaction)
        .await?;
        if saved.rows_affected() == 0 {
            return Ok(None);
        }
        audit::append(&mut transaction, lead, Some(delivery), now, AuditKind::Enriched, detail).await?;
        let opening = Opening { rejudge: true, ..Opening::default() };
        let (janitor, reason) = (Actor::janitor(), "judged without enrichment");
        reopen(&mut transaction, Some(&janitor), lead, delivery, opening, reason, now).await?;
        let event = event_of_delivery(&mut transaction, delivery).await?;
        transaction.commit().await?;
        Ok(Some(event))
    }
}
