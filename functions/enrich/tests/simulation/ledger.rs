//! A ledger with random outages.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::Dependency;
use queue::{Ended, Ledger, Pause, QueueError, Tries};
use rand::RngExt as _;

use super::Simulation;

pub(crate) struct FlakyLedger(pub(crate) Simulation);

impl FlakyLedger {
    async fn maybe_fail(&self) -> Result<(), QueueError> {
        let (is_out, hangs) = {
            let mut state = self.0.state();
            let is_out = state.is_ledger_out && state.random.random_bool(0.5);
            let hangs = is_out && self.0.settings.hangs && state.random.random_bool(0.8);
            state.hangs += usize::from(hangs);
            (is_out, hangs)
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        if is_out { Err(QueueError::unavailable("out")) } else { Ok(()) }
    }
}

#[async_trait]
impl Ledger for FlakyLedger {
    async fn look(&self, keys: &[&str]) -> Result<HashMap<String, Tries>, QueueError> {
        self.maybe_fail().await?;
        self.0.ledger.look(keys).await
    }

    async fn begin(&self, key: &str, lease: &str) -> Result<Tries, QueueError> {
        self.maybe_fail().await?;
        self.0.ledger.begin(key, lease).await
    }

    async fn holds(&self, key: &str, lease: &str) -> Result<bool, QueueError> {
        self.maybe_fail().await?;
        self.0.ledger.holds(key, lease).await
    }

    async fn end(&self, key: &str, lease: &str, ended: Ended) -> Result<bool, QueueError> {
        self.maybe_fail().await?;
        self.0.ledger.end(key, lease, ended).await
    }

    async fn last_seen(&self, key: &str) -> Result<Option<Timestamp>, QueueError> {
        self.0.ledger.last_seen(key).await
    }

    async fn note_sent(&self, key: &str) -> Result<(), QueueError> {
        self.0.ledger.note_sent(key).await
    }

    async fn forget(&self, key: &str) -> Result<(), QueueError> {
        self.0.ledger.forget(key).await
    }

    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError> {
        self.0.ledger.pause(dependency, reason, until).await
    }

    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError> {
        self.0.ledger.resume(dependency).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        self.0.ledger.pauses().await
    }
}
