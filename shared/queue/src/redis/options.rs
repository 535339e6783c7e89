//! How the queue behaves.

use std::time::Duration;

/// How a [`RedisQueue`](crate::RedisQueue) behaves.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// How long a received message stays invisible: BullMQ's lock duration.
    pub visibility: Duration,
    /// How often locks are looked at. Must be the same in all processes that work on the queue, those of Node's too.
    pub stalled_interval: Duration,
    /// At most so many messages in so long a time, over all workers, where BullMQ's queue has no limit of its own.
    pub rate_limit: Option<(u32, Duration)>,
    /// What BullMQ's keys start with.
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

/// A text is not the address of a Redis server.
#[derive(Debug, thiserror::Error)]
#[error("is not the address of a Redis server, such as redis://127.0.0.1:6379")]
pub struct RedisUrlError;
