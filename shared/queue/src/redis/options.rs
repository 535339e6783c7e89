//! How the queue behaves.

use std::time::Duration;

use lead::LeadEvent;

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
    /// Reads a job's data as the workers will: which lead it is about is its place in the order, and which delivery what the
    /// store knows it by. None for what they will not be able to read; such a job waits for no other.
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

/// A text is not the address of a Redis server.
#[derive(Debug, thiserror::Error)]
#[error("is not the address of a Redis server, such as redis://127.0.0.1:6379")]
pub struct RedisUrlError;
