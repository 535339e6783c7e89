use std::time::Duration;

use crm::Preview;
use database::{Connection, from_millis};
use jiff::Timestamp;
use lead::{Arrival, DeliveryId, Failure, FailureKind, Lead, LeadEvent, LeadId, LeadStatus, Scope, Until};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sqlx::any::AnyRow;

use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, parsed, to_json};
use crate::reopen::{event_of_delivery, reopen_posted_again};
use crate::state::EnrichmentRetry;
use crate::{AnalysisRecord, Attempts, CrmFacts, DeliveryState, Result, Store, SuppressionKind};
use crate::{attempts, parking, unenriched};

/// The state in which a worker finds a delivery.
#[derive(Debug)]
pub enum Begun {
    /// There is work to do, from the point at which the last attempt stopped.
    Work(Box<Work>),
    /// The delivery was dead-lettered for this reason, and has not been reopened since.
    DeadLettered(Failure),
    /// Nothing is left to do: the delivery is finished, a newer one has superseded it, or its person was
    /// erased.
    Nothing,
}

/// A delivery being worked on, with the results of earlier attempts.
#[derive(Debug)]
pub struct Work {
    /// The lead.
    pub lead_id: LeadId,
    /// Its delivery.
    pub delivery_id: DeliveryId,
    /// The number of this content among the lead's contents, from 1.
    pub revision: i64,
    /// The number of this judgement of the delivery, from 1.
    pub round: i64,
    /// The content.
    pub lead: Lead,
    /// The enrichment result, once enrichment has run.
    pub enrichment: Option<Value>,
    /// Whether the enrichment result is `unavailable` and must be requested again before this judgement.
    pub retry_enrichment: bool,
    /// The CRM facts read for this round's judgement, once they were read.
    pub crm_facts: Option<CrmFacts>,
    /// When an operator promoted the delivery: it is written even while the CRM is only shadowed, unless the
    /// CRM was put on hold since.
    pub promoted_at: Option<Timestamp>,
    /// This round's analysis, once it has run.
    pub analysis: Option<AnalysisRecord>,
    /// How often work on the delivery has failed, by stage.
    pub attempts: Attempts,
}

/// The successful end of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Finish {
    /// Written to the CRM.
    Synced {
        /// The CRM.
        provider: &'static str,
        /// The record's id in the CRM.
        record_id: String,
    },
    /// Held for review.
    Held,
    /// The plan for the CRM is not carried out. Its counts go into the audit trail.
    Planned {
        /// The CRM.
        provider: &'static str,
        /// The version of the mapping.
        mapping_version: String,
        /// The effects that the plan would have had.
        preview: Preview,
    },
    /// Not written: it is the synthetic lead.
    Synthetic,
    /// Not written: the person is on the suppression list.
    Suppressed {
        /// The kind of entry that matches the person.
        by: SuppressionKind,
    },
}

impl Store {
    /// Begins work on a delivery: accepts it unless that has already happened, and sets the lead's status.
    pub async fn begin_work(&self, event: &LeadEvent, attempt: u32) -> Result<Begun> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&event.lead_id).await?;
        let delivery = self.resolve(&mut transaction, event).await?;
        let mut row = self.open_row(&mut transaction, &event.lead_id, &delivery).await?;
        // A repeated post with the id of an earlier delivery, taken from its `webhook-id` or its content.
        // `resolve` has handled the other repeats.
        if row.is_none()
            && event.arrival != Arrival::Time
            && delivery == event.delivery_id()
            && reopen_posted_again(&mut transaction, &event.lead_id, &delivery, Some(event.received_at), now)
                .await?
        {
            row = self.open_row(&mut transaction, &event.lead_id, &delivery).await?;
        }
        let Some(row) = row else {
            // A message that repeats a dead-lettered delivery is not dead-lettered once more.
            let dead_lettered = if delivery == event.delivery_id() {
                dead_letter_reason(&mut transaction, &delivery).await?
            } else {
                None
            };
            transaction.commit().await?;
            return Ok(dead_lettered.map_or(Begun::Nothing, Begun::DeadLettered));
        };
        set_status(&mut transaction, &event.lead_id, &delivery, LeadStatus::Processing, None, now).await?;
        let failure: Option<Failure> = row.optional_json("failure")?;
        // A lead that waits for a rate limit begins again and again; only the first time is audited.
        if !failure.is_some_and(|failure| failure.ends_by_itself()) {
            let detail = json!({ "attempt": attempt, "round": row.number("round")? });
            let lead = &event.lead_id;
            audit::append(&mut transaction, lead, Some(&delivery), now, AuditKind::Started, &detail).await?;
        }
        let lead = if row.text("content_hash")? == event.content_hash.as_str() {
            event.lead.clone()
        } else {
            // A signed webhook that was resent with other content: the first content counts.
            event_of_delivery(&mut transaction, &delivery).await?.lead
        };
        let mut work = Work {
            lead_id: event.lead_id.clone(),
            delivery_id: delivery,
            revision: row.number("revision")?,
            round: row.number("round")?,
            lead,
            enrichment: row.optional_json("enrichment")?,
            retry_enrichment: unenriched::retry_of(&row)? == EnrichmentRetry::Requested,
            crm_facts: CrmFacts::of_round(row.optional_json("crm_facts")?, row.number("round")?),
            promoted_at: promoted_at(&row)?,
            attempts: Attempts::read(&row)?,
            analysis: None,
        };
        work.analysis = AnalysisRecord::load(&mut transaction, &work.delivery_id, work.round).await?;
        transaction.commit().await?;
        Ok(Begun::Work(Box::new(work)))
    }

    /// Saves the enrichment result of a delivery, and returns the saved one. The first result is final,
    /// because all later steps build on it; only an `unavailable` result is replaced when the providers are
    /// queried again.
    pub async fn save_enrichment<T: Serialize + DeserializeOwned>(
        &self,
        work: &Work,
        enrichment: T,
        detail: &Value,
    ) -> Result<T> {
        self.keep_enrichment(work, enrichment, EnrichmentRetry::None, detail).await
    }

    /// Like [`save_enrichment`](Self::save_enrichment), for a result without an answer from any provider:
    /// enrichment is requested again after the delivery is done.
    pub async fn save_missing_enrichment<T: Serialize + DeserializeOwned>(
        &self,
        work: &Work,
        enrichment: T,
        detail: &Value,
    ) -> Result<T> {
        self.keep_enrichment(work, enrichment, EnrichmentRetry::Missing, detail).await
    }

    async fn keep_enrichment<T: Serialize + DeserializeOwned>(
        &self,
        work: &Work,
        enrichment: T,
        retry: EnrichmentRetry,
        detail: &Value,
    ) -> Result<T> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&work.lead_id).await?;
        let before = sqlx::query("SELECT enrichment, enrichment_retry FROM delivery WHERE delivery_id = $1")
            .bind(work.delivery_id.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        if unenriched::retry_of(&before)? != EnrichmentRetry::Requested
            && let Some(kept) = before.optional_json("enrichment")?
        {
            return Ok(kept);
        }
        sqlx::query("UPDATE delivery SET enrichment = $2, enrichment_retry = $3 WHERE delivery_id = $1")
            .bind(work.delivery_id.as_str())
            .bind(to_json(&enrichment))
            .bind(retry.as_str())
            .execute(&mut *transaction)
            .await?;
        let delivery = Some(&work.delivery_id);
        audit::append(&mut transaction, &work.lead_id, delivery, now, AuditKind::Enriched, detail).await?;
        transaction.commit().await?;
        Ok(enrichment)
    }

    /// Ends a delivery successfully; `effects` go into the audit trail. Idempotent.
    pub async fn finish(&self, work: &Work, finish: &Finish, effects: &Value) -> Result<()> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&work.lead_id).await?;
        if close(&mut transaction, &work.delivery_id, DeliveryState::Done, now).await? {
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

    /// Records a failed attempt that will be retried, and counts it at its stage unless it is a deferral;
    /// `deferred` states that it did not count against the lead. A full rate limit is audited at most once an
    /// hour.
    ///
    /// Records nothing for a delivery that is no longer open: another worker also received the message, and
    /// has settled it. `attempt` is the queue's own count.
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
            if is_to_be_audited(&mut transaction, &delivery, failure, now).await? {
                let detail = json!({ "attempt": attempt, "failure": failure, "after_ms": after.as_millis() });
                audit::append(&mut transaction, lead, Some(&delivery), now, kind, &detail).await?;
            }
        }
        transaction.commit().await
    }

    /// Closes an open delivery that a worker of another application on the same queue has processed.
    /// Idempotent.
    pub async fn record_worked_elsewhere(&self, event: &LeadEvent) -> Result<()> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&event.lead_id).await?;
        let delivery = self.resolve(&mut transaction, event).await?;
        if self.open_row(&mut transaction, &event.lead_id, &delivery).await?.is_some() {
            close(&mut transaction, &delivery, DeliveryState::Done, now).await?;
            let (status, kind) = (LeadStatus::WorkedElsewhere, AuditKind::WorkedElsewhere);
            set_status(&mut transaction, &event.lead_id, &delivery, status, None, now).await?;
            audit::append(&mut transaction, &event.lead_id, Some(&delivery), now, kind, &json!({})).await?;
        }
        transaction.commit().await
    }

    /// The row of a delivery that still has work to do; none if it is not open. Closes the delivery if a
    /// newer one has superseded it.
    pub(crate) async fn open_row(
        &self,
        connection: &mut Connection,
        lead: &LeadId,
        delivery: &DeliveryId,
    ) -> Result<Option<AnyRow>> {
        let Some(row) = delivery_row(connection, delivery).await? else { return Ok(None) };
        if delivery_state(&row)? != DeliveryState::Open {
            return Ok(None);
        }
        if row.text("newest")? == delivery.as_str() {
            return Ok(Some(row));
        }
        supersede(connection, lead, delivery, row.number("revision")?, self.now_millis()).await?;
        Ok(None)
    }
}

/// The failure that dead-lettered a delivery; none if it was not dead-lettered or is not its lead's newest.
async fn dead_letter_reason(connection: &mut Connection, delivery: &DeliveryId) -> Result<Option<Failure>> {
    let row = sqlx::query(
        "SELECT l.failure FROM delivery d JOIN lead l ON l.lead_id = d.lead_id \
         WHERE d.delivery_id = $1 AND d.state = 'failed' AND l.delivery_id = d.delivery_id",
    )
    .bind(delivery.as_str())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let failure: Option<Failure> = row.optional_json("failure")?;
    let failure =
        failure.unwrap_or_else(|| Failure::permanent("given_up", "the delivery was dead-lettered before"));
    // Permanent, whatever its class was: no attempts are left.
    Ok(Some(Failure { kind: FailureKind::Permanent, ..failure }))
}

/// The period in which full limits are audited only once for a delivery, in milliseconds.
const LIMIT_AUDIT_MS: i64 = 60 * 60 * 1_000;

/// Whether a failure goes into the audit trail. A full limit does once an hour, unless another failure comes
/// between or it concerns other leads.
async fn is_to_be_audited(
    connection: &mut Connection,
    delivery: &DeliveryId,
    failure: &Failure,
    now: i64,
) -> Result<bool> {
    let FailureKind::Deferral { scope, until: Until::Elapsed(_) } = &failure.kind else {
        sqlx::query("UPDATE delivery SET limit_audited_at = NULL, limit_scope = NULL WHERE delivery_id = $1")
            .bind(delivery.as_str())
            .execute(connection)
            .await?;
        return Ok(true);
    };
    let noted = sqlx::query(
        "UPDATE delivery SET limit_audited_at = $2, limit_scope = $4 WHERE delivery_id = $1 \
         AND (limit_audited_at IS NULL OR limit_audited_at <= $2 - $3 OR limit_scope <> $4)",
    )
    .bind(delivery.as_str())
    .bind(now)
    .bind(LIMIT_AUDIT_MS)
    .bind(if *scope == Scope::Lead { "lead" } else { "all" })
    .execute(connection)
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// The state of a delivery's row.
pub(crate) fn delivery_state(row: &AnyRow) -> Result<DeliveryState> {
    parsed("state", DeliveryState::parse(&row.text("state")?))
}

/// Closes an open delivery that a newer one has superseded.
pub(crate) async fn supersede(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: &DeliveryId,
    revision: i64,
    now: i64,
) -> Result<()> {
    if close(connection, delivery, DeliveryState::Superseded, now).await? {
        let (kind, detail) = (AuditKind::Superseded, json!({ "revision": revision }));
        audit::append(connection, lead, Some(delivery), now, kind, &detail).await?;
    }
    Ok(())
}

async fn delivery_row(connection: &mut Connection, delivery: &DeliveryId) -> Result<Option<AnyRow>> {
    Ok(sqlx::query(
        "SELECT d.state, d.revision, d.round, d.content_hash, d.enrichment, d.crm_facts, d.promoted_at, \
                l.delivery_id AS newest, l.failure, d.crm_read_attempts, d.analysis_attempts, d.crm_write_attempts, \
                d.storage_attempts, d.other_attempts, d.enrichment_retry \
         FROM delivery d JOIN lead l ON l.lead_id = d.lead_id WHERE d.delivery_id = $1",
    )
    .bind(delivery.as_str())
    .fetch_optional(connection)
    .await?)
}

/// When a delivery was promoted.
pub(crate) fn promoted_at(row: &AnyRow) -> Result<Option<Timestamp>> {
    Ok(row.optional_number("promoted_at")?.map(from_millis))
}

/// Ends an open delivery; false if it was not open any more. Also ends a promotion, which lets only one plan
/// through, and resets the attempts, so that a reopened delivery has all of them.
pub(crate) async fn close(
    connection: &mut Connection,
    delivery: &DeliveryId,
    state: DeliveryState,
    now: i64,
) -> Result<bool> {
    let closed = sqlx::query(
        "UPDATE delivery SET state = $2, finished_at = $3, promoted_at = NULL, crm_read_attempts = 0, analysis_attempts = 0, \
         crm_write_attempts = 0, storage_attempts = 0, other_attempts = 0, crm_failed_at = NULL, \
         limit_audited_at = NULL, limit_scope = NULL \
         WHERE delivery_id = $1 AND state = 'open'",
    )
    .bind(delivery.as_str())
    .bind(state.as_str())
    .bind(now)
    .execute(connection)
    .await?;
    Ok(closed.rows_affected() == 1)
}

/// Sets the status of a lead if this delivery is its newest.
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
