//! Composite calls that leads share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt as _;
use futures::future::join_all;
use lead::{Failure, FailureClass};

use super::DEPENDENCY;
use super::api::{Api, Call, Response};
use crate::lanes::Lanes;

/// The maximum number of bundles that are sent at the same time, in as many composite calls as they need.
const MAX_BUNDLES: usize = 64;

/// The composite calls that the leads of an org share.
///
/// A lead's bundle of calls is never divided, since its parts may refer to each other. Bundles that wait at
/// the same time are packed into composite calls of [`Api::MAX_PARTS`] parts. Parts fail one by one, and the
/// failure of a whole call is that of each bundle in it.
pub(super) struct SharedCalls {
    api: Arc<Api>,
    bundles: Lanes<Kind, u64, Vec<Call>, Result<Vec<Response>, Failure>>,
    last: AtomicU64,
}

/// Reads and writes are not mixed: a composite call is repeated at once only if it writes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Read,
    Write,
}

impl SharedCalls {
    pub(super) fn new(api: Arc<Api>) -> Self {
        let bundles = Lanes::new(MAX_BUNDLES, Arc::clone(&api) as _);
        Self { api, bundles, last: AtomicU64::new(0) }
    }

    /// Sends calls that only read. Returns one response per call, in order.
    pub(super) async fn read(&self, calls: Vec<Call>) -> Result<Vec<Response>, Failure> {
        self.send(Kind::Read, calls).await
    }

    /// Sends one call that only reads.
    pub(super) async fn get(&self, path: String) -> Result<Response, Failure> {
        let mut responses = self.read(vec![Call::get(path)]).await?;
        responses.pop().ok_or_else(|| interrupted(&"no response"))
    }

    /// Sends calls that write, at most [`Api::MAX_PARTS`]. Returns one response per call, in order.
    pub(super) async fn write(&self, calls: Vec<Call>) -> Result<Vec<Response>, Failure> {
        self.send(Kind::Write, calls).await
    }

    async fn send(&self, kind: Kind, calls: Vec<Call>) -> Result<Vec<Response>, Failure> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let api = Arc::clone(&self.api);
        let run = move |_: Kind, bundles: Vec<Vec<Call>>| {
            let api = Arc::clone(&api);
            async move { send_all(&api, bundles).await }.boxed()
        };
        let key = self.last.fetch_add(1, Ordering::Relaxed);
        self.bundles.call(kind, key, calls, run).await.unwrap_or_else(|lost| Err(interrupted(&lost)))
    }
}

/// The failure of calls that ended without a response: their outcome is unknown.
pub(super) fn interrupted(lost: &impl ToString) -> Failure {
    Failure::transient("crm_incomplete_answer", lost.to_string()).on(DEPENDENCY)
}

async fn send_all(api: &Api, bundles: Vec<Vec<Call>>) -> Vec<Result<Vec<Response>, Failure>> {
    let packed = join_all(pack(bundles).into_iter().map(|packed| send_packed(api, packed))).await;
    packed.into_iter().flatten().collect()
}

/// Bundles in their order, as many together as fit in one composite call.
fn pack(bundles: Vec<Vec<Call>>) -> Vec<Vec<Vec<Call>>> {
    let mut packed: Vec<Vec<Vec<Call>>> = Vec::new();
    let mut free = 0;
    for bundle in bundles {
        if let Some(last) = packed.last_mut().filter(|_| bundle.len() <= free) {
            free -= bundle.len();
            last.push(bundle);
        } else {
            free = Api::MAX_PARTS.saturating_sub(bundle.len());
            packed.push(vec![bundle]);
        }
    }
    packed
}

/// Sends bundles in one composite call. If the org refuses the whole call, each is sent alone.
async fn send_packed(api: &Api, bundles: Vec<Vec<Call>>) -> Vec<Result<Vec<Response>, Failure>> {
    match api.composite(&joined(&bundles)).await {
        Ok(responses) => {
            let mut responses = responses.into_iter();
            bundles.iter().map(|bundle| Ok(responses.by_ref().take(bundle.len()).collect())).collect()
        }
        Err(failure) if failure.class() == FailureClass::Permanent && bundles.len() > 1 => {
            let mut results = Vec::with_capacity(bundles.len());
            for bundle in &bundles {
                results.push(api.composite(bundle).await);
            }
            results
        }
        Err(failure) => bundles.iter().map(|_| Err(failure.clone())).collect(),
    }
}

/// The calls of all bundles, whose references are moved to their new places.
fn joined(bundles: &[Vec<Call>]) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for bundle in bundles {
        let first = calls.len();
        calls.extend(bundle.iter().map(|call| {
            let who = call.who.map(|index| first + index);
            Call { who, ..call.clone() }
        }));
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_are_packed_whole_and_keep_their_references() {
        let bundle = |parts: usize| {
            let call = |index: usize| Call { who: (index > 0).then_some(0), ..Call::get(String::new()) };
            (0..parts).map(call).collect::<Vec<_>>()
        };
        let packed = pack([10, 10, 6, 19, 40, 1].map(bundle).to_vec());
        let sizes: Vec<Vec<usize>> = packed.iter().map(|one| one.iter().map(Vec::len).collect()).collect();
        assert_eq!(sizes, [vec![10, 10], vec![6, 19], vec![40], vec![1]]);
        let references: Vec<_> = joined(&[bundle(2), bundle(3)]).iter().map(|call| call.who).collect();
        assert_eq!(references, [None, Some(0), None, Some(2), Some(2)]);
    }
}
