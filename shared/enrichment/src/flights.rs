use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

/// How many entries are looked through for those that have ended.
const TIDY_FROM: usize = 1_000;

/// Work that is under way in this process, by what it is about. Whoever wants the same joins it and gets its outcome.
///
/// It is driven by those who wait for it, so it goes on while anyone does, and ends with the last.
pub(crate) struct Flights<K, T: Clone>(Mutex<HashMap<K, WeakShared<BoxFuture<'static, T>>>>);

impl<K: Eq + Hash, T: Clone> Flights<K, T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// Joins what is under way about `key`, or begins it.
    pub(crate) fn join(
        &self,
        key: K,
        begin: impl FnOnce() -> BoxFuture<'static, T>,
    ) -> Shared<BoxFuture<'static, T>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has its outcome is history: what came of it may be out of date by now.
        let under_way =
            flights.get(&key).and_then(WeakShared::upgrade).filter(|flight| flight.peek().is_none());
        if let Some(flight) = under_way {
            return flight;
        }
        if flights.len() >= TIDY_FROM {
            flights.retain(|_, flight| flight.upgrade().is_some());
        }
        let flight = begin().shared();
        if let Some(handle) = flight.downgrade() {
            flights.insert(key, handle);
        }
        flight
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn those_who_want_the_same_share_one_flight_and_later_ones_begin_another() {
        let (flights, begun) = (Flights::new(), Arc::new(AtomicUsize::new(0)));
        let join = |key: &'static str| {
            let begun = Arc::clone(&begun);
            flights.join(key, move || {
                let number = begun.fetch_add(1, Ordering::SeqCst);
                async move {
                    tokio::task::yield_now().await;
                    number
                }
                .boxed()
            })
        };
        let (a, b, other) = (join("x"), join("x"), join("y"));
        assert_eq!(futures::join!(a, b, other), (0, 0, 1));
        assert_eq!(join("x").await, 2);
    }

    #[tokio::test]
    async fn a_flight_that_everyone_left_is_begun_anew() {
        let flights = Flights::new();
        let mut abandoned = flights.join("x", || futures::future::pending().boxed());
        assert_eq!(futures::poll!(&mut abandoned), std::task::Poll::Pending);
        drop(abandoned);
        assert_eq!(flights.join("x", || async { 1 }.boxed()).await, 1);
    }
}
