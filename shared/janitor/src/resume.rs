use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use lead::{Dependency, Failure};
use pipeline::Pipeline;

use crate::{Janitor, Round};

/// The wait before the next probe when the dependency does not name one.
const PROBE_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// The cheapest request that shows whether a dependency is usable.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Sends the request.
    async fn probe(&self) -> Result<(), Failure>;
}

/// A probe for each dependency of the pipeline: the CRM, and the AI services that its analyst calls.
pub fn probes(pipeline: &Arc<Pipeline>) -> Vec<(Dependency, Arc<dyn Probe>)> {
    let probe = |dependency: Dependency| {
        let probe = PipelineProbe { pipeline: Arc::clone(pipeline), dependency: dependency.clone() };
        (dependency, Arc::new(probe) as Arc<dyn Probe>)
    };
    pipeline.dependencies().into_iter().map(probe).collect()
}

struct PipelineProbe {
    pipeline: Arc<Pipeline>,
    dependency: Dependency,
}

#[async_trait]
impl Probe for PipelineProbe {
    async fn probe(&self) -> Result<(), Failure> {
        self.pipeline.probe(&self.dependency).await
    }
}

impl Janitor {
    /// Ends the pauses that have expired and that a probe confirms; a dependency without a probe is tried by
    /// resuming.
    pub(crate) async fn resume(&self, round: &mut Round) -> Result<(), Failure> {
        let now = self.clock.now();
        let due = self.queue.pauses().await?.into_iter().filter(|pause| pause.until <= now);
        // Concurrently, so that a dependency that hangs does not delay the others.
        let answers = join_all(due.map(async |pause| {
            let probe = self.probes.iter().find(|(dependency, _)| *dependency == pause.dependency);
            let answer = match probe {
                Some((_, probe)) => self.probe(probe.as_ref()).await,
                None => Ok(()),
            };
            (pause, answer)
        }));
        for (pause, answer) in answers.await {
            match answer {
                Ok(()) => {
                    self.queue.resume(&pause.dependency).await?;
                    tracing::info!(dependency = %pause.dependency, "dependency answers again; consumption resumed");
                    round.resumed += 1;
                }
                Err(failure) => {
                    let again = now.saturating_add(failure.retry_after().unwrap_or(PROBE_AGAIN_AFTER));
                    let again = again.unwrap_or(now);
                    self.queue.pause(&pause.dependency, &failure.to_string(), again).await?;
                    tracing::warn!(dependency = %pause.dependency, code = %failure.code, "dependency still down");
                    round.still_down += 1;
                }
            }
        }
        Ok(())
    }
}
