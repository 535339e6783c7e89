use std::time::Duration;

use lead::{Actor, Dependency, Failure};

use crate::{BATCH, Janitor, Round};

/// How long a neutral verdict stands before it is rescored; longer after each try without an answer.
const REST: Duration = Duration::from_mins(1);

/// The most leads with a retried enrichment in one round: each of them is then judged again.
const ENRICHED_AT_ONCE: u32 = 20;

impl Janitor {
    /// Sends the leads again that now have an answer of enrichment. If an event is lost on the way, its
    /// delivery stays open and [`reconcile`](Self::reconcile) finds it.
    pub(crate) async fn retry_enrichment(&self, round: &mut Round) -> Result<(), Failure> {
        let Some(pipeline) = &self.pipeline else { return Ok(()) };
        for event in pipeline.retry_enrichment(ENRICHED_AT_ONCE).await? {
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
            if let Some(event) =
                self.store.reopen(&Actor::janitor(), &lead, true, "judged without an AI").await?
            {
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
