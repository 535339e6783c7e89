use std::error::Error;

use async_trait::async_trait;
use lead::LeadEvent;

use crate::QuarantinedBody;

/// Where webhooks go: a queue with a place for broken bodies beside it.
///
/// A call can be dropped before it ends, when its caller hangs up or at [`crate::SINK_TIMEOUT`]; what it had begun then
/// either happens completely or not at all.
#[async_trait]
pub trait LeadSink: Send + Sync {
    /// Puts a lead on the queue. It is durable when this returns `Ok`, for then the sender forgets it.
    async fn accept(&self, event: &LeadEvent) -> Result<Acceptance, SinkError>;

    /// Keeps a body that is no lead. A body with a known id is the same body again: count it, keep one.
    async fn quarantine(&self, item: &QuarantinedBody) -> Result<(), SinkError>;
}

/// What became of a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It is on the queue.
    Accepted,
    /// It repeats what the lead's newest delivery says, or was accepted before, so there is nothing to do. Of a lead that failed
    /// for good it is accepted, and the lead is worked on again.
    Duplicate,
}

/// Why a sink did not take something. Its message is logged, so it must not hold personal data.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SinkError(Box<dyn Error + Send + Sync>);

impl SinkError {
    /// From what went wrong.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
