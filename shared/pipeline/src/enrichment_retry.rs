use enrichment::{Enrichment, EnrichmentStatus};
use lead::{Failure, Lead, LeadEvent};
use serde_json::{Value, json};

use crate::Pipeline;
use crate::permission::{Denied, Permission};

impl Pipeline {
    /// Retries enrichment of leads that were judged while no provider was available: the longest waiting
    /// first, at most `limit`. A lead with an answer is queued for another judgement. Returns the events to
    /// send.
    ///
    /// Stops at the first lead for which no provider is available, since the others would fail in the same
    /// way. Each delivery is retried at most [`store::MAX_ENRICH_TRIES`] times, at growing intervals. Leads
    /// of people on the suppression list cause no query.
    pub async fn retry_enrichment(&self, limit: u32) -> Result<Vec<LeadEvent>, Failure> {
        let mut events = Vec::new();
        for _ in 0..limit {
            let Some(found) = self.store.next_unenriched().await? else { break };
            let permission = match Permission::of(&self.steps, &found.lead.email).await {
                Ok(permission) => permission,
                Err(Denied::Failed(failure)) => return Err(failure),
                Err(Denied::Suppressed(_)) => {
                    self.store.still_unenriched(&found).await?;
                    count("suppressed");
                    continue;
                }
            };
            let enrichment = self.query_providers(&permission, &found.lead).await;
            if enrichment.status == EnrichmentStatus::Unavailable {
                self.store.still_unenriched(&found).await?;
                count("unavailable");
                break;
            }
            let detail = self.enrichment_detail(&enrichment);
            events.extend(self.store.reopen_enriched(&found, &enrichment, &detail).await?);
            count("answered");
        }
        Ok(events)
    }

    /// Queries the enrichment providers about a lead's company. The synthetic lead has no company and causes
    /// no query.
    pub(crate) async fn query_providers(&self, _permission: &Permission, lead: &Lead) -> Enrichment {
        if lead.id().is_synthetic() {
            return Enrichment::nothing(EnrichmentStatus::NotFound);
        }
        self.enrichment.enrich(lead).await
    }

    /// The audit trail's record of an enrichment.
    pub(crate) fn enrichment_detail(&self, enrichment: &Enrichment) -> Value {
        json!({
            "status": enrichment.status,
            "providers": self.enrichment.providers().collect::<Vec<_>>(),
            "fields": enrichment.provenance.keys().collect::<Vec<_>>(),
            "errors": enrichment.errors,
        })
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("revenueflow_enriched_again_total", "outcome" => outcome).increment(1);
}
