//! Calls that are made at the same time share one batch.
//!
//! A batch is whatever has gathered while the earlier batches were running. There is no timer: a call that
//! finds nothing running starts at once, by itself, and under load the batches grow until they keep up.
//!
//! A batcher may have a gate, which each batch passes before its calls are chosen, so that a wait for a rate
//! limit makes batches larger instead of more.
//!
//! A call may have a key. Calls with the same key run one after another, in the order in which they were
//! made, and never share a batch. The code that runs a batch may therefore assume that its keys are distinct,
//! and that nothing else of this process runs for them.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

/// The bounds of a batcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The maximum number of calls in a batch, at least 1.
    pub calls: usize,
    /// The maximum number of batches that run at the same time, at least 1.
    pub batches: usize,
}

/// The batch of a call ended without a result for it: the code that ran it panicked or returned too few
/// results. The call may or may not have had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the batch ended without a result")
    }
}

impl std::error::Error for Interrupted {}

type Run<T, R> = dyn Fn(Vec<T>) -> BoxFuture<'static, Vec<R>> + Send + Sync;
type Gate = dyn Fn() -> BoxFuture<'static, ()> + Send + Sync;

/// Gathers calls into batches. Clones share it.
pub struct Batcher<K, T, R> {
    shared: Arc<Shared<K, T, R>>,
}

struct Shared<K, T, R> {
    bounds: Bounds,
    gate: Option<Box<Gate>>,
    run: Box<Run<T, R>>,
    state: Mutex<State<K, T, R>>,
}

struct State<K, T, R> {
    waiting: VecDeque<Waiting<K, T, R>>,
    /// The keys of the calls in running batches.
    busy: HashSet<K>,
    /// The number of batches that run or wait at the gate.
    running: usize,
    /// The number of batches that wait at the gate.
    at_gate: usize,
}

struct Waiting<K, T, R> {
    key: Option<K>,
    call: T,
    reply: oneshot::Sender<R>,
}

impl<K, T, R> Clone for Batcher<K, T, R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K, T, R> fmt::Debug for Batcher<K, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").field("bounds", &self.shared.bounds).finish_non_exhaustive()
    }
}

impl<K, T, R> Batcher<K, T, R>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + 'static,
    R: Send + 'static,
{
    /// A batcher whose batches are run by `run`, which returns one result for each call, in their order.
    pub fn new(
        bounds: Bounds,
        run: impl Fn(Vec<T>) -> BoxFuture<'static, Vec<R>> + Send + Sync + 'static,
    ) -> Self {
        Self::with(bounds, None, Box::new(run))
    }

    /// As [`new`](Self::new), with a gate: a future that ends when a batch may begin.
    pub fn gated(
        bounds: Bounds,
        gate: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
        run: impl Fn(Vec<T>) -> BoxFuture<'static, Vec<R>> + Send + Sync + 'static,
    ) -> Self {
        Self::with(bounds, Some(Box::new(gate)), Box::new(run))
    }

    fn with(bounds: Bounds, gate: Option<Box<Gate>>, run: Box<Run<T, R>>) -> Self {
        let state = State { waiting: VecDeque::new(), busy: HashSet::new(), running: 0, at_gate: 0 };
        Self { shared: Arc::new(Shared { bounds, gate, run, state: Mutex::new(state) }) }
    }

    /// Makes a call, with a key or without one, and waits for its result. A batch that has begun ends even if
    /// its callers stop waiting; a call whose caller stops waiting before its batch begins is not made.
    pub async fn call(&self, key: impl Into<Option<K>>, call: T) -> Result<R, Interrupted> {
        let key = key.into();
        let (reply, result) = oneshot::channel();
        self.shared.lock().waiting.push_back(Waiting { key, call, reply });
        start_batches(&self.shared);
        result.await.map_err(|_closed| Interrupted)
    }
}

impl<K, T, R> Shared<K, T, R> {
    fn lock(&self) -> MutexGuard<'_, State<K, T, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash, T, R> State<K, T, R> {
    /// Whether more calls can run than the batches at the gate will take.
    fn needs_batch(&self, calls: usize) -> bool {
        let is_free = |key: &K| !self.busy.contains(key);
        let can_run =
            |one: &&Waiting<K, T, R>| !one.reply.is_closed() && one.key.as_ref().is_none_or(is_free);
        self.waiting.iter().filter(can_run).nth(self.at_gate.saturating_mul(calls)).is_some()
    }

    /// Takes the oldest waiting calls with distinct keys that are not busy.
    fn take_batch(&mut self, calls: usize) -> Vec<Waiting<K, T, R>> {
        let (mut batch, mut left) = (Vec::new(), VecDeque::with_capacity(self.waiting.len()));
        while batch.len() < calls
            && let Some(next) = self.waiting.pop_front()
        {
            if next.reply.is_closed() {
                continue;
            }
            // A later call with the key of one that is left waits as well: that key is busy.
            if next.key.as_ref().is_none_or(|key| self.busy.insert(key.clone())) {
                batch.push(next);
            } else {
                left.push_back(next);
            }
        }
        left.append(&mut self.waiting);
        self.waiting = left;
        batch
    }
}

/// Starts batches until the bound is reached or no call can run.
fn start_batches<K, T, R>(shared: &Arc<Shared<K, T, R>>)
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + 'static,
    R: Send + 'static,
{
    let (calls, batches) = (shared.bounds.calls.max(1), shared.bounds.batches.max(1));
    loop {
        let mut state = shared.lock();
        if state.running >= batches || !state.needs_batch(calls) {
            return;
        }
        state.running += 1;
        // Without a gate the calls are chosen at once: a lone call does not wait for others to be made.
        let batch = shared.gate.is_none().then(|| state.take_batch(calls));
        state.at_gate += usize::from(batch.is_none());
        drop(state);
        tokio::spawn(run_batch(Arc::clone(shared), batch));
    }
}

/// Runs a batch. Without one it waits at the gate, and then takes the calls that have gathered.
async fn run_batch<K, T, R>(shared: Arc<Shared<K, T, R>>, batch: Option<Vec<Waiting<K, T, R>>>)
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + 'static,
    R: Send + 'static,
{
    let mut ending = Ending { shared: Arc::clone(&shared), keys: Vec::new(), at_gate: batch.is_none() };
    let batch = match (batch, &shared.gate) {
        (None, Some(gate)) => {
            gate().await;
            ending.pass_gate()
        }
        (batch, _) => batch.unwrap_or_default(),
    };
    let (mut calls, mut replies) = (Vec::new(), Vec::new());
    for Waiting { key, call, reply } in batch {
        ending.keys.extend(key);
        calls.push(call);
        replies.push(reply);
    }
    if calls.is_empty() {
        return;
    }
    let results = (shared.run)(calls).await;
    for (reply, result) in replies.into_iter().zip(results) {
        let _ = reply.send(result); // the caller may have stopped waiting
    }
}

/// Frees the place and the keys of a batch when it ends, by a panic too, and starts the next one.
struct Ending<K, T, R>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + 'static,
    R: Send + 'static,
{
    shared: Arc<Shared<K, T, R>>,
    keys: Vec<K>,
    at_gate: bool,
}

impl<K, T, R> Ending<K, T, R>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + 'static,
    R: Send + 'static,
{
    /// Takes the calls of a batch that waited at the gate.
    fn pass_gate(&mut self) -> Vec<Waiting<K, T, R>> {
        let mut state = self.shared.lock();
        state.at_gate -= usize::from(std::mem::take(&mut self.at_gate));
        state.take_batch(self.shared.bounds.calls.max(1))
    }
}

impl<K, T, R> Drop for Ending<K, T, R>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + 'static,
    R: Send + 'static,
{
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.running -= 1;
        state.at_gate -= usize::from(self.at_gate);
        for key in &self.keys {
            state.busy.remove(key);
        }
        if tokio::runtime::Handle::try_current().is_err() {
            // The runtime that ran the batch ends. Callers on another one must not wait for ever.
            state.waiting.clear();
            return;
        }
        drop(state);
        start_batches(&self.shared);
    }
}

#[cfg(test)]
mod tests;
