//! Sinks for the leads that this machine accepts, one for each kind of queue.

mod database;
mod spooled;

pub(crate) use database::DatabaseSink;
pub(crate) use spooled::{SpoolFolder, SpooledSink, drain_spools};

use ingest::{QuarantinedBody, SinkError};
use store::{QuarantineItem, Store};

/// Stores a rejected body in the quarantine. This does not depend on the queue.
async fn quarantine(store: &Store, item: &QuarantinedBody) -> Result<(), SinkError> {
    let item = QuarantineItem {
        id: &item.id,
        sender: item.sender.as_str(),
        error: item.rejection.error,
        field: item.rejection.field,
        message: &item.rejection.message,
        content_type: item.content_type.as_deref(),
        body: item.body.expose(),
        received_at: item.received_at,
    };
    store.quarantine(&item).await.map_err(SinkError::new)
}
