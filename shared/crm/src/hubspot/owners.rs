//! Who may be given records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use lead::Failure;

use super::api::Api;
use crate::OwnerStanding;

/// How long an answer is believed.
const TTL: SignedDuration = SignedDuration::from_mins(5);
/// The most owners remembered; then all are asked about again.
const MAX_KNOWN: usize = 10_000;
/// The most owners asked about at once; the write shows what becomes of others.
const MAX_ASKED: usize = 50;

/// What the account says of its owners, asked when needed and kept for a while.
#[derive(Default)]
pub(super) struct Owners(Mutex<BTreeMap<String, (Timestamp, OwnerStanding)>>);

impl Owners {
    /// The standing of owners, by their ids as given. An account that does not answer, or does not let the app see its
    /// owners, leaves them unknown: the write will show.
    pub(super) async fn get(&self, api: &Api, ids: BTreeSet<String>) -> BTreeMap<String, OwnerStanding> {
        let (now, mut standings) = (api.now(), BTreeMap::new());
        for id in ids.into_iter().take(MAX_ASKED) {
            let known = self.known(&id, now);
            let standing = match known {
                Some(standing) => standing,
                None if !is_id(&id) => continue,
                None => match ask(api, &id).await {
                    Ok(standing) => {
                        self.keep(&id, now, standing);
                        standing
                    }
                    Err(failure) => {
                        tracing::warn!(code = %failure.code, "HubSpot owners not readable");
                        break;
                    }
                },
            };
            standings.insert(id, standing);
        }
        standings
    }

    fn known(&self, id: &str, now: Timestamp) -> Option<OwnerStanding> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).filter(|(at, _)| now.duration_since(*at) < TTL).map(|(_, standing)| *standing)
    }

    fn keep(&self, id: &str, now: Timestamp, standing: OwnerStanding) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(id.to_owned(), (now, standing));
    }
}

/// One call for an active owner, two for any other.
async fn ask(api: &Api, id: &str) -> Result<OwnerStanding, Failure> {
    let path = api.path("owners", &[id]);
    if api.get_if_there(&path, &[]).await?.is_some() {
        return Ok(OwnerStanding::Active);
    }
    let archived = api.get_if_there(&path, &[("archived", "true")]).await?;
    Ok(archived.map_or(OwnerStanding::Unknown, |_| OwnerStanding::Inactive))
}

/// What is no id of an owner is for `HubSpot` to refuse.
fn is_id(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
