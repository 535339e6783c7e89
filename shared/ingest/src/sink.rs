use std::error::Error;

use async_trait::async_trait;
use lead::LeadEvent;

use crate::QuarantinedBody;

/// The destination of webhooks: a queue, and a quarantine for rejected bodies.
///
/// A call may be cancelled when its caller hangs up or after [`crate::SINK_TIMEOUT`]. Its effect must then be
/// complete or absent.
#[async_trait]
pub trait LeadSink: Send + Sync {
    /// Queues a lead. It must be durable when this returns `Ok`, because the sender then forgets it.
    async fn accept(&self, event: &LeadEvent) -> Result<Acceptance, SinkError>;

    /// Keeps a rejected body. A body with a known id is counted instead of kept twice.
    async fn quarantine(&self, item: &QuarantinedBody) -> Result<(), SinkError>;
}

/// The result of accepting a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The lead is on the queue.
    Accepted,
    /// The lead repeats the content of its newest delivery, or a delivery that was accepted before, so there
    /// is no work. If that delivery has permanently failed, it is put up for work again.
    Duplicate,
}

/// The failure of a sink. The message is logged, so it must not hold personal data.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SinkError(Box<dyn Error + Send + Sync>);

impl SinkError {
    /// Wraps the cause of the failure.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
