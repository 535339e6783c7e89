use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use enrichment::{Enrichment, EnrichmentStatus};
use janitor::{Chase, EnrichAgain, Janitor, Overdue, Probe};
use lead::{Dependency, Failure, LeadEvent};
use pipeline::Pipeline;
use runtime::Config;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// How often the janitor makes its round. In production a schedule does, every minute.
pub(super) const JANITOR_INTERVAL: Duration = Duration::from_secs(5);

/// The janitor of this process.
pub(crate) fn janitor(config: &Config, app: &App) -> Janitor {
    let crm = app.pipeline.guard.dependency().clone();
    let mut probes: Vec<(Dependency, Arc<dyn Probe>)> =
        vec![(crm, Arc::new(CrmProbe(Arc::clone(&app.pipeline))))];
    probes.extend(janitor::ai_probes(&app.pipeline.analyst));
    Janitor::new(app.store.clone(), Arc::clone(&app.queue), probes, Arc::clone(&app.clock))
        .chasing(Arc::new(Chaser(Arc::clone(&app.pipeline))))
        .enriching(Arc::new(Chaser(Arc::clone(&app.pipeline))))
        .hot_first(hot_by_the_profile(&app.pipeline))
        .keeping_quarantine(config.quarantine_keep, config.quarantine_rows)
}

/// Ready to buy by what the sender said alone, since nobody is asked while leads wait.
fn hot_by_the_profile(pipeline: &Arc<Pipeline>) -> Arc<janitor::IsHot> {
    let icp = pipeline.icp.clone();
    let unknown = Enrichment::nothing(EnrichmentStatus::Unavailable);
    Arc::new(move |event| icp.computed(&event.lead, &unknown)["intent_level"] == "HIGH")
}

struct Chaser(Arc<Pipeline>);

#[async_trait::async_trait]
impl Chase for Chaser {
    async fn chase(&self, limit: u32) -> Result<Overdue, Failure> {
        let chased = self.0.chase(limit).await?;
        let pipeline::Chased { overdue, reassigned, responded } = chased;
        Ok(Overdue { overdue, reassigned, responded })
    }
}

#[async_trait::async_trait]
impl EnrichAgain for Chaser {
    async fn enrich_again(&self, limit: u32) -> Result<Vec<LeadEvent>, Failure> {
        self.0.enrich_again(limit).await
    }
}

struct CrmProbe(Arc<Pipeline>);

#[async_trait::async_trait]
impl Probe for CrmProbe {
    async fn probe(&self) -> Result<(), Failure> {
        self.0.guard.probe().await
    }
}

/// Makes a round again and again. One that fails or panics does not end the rounds: without them nothing is resumed or
/// sent again. A round under way is dropped at the end, as if the process had died: the next one does the same.
pub(super) async fn keep_house<F>(
    every: Duration,
    round: impl Fn() -> F + Send + 'static,
    shutdown: CancellationToken,
) where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = shutdown.cancelled() => return,
        }
        // In a task of its own, where a panic ends no more than that.
        let mut under_way = tokio::spawn(round());
        tokio::select! {
            made = &mut under_way => match made {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => {
                    tracing::warn!(code = %failure.code, message = %failure.message, "the janitor could not finish its round");
                }
                Err(_) => tracing::error!("the janitor's round panicked; the log says where"),
            },
            () = shutdown.cancelled() => {
                under_way.abort();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_round_that_fails_or_panics_is_followed_by_the_next() {
        let (rounds, enough) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let (counted, stop) = (Arc::clone(&rounds), enough.clone());
        let round = move || {
            let (number, stop) = (counted.fetch_add(1, Ordering::SeqCst), stop.clone());
            async move {
                match number {
                    0 => panic!("a defect"),
                    1 => Err(Failure::transient("database_error", "no answer")),
                    _ => {
                        stop.cancel();
                        Ok(())
                    }
                }
            }
        };
        keep_house(Duration::from_millis(1), round, enough).await;
        assert!(rounds.load(Ordering::SeqCst) >= 3);
    }

    #[tokio::test]
    async fn a_round_that_hangs_does_not_keep_the_process_from_stopping() {
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let round = move || {
            stopping.cancel();
            std::future::pending()
        };
        keep_house(Duration::from_millis(1), round, stop).await;
    }
}
