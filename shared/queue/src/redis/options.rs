//! The options of the queue on Redis.

use std::time::Duration;

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
}

impl Default for RedisOptions {
    /// BullMQ's own defaults: 30 seconds each, no limit, `bull`.
    fn default() -> Self {
        Self {
            visibility: Duration::from_secs(30),
            stalled_interval: Duration::from_secs(30),
            rate_limit: None,
            prefix: "bull".to_owned(),
        }
    }
}

/// The text is not the address of a Redis server.
#[derive(Debug, thiserror::Error)]
#[error("is not the address of a Redis server, such as redis://127.0.0.1:6379")]
pub struct RedisUrlError;
