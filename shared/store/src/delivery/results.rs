//! The results of the steps before the CRM write. The first result is final, because all later steps build on
//! it.

use enrichment::{Enrichment, EnrichmentStatus};
use serde_json::{Value, json};

use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, to_json};
use crate::state::EnrichmentRetry;
use crate::{CrmFacts, CrmRead, Result, Store, Work};

impl Store {
    /// Saves the enrichment result of a delivery, and returns the saved one. An `unavailable` result is
    /// replaced when the providers are queried again, which happens after the delivery is done.
    pub async fn save_enrichment(
        &self,
        work: &Work,
        enrichment: Enrichment,
        detail: &Value,
    ) -> Result<Enrichment> {
        let retry = match enrichment.status {
            EnrichmentStatus::Unavailable => EnrichmentRetry::Missing,
            _ => EnrichmentRetry::None,
        };
        let now = self.now_millis();
        let mut transaction = self.begin_on(&work.lead_id).await?;
        let query = sqlx::query("SELECT enrichment, enrichment_retry FROM delivery WHERE delivery_id = $1");
        let before = query.bind(work.delivery_id.as_str()).fetch_one(&mut *transaction).await?;
        if before.word("enrichment_retry", EnrichmentRetry::parse)? != EnrichmentRetry::Requested
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

    /// Saves the CRM facts read before a judgement, and returns the saved ones: the first result of a round
    /// is final.
    pub async fn save_crm_facts(&self, work: &Work, provider: &str, facts: CrmFacts) -> Result<CrmFacts> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&work.lead_id).await?;
        let query = sqlx::query("SELECT crm_facts FROM delivery WHERE delivery_id = $1");
        let before = query.bind(work.delivery_id.as_str()).fetch_one(&mut *transaction).await?;
        if let Some(kept) = CrmFacts::of_round(before.optional_json("crm_facts")?, work.round) {
            return Ok(kept);
        }
        let (provider, at) = (Some(provider.to_owned()), Some(self.clock.now()));
        let kept = CrmRead { round: work.round, provider, at, facts };
        let query = sqlx::query("UPDATE delivery SET crm_facts = $2 WHERE delivery_id = $1");
        query.bind(work.delivery_id.as_str()).bind(to_json(&kept)).execute(&mut *transaction).await?;
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
}
