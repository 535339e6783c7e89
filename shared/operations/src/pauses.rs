//! Pauses of consumption: listing them, and ending one by an operator's decision.

use lead::{Actor, Dependency};
use queue::Pause;
use serde_json::json;
use store::ActKind;

use crate::operations::{OperationError, Operations};

/// The result of ending a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// Consumption resumes, unless another dependency pauses it.
    Now,
    /// The dependency was not paused.
    Before,
}

impl Operations {
    /// The pauses in force, on any kind of queue.
    pub async fn pauses(&self) -> Result<Vec<Pause>, OperationError> {
        Ok(self.queue().pauses().await?)
    }

    /// Ends the pause for a dependency at once, without waiting for its end and without a probe. If the
    /// circuit breaker is open, the next lead makes the half-open probe. Idempotent.
    ///
    /// Does not end a hold of the CRM: see [`resume_crm`](Self::resume_crm).
    ///
    /// Errors: [`OperationError::NotPaused`] for a name that is neither paused nor a dependency of leads.
    pub async fn resume(&self, actor: &Actor, dependency: &str) -> Result<Resumed, OperationError> {
        let paused = self.pauses().await?;
        let is_paused = paused.iter().any(|pause| pause.dependency.as_str() == dependency);
        if !is_paused && !self.pipeline.depends_on(dependency) {
            let paused = paused.into_iter().map(|pause| pause.dependency).collect();
            return Err(OperationError::NotPaused { asked: dependency.to_owned(), paused });
        }
        let dependency = Dependency::named(dependency);
        let detail = json!({ "dependency": dependency, "was_paused": is_paused });
        self.store().record_act(actor, ActKind::PauseEnded, &detail).await?;
        // Before the pause ends; otherwise the open breaker would refuse the leads that are received at once.
        self.pipeline.half_open(&dependency).await?;
        self.queue().resume(&dependency).await?;
        tracing::warn!(%dependency, is_paused, %actor, "consumption resumed by an operator");
        Ok(if is_paused { Resumed::Now } else { Resumed::Before })
    }
}
