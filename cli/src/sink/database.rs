//! The sink for the database queue.

use std::sync::Arc;

use async_trait::async_trait;
use database::{Connection, DatabaseError, Group, GroupWrite};
use ingest::{Acceptance, LeadSink, QuarantinedBody, SinkError};
use lead::{Clock, LeadEvent};
use queue::DatabaseQueue;
use store::{Accept, Store};
use tokio::sync::Notify;

use super::quarantine;

/// Accepts leads for the database queue. The lead and its message are written in one transaction, so that
/// neither exists without the other. Leads that arrive at the same time share transactions.
pub(crate) struct DatabaseSink {
    store: Store,
    arrivals: Group<Arrivals>,
    /// Wakes the worker of this process, if it has one.
    waker: Arc<Notify>,
}

impl DatabaseSink {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, waker: Arc<Notify>) -> Self {
        let arrivals = Group::ahead(store.database().clone(), Arrivals { store: store.clone(), clock });
        Self { store, arrivals, waker }
    }
}

/// The acceptance of leads that arrive at the same time.
struct Arrivals {
    store: Store,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl GroupWrite for Arrivals {
    type Call = LeadEvent;
    type Reply = Acceptance;

    async fn write(
        &self,
        connection: &mut Connection,
        events: &[LeadEvent],
    ) -> Result<Vec<Acceptance>, DatabaseError> {
        let accepted = self.store.accept_arrivals(connection, events).await?;
        let has_work = |accept| matches!(accept, Accept::New | Accept::Revision | Accept::Reopened);
        let queued: Vec<_> =
            accepted.iter().filter(|(accept, _)| has_work(*accept)).map(|(_, event)| event).collect();
        DatabaseQueue::send_all_in(connection, &queued, self.clock.now()).await?;
        let acceptance = |accept| match accept {
            Accept::Duplicate { .. } => Acceptance::Duplicate,
            Accept::New | Accept::Revision | Accept::Reopened | Accept::Superseded | Accept::Erased => {
                Acceptance::Accepted
            }
        };
        Ok(accepted.iter().map(|(accept, _)| acceptance(*accept)).collect())
    }
}

#[async_trait]
impl LeadSink for DatabaseSink {
    async fn accept(&self, event: &LeadEvent) -> Result<Acceptance, SinkError> {
        let accepted = self.arrivals.call(event.lead_id.as_str(), event.clone()).await;
        let acceptance = accepted.map_err(SinkError::new)?;
        self.waker.notify_one();
        Ok(acceptance)
    }

    async fn quarantine(&self, item: &QuarantinedBody) -> Result<(), SinkError> {
        quarantine(&self.store, item).await
    }
}
