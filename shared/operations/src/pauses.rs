//! Pauses of consumption: which there are, and the end of one because an operator says so.

use lead::Dependency;
use queue::Pause;

use crate::operations::{OperationError, Operations};

/// What ending a pause did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// Consumption goes on, unless another dependency holds it up.
    Now,
    /// There was no pause for this dependency.
    Before,
}

impl Operations {
    /// The pauses in force, on whatever queue.
    pub async fn pauses(&self) -> Result<Vec<Pause>, OperationError> {
        Ok(self.queue().pauses().await?)
    }

    /// Ends the pause for a dependency now: its time is not waited for, and the dependency is not asked first. Where its
    /// breaker is open, the next lead makes the half-open probe. Doing it again changes nothing.
    ///
    /// It does not end a hold of the CRM: see [`resume_crm`](Self::resume_crm).
    ///
    /// Errors: [`OperationError::NotPaused`] for a name that is neither paused nor one that leads depend on.
    pub async fn resume(&self, dependency: &str) -> Result<Resumed, OperationError> {
        let paused = self.pauses().await?;
        let is_paused = paused.iter().any(|pause| pause.dependency.as_str() == dependency);
        if !is_paused && !self.pipeline().depends_on(dependency) {
            let paused = paused.into_iter().map(|pause| pause.dependency).collect();
            return Err(OperationError::NotPaused { asked: dependency.to_owned(), paused });
        }
        let dependency = Dependency::named(dependency);
        // Before the pause ends: what is received at once would be refused by a breaker that is still open.
        self.pipeline().half_open(&dependency).await?;
        self.queue().resume(&dependency).await?;
        tracing::warn!(%dependency, is_paused, "consumption resumed by an operator");
        Ok(if is_paused { Resumed::Now } else { Resumed::Before })
    }
}
