use futures::StreamExt as _;
use futures::stream;
use tokio::time::Instant;

/// Objects that are processed concurrently.
const AT_ONCE: usize = 16;

/// The result of draining a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Objects that were processed and removed.
    pub(crate) taken: u64,
    /// Objects that failed and stay in the bucket.
    pub(crate) failed: u64,
    /// The time ran out before the end of the bucket.
    pub(crate) more: bool,
}

/// Processes a bucket page by page until it is empty or the time is over. An object that fails stays and does
/// not block the others. A page without any success ends the work, because a shared dependency must be down.
///
/// `list` returns the keys behind a given one; `take` processes one key.
pub(crate) async fn drain(
    list: impl AsyncFn(Option<String>) -> anyhow::Result<Vec<String>>,
    take: impl AsyncFn(String) -> anyhow::Result<()>,
    until: Instant,
) -> anyhow::Result<Drained> {
    let mut drained = Drained::default();
    let mut after = None;
    loop {
        let keys = list(after).await?;
        let Some(last) = keys.last().cloned() else { return Ok(drained) };
        let (mut taken, mut failed) = (0, 0);
        let mut page = stream::iter(keys)
            .map(async |key| {
                if Instant::now() >= until {
                    return None;
                }
                Some((key.clone(), take(key).await))
            })
            .buffer_unordered(AT_ONCE);
        while let Some(done) = page.next().await {
            match done {
                Some((_, Ok(()))) => taken += 1,
                Some((key, Err(error))) => {
                    let error = format!("{error:#}");
                    tracing::error!(key, error, "overflow object not processed; it stays in the bucket");
                    failed += 1;
                }
                None => drained.more = true,
            }
        }
        drop(page);
        drained.taken += taken;
        drained.failed += failed;
        if drained.more || taken == 0 {
            return Ok(drained);
        }
        after = Some(last);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    const PAGE: usize = 100;

    /// Objects by name; `broken` names the ones that fail.
    struct Bucket {
        keys: Mutex<Vec<String>>,
        broken: fn(&str) -> bool,
        lists: Mutex<usize>,
    }

    impl Bucket {
        fn of(objects: usize, broken: fn(&str) -> bool) -> Self {
            let keys = (0..objects).map(|n| format!("leads/{n:05}.json")).collect();
            Self { keys: Mutex::new(keys), broken, lists: Mutex::new(0) }
        }

        async fn drain(&self, time: Duration) -> anyhow::Result<Drained> {
            let list = async |after: Option<String>| {
                *self.lists.lock().unwrap() += 1;
                let keys = self.keys.lock().unwrap();
                let behind = keys.iter().filter(|key| after.as_ref().is_none_or(|after| *key > after));
                Ok(behind.take(PAGE).cloned().collect())
            };
            let take = async |key: String| {
                tokio::time::sleep(Duration::from_millis(100)).await;
                anyhow::ensure!(!(self.broken)(&key), "broken");
                self.keys.lock().unwrap().retain(|kept| *kept != key);
                Ok(())
            };
            drain(list, take, Instant::now() + time).await
        }

        fn left(&self) -> usize {
            self.keys.lock().unwrap().len()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bucket_of_any_size_is_drained() {
        let bucket = Bucket::of(1_234, |_| false);
        let all = Drained { taken: 1_234, failed: 0, more: false };
        assert_eq!(bucket.drain(Duration::from_secs(30)).await.unwrap(), all);
        assert_eq!(bucket.left(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn failing_object_stays_and_does_not_block_others() {
        let bucket = Bucket::of(1_000, |key| key.ends_with("7.json"));
        let most = Drained { taken: 900, failed: 100, more: false };
        assert_eq!(bucket.drain(Duration::from_secs(30)).await.unwrap(), most);
        assert_eq!(bucket.left(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn no_object_is_started_after_the_time_is_over() {
        let bucket = Bucket::of(1_000, |_| false);
        let drained = bucket.drain(Duration::from_millis(150)).await.unwrap();
        assert_eq!(drained, Drained { taken: 32, failed: 0, more: true }, "two rounds of sixteen");
        assert_eq!(bucket.left(), 968);
    }

    #[tokio::test(start_paused = true)]
    async fn page_without_success_ends_the_drain() {
        let bucket = Bucket::of(1_000, |_| true);
        let none = Drained { taken: 0, failed: 100, more: false };
        assert_eq!(bucket.drain(Duration::from_secs(30)).await.unwrap(), none);
        assert_eq!(*bucket.lists.lock().unwrap(), 1);
    }
}
