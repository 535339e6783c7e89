use std::time::Duration;

use crm::Preview;
use database::{Connection, from_millis};
use jiff::Timestamp;
use lead::{Arrival, DeliveryId, Failure, FailureClass, Lead, LeadEvent, LeadId, LeadStatus};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sqlx::any::AnyRow;

use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, to_json};
use crate::crm::save_planned;
use crate::reopen::{event_of_delivery, reopen_posted_again};
use crate::{AnalysisRecord, Attempts, CrmFacts, Result, Store, SuppressionKind};
use crate::{attempts, parking, unenriched};

/// What a worker finds when it takes a delivery.
#[derive(Debug)]
pub enum Begun {
    /// There is work to do, from where the last attempt stopped.
    Work(Box<Work>),
    /// It was given up before, for this reason, and nobody has asked for it since.
    GivenUp(Failure),
    /// Nothing is left to do: it was finished before, or overtaken by a newer one.
    Nothing,
}

/// A delivery being worked on, with what earlier attempts found out.
#[derive(Debug)]
pub struct Work {
    /// Which lead.
    pub lead_id: LeadId,
    /// Which delivery of it.
    pub delivery_id: DeliveryId,
    /// Its place among the lead's contents, from 1.
    pub revision: i64,
    /// The judgement this is, from 1.
    pub round: i64,
    /// The content.
    pub lead: Lead,
    /// What enrichment found, once it has run.
    pub enrichment: Option<Value>,
    /// Whether that says `unavailable` and is to be asked for again before this judgement.
    pub enrich_again: bool,
    /// What the CRM knew before this round's judgement, once it was asked.
    pub crm_facts: Option<CrmFacts>,
    /// When an operator promoted it: it is written also while the CRM is only shadowed, unless the CRM was held since.
    pub promoted_at: Option<Timestamp>,
    /// This round's analysis, once it has run.
    pub analysis: Option<AnalysisRecord>,
    /// How often it has failed, by stage.
    pub attempts: Attempts,
}

/// How a delivery ended well.
#[derive(Clone, Debug, PartialEq)]
pub enum Finish {
    /// Written to the CRM.
    Synced {
        /// Which CRM.
        provider: &'static str,
        /// The record.
        record_id: String,
    },
    /// Held for a person.
    Held,
    /// Its plan for the CRM is kept, and not carried out.
    Planned {
        /// Which CRM.
        provider: &'static str,
        /// The version of the mapping.
        mapping_version: String,
        /// What it would have done.
        preview: Preview,
    },
    /// Not written: it is the synthetic lead.
    Synthetic,
    /// Not written: the person is on the suppression list.
    Suppressed {
        /// By what they are on it.
        by: SuppressionKind,
    },
}

impl Store {
    /// Takes a delivery to work on: accepts it where that has not happened yet, and marks the lead.
    pub async fn begin_work(&self, event: &LeadEvent, attempt: u32) -> Result<Begun> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&event.lead_id).await?;
        let delivery = self.resolve(&mut transaction, event).await?;
        let mut row = self.open_row(&mut transaction, &event.lead_id, &delivery).await?;
        // A post under the id of an earlier one, which a webhook-id or the content gives. Others were seen by `resolve`.
        if row.is_none()
            && event.arrival != Arrival::Time
            && delivery == event.delivery_id()
            && reopen_posted_again(&mut transaction, &event.lead_id, &delivery, Some(event.received_at), now)
                .await?
        {
            row = self.open_row(&mut transaction, &event.lead_id, &delivery).await?;
        }
        let Some(row) = row else {
            // A repetition of what was given up is not given up once more.
            let given_up = if delivery == event.delivery_id() {
                why_given_up(&mut transaction, &delivery).await?
            } else {
                None
            };
            transaction.commit().await?;
            return Ok(given_up.map_or(Begun::Nothing, Begun::GivenUp));
        };
        set_status(&mut transaction, &event.lead_id, &delivery, LeadStatus::Processing, None, now).await?;
        let failure: Option<Failure> = row.optional_json("failure")?;
        // What waits for room in a limit is begun again and again: the trail has the first time.
        if !failure.is_some_and(|failure| failure.is_full_limit()) {
            let detail = json!({ "attempt": attempt, "round": row.number("round")? });
            let lead = &event.lead_id;
            audit::append(&mut transaction, lead, Some(&delivery), now, AuditKind::Started, &detail).await?;
        }
        let lead = if row.text("content_hash")? == event.content_hash.as_str() {
            event.lead.clone()
        } else {
            // A signed webhook that was sent again with other content: the first one counts.
            event_of_delivery(&mut transaction, &delivery).await?.lead
        };
        let mut work = Work {
            lead_id: event.lead_id.clone(),
            delivery_id: delivery,
            revision: row.number("revision")?,
            round: row.number("round")?,
            lead,
            enrichment: row.optional_json("enrichment")?,
            enrich_again: row.number("unenriched")? == unenriched::ASK_AGAIN,
            crm_facts: CrmFacts::of_round(row.optional_json("crm_facts")?, row.number("round")?),
            promoted_at: promoted_at(&row)?,
            attempts: Attempts::read(&row)?,
            analysis: None,
        };
        work.analysis = AnalysisRecord::load(&mut transaction, &work.delivery_id, work.round).await?;
        transaction.commit().await?;
        Ok(Begun::Work(Box::new(work)))
    }

    /// Keeps what enrichment found, and returns what is kept: once there, it is not replaced, since every later step
    /// rests on it. Only where no provider could answer, it is replaced by what they say when they are asked again.
    pub async fn save_enrichment<T: Serialize + DeserializeOwned>(
        &self,
        work: &Work,
        enrichment: T,
        detail: &Value,
    ) -> Result<T> {
        self.keep_enrichment(work, enrichment, 0, detail).await
    }

    /// [`save_enrichment`](Self::save_enrichment), of an enrichment that no provider could answer: once the delivery is done,
    /// it is asked for again.
    pub async fn save_missing_enrichment<T: Serialize + DeserializeOwned>(
        &self,
        work: &Work,
        enrichment: T,
        detail: &Value,
    ) -> Result<T> {
        self.keep_enrichment(work, enrichment, unenriched::MISSING, detail).await
    }

    async fn keep_enrichment<T: Serialize + DeserializeOwned>(
        &self,
        work: &Work,
        enrichment: T,
        unenriched: i64,
        detail: &Value,
    ) -> Result<T> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&work.lead_id).await?;
        let before = sqlx::query("SELECT enrichment, unenriched FROM delivery WHERE delivery_id = $1")
            .bind(work.delivery_id.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        if before.number("unenriched")? != unenriched::ASK_AGAIN
            && let Some(kept) = before.optional_json("enrichment")?
        {
            return Ok(kept);
        }
        sqlx::query("UPDATE delivery SET enrichment = $2, unenriched = $3 WHERE delivery_id = $1")
            .bind(work.delivery_id.as_str())
            .bind(to_json(&enrichment))
            .bind(unenriched)
            .execute(&mut *transaction)
            .await?;
        let delivery = Some(&work.delivery_id);
        audit::append(&mut transaction, &work.lead_id, delivery, now, AuditKind::Enriched, detail).await?;
        transaction.commit().await?;
        Ok(enrichment)
    }

    /// Ends a delivery well; `effects` go into the audit trail. Ending it twice changes nothing.
    pub async fn finish(&self, work: &Work, finish: &Finish, effects: &Value) -> Result<()> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&work.lead_id).await?;
        if close(&mut transaction, &work.delivery_id, "done", now).await? {
            let (status, kind, detail) = match finish {
                Finish::Synced { provider, record_id } => {
                    sqlx::query("UPDATE lead SET crm_provider = $2, crm_record_id = $3 WHERE lead_id = $1")
                        .bind(work.lead_id.as_str())
                        .bind(*provider)
                        .bind(record_id)
                        .execute(&mut *transaction)
                        .await?;
                    let detail = json!({ "provider": provider, "record_id": record_id, "effects": effects });
                    (LeadStatus::Synced, AuditKind::Synced, detail)
                }
                Finish::Held => (LeadStatus::Held, AuditKind::Held, json!({})),
                Finish::Planned { provider, mapping_version, preview } => {
                    save_planned(&mut transaction, work, provider, mapping_version, preview, now).await?;
                    let written = preview.changes.iter().filter(|change| change.left_out.is_none()).count();
                    let refused = preview.reviews.iter().filter(|review| review.refusal.is_some()).count();
                    let detail = json!({
                        "provider": provider, "mapping_version": mapping_version,
                        "actions": preview.reviews.len(), "refused": refused, "fields": written,
                    });
                    (LeadStatus::Planned, AuditKind::Planned, detail)
                }
                Finish::Synthetic => (LeadStatus::Synthetic, AuditKind::SyntheticEnded, json!({})),
                Finish::Suppressed { by } => {
                    (LeadStatus::Suppressed, AuditKind::Suppressed, json!({ "by": by }))
                }
            };
            set_status(&mut transaction, &work.lead_id, &work.delivery_id, status, None, now).await?;
            if status != LeadStatus::Suppressed {
                unenriched::schedule(&mut transaction, &work.delivery_id, now).await?;
            }
            if status != LeadStatus::Synced {
                parking::park(&mut transaction, &work.lead_id, now).await?;
            }
            audit::append(&mut transaction, &work.lead_id, Some(&work.delivery_id), now, kind, &detail)
                .await?;
        }
        transaction.commit().await
    }

    /// Keeps that an attempt failed and another follows, and counts it at its stage unless it is a deferral; `deferred` says
    /// that it did not count against the lead. That a limit is full is kept once an hour. Of a delivery that is not open any
    /// more nothing is kept: another worker had the message too, and has settled it. `attempt` is the queue's own count.
    pub async fn record_retry(
        &self,
        event: &LeadEvent,
        attempt: u32,
        failure: &Failure,
        after: Duration,
        deferred: bool,
    ) -> Result<()> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&event.lead_id).await?;
        let delivery = self.resolve(&mut transaction, event).await?;
        if self.open_row(&mut transaction, &event.lead_id, &delivery).await?.is_some() {
            let status = LeadStatus::Retrying;
            set_status(&mut transaction, &event.lead_id, &delivery, status, Some(failure), now).await?;
            let kind = if deferred { AuditKind::Deferred } else { AuditKind::Retrying };
            let counted = attempts::count(&mut transaction, &delivery, failure).await?;
            let attempt = counted.unwrap_or(i64::from(attempt));
            let lead = &event.lead_id;
            if !(failure.is_full_limit() && audit::has_said(&mut transaction, lead, now, failure).await?) {
                let detail = json!({ "attempt": attempt, "failure": failure, "after_ms": after.as_millis() });
                audit::append(&mut transaction, lead, Some(&delivery), now, kind, &detail).await?;
            }
        }
        transaction.commit().await
    }

    /// Closes an open delivery that a worker of another application on the same queue has done. Ending it twice changes
    /// nothing.
    pub async fn record_worked_elsewhere(&self, event: &LeadEvent) -> Result<()> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&event.lead_id).await?;
        let delivery = self.resolve(&mut transaction, event).await?;
        if self.open_row(&mut transaction, &event.lead_id, &delivery).await?.is_some() {
            close(&mut transaction, &delivery, "done", now).await?;
            let (status, kind) = (LeadStatus::WorkedElsewhere, AuditKind::WorkedElsewhere);
            set_status(&mut transaction, &event.lead_id, &delivery, status, None, now).await?;
            audit::append(&mut transaction, &event.lead_id, Some(&delivery), now, kind, &json!({})).await?;
        }
        transaction.commit().await
    }

    /// The row of a delivery that there is still something to do for. It is closed where a newer one has overtaken it.
    pub(crate) async fn open_row(
        &self,
        connection: &mut Connection,
        lead: &LeadId,
        delivery: &DeliveryId,
    ) -> Result<Option<AnyRow>> {
        let Some(row) = delivery_row(connection, delivery).await? else { return Ok(None) };
        if row.text("state")? != "open" {
            return Ok(None);
        }
        if row.text("newest")? == delivery.as_str() {
            return Ok(Some(row));
        }
        supersede(connection, lead, delivery, row.number("revision")?, self.now_millis()).await?;
        Ok(None)
    }
}

/// Why the newest delivery of a lead was given up; none where it was not.
async fn why_given_up(connection: &mut Connection, delivery: &DeliveryId) -> Result<Option<Failure>> {
    let row = sqlx::query(
        "SELECT l.failure FROM delivery d JOIN lead l ON l.lead_id = d.lead_id \
         WHERE d.delivery_id = $1 AND d.state = 'failed' AND l.delivery_id = d.delivery_id",
    )
    .bind(delivery.as_str())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let failure: Option<Failure> = row.optional_json("failure")?;
    let failure = failure.unwrap_or_else(|| Failure::permanent("given_up", "it was given up before"));
    // Whatever it was, there are no attempts left.
    Ok(Some(Failure { class: FailureClass::Permanent, ..failure }))
}

/// Closes an open delivery that a newer one has overtaken.
pub(crate) async fn supersede(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: &DeliveryId,
    revision: i64,
    now: i64,
) -> Result<()> {
    if close(connection, delivery, "superseded", now).await? {
        let (kind, detail) = (AuditKind::Superseded, json!({ "revision": revision }));
        audit::append(connection, lead, Some(delivery), now, kind, &detail).await?;
    }
    Ok(())
}

async fn delivery_row(connection: &mut Connection, delivery: &DeliveryId) -> Result<Option<AnyRow>> {
    Ok(sqlx::query(
        "SELECT d.state, d.revision, d.round, d.content_hash, d.enrichment, d.crm_facts, d.released, \
                l.delivery_id AS newest, l.failure, d.crm_read_attempts, d.analysis_attempts, d.crm_write_attempts, \
                d.storage_attempts, d.other_attempts, d.unenriched \
         FROM delivery d JOIN lead l ON l.lead_id = d.lead_id WHERE d.delivery_id = $1",
    )
    .bind(delivery.as_str())
    .fetch_optional(connection)
    .await?)
}

/// When a delivery was promoted: its column `released`, 0 where it was not.
pub(crate) fn promoted_at(row: &AnyRow) -> Result<Option<Timestamp>> {
    Ok(Some(row.number("released")?).filter(|at| *at > 0).map(from_millis))
}

/// Ends an open delivery; false when it was not open any more. A promotion ends with it: it lets one plan pass. Should the
/// delivery be opened again, all its attempts are before it.
pub(crate) async fn close(
    connection: &mut Connection,
    delivery: &DeliveryId,
    state: &str,
    now: i64,
) -> Result<bool> {
    let closed = sqlx::query(
        "UPDATE delivery SET state = $2, finished_at = $3, released = 0, crm_read_attempts = 0, analysis_attempts = 0, \
         crm_write_attempts = 0, storage_attempts = 0, other_attempts = 0 \
         WHERE delivery_id = $1 AND state = 'open'",
    )
    .bind(delivery.as_str())
    .bind(state)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(closed.rows_affected() == 1)
}

/// Sets where the lead stands, as long as this delivery is its newest.
pub(crate) async fn set_status(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: &DeliveryId,
    status: LeadStatus,
    failure: Option<&Failure>,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE lead SET status = $3, failure = $4, updated_at = $5 WHERE lead_id = $1 AND delivery_id = $2",
    )
    .bind(lead.as_str())
    .bind(delivery.as_str())
    .bind(status.as_str())
    .bind(failure.map(to_json))
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}
