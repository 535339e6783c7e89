use std::sync::Arc;
use std::time::Duration;

use analysis::Analyst;
use async_trait::async_trait;
use lead::{Dependency, Failure, LeadEvent};

use crate::{BATCH, Janitor, Probe, Round};

/// How long a neutral verdict stands before it is rescored; longer after each try without an answer.
const REST: Duration = Duration::from_mins(1);

/// The most leads with a retried enrichment in one round: each of them is then judged again.
const ENRICHED_AT_ONCE: u32 = 20;

/// Retries enrichment for leads that were judged without its answer.
#[async_trait]
pub trait RetryEnrichment: Send + Sync {
    /// Retries for at most `limit` leads, and returns the events of those that are up for judgement again.
    async fn retry_enrichment(&self, limit: u32) -> Result<Vec<LeadEvent>, Failure>;
}

impl Janitor {
    /// Sends the leads again that now have an answer of enrichment. If an event is lost on the way, its
    /// delivery stays open and [`reconcile`](Self::reconcile) finds it.
    pub(crate) async fn retry_enrichment(&self, round: &mut Round) -> Result<(), Failure> {
        let Some(enricher) = &self.enricher else { return Ok(()) };
        for event in enricher.retry_enrichment(ENRICHED_AT_ONCE).await? {
            self.queue.send(&event).await?;
            round.enriched_again += 1;
        }
        Ok(())
    }

    /// Puts leads that were judged without an AI up for rescoring, oldest first, as soon as an AI is
    /// available.
    ///
    /// Calls no AI where no such lead exists or an AI pause is in force.
    pub(crate) async fn rescore(&self, round: &mut Round) -> Result<(), Failure> {
        let leads = self.store.leads_to_rescore(self.clock.now(), REST, BATCH).await?;
        if leads.is_empty() || !self.ai_can_be_used().await? {
            return Ok(());
        }
        for lead in leads {
            if let Some(event) = self.store.reopen(&lead, true, "judged without an AI").await? {
                self.queue.send(&event).await?;
                round.second_looks += 1;
            }
        }
        Ok(())
    }

    /// Whether any AI answers and no AI pauses the queue.
    async fn ai_can_be_used(&self) -> Result<bool, Failure> {
        if self.queue.pauses().await?.iter().any(|pause| is_ai(&pause.dependency)) {
            return Ok(false);
        }
        let mut is_away = false;
        for (dependency, probe) in self.probes.iter().filter(|(dependency, _)| is_ai(dependency)) {
            match self.probe(probe.as_ref()).await {
                Ok(()) => return Ok(true),
                Err(failure) => {
                    tracing::debug!(%dependency, code = %failure.code, "rescoring skipped: AI unavailable");
                    is_away = true;
                }
            }
        }
        Ok(!is_away)
    }
}

fn is_ai(dependency: &Dependency) -> bool {
    dependency.as_str().starts_with("ai.")
}

/// Probes for the AI services that an analyst calls.
pub fn ai_probes(analyst: &Arc<dyn Analyst>) -> Vec<(Dependency, Arc<dyn Probe>)> {
    let probe = |dependency: Dependency| {
        let probe = AiProbe { analyst: Arc::clone(analyst), dependency: dependency.clone() };
        (dependency, Arc::new(probe) as Arc<dyn Probe>)
    };
    analyst.dependencies().into_iter().map(probe).collect()
}

struct AiProbe {
    analyst: Arc<dyn Analyst>,
    dependency: Dependency,
}

#[async_trait]
impl Probe for AiProbe {
    async fn probe(&self) -> Result<(), Failure> {
        self.analyst.probe(&self.dependency).await
    }
}
