//! Where leads go that this machine takes in: one sink for each kind of queue.

mod database;
mod spooled;

pub(crate) use database::DatabaseSink;
pub(crate) use spooled::{DeadLetters, SpoolFolder, SpooledSink, keep_drained};

use ingest::{QuarantinedBody, SinkError};
use store::{QuarantineItem, Store};

/// Keeps a broken body in the store, whichever queue there is.
async fn quarantine(store: &Store, item: &QuarantinedBody) -> Result<(), SinkError> {
    let item = QuarantineItem {
        id: &item.id,
        error: item.rejection.error,
        field: item.rejection.field,
        message: &item.rejection.message,
        content_type: item.content_type.as_deref(),
        body: item.body.expose(),
        received_at: item.received_at,
    };
    store.quarantine(&item).await.map_err(SinkError::new)
}
