//! The janitor of the server process: its configuration and its periodic rounds.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use assembly::Config;
use enrichment::{Enrichment, EnrichmentStatus};
use janitor::Janitor;
use lead::Failure;
use pipeline::Pipeline;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::App;

/// The interval between rounds of the janitor. On AWS, a schedule runs one every minute.
pub(super) const JANITOR_INTERVAL: Duration = Duration::from_secs(5);

/// Creates the janitor of this process.
pub(super) fn build_janitor(config: &Config, app: &App) -> Janitor {
    let probes = janitor::probes(&app.pipeline);
    Janitor::new(app.store.clone(), Arc::clone(&app.queue), probes, Arc::clone(&app.clock))
        .with_pipeline(Arc::clone(&app.pipeline))
        .with_hot_leads_first(is_hot_by_profile(&app.pipeline))
        .with_quarantine_retention(config.quarantine_keep, config.quarantine_rows)
        .with_retention(config.retention)
}

/// Whether a lead has high intent, by the sender's data alone: no enrichment provider is called for waiting
/// leads.
fn is_hot_by_profile(pipeline: &Arc<Pipeline>) -> Arc<janitor::IsHot> {
    let icp = pipeline.icp.clone();
    let unknown = Enrichment::nothing(EnrichmentStatus::Unavailable);
    Arc::new(move |event| icp.computed(&event.lead, &unknown)["intent_level"] == "HIGH")
}

/// Runs rounds at a fixed interval until shutdown. A round that fails or panics does not end the loop:
/// without rounds, nothing is resumed or sent again. Shutdown aborts a running round. That is as safe as a
/// crash: the next round of any process repeats its work.
pub(super) async fn run_janitor<F>(
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
        // In a separate task, so that a panic ends only this round.
        let mut running = tokio::spawn(round());
        tokio::select! {
            ended = &mut running => match ended {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => {
                    tracing::warn!(code = %failure.code, message = %failure.message, "janitor round failed");
                }
                Err(_) => tracing::error!("janitor round panicked; see the panic's own log line"),
            },
            () = shutdown.cancelled() => {
                running.abort();
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
    async fn failed_or_panicked_round_is_followed_by_the_next() {
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
        run_janitor(Duration::from_millis(1), round, enough).await;
        assert!(rounds.load(Ordering::SeqCst) >= 3);
    }

    #[tokio::test]
    async fn hanging_round_does_not_delay_shutdown() {
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let round = move || {
            stopping.cancel();
            std::future::pending()
        };
        run_janitor(Duration::from_millis(1), round, stop).await;
    }
}
