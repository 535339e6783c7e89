use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

/// Number of entries from which the map is cleaned of finished work.
const CLEAN_FROM: usize = 1_000;

/// Deduplicates concurrent work in this process by key. Callers with the same key share one outcome.
///
/// The callers drive the shared future. It is dropped when the last of them stops waiting.
pub(crate) struct SingleFlight<K, T: Clone>(Mutex<HashMap<K, WeakShared<BoxFuture<'static, T>>>>);

impl<K: Eq + Hash, T: Clone> SingleFlight<K, T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// Joins the running work for `key`, or starts it.
    pub(crate) fn join(
        &self,
        key: K,
        start: impl FnOnce() -> BoxFuture<'static, T>,
    ) -> Shared<BoxFuture<'static, T>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A finished future is not joined: its outcome may be outdated.
        let running =
            flights.get(&key).and_then(WeakShared::upgrade).filter(|flight| flight.peek().is_none());
        if let Some(flight) = running {
            return flight;
        }
        if flights.len() >= CLEAN_FROM {
            flights.retain(|_, flight| flight.upgrade().is_some());
        }
        let flight = start().shared();
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
    async fn concurrent_callers_share_one_flight() {
        let (flights, started) = (SingleFlight::new(), Arc::new(AtomicUsize::new(0)));
        let join = |key: &'static str| {
            let started = Arc::clone(&started);
            flights.join(key, move || {
                let number = started.fetch_add(1, Ordering::SeqCst);
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
    async fn abandoned_flight_is_started_again() {
        let flights = SingleFlight::new();
        let mut abandoned = flights.join("x", || futures::future::pending().boxed());
        assert_eq!(futures::poll!(&mut abandoned), std::task::Poll::Pending);
        drop(abandoned);
        assert_eq!(flights.join("x", || async { 1 }.boxed()).await, 1);
    }
}
