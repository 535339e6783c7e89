use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use lead::Failure;

use crate::{Janitor, Round};

/// How long to wait before asking again when the dependency does not say.
const PROBE_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// The cheapest question that shows whether an outside system can be used.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Asks it.
    async fn probe(&self) -> Result<(), Failure>;
}

impl Janitor {
    /// Ends the pauses whose time has come and whose dependency answers; a dependency that nobody can probe is
    /// given another try by resuming.
    pub(crate) async fn resume(&self, round: &mut Round) -> Result<(), Failure> {
        let now = self.clock.now();
        let due = self.queue.pauses().await?.into_iter().filter(|pause| pause.until <= now);
        // All at once: one that hangs does not make the others wait.
        let answers = join_all(due.map(async |pause| {
            let probe = self.probes.iter().find(|(dependency, _)| *dependency == pause.dependency);
            let answer = match probe {
                Some((_, probe)) => self.ask(probe.as_ref()).await,
                None => Ok(()),
            };
            (pause, answer)
        }));
        for (pause, answer) in answers.await {
            match answer {
                Ok(()) => {
                    self.queue.resume(&pause.dependency).await?;
                    tracing::info!(dependency = %pause.dependency, "answers again: consumption goes on");
                    round.resumed += 1;
                }
                Err(failure) => {
                    let again = now.saturating_add(failure.retry_after.unwrap_or(PROBE_AGAIN_AFTER));
                    let again = again.unwrap_or(now);
                    self.queue.pause(&pause.dependency, &failure.to_string(), again).await?;
                    tracing::warn!(dependency = %pause.dependency, code = %failure.code, "still down");
                    round.still_down += 1;
                }
            }
        }
        Ok(())
    }
}
