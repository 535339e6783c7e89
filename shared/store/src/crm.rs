//! What is kept around the CRM: what it knew, what was planned and not written, what may be put back.

use crm::{ActionId, FieldChange, Known, Preview, Restored};
use database::Connection;
use jiff::Timestamp;
use lead::{DeliveryId, LeadEvent, LeadId, LeadStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, to_json};
use crate::reopen::event_of;
use crate::work::{promoted_at, set_status};
use crate::{Attempts, Result, Store, Work, parking};

/// What reading the CRM before a judgement came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrmFacts {
    /// The CRM answered.
    Known(Known),
    /// It could not be read, for this reason, and the judgement was made without it.
    Unreadable(String),
    /// It knows only what we wrote, and was not asked.
    NotAsked,
}

/// One reading of the CRM. It belongs to one round of judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrmRead {
    /// The judgement of its delivery, from 1.
    pub round: i64,
    /// Which CRM; none in what was kept before this was.
    #[serde(default)]
    pub provider: Option<String>,
    /// When; the same.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// What it came to.
    pub facts: CrmFacts,
}

impl CrmRead {
    /// Whether a fact below `salesforce.*` is the CRM's own word.
    pub fn states(&self, name: &str) -> bool {
        matches!(&self.facts, CrmFacts::Known(known) if known.facts().contains_key(name))
    }

    /// Puts what the CRM said over what the sender said about it.
    pub fn overlay(&self, salesforce: &mut Map<String, Value>) {
        if let CrmFacts::Known(known) = &self.facts {
            known.overlay(salesforce);
        }
    }
}

/// A plan that was made and not carried out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedWrite {
    /// The delivery it follows from.
    pub delivery_id: DeliveryId,
    /// The judgement of it, from 1.
    pub round: i64,
    /// Which CRM.
    pub provider: String,
    /// The version of the mapping.
    pub mapping_version: String,
    /// What it would have done then.
    pub preview: Preview,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A CRM that is only shadowed, by an operator's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CrmHold {
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// An effect that was had, with what it changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WrittenAction {
    /// Identifies the effect.
    pub action_id: ActionId,
    /// What kind of action.
    pub kind: String,
    /// The record it wrote.
    pub record_id: String,
    /// What it changed, with the values before it; empty where those were not kept.
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
    /// Keeps what the CRM knew before a judgement, and returns what is kept: of two answers in the same round the first.
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

    /// What the CRM knew before the last judgement of a delivery; none where it was not asked.
    pub async fn crm_facts_of(&self, delivery: &DeliveryId) -> Result<Option<CrmFacts>> {
        let row = sqlx::query("SELECT crm_facts FROM delivery WHERE delivery_id = $1")
            .bind(delivery.as_str())
            .fetch_optional(self.database.pool())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let kept: Option<CrmRead> = row.optional_json("crm_facts")?;
        Ok(kept.map(|kept| kept.facts))
    }

    /// The plan of a lead that was made and not carried out.
    pub async fn planned_write(&self, lead: &LeadId) -> Result<Option<PlannedWrite>> {
        let row = sqlx::query("SELECT * FROM crm_preview WHERE lead_id = $1")
            .bind(lead.as_str())
            .fetch_optional(self.database.pool())
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(PlannedWrite {
            delivery_id: row.id("delivery_id")?,
            round: row.number("round")?,
            provider: row.text("provider")?,
            mapping_version: row.text("mapping_version")?,
            preview: row.json("preview")?,
            created_at: row.time("created_at")?,
        }))
    }

    /// Lets a planned lead through to the CRM, once, and returns the event to send. None where it is not planned any more: it
    /// was let through before, or has newer content that is on its way. A CRM that is held afterwards stops it again.
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
            "UPDATE delivery SET state = 'open', finished_at = NULL, released = $2 WHERE delivery_id = $1",
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

    /// Shadows a CRM from now on, in every process, whatever `CRM_MODE` says. Holding what is held changes nothing.
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

    /// Ends [`hold_crm`](Self::hold_crm). False where nothing was held.
    pub async fn unhold_crm(&self, provider: &str) -> Result<bool> {
        let gone = sqlx::query("DELETE FROM crm_hold WHERE provider = $1")
            .bind(provider)
            .execute(self.database.pool())
            .await?;
        Ok(gone.rows_affected() == 1)
    }

    /// Whether a CRM is shadowed by an operator's word.
    pub async fn crm_hold(&self, provider: &str) -> Result<Option<CrmHold>> {
        let row = sqlx::query("SELECT reason, since FROM crm_hold WHERE provider = $1")
            .bind(provider)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| Ok(CrmHold { reason: row.text("reason")?, since: row.time("since")? })).transpose()
    }

    /// What a lead's plans have written to a CRM and was not put back, the newest first.
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

    /// Keeps that an action's old values are back, where one is. It may then be done again, and the lead's newest plan counts
    /// as planned, so that promoting it does so.
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

    /// Leads that something was written for in a CRM and was not put back, in the order of their ids, `limit` of them from
    /// behind `after` on.
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

    /// A settled lead's newest delivery as a worker would find it, without taking it.
    pub async fn settled_work(&self, lead: &LeadId) -> Result<Option<Work>> {
        let row = sqlx::query(
            "SELECT d.lead_id, d.delivery_id, d.content, d.revision, d.round, d.enrichment, d.crm_facts, d.released \
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
            enrich_again: false,
            crm_facts: CrmFacts::of_round(row.optional_json("crm_facts")?, round),
            promoted_at: promoted_at(&row)?,
            attempts: Attempts::default(),
            analysis,
        }))
    }
}

/// Keeps a plan that is not carried out, in place of the lead's last one.
pub(crate) async fn save_planned(
    connection: &mut Connection,
    work: &Work,
    provider: &str,
    mapping_version: &str,
    preview: &Preview,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO crm_preview (lead_id, delivery_id, round, provider, mapping_version, preview, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (lead_id) DO UPDATE SET delivery_id = excluded.delivery_id, \
         round = excluded.round, provider = excluded.provider, mapping_version = excluded.mapping_version, \
         preview = excluded.preview, created_at = excluded.created_at",
    )
    .bind(work.lead_id.as_str())
    .bind(work.delivery_id.as_str())
    .bind(work.round)
    .bind(provider)
    .bind(mapping_version)
    .bind(to_json(preview))
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}
