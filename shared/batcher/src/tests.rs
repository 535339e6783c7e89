use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use tokio::time::{sleep, timeout};

use super::*;

type Log = Arc<Mutex<Vec<Vec<u32>>>>;

/// A batcher whose batches take a second, double each number, and are logged.
fn doubling(calls: usize, batches: usize) -> (Batcher<u32, u32, u32>, Log) {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let run = move |batch: Vec<u32>| {
        seen.lock().unwrap().push(batch.clone());
        async move {
            sleep(Duration::from_secs(1)).await;
            assert!(!batch.contains(&13), "a test of panics");
            batch.into_iter().map(|number| number * 2).collect()
        }
        .boxed()
    };
    (Batcher::new(Bounds { calls, batches }, run), log)
}

fn batches(log: &Log) -> Vec<Vec<u32>> {
    log.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn lone_call_starts_at_once_and_the_rest_gathers() {
    let (batcher, log) = doubling(10, 1);
    let results = join_all((1..=5).map(|number| batcher.call(number, number))).await;
    assert_eq!(results, [2, 4, 6, 8, 10].map(Ok));
    assert_eq!(batches(&log), [vec![1], vec![2, 3, 4, 5]]);
}

#[tokio::test(start_paused = true)]
async fn batches_keep_their_bounds() {
    let (batcher, log) = doubling(2, 2);
    let start = tokio::time::Instant::now();
    join_all((1..=8).map(|number| batcher.call(number, number))).await;
    assert_eq!(batches(&log), [vec![1], vec![2], vec![3, 4], vec![5, 6], vec![7, 8]]);
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_key_run_in_order_one_at_a_time() {
    let (batcher, log) = doubling(10, 3);
    let calls = [(1, 1), (1, 2), (1, 3), (2, 4)].map(|(key, call)| batcher.call(key, call));
    let results = join_all(calls).await;
    assert_eq!(results, [2, 4, 6, 8].map(Ok));
    assert_eq!(batches(&log), [vec![1], vec![4], vec![2], vec![3]]);
}

#[tokio::test(start_paused = true)]
async fn panic_interrupts_one_batch_only() {
    let (batcher, _log) = doubling(10, 1);
    let results = join_all([1, 13, 14].map(|number| batcher.call(number, number))).await;
    assert_eq!(results, [Ok(2), Err(Interrupted), Err(Interrupted)]);
    assert_eq!(batcher.call(13, 1).await, Ok(2), "its key is free again");
}

#[tokio::test(start_paused = true)]
async fn call_that_nothing_waits_for_is_not_made() {
    let (batcher, log) = doubling(10, 1);
    let first = batcher.call(1, 1);
    let abandoned = timeout(Duration::from_millis(10), batcher.call(2, 2));
    let (first, abandoned) = futures::join!(first, abandoned);
    assert!(first.is_ok() && abandoned.is_err());
    assert_eq!(batcher.call(3, 3).await, Ok(6));
    assert_eq!(batches(&log), [vec![1], vec![3]]);
}

#[tokio::test(start_paused = true)]
async fn batch_that_began_ends_without_its_callers() {
    let (batcher, log) = doubling(10, 1);
    assert!(timeout(Duration::from_millis(10), batcher.call(1, 1)).await.is_err());
    assert_eq!(batcher.call(1, 2).await, Ok(4), "after the first call of its key");
    assert_eq!(batches(&log), [vec![1], vec![2]]);
}

#[tokio::test(start_paused = true)]
async fn batch_takes_the_calls_that_gather_at_the_gate() {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let run = move |batch: Vec<u32>| {
        seen.lock().unwrap().push(batch.clone());
        async move { batch }.boxed()
    };
    let gate = || sleep(Duration::from_secs(1)).boxed();
    let batcher = Batcher::gated(Bounds { calls: 3, batches: 2 }, gate, run);
    let late = async |number: u32| {
        sleep(Duration::from_millis(500)).await;
        batcher.call(number, number).await
    };
    let start = tokio::time::Instant::now();
    let early = join_all((1..=4).map(|number| batcher.call(number, number)));
    let (early, late) = futures::join!(early, late(5));
    assert_eq!((early, late), ([1, 2, 3, 4].map(Ok).to_vec(), Ok(5)));
    assert_eq!(batches(&log), [vec![1, 2, 3], vec![4, 5]]);
    assert_eq!(start.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn call_abandoned_at_the_gate_is_not_made() {
    let gate = || sleep(Duration::from_secs(1)).boxed();
    let run = |batch: Vec<u32>| async move { batch }.boxed();
    let batcher = Batcher::gated(Bounds { calls: 3, batches: 1 }, gate, run);
    assert!(timeout(Duration::from_millis(10), batcher.call(1, 1)).await.is_err());
    assert_eq!(batcher.call(2, 2).await, Ok(2));
}
