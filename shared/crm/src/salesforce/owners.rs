use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lead::Failure;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::Instant;

use super::api::{Api, Call};
use super::describe::text_of;
use super::facts::{quoted, records};
use crate::OwnerStatus;

/// How long the status of an owner is cached.
const TTL: Duration = Duration::from_mins(5);
/// The maximum number of cached owners. The cache is cleared when it is full.
const MAX_CACHED: usize = 10_000;
/// The maximum number of owners in one query.
const MAX_PER_QUERY: usize = 200;

/// A cache of the status of record owners.
#[derive(Default)]
pub(super) struct OwnerCache {
    cached: Mutex<BTreeMap<String, (Instant, OwnerStatus)>>,
    /// Held during a lookup, so that leads that wait for the same owners share it.
    reading: tokio::sync::Mutex<()>,
}

impl OwnerCache {
    /// The status of owners, by id. One call for each [`MAX_PER_QUERY`] owners that are not cached.
    ///
    /// Owners are missing from the result if their id is malformed or if the org does not answer, and users
    /// that the org hides are [`OwnerStatus::Unknown`]. The write then shows whether the owner is accepted.
    pub(super) async fn get(&self, api: &Api, ids: BTreeSet<String>) -> BTreeMap<String, OwnerStatus> {
        let (statuses, uncached) = self.known(ids);
        if uncached.is_empty() {
            return statuses;
        }
        let _reading = self.reading.lock().await;
        let (known, uncached) = self.known(uncached.into_iter().collect());
        let mut statuses: BTreeMap<_, _> = statuses.into_iter().chain(known).collect();
        for ids in uncached.chunks(MAX_PER_QUERY) {
            match fetch(api, ids).await {
                Ok(found) => {
                    self.store(&found);
                    statuses.extend(found);
                }
                Err(failure) => {
                    tracing::warn!(code = %failure.code, "Salesforce owners not readable");
                }
            }
        }
        statuses
    }

    /// The owners that are cached, and the ids to look up.
    fn known(&self, ids: BTreeSet<String>) -> (BTreeMap<String, OwnerStatus>, Vec<String>) {
        let (mut statuses, mut uncached) = (BTreeMap::new(), Vec::new());
        for id in ids {
            match self.cached(&id) {
                Some(status) => _ = statuses.insert(id, status),
                None if is_id(&id) => uncached.push(id),
                None => {}
            }
        }
        (statuses, uncached)
    }

    fn cached(&self, id: &str) -> Option<OwnerStatus> {
        let cache = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(id).filter(|(at, _)| at.elapsed() < TTL).map(|(_, status)| *status)
    }

    fn store(&self, found: &BTreeMap<String, OwnerStatus>) {
        let mut cache = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() + found.len() > MAX_CACHED {
            cache.clear();
        }
        cache.extend(found.iter().map(|(id, status)| (id.clone(), (Instant::now(), *status))));
    }
}

async fn fetch(api: &Api, ids: &[String]) -> Result<BTreeMap<String, OwnerStatus>, Failure> {
    let of_kind = |prefix: &str| -> Vec<String> {
        ids.iter().filter(|id| id.starts_with(prefix)).map(|id| quoted(id)).collect()
    };
    let (users, queues) = (of_kind(USER), of_kind(QUEUE));
    let mut queries = Vec::new();
    if !users.is_empty() {
        queries.push(format!("SELECT Id, IsActive FROM User WHERE Id IN ({})", users.join(", ")));
    }
    if !queues.is_empty() {
        let list = queues.join(", ");
        queries.push(format!("SELECT QueueId, SobjectType FROM QueueSobject WHERE QueueId IN ({list})"));
    }
    let call = |query: &String| {
        Call::get(format!("{}/query?q={}", api.base, utf8_percent_encode(query, NON_ALPHANUMERIC)))
    };
    let calls: Vec<_> = queries.iter().map(call).collect();
    let mut found = Vec::new();
    for response in api.composite(&calls).await? {
        found.extend(records(response)?);
    }
    // The org returns ids of 18 characters, even if 15 were queried.
    let is_of = |record: &serde_json::Value, field: &str, id: &str| {
        text_of(record, field).is_some_and(|found| found.get(..15) == id.get(..15))
    };
    let status = |id: &String| {
        if id.starts_with(USER) {
            let user = found.iter().find(|record| is_of(record, "Id", id));
            return user.map_or(OwnerStatus::Unknown, |user| match user["IsActive"].as_bool() {
                Some(false) => OwnerStatus::Inactive,
                _ => OwnerStatus::Active,
            });
        }
        let mut supported = found.iter().filter(|record| is_of(record, "QueueId", id)).peekable();
        // A queue that is not visible is taken to own leads but not tasks, as most queues do.
        let is_visible = supported.peek().is_some();
        let objects: Vec<_> = supported.filter_map(|record| text_of(record, "SobjectType")).collect();
        let supports = |object: &str| objects.iter().any(|name| name == object);
        OwnerStatus::Queue { leads: !is_visible || supports("Lead"), tasks: supports("Task") }
    };
    Ok(ids.iter().map(|id| (id.clone(), status(id))).collect())
}

/// The id prefix of users.
const USER: &str = "005";
/// The id prefix of queues.
const QUEUE: &str = "00G";

/// Whether a text has the form of a user's or queue's id. Other texts are not looked up; Salesforce refuses
/// them in the write.
fn is_id(text: &str) -> bool {
    matches!(text.len(), 15 | 18)
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
        && (text.starts_with(USER) || text.starts_with(QUEUE))
}
