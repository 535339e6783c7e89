//! Values that are used for a short time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A time, of the wall clock or of the process.
pub(crate) trait Moment: Copy {
    /// The time since an earlier moment; zero if the clock was set back.
    fn since(self, earlier: Self) -> Duration;
}

impl Moment for Timestamp {
    fn since(self, earlier: Self) -> Duration {
        self.duration_since(earlier).try_into().unwrap_or_default()
    }
}

impl Moment for Instant {
    fn since(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// A bounded map whose entries expire. Of a full map the expired entries are dropped, and all if none has
/// expired.
pub(crate) struct Recent<K, V, M> {
    ttl: Duration,
    most: usize,
    entries: Mutex<HashMap<K, (M, V)>>,
}

impl<K: Eq + Hash, V, M: Moment> Recent<K, V, M> {
    /// `most` is the maximum number of entries.
    pub(crate) fn new(ttl: Duration, most: usize) -> Self {
        Self { ttl, most, entries: Mutex::new(HashMap::new()) }
    }

    pub(crate) fn insert(&self, key: K, value: V, now: M) {
        let mut entries = self.lock();
        if entries.len() >= self.most {
            entries.retain(|_, (at, _)| now.since(*at) < self.ttl);
        }
        if entries.len() >= self.most {
            entries.clear();
        }
        entries.insert(key, (now, value));
    }

    pub(crate) fn get(&self, key: &K, now: M) -> Option<V>
    where
        V: Clone,
    {
        let entries = self.lock();
        let (at, value) = entries.get(key)?;
        (now.since(*at) < self.ttl).then(|| value.clone())
    }

    /// Removes an entry, and returns it if it has not expired.
    pub(crate) fn take(&self, key: &K, now: M) -> Option<V> {
        let (at, value) = self.lock().remove(key)?;
        (now.since(at) < self.ttl).then_some(value)
    }

    pub(crate) fn remove(&self, key: &K) {
        self.lock().remove(key);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (M, V)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn entries_expire_and_their_number_is_bounded() {
        let recent = Recent::new(Duration::from_secs(10), 2);
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        recent.insert("a", 1, at(0));
        recent.insert("b", 2, at(5));
        assert_eq!((recent.get(&"a", at(9)), recent.get(&"a", at(10))), (Some(1), None));
        recent.insert("c", 3, at(10));
        assert_eq!((recent.get(&"b", at(10)), recent.get(&"c", at(10))), (Some(2), Some(3)), "a was dropped");
        recent.insert("d", 4, at(11));
        assert_eq!(
            (recent.get(&"b", at(11)), recent.take(&"d", at(11))),
            (None, Some(4)),
            "none had expired"
        );
        assert_eq!(recent.take(&"d", at(11)), None);
    }
}
