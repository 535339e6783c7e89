use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Dependency, Failure};
use queue::{Ended, LeadHandler, Ledger, Message, Pause, QueueError, Settlement, Tries};

/// Replaces the handler and the ledger while the database is unreachable. A processor with it releases every
/// batch and keeps every message from the redrive policy.
pub struct Unreachable;

fn unreachable<T>() -> Result<T, QueueError> {
    Err(QueueError::unavailable("the database cannot be reached"))
}

#[async_trait]
impl LeadHandler for Unreachable {
    async fn handle(&self, _: &Message) -> Result<(), Failure> {
        Ok(unreachable()?)
    }

    async fn record(&self, _: &Message, _: &Settlement) -> Result<(), Failure> {
        Ok(unreachable()?)
    }
}

#[async_trait]
impl Ledger for Unreachable {
    async fn look(&self, _: &[&str]) -> Result<HashMap<String, Tries>, QueueError> {
        unreachable()
    }

    async fn begin(&self, _: &str, _: &str) -> Result<Tries, QueueError> {
        unreachable()
    }

    async fn holds(&self, _: &str, _: &str) -> Result<bool, QueueError> {
        unreachable()
    }

    async fn end(&self, _: &str, _: &str, _: Ended) -> Result<bool, QueueError> {
        unreachable()
    }

    async fn last_seen(&self, _: &str) -> Result<Option<Timestamp>, QueueError> {
        unreachable()
    }

    async fn note_sent(&self, _: &str) -> Result<(), QueueError> {
        unreachable()
    }

    async fn forget(&self, _: &str) -> Result<(), QueueError> {
        unreachable()
    }

    async fn pause(&self, _: &Dependency, _: &str, _: Timestamp) -> Result<(), QueueError> {
        unreachable()
    }

    async fn resume(&self, _: &Dependency) -> Result<(), QueueError> {
        unreachable()
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        unreachable()
    }
}
