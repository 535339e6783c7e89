//! Calls that are made at the same time, put together into one.
//!
//! A good part of what a small script costs Redis is its start. A call goes out at once where fewer than [`LANES`] are
//! under way; those that come meanwhile go out together when one is back. Nobody waits for company.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::QueueError;

/// How many calls are put together at most.
const MAX: usize = 64;

/// How many are under way at the same time: while Redis works on one, the next is made ready.
const LANES: usize = 2;

type Calls<T> = Box<dyn Fn(Vec<T>) -> BoxFuture<'static, Result<Vec<i64>, QueueError>> + Send + Sync>;

/// Calls of one kind, each of a `T` and answered by a number.
pub(super) struct Batch<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    calls: Calls<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    waiting: VecDeque<(T, oneshot::Sender<Result<i64, QueueError>>)>,
    under_way: usize,
}

/// Whoever was to answer has been stopped.
#[derive(Debug, thiserror::Error)]
#[error("the process is stopping")]
struct Stopped;

impl<T: Send + 'static> Batch<T> {
    /// `calls` answers each of several calls, in their order.
    pub(super) fn new<F>(calls: F) -> Self
    where
        F: Fn(Vec<T>) -> BoxFuture<'static, Result<Vec<i64>, QueueError>> + Send + Sync + 'static,
    {
        let state = Mutex::new(State { waiting: VecDeque::new(), under_way: 0 });
        Self { shared: Arc::new(Shared { calls: Box::new(calls), state }) }
    }

    /// Makes a call. It goes on when this is dropped.
    pub(super) async fn call(&self, what: T) -> Result<i64, QueueError> {
        let (sender, answer) = oneshot::channel();
        let goes_out = {
            let mut state = self.shared.state();
            state.waiting.push_back((what, sender));
            let goes_out = state.under_way < LANES;
            state.under_way += usize::from(goes_out);
            goes_out
        };
        if goes_out {
            let under_way = UnderWay { shared: Arc::clone(&self.shared), over: false };
            tokio::spawn(under_way.work_off());
        }
        answer.await.unwrap_or_else(|_| Err(QueueError::unavailable(Stopped)))
    }
}

/// Answers those that wait with an error where the task that was to do it is stopped half way.
struct UnderWay<T> {
    shared: Arc<Shared<T>>,
    over: bool,
}

impl<T> UnderWay<T> {
    async fn work_off(mut self) {
        self.shared.work_off().await;
        self.over = true;
    }
}

impl<T> Drop for UnderWay<T> {
    fn drop(&mut self) {
        if !self.over {
            let mut state = self.shared.state();
            state.under_way -= 1;
            state.waiting.clear();
        }
    }
}

impl<T> Shared<T> {
    async fn work_off(&self) {
        loop {
            let (calls, senders): (Vec<_>, Vec<_>) = {
                let mut state = self.state();
                if state.waiting.is_empty() {
                    state.under_way -= 1;
                    return;
                }
                let count = state.waiting.len().min(MAX);
                state.waiting.drain(..count).unzip()
            };
            match (self.calls)(calls).await {
                Ok(answers) => {
                    for (sender, answer) in senders.into_iter().zip(answers) {
                        let _ = sender.send(Ok(answer)); // nobody may be waiting any more
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

/// The same error for each of several.
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

    /// Answers a call by its double once it may, and keeps which calls came together.
    struct Doubler {
        batch: Batch<i64>,
        together: Arc<Mutex<Vec<usize>>>,
        may: Arc<Semaphore>,
    }

    fn doubler() -> Doubler {
        let together = Arc::<Mutex<Vec<usize>>>::default();
        let may = Arc::new(Semaphore::new(0));
        let (seen, gate) = (Arc::clone(&together), Arc::clone(&may));
        let batch = Batch::new(move |calls: Vec<i64>| {
            let (seen, gate) = (Arc::clone(&seen), Arc::clone(&gate));
            async move {
                gate.acquire().await.unwrap().forget();
                seen.lock().unwrap().push(calls.len());
                if calls.contains(&-1) {
                    return Err(QueueError::unavailable("made to fail"));
                }
                Ok(calls.into_iter().map(|call| 2 * call).collect())
            }
            .boxed()
        });
        Doubler { batch, together, may }
    }

    #[tokio::test]
    async fn calls_that_come_meanwhile_go_together_and_each_gets_its_own_answer() {
        let Doubler { batch, together, may } = doubler();
        may.add_permits(10);
        let answers = join_all((0..100).map(|n| batch.call(n))).await;
        for (n, answer) in (0..).zip(answers) {
            assert_eq!(answer.unwrap(), 2 * n);
        }
        let together = together.lock().unwrap().clone();
        assert!(together.len() <= 4 && together.contains(&MAX), "{together:?}");
        assert_eq!(batch.call(7).await.unwrap(), 14, "and one alone goes at once");
    }

    #[tokio::test]
    async fn a_failure_is_everybodys_who_went_together_and_nobody_elses() {
        let Doubler { batch, may, .. } = doubler();
        may.add_permits(10);
        // All that are made before the first task runs go together.
        let answers = join_all([1, -1, 2].map(|n| batch.call(n))).await;
        for answer in answers {
            assert_eq!(answer.unwrap_err().to_string(), "queue: made to fail");
        }
        assert_eq!(batch.call(1).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_any_more_is_made_and_holds_up_no_other() {
        let Doubler { batch, together, may } = doubler();
        assert!(batch.call(1).now_or_never().is_none(), "it is under way");
        may.add_permits(10);
        assert_eq!(batch.call(2).await.unwrap(), 4);
        assert_eq!(together.lock().unwrap().iter().sum::<usize>(), 2);
    }
}
