//! Batching of concurrent calls into one script call.
//!
//! A good part of the cost of a small script in Redis is its start. A call is sent at once while fewer than
//! [`MAX_IN_FLIGHT`] batches are in flight. Calls made in the meantime are sent together when one of those
//! returns. No call waits for a batch to fill.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::QueueError;

/// The maximum number of calls in one batch.
const MAX_CALLS: usize = 64;

/// The maximum number of batches in flight: while Redis runs one, the next is prepared.
const MAX_IN_FLIGHT: usize = 2;

type RunBatch<T> = Box<dyn Fn(Vec<T>) -> BoxFuture<'static, Result<Vec<i64>, QueueError>> + Send + Sync>;

/// Batches calls of one kind, each with a `T` as its argument and a number as its answer.
pub(super) struct Batch<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    run: RunBatch<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    waiting: VecDeque<(T, oneshot::Sender<Result<i64, QueueError>>)>,
    in_flight: usize,
}

/// The task that was to run the batch was stopped.
#[derive(Debug, thiserror::Error)]
#[error("the process is stopping")]
struct Stopped;

impl<T: Send + 'static> Batch<T> {
    /// Creates a batcher. `run` answers each call of a batch, in order.
    pub(super) fn new<F>(run: F) -> Self
    where
        F: Fn(Vec<T>) -> BoxFuture<'static, Result<Vec<i64>, QueueError>> + Send + Sync + 'static,
    {
        let state = Mutex::new(State { waiting: VecDeque::new(), in_flight: 0 });
        Self { shared: Arc::new(Shared { run: Box::new(run), state }) }
    }

    /// Makes a call. The call continues if this future is dropped.
    pub(super) async fn call(&self, argument: T) -> Result<i64, QueueError> {
        let (sender, answer) = oneshot::channel();
        let sends_now = {
            let mut state = self.shared.state();
            state.waiting.push_back((argument, sender));
            let sends_now = state.in_flight < MAX_IN_FLIGHT;
            state.in_flight += usize::from(sends_now);
            sends_now
        };
        if sends_now {
            let in_flight = InFlight { shared: Arc::clone(&self.shared), over: false };
            tokio::spawn(in_flight.run_batches());
        }
        answer.await.unwrap_or_else(|_| Err(QueueError::unavailable(Stopped)))
    }
}

/// Answers the waiting calls with an error if the task that runs the batches is stopped.
struct InFlight<T> {
    shared: Arc<Shared<T>>,
    over: bool,
}

impl<T> InFlight<T> {
    async fn run_batches(mut self) {
        self.shared.run_batches().await;
        self.over = true;
    }
}

impl<T> Drop for InFlight<T> {
    fn drop(&mut self) {
        if !self.over {
            let mut state = self.shared.state();
            state.in_flight -= 1;
            state.waiting.clear();
        }
    }
}

impl<T> Shared<T> {
    async fn run_batches(&self) {
        loop {
            let (calls, senders): (Vec<_>, Vec<_>) = {
                let mut state = self.state();
                if state.waiting.is_empty() {
                    state.in_flight -= 1;
                    return;
                }
                let count = state.waiting.len().min(MAX_CALLS);
                state.waiting.drain(..count).unzip()
            };
            match (self.run)(calls).await {
                Ok(answers) => {
                    for (sender, answer) in senders.into_iter().zip(answers) {
                        let _ = sender.send(Ok(answer)); // the caller may be gone
                    }
                }
                Err(error) => {
                    let same = copies(error);
                    for sender in senders {
                        let _ = sender.send(Err(same()));
                    }
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies an error for each of several callers.
fn copies(error: QueueError) -> Box<dyn Fn() -> QueueError + Send> {
    match error {
        QueueError::LeaseLost => Box::new(|| QueueError::LeaseLost),
        QueueError::Refused(reason) => Box::new(move || QueueError::Refused(reason.clone())),
        QueueError::TooLarge(bytes) => Box::new(move || QueueError::TooLarge(bytes)),
        QueueError::Unavailable(error) => {
            let error: Arc<dyn std::error::Error + Send + Sync> = error.into();
            Box::new(move || QueueError::unavailable(Arc::clone(&error)))
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    /// Doubles each number, once it has a permit, and records the sizes of the batches.
    struct Doubler {
        batch: Batch<i64>,
        batch_sizes: Arc<Mutex<Vec<usize>>>,
        permits: Arc<Semaphore>,
    }

    fn doubler() -> Doubler {
        let batch_sizes = Arc::<Mutex<Vec<usize>>>::default();
        let permits = Arc::new(Semaphore::new(0));
        let (sizes, limit) = (Arc::clone(&batch_sizes), Arc::clone(&permits));
        let batch = Batch::new(move |calls: Vec<i64>| {
            let (sizes, limit) = (Arc::clone(&sizes), Arc::clone(&limit));
            async move {
                limit.acquire().await.unwrap().forget();
                sizes.lock().unwrap().push(calls.len());
                if calls.contains(&-1) {
                    return Err(QueueError::unavailable("made to fail"));
                }
                Ok(calls.into_iter().map(|call| 2 * call).collect())
            }
            .boxed()
        });
        Doubler { batch, batch_sizes, permits }
    }

    #[tokio::test]
    async fn concurrent_calls_are_batched_and_each_gets_its_answer() {
        let Doubler { batch, batch_sizes, permits } = doubler();
        permits.add_permits(10);
        let answers = join_all((0..100).map(|n| batch.call(n))).await;
        for (n, answer) in (0..).zip(answers) {
            assert_eq!(answer.unwrap(), 2 * n);
        }
        let batch_sizes = batch_sizes.lock().unwrap().clone();
        assert!(batch_sizes.len() <= 4 && batch_sizes.contains(&MAX_CALLS), "{batch_sizes:?}");
        assert_eq!(batch.call(7).await.unwrap(), 14, "a single call is sent at once");
    }

    #[tokio::test]
    async fn failure_reaches_every_call_of_its_batch_and_no_other() {
        let Doubler { batch, permits, .. } = doubler();
        permits.add_permits(10);
        // All calls made before the first task runs are in one batch.
        let answers = join_all([1, -1, 2].map(|n| batch.call(n))).await;
        for answer in answers {
            assert_eq!(answer.unwrap_err().to_string(), "queue: made to fail");
        }
        assert_eq!(batch.call(1).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn dropped_call_is_still_made_and_blocks_no_other() {
        let Doubler { batch, batch_sizes, permits } = doubler();
        assert!(batch.call(1).now_or_never().is_none(), "it is in flight");
        permits.add_permits(10);
        assert_eq!(batch.call(2).await.unwrap(), 4);
        assert_eq!(batch_sizes.lock().unwrap().iter().sum::<usize>(), 2);
    }
}
