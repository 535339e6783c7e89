//! In-memory shared state for tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use breaker::testing::{MemoryHealth, MemorySpending};
use jiff::Timestamp;
use lead::Failure;

use crate::{Cache, Kept, SharedState};

/// An in-memory cache. Clones share their answers, as processes share a database.
#[derive(Clone, Debug, Default)]
pub struct MemoryCache(Arc<Mutex<HashMap<(String, String), Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    kept: Option<Kept>,
    claimed_until: Option<Timestamp>,
}

impl MemoryCache {
    fn with<T>(&self, provider: &str, domain: &str, access: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        access(entries.entry((provider.to_owned(), domain.to_owned())).or_default())
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn load(&self, provider: &str, domain: &str) -> Result<Option<Kept>, Failure> {
        Ok(self.with(provider, domain, |entry| entry.kept.clone()))
    }

    async fn claim(
        &self,
        provider: &str,
        domain: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Failure> {
        Ok(self.with(provider, domain, |entry| {
            let is_free = entry.claimed_until.is_none_or(|claimed| claimed <= now);
            if is_free {
                entry.claimed_until = Some(until);
            }
            is_free
        }))
    }

    async fn keep(&self, provider: &str, domain: &str, kept: &Kept) -> Result<(), Failure> {
        let entry = Entry { kept: Some(kept.clone()), claimed_until: None };
        self.with(provider, domain, |stored| *stored = entry);
        Ok(())
    }

    async fn release(&self, provider: &str, domain: &str) -> Result<(), Failure> {
        self.with(provider, domain, |entry| entry.claimed_until = None);
        Ok(())
    }
}

impl SharedState {
    /// Empty shared state in memory.
    pub fn in_process() -> Self {
        Self {
            cache: Arc::new(MemoryCache::default()),
            health: Arc::new(MemoryHealth::default()),
            spending: Arc::new(MemorySpending::default()),
        }
    }
}
