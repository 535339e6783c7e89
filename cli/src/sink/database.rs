//! The sink for the database queue.

use std::sync::Arc;

use async_trait::async_trait;
use database::DatabaseError;
use ingest::{Acceptance, LeadSink, QuarantinedBody, SinkError};
use lead::{Clock, LeadEvent};
use queue::DatabaseQueue;
use store::{Accept, Store};
use tokio::sync::Notify;

use super::quarantine;

/// Accepts leads for the database queue. The lead and its message are written in one transaction, so that
/// neither exists without the other.
pub(crate) struct DatabaseSink {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    /// Wakes the worker of this process, if it has one.
    pub(crate) waker: Arc<Notify>,
}

impl DatabaseSink {
    async fn write(&self, event: &LeadEvent) -> Result<Acceptance, DatabaseError> {
        let mut transaction = self.store.database().begin().await?;
        let (accepted, event) = self.store.accept_arrival(&mut transaction, event).await?;
        if matches!(accepted, Accept::New | Accept::Revision | Accept::Reopened) {
            DatabaseQueue::send_in(&mut transaction, &event, self.clock.now()).await?;
        }
        transaction.commit().await?;
        Ok(match accepted {
            Accept::Duplicate { .. } => Acceptance::Duplicate,
            Accept::New | Accept::Revision | Accept::Reopened | Accept::Superseded | Accept::Erased => {
                Acceptance::Accepted
            }
        })
    }
}

#[async_trait]
impl LeadSink for DatabaseSink {
    async fn accept(&self, event: &LeadEvent) -> Result<Acceptance, SinkError> {
        let acceptance = self.write(event).await.map_err(SinkError::new)?;
        self.waker.notify_one();
        Ok(acceptance)
    }

    async fn quarantine(&self, item: &QuarantinedBody) -> Result<(), SinkError> {
        quarantine(&self.store, item).await
    }
}
