//! State around CRM writes: the facts read before a judgement, promotions and holds, and writes that can be
//! undone.

use crm::{ActionId, FieldChange, Known, Restored};
use jiff::Timestamp;
use lead::{DeliveryId, LeadEvent, LeadId, LeadStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, to_json};
use crate::reopen::event_of;
use crate::work::{promoted_at, set_status};
use crate::{Attempts, Result, Store, Work, parking};

/// The result of reading the CRM before a judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrmFacts {
    /// The CRM answered.
    Known(Known),
    /// The CRM could not be read, for this reason, and the judgement was made without it.
    Unreadable(String),
    /// The CRM holds only our own writes, and was not read.
    NotAsked,
}

/// One reading of the CRM. It belongs to one round of judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrmRead {
    /// The judgement of its delivery, from 1.
    pub round: i64,
    /// The CRM; none in rows written before this field existed.
    #[serde(default)]
    pub provider: Option<String>,
    /// When it was read; none in rows written before this field existed.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// The result.
    pub facts: CrmFacts,
}

impl CrmRead {
    /// Whether the CRM is the source of a fact below `salesforce.*`.
    pub fn states(&self, name: &str) -> bool {
        matches!(&self.facts, CrmFacts::Known(known) if known.facts().contains_key(name))
    }

    /// Overwrites the sender's `salesforce.*` facts with those from the CRM.
    pub fn overlay(&self, salesforce: &mut Map<String, Value>) {
        if let CrmFacts::Known(known) = &self.facts {
            known.overlay(salesforce);
        }
    }
}

/// A hold on a CRM by an operator: plans are only shadowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CrmHold {
    /// The operator's reason.
    pub reason: String,
    /// When the hold began.
    pub since: Timestamp,
}

/// An effect on the CRM that took place, with the field changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WrittenAction {
    /// Identifies the effect.
    pub action_id: ActionId,
    /// The kind of action.
    pub kind: String,
    /// The record it wrote.
    pub record_id: String,
    /// The field changes with the earlier values; empty if those were not saved.
    pub changes: Vec<FieldChange>,
    /// When it was written.
    pub updated_at: Timestamp,
}

impl CrmFacts {
    pub(crate) fn of_round(text: Option<Value>, round: i64) -> Option<Self> {
        let kept: CrmRead = serde_json::from_value(text?).ok()?;
        (kept.round == round).then_some(kept.facts)
    }
}

impl Store {
    /// Saves the CRM facts read before a judgement, and returns the saved ones: the first result of a round
    /// is final.
    pub async fn save_crm_facts(&self, work: &Work, provider: &str, facts: CrmFacts) -> Result<CrmFacts> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&work.lead_id).await?;
        let before = sqlx::query("SELECT crm_facts FROM delivery WHERE delivery_id = $1")
            .bind(work.delivery_id.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        if let Some(kept) = CrmFacts::of_round(before.optional_json("crm_facts")?, work.round) {
            return Ok(kept);
        }
        let (provider, at) = (Some(provider.to_owned()), Some(self.clock.now()));
        let kept = CrmRead { round: work.round, provider, at, facts };
        sqlx::query("UPDATE delivery SET crm_facts = $2 WHERE delivery_id = $1")
            .bind(work.delivery_id.as_str())
            .bind(to_json(&kept))
            .execute(&mut *transaction)
            .await?;
        let detail = match &kept.facts {
            CrmFacts::Known(known) => {
                let mut detail = json!({
                    "lead": known.lead.is_some(), "contact": known.contact.is_some(),
                    "account": known.account.is_some(), "open_opportunities": known.open_opportunities.len(),
                });
                if known.account_unread {
                    detail["account_unread"] = json!(true);
                }
                Some(detail)
            }
            CrmFacts::Unreadable(code) => Some(json!({ "unreadable": code })),
            CrmFacts::NotAsked => None,
        };
        if let Some(detail) = detail {
            let (delivery, kind) = (Some(&work.delivery_id), AuditKind::CrmRead);
            audit::append(&mut transaction, &work.lead_id, delivery, now, kind, &detail).await?;
        }
        transaction.commit().await?;
        Ok(kept.facts)
    }

    /// Promotes a planned lead: its plan is written to the CRM, once. Returns the event to send.
    ///
    /// None if the lead is not planned any more: it was promoted before, or newer content is on its way. A
    /// hold that is put on the CRM afterwards blocks the write again.
    pub async fn promote(&self, lead: &LeadId) -> Result<Option<LeadEvent>> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        let row = sqlx::query(
            "SELECT d.lead_id, d.delivery_id, d.content_hash, d.received_at, d.arrival, d.content \
             FROM lead l JOIN delivery d ON d.delivery_id = l.delivery_id WHERE l.lead_id = $1 AND l.status = $2",
        )
        .bind(lead.as_str())
        .bind(LeadStatus::Planned.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let delivery: DeliveryId = row.id("delivery_id")?;
        sqlx::query(
            "UPDATE delivery SET state = 'open', finished_at = NULL, promoted_at = $2 WHERE delivery_id = $1",
        )
        .bind(delivery.as_str())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        set_status(&mut transaction, lead, &delivery, LeadStatus::Queued, None, now).await?;
        let detail = json!({ "reason": "promoted", "rejudge": false });
        audit::append(&mut transaction, lead, Some(&delivery), now, AuditKind::Reopened, &detail).await?;
        transaction.commit().await?;
        event_of(&row).map(Some)
    }

    /// Puts a CRM on hold: every process only shadows it from now on, whatever `CRM_MODE` says. Idempotent;
    /// an existing hold keeps its reason and time.
    pub async fn hold_crm(&self, provider: &str, reason: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO crm_hold (provider, reason, since) VALUES ($1, $2, $3) ON CONFLICT (provider) DO NOTHING",
        )
        .bind(provider)
        .bind(reason)
        .bind(self.now_millis())
        .execute(self.database.pool())
        .await?;
        Ok(())
    }

    /// Ends [`hold_crm`](Self::hold_crm). False if the CRM was not on hold.
    pub async fn unhold_crm(&self, provider: &str) -> Result<bool> {
        let deleted = sqlx::query("DELETE FROM crm_hold WHERE provider = $1")
            .bind(provider)
            .execute(self.database.pool())
            .await?;
        Ok(deleted.rows_affected() == 1)
    }

    /// The hold on a CRM; none if it is not on hold.
    pub async fn crm_hold(&self, provider: &str) -> Result<Option<CrmHold>> {
        let row = sqlx::query("SELECT reason, since FROM crm_hold WHERE provider = $1")
            .bind(provider)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| Ok(CrmHold { reason: row.text("reason")?, since: row.time("since")? })).transpose()
    }

    /// The effects of a lead's plans on a CRM that were not undone, newest first; at most 1,000.
    pub async fn written(&self, provider: &str, lead: &LeadId) -> Result<Vec<WrittenAction>> {
        let rows = sqlx::query(
            "SELECT action_id, kind, record_id, changes, updated_at FROM crm_action \
             WHERE lead_id = $1 AND provider = $2 AND state = 'done' ORDER BY created_at DESC, position DESC LIMIT 1000",
        )
        .bind(lead.as_str())
        .bind(provider)
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(WrittenAction {
                    action_id: row.id("action_id")?,
                    kind: row.text("kind")?,
                    record_id: row.optional_text("record_id")?.unwrap_or_default(),
                    changes: row.optional_json("changes")?.unwrap_or_default(),
                    updated_at: row.time("updated_at")?,
                })
            })
            .collect()
    }

    /// Records that the old values of an action are restored, if at least one field is. The action may then
    /// be repeated, and a synced lead counts as planned again, so that promoting it repeats the action.
    pub async fn record_restored(
        &self,
        lead: &LeadId,
        action: &WrittenAction,
        results: &[Restored],
    ) -> Result<()> {
        let count = |which| results.iter().filter(|result| **result == which).count();
        let (put_back, back_already) = (count(Restored::PutBack), count(Restored::BackAlready));
        if put_back + back_already == 0 {
            return Ok(());
        }
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        let restored = sqlx::query(
            "UPDATE crm_action SET state = 'restored', updated_at = $2 WHERE action_id = $1 AND state = 'done'",
        )
        .bind(action.action_id.as_str())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        let newest = sqlx::query("SELECT delivery_id, status FROM lead WHERE lead_id = $1")
            .bind(lead.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = newest.filter(|_| restored.rows_affected() == 1) {
            let delivery: DeliveryId = row.id("delivery_id")?;
            if row.text("status")? == LeadStatus::Synced.as_str() {
                set_status(&mut transaction, lead, &delivery, LeadStatus::Planned, None, now).await?;
                parking::park(&mut transaction, lead, now).await?;
            }
            let detail = json!({
                "action": action.kind, "fields_put_back": put_back, "fields_back_already": back_already,
                "fields_changed_since": count(Restored::ChangedSince),
            });
            audit::append(&mut transaction, lead, Some(&delivery), now, AuditKind::Restored, &detail).await?;
        }
        transaction.commit().await
    }

    /// Up to `limit` leads with effects on a CRM that were not undone, in the order of their ids, starting
    /// after `after`.
    pub async fn written_leads(
        &self,
        provider: &str,
        after: Option<&LeadId>,
        limit: u32,
    ) -> Result<Vec<LeadId>> {
        let rows = sqlx::query(
            "SELECT DISTINCT lead_id FROM crm_action WHERE provider = $1 AND state = 'done' AND lead_id > $2 \
             ORDER BY lead_id LIMIT $3",
        )
        .bind(provider)
        .bind(after.map_or("", LeadId::as_str))
        .bind(i64::from(limit))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(|row| row.id("lead_id")).collect()
    }

    /// The newest delivery of a settled lead, as [`begin_work`](Self::begin_work) would return it, without
    /// beginning work.
    pub async fn settled_work(&self, lead: &LeadId) -> Result<Option<Work>> {
        let row = sqlx::query(
            "SELECT d.lead_id, d.delivery_id, d.content, d.revision, d.round, d.enrichment, d.crm_facts, d.promoted_at \
             FROM lead l JOIN delivery d ON d.delivery_id = l.delivery_id WHERE l.lead_id = $1",
        )
        .bind(lead.as_str())
        .fetch_optional(self.database.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (delivery_id, round): (DeliveryId, i64) = (row.id("delivery_id")?, row.number("round")?);
        let mut connection = self.database.pool().acquire().await?;
        let analysis = crate::AnalysisRecord::load(&mut connection, &delivery_id, round).await?;
        Ok(Some(Work {
            lead_id: row.id("lead_id")?,
            delivery_id,
            revision: row.number("revision")?,
            round,
            lead: row.json("content")?,
            enrichment: row.optional_json("enrichment")?,
            retry_enrichment: false,
            crm_facts: CrmFacts::of_round(row.optional_json("crm_facts")?, round),
            promoted_at: promoted_at(&row)?,
            attempts: Attempts::default(),
            analysis,
        }))
    }
}
