//! Operations of different leads that share calls to a CRM.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use batcher::{Batcher, Bounds, Interrupted};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use trace::Enclosing;

/// The maximum number of calls under way in a lane. With two, an operation that arrives during a call need
/// not wait for its end, and the calls hold as many operations as with one.
const CONCURRENCY: usize = 2;

/// The lanes of a CRM: one for each kind of operation, such as the reads of contacts by their address.
///
/// Each lane has at most [`CONCURRENCY`] calls under way. The operations that arrive in the meantime are the
/// next call, up to the size that the CRM allows, so that a lone operation waits for nothing. Operations with
/// the same key follow each other.
///
/// Each call passes the pacer before its operations are chosen.
pub(crate) struct Lanes<N, K, T, R> {
    /// The maximum number of operations in a call.
    size: usize,
    pacer: Arc<dyn Pacer>,
    batchers: Mutex<Batchers<N, K, T, R>>,
}

type Batchers<N, K, T, R> = HashMap<N, Batcher<K, Operation<T>, R>>;

/// Spreads the calls to a CRM over its limits.
pub(crate) trait Pacer: Send + Sync {
    /// Waits until the next call may be made.
    fn turn(self: Arc<Self>) -> BoxFuture<'static, ()>;
}

struct Operation<T> {
    operation: T,
    /// The span of the lead.
    span: Enclosing,
}

impl<N, K, T, R> Lanes<N, K, T, R>
where
    N: Clone + Eq + Hash,
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + 'static,
    R: Send + 'static,
{
    pub(crate) fn new(size: usize, pacer: Arc<dyn Pacer>) -> Self {
        Self { size, pacer, batchers: Mutex::new(HashMap::new()) }
    }

    /// Makes an operation in its lane and waits for the result. `run` makes the calls of a lane: it returns
    /// one result for each operation, in their order. Its calls belong to the span of the first one.
    pub(crate) async fn call<F>(&self, lane: N, key: K, operation: T, run: F) -> Result<R, Interrupted>
    where
        F: Fn(N, Vec<T>) -> BoxFuture<'static, Vec<R>> + Send + Sync + 'static,
        N: Send + Sync + 'static,
    {
        let batcher = {
            let mut batchers = self.batchers.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || {
                let name = lane.clone();
                let run = move |batch: Vec<Operation<T>>| {
                    let span = batch.first().map(|first| first.span.clone());
                    let batch = batch.into_iter().map(|one| one.operation).collect();
                    let calls = run(name.clone(), batch);
                    match span {
                        Some(span) => span.run(calls).boxed(),
                        None => calls,
                    }
                };
                let pacer = Arc::clone(&self.pacer);
                let turn = move || Arc::clone(&pacer).turn();
                Batcher::gated(Bounds { calls: self.size, batches: CONCURRENCY }, turn, run)
            };
            batchers.entry(lane.clone()).or_insert_with(new).clone()
        };
        batcher.call(key, Operation { operation, span: trace::enclosing() }).await
    }
}
