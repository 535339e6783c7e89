//! The options of the queue on Redis.

use std::time::Duration;

use lead::LeadEvent;

/// The options of a [`RedisQueue`](crate::RedisQueue).
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// The visibility timeout: BullMQ's lock duration.
    pub visibility: Duration,
    /// The interval between checks for expired locks. It must be the same in all processes that work on the
    /// queue, Node's workers included.
    pub stalled_interval: Duration,
    /// A rate limit: at most this many messages in this time, over all workers. It applies if BullMQ's queue
    /// has no limit of its own.
    pub rate_limit: Option<(u32, Duration)>,
    /// The prefix of BullMQ's keys.
    pub prefix: String,
    /// Parses a job's data in the same way as the workers do. The lead determines the job's place in the
    /// order, and the delivery is the id that the store knows. Returns `None` for data that the workers
    /// cannot read; such a job waits for no other.
    pub read: fn(&str) -> Option<LeadEvent>,
}

impl Default for RedisOptions {
    /// BullMQ's own defaults: 30 seconds each, no limit, `bull`. Reads lead events and nothing else.
    fn default() -> Self {
        Self {
            visibility: Duration::from_secs(30),
            stalled_interval: Duration::from_secs(30),
            rate_limit: None,
            prefix: "bull".to_owned(),
            read: |data| serde_json::from_str(data).ok(),
        }
    }
}

/// The text is not the address of a Redis server.
#[derive(Debug, thiserror::Error)]
#[error("is not the address of a Redis server, such as redis://127.0.0.1:6379")]
pub struct RedisUrlError;
