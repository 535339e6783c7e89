use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lead::Failure;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::Instant;

use super::api::{Api, Call};
use super::describe::text_of;
use super::facts::{quoted, records};
use crate::OwnerStanding;

/// How long the org's word on an owner is believed.
const TTL: Duration = Duration::from_mins(5);
/// The most owners remembered; then all are asked about again.
const MAX_KNOWN: usize = 10_000;
/// The most owners in one question.
const MAX_ASKED: usize = 200;

/// What the org says of owners, asked when needed and kept for a while.
#[derive(Default)]
pub(super) struct Owners(Mutex<BTreeMap<String, (Instant, OwnerStanding)>>);

impl Owners {
    /// The standing of owners, by their ids as given. One call where some are not known, none otherwise. An org that does not
    /// answer, or hides its users, leaves them unknown: the write will show.
    pub(super) async fn get(&self, api: &Api, ids: BTreeSet<String>) -> BTreeMap<String, OwnerStanding> {
        let mut standings = BTreeMap::new();
        let mut asked = Vec::new();
        for id in ids {
            match self.known(&id) {
                Some(standing) => _ = standings.insert(id, standing),
                None if is_id(&id) => asked.push(id),
                None => {}
            }
        }
        for ids in asked.chunks(MAX_ASKED) {
            match ask(api, ids).await {
                Ok(found) => {
                    self.keep(&found);
                    standings.extend(found);
                }
                Err(failure) => {
                    tracing::warn!(code = %failure.code, "the org does not say who may own records");
                }
            }
        }
        standings
    }

    fn known(&self, id: &str) -> Option<OwnerStanding> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).filter(|(at, _)| at.elapsed() < TTL).map(|(_, standing)| *standing)
    }

    fn keep(&self, found: &BTreeMap<String, OwnerStanding>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + found.len() > MAX_KNOWN {
            known.clear();
        }
        known.extend(found.iter().map(|(id, standing)| (id.clone(), (Instant::now(), *standing))));
    }
}

async fn ask(api: &Api, ids: &[String]) -> Result<BTreeMap<String, OwnerStanding>, Failure> {
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
    for answer in api.composite(&calls).await? {
        found.extend(records(answer)?);
    }
    // The org answers with 18 characters, whichever was asked for.
    let is_of = |record: &serde_json::Value, field: &str, id: &str| {
        text_of(record, field).is_some_and(|found| found.get(..15) == id.get(..15))
    };
    let standing = |id: &String| {
        if id.starts_with(USER) {
            let user = found.iter().find(|record| is_of(record, "Id", id));
            return user.map_or(OwnerStanding::Unknown, |user| match user["IsActive"].as_bool() {
                Some(false) => OwnerStanding::Inactive,
                _ => OwnerStanding::Active,
            });
        }
        let mut supported = found.iter().filter(|record| is_of(record, "QueueId", id)).peekable();
        // A queue that is not shown owns leads, as queues mostly do, and no tasks, as most do not.
        let is_shown = supported.peek().is_some();
        let objects: Vec<_> = supported.filter_map(|record| text_of(record, "SobjectType")).collect();
        let supports = |object: &str| objects.iter().any(|name| name == object);
        OwnerStanding::Queue { leads: !is_shown || supports("Lead"), tasks: supports("Task") }
    };
    Ok(ids.iter().map(|id| (id.clone(), standing(id))).collect())
}

/// What the ids of users begin with.
const USER: &str = "005";
/// What the ids of queues begin with.
const QUEUE: &str = "00G";

/// Whether the org can be asked about an owner. What is no id of a user or a queue is for the org to refuse.
fn is_id(text: &str) -> bool {
    matches!(text.len(), 15 | 18)
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
        && (text.starts_with(USER) || text.starts_with(QUEUE))
}
