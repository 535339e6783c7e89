//! Lookup of record owners, with a cache.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use lead::Failure;

use super::api::Api;
use crate::OwnerStatus;

/// How long the status of an owner is cached.
const TTL: SignedDuration = SignedDuration::from_mins(5);
/// The maximum number of cached owners. The cache is cleared when it is full.
const MAX_CACHED: usize = 10_000;
/// The maximum number of owners in one lookup. Further owners are not checked before the write.
const MAX_PER_LOOKUP: usize = 50;

/// A cache of the status of the account's owners.
#[derive(Default)]
pub(super) struct OwnerCache {
    cached: Mutex<BTreeMap<String, (Timestamp, OwnerStatus)>>,
    /// Held during a lookup, so that leads that wait for the same owner share it.
    reading: tokio::sync::Mutex<()>,
}

impl OwnerCache {
    /// The status of owners, by id. Owners are missing from the result if their id is malformed, or if the
    /// account does not answer or does not show its owners to the app. The write then shows whether the owner
    /// is accepted.
    pub(super) async fn get(&self, api: &Api, ids: BTreeSet<String>) -> BTreeMap<String, OwnerStatus> {
        let (now, mut statuses) = (api.now(), BTreeMap::new());
        for id in ids.into_iter().take(MAX_PER_LOOKUP) {
            let cached = self.cached(&id, now);
            let status = match cached {
                Some(status) => status,
                None if !is_id(&id) => continue,
                None => match self.fetch(api, &id, now).await {
                    Ok(status) => status,
                    Err(failure) => {
                        tracing::warn!(code = %failure.code, "HubSpot owners not readable");
                        break;
                    }
                },
            };
            statuses.insert(id, status);
        }
        statuses
    }

    async fn fetch(&self, api: &Api, id: &str, now: Timestamp) -> Result<OwnerStatus, Failure> {
        let _reading = self.reading.lock().await;
        if let Some(status) = self.cached(id, now) {
            return Ok(status);
        }
        let status = fetch(api, id).await?;
        self.store(id, now, status);
        Ok(status)
    }

    fn cached(&self, id: &str, now: Timestamp) -> Option<OwnerStatus> {
        let cache = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(id).filter(|(at, _)| now.duration_since(*at) < TTL).map(|(_, status)| *status)
    }

    fn store(&self, id: &str, now: Timestamp, status: OwnerStatus) {
        let mut cache = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        cache.insert(id.to_owned(), (now, status));
    }
}

/// Looks up an owner: one call for an active owner, two for any other.
async fn fetch(api: &Api, id: &str) -> Result<OwnerStatus, Failure> {
    let path = api.path("owners", &[id]);
    if api.get_if_there(&path, &[]).await?.is_some() {
        return Ok(OwnerStatus::Active);
    }
    let archived = api.get_if_there(&path, &[("archived", "true")]).await?;
    Ok(archived.map_or(OwnerStatus::Unknown, |_| OwnerStatus::Inactive))
}

/// Whether a text has the form of an owner's id. Other texts are not looked up; `HubSpot` refuses them in the
/// write.
fn is_id(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
