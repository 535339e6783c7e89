//! Refilling a queue after its loss.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use janitor::{Janitor, Reconciled, dead_letter};
use lead::{Actor, Failure, LeadEvent};
use queue::{Park, QueueError, Spool};
use serde_json::json;
use store::ActKind;

use crate::operations::{OperationError, Operations};

/// The result of draining the spools of dead processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainedSpools {
    /// Leads that were sent and new to the queue.
    pub sent: u64,
    /// Spools that were skipped, because running servers use them.
    pub in_use: usize,
}

impl Operations {
    /// Checks every open delivery, regardless of its age, and sends those that the queue does not have.
    /// Calls `progress` after each batch with the number of deliveries so far.
    pub async fn reconcile(
        &self,
        actor: &Actor,
        progress: impl FnMut(u64) + Send,
    ) -> Result<Reconciled, OperationError> {
        self.store.record_act(actor, ActKind::Reconciled, &json!({})).await?;
        let (queue, clock) = (Arc::clone(&self.queue), Arc::clone(&self.pipeline.clock));
        let janitor = Janitor::new(self.store.clone(), queue, Vec::new(), clock);
        Ok(janitor.reconcile_all(progress).await?)
    }

    /// Sends the leads in the spools of a folder that no running process uses. The spools hold up to
    /// `max_bytes` each. Leads that the queue refuses permanently become dead letters.
    pub async fn drain_spools(
        &self,
        actor: &Actor,
        folder: &Path,
        max_bytes: u64,
    ) -> Result<DrainedSpools, OperationError> {
        let abandoned = Spool::abandoned(folder, max_bytes).map_err(QueueError::unavailable)?;
        let detail = json!({ "spools": abandoned.spools.len(), "in_use": abandoned.held });
        self.store.record_act(actor, ActKind::SpoolsDrained, &detail).await?;
        let mut sent = 0;
        for spool in &abandoned.spools {
            sent += spool.drain(self.queue(), self).await?;
        }
        Ok(DrainedSpools { sent, in_use: abandoned.held })
    }

    /// The number of lines in the spools of a folder that could not be read and were put aside.
    pub fn unreadable_spool_lines(folder: &Path) -> std::io::Result<usize> {
        Spool::unreadable(folder)
    }
}

/// Stores events that the queue refuses permanently as dead letters, so that an operator can see the reason
/// and redrive them.
#[async_trait]
impl Park for Operations {
    async fn park(&self, event: &LeadEvent, reason: QueueError) -> Result<(), QueueError> {
        let parked = dead_letter(&self.store, event, &Failure::from(reason)).await;
        parked.map_err(|failure| QueueError::unavailable(failure.to_string()))
    }
}
