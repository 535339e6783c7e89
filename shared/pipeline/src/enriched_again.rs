use enrichment::{Enrichment, EnrichmentStatus};
use lead::{Failure, Lead, LeadEvent};
use serde_json::{Value, json};

use crate::Pipeline;
use crate::permission::{Denied, Permission};

impl Pipeline {
    /// Asks enrichment again about leads that were judged while no provider could answer, the longest waiting first and at
    /// most `limit`, and puts those up for judgement again that it answers about. Returns the events to send.
    ///
    /// It ends with the first lead that no provider can answer about: they are still away, and one question found out for all.
    /// Each lead is asked about at most [`store::MAX_ENRICH_TRIES`] times, at growing intervals. A person on the suppression
    /// list is not asked about.
    pub async fn enrich_again(&self, limit: u32) -> Result<Vec<LeadEvent>, Failure> {
        let mut events = Vec::new();
        for _ in 0..limit {
            let Some(found) = self.store.next_unenriched().await? else { break };
            let permission = match Permission::of(&self.store, &found.lead.email).await {
                Ok(permission) => permission,
                Err(Denied::Failed(failure)) => return Err(failure),
                Err(Denied::Suppressed(_)) => {
                    self.store.still_unenriched(&found).await?;
                    count("suppressed");
                    continue;
                }
            };
            let enrichment = self.ask_providers(&permission, &found.lead).await;
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

    /// Asks the enrichment providers about a lead's company. None is asked about the synthetic lead's, which does not exist.
    pub(crate) async fn ask_providers(&self, _permission: &Permission, lead: &Lead) -> Enrichment {
        if lead.id().is_synthetic() {
            return Enrichment::nothing(EnrichmentStatus::NotFound);
        }
        self.enrichment.enrich(lead).await
    }

    /// What the audit trail says of an enrichment.
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
