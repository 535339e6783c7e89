//! The worker's timing and its handling of queue failures, on a scripted queue and a paused clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Dependency, Failure, LeadEvent, ManualClock};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{LeadHandler, Worker};
use crate::{Depth, LeadQueue, Message, Pause, QueueError, Receipt, Sent, Settlement};

const VISIBILITY: Duration = Duration::from_secs(30);

type Answers<T> = Mutex<VecDeque<Result<T, QueueError>>>;

/// Returns the scripted answers. After those, receives are empty, and renewals and settlements succeed.
#[derive(Default)]
struct ScriptedQueue {
    receives: Answers<Vec<Message>>,
    extends: Answers<()>,
    settles: Answers<()>,
    extend_hangs: bool,
    receive_hangs: bool,
    /// The calls, with the seconds since the first one.
    calls: Mutex<Vec<(&'static str, u64)>>,
    start: Mutex<Option<Instant>>,
    longest_idle_wait: Option<Duration>,
    work_available: Notify,
}

impl ScriptedQueue {
    fn holding_a_message() -> Self {
        let queue = Self::default();
        queue.receives.lock().unwrap().push_back(Ok(vec![a_message()]));
        queue
    }

    fn note(&self, method: &'static str) {
        let start = *self.start.lock().unwrap().get_or_insert_with(Instant::now);
        self.calls.lock().unwrap().push((method, start.elapsed().as_secs()));
    }

    fn calls_of(&self, method: &str) -> Vec<u64> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(name, _)| *name == method).map(|(_, at)| *at).collect()
    }
}

fn a_message() -> Message {
    Message {
        id: "message".into(),
        group: "group".into(),
        body: "{}".into(),
        attempt: 1,
        losses: 0,
        sent_at: Timestamp::UNIX_EPOCH,
        redriven: false,
        removed: crate::Removed::default(),
        receipt: Receipt { key: "group".into(), token: "token".into() },
    }
}

fn unavailable<T>() -> Result<T, QueueError> {
    Err(QueueError::unavailable("no answer"))
}

#[async_trait]
impl LeadQueue for ScriptedQueue {
    fn backend(&self) -> &'static str {
        "scripted"
    }

    async fn send(&self, _event: &LeadEvent) -> Result<Sent, QueueError> {
        unavailable()
    }

    async fn receive(&self, _max: usize) -> Result<Vec<Message>, QueueError> {
        self.note("receive");
        if self.receive_hangs {
            std::future::pending::<()>().await;
        }
        self.receives.lock().unwrap().pop_front().unwrap_or(Ok(Vec::new()))
    }

    async fn extend(&self, _receipt: &Receipt) -> Result<(), QueueError> {
        self.note("extend");
        if self.extend_hangs {
            std::future::pending::<()>().await;
        }
        self.extends.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }

    async fn settle(&self, _receipt: &Receipt, _settlement: &Settlement) -> Result<(), QueueError> {
        self.note("settle");
        self.settles.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }

    async fn release(&self, _receipt: &Receipt) -> Result<(), QueueError> {
        self.note("release");
        Ok(())
    }

    async fn pause(&self, _: &Dependency, _: &str, _: Timestamp) -> Result<(), QueueError> {
        self.note("pause");
        unavailable()
    }

    async fn resume(&self, _dependency: &Dependency) -> Result<(), QueueError> {
        unavailable()
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        unavailable()
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        unavailable()
    }

    fn visibility_timeout(&self) -> Duration {
        VISIBILITY
    }

    fn longest_idle_wait(&self) -> Duration {
        self.longest_idle_wait.unwrap_or(Duration::from_millis(100))
    }

    async fn work_available(&self) {
        self.work_available.notified().await;
    }
}

/// A handler whose work takes a fixed time. It records its end and the recorded outcomes.
struct SlowHandler {
    time: Duration,
    finished: Notify,
    recorded: Mutex<u32>,
}

#[async_trait]
impl LeadHandler for SlowHandler {
    async fn handle(&self, _message: &Message) -> Result<(), Failure> {
        sleep(self.time).await;
        self.finished.notify_one();
        Ok(())
    }

    async fn record(&self, _message: &Message, _outcome: &Settlement) -> Result<(), Failure> {
        *self.recorded.lock().unwrap() += 1;
        Ok(())
    }
}

/// A worker on `queue` whose messages take `time`, with its handler.
fn work(queue: &Arc<ScriptedQueue>, time: Duration) -> (Worker, Arc<SlowHandler>) {
    let handler = Arc::new(SlowHandler { time, finished: Notify::new(), recorded: Mutex::default() });
    let worker = Worker::new(
        Arc::clone(queue) as Arc<dyn LeadQueue>,
        Arc::clone(&handler) as Arc<dyn LeadHandler>,
        Arc::new(ManualClock::default()),
        1,
    );
    (worker, handler)
}

/// Runs a worker for `time`.
async fn run_for(worker: &Worker, time: Duration) {
    let shutdown = CancellationToken::new();
    let stop = async {
        sleep(time).await;
        shutdown.cancel();
    };
    tokio::join!(worker.run(shutdown.clone()), stop);
}

#[tokio::test(start_paused = true)]
async fn lease_is_renewed_at_a_third_of_the_visibility_timeout() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    let (worker, _) = work(&queue, Duration::from_secs(45));
    run_for(&worker, Duration::from_mins(1)).await;
    assert_eq!(queue.calls_of("extend"), [10, 20, 30, 40]);
    assert_eq!(queue.calls_of("settle"), [45]);
}

#[tokio::test(start_paused = true)]
async fn work_with_a_lost_lease_stops_and_settles_nothing() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    queue.extends.lock().unwrap().extend([Ok(()), Err(QueueError::LeaseLost)]);
    let (worker, handler) = work(&queue, Duration::from_secs(45));
    run_for(&worker, Duration::from_mins(1)).await;
    assert_eq!(queue.calls_of("extend"), [10, 20]);
    assert!(queue.calls_of("settle").is_empty());
    assert_eq!(*handler.recorded.lock().unwrap(), 0);
    let finished = tokio::time::timeout(Duration::from_secs(1), handler.finished.notified());
    assert!(finished.await.is_err(), "the work was stopped");
}

#[tokio::test(start_paused = true)]
async fn failed_renewal_is_retried_while_the_lease_lasts() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    queue.extends.lock().unwrap().extend([unavailable(), unavailable(), Ok(())]);
    let (worker, _) = work(&queue, Duration::from_secs(25));
    run_for(&worker, Duration::from_secs(40)).await;
    assert_eq!(queue.calls_of("settle"), [25]);
}

#[tokio::test(start_paused = true)]
async fn lease_that_cannot_be_renewed_in_time_counts_as_lost() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    queue.extends.lock().unwrap().extend((0..20).map(|_| unavailable()));
    let (worker, _) = work(&queue, Duration::from_secs(45));
    run_for(&worker, Duration::from_mins(1)).await;
    assert_eq!(queue.calls_of("extend"), [10, 13, 16, 19, 22, 25], "the work ends before the lease");
    assert!(queue.calls_of("settle").is_empty());
}

#[tokio::test(start_paused = true)]
async fn hanging_renewal_ends_the_work_before_its_lease() {
    let queue = Arc::new(ScriptedQueue { extend_hangs: true, ..ScriptedQueue::holding_a_message() });
    let (worker, handler) = work(&queue, Duration::from_secs(29));
    run_for(&worker, Duration::from_mins(1)).await;
    assert_eq!(queue.calls_of("extend"), [10]);
    assert!(queue.calls_of("settle").is_empty());
    let finished = tokio::time::timeout(Duration::from_secs(1), handler.finished.notified());
    assert!(finished.await.is_err(), "the work was stopped before the lease expired");
}

#[tokio::test(start_paused = true)]
async fn endless_work_is_a_failed_attempt_despite_its_lease() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    let (worker, handler) = work(&queue, Duration::from_secs(1 << 30));
    run_for(&worker.with_handling_limit(Duration::from_mins(2)), Duration::from_mins(3)).await;
    assert_eq!(queue.calls_of("settle"), [120]);
    assert_eq!(*handler.recorded.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn hanging_receive_is_retried() {
    let queue = Arc::new(ScriptedQueue { receive_hangs: true, ..ScriptedQueue::default() });
    let (worker, _) = work(&queue, Duration::from_secs(1));
    run_for(&worker, Duration::from_mins(3)).await;
    assert!(queue.calls_of("receive").len() >= 3, "{:?}", queue.calls_of("receive"));
}

#[tokio::test(start_paused = true)]
async fn failed_settlement_is_retried() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    queue.settles.lock().unwrap().extend([unavailable(), unavailable()]);
    let (worker, handler) = work(&queue, Duration::from_secs(1));
    run_for(&worker, Duration::from_secs(10)).await;
    assert_eq!(queue.calls_of("settle").len(), 3);
    assert_eq!(*handler.recorded.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn failing_queue_is_polled_with_backoff_until_it_recovers() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    for _ in 0..12 {
        queue.receives.lock().unwrap().push_front(unavailable());
    }
    let (worker, _) = work(&queue, Duration::ZERO);
    run_for(&worker, Duration::from_secs(65)).await;
    // 0.1 s, doubled seven times, then ten seconds each.
    assert_eq!(queue.calls_of("receive")[..13], [0, 0, 0, 0, 1, 3, 6, 12, 22, 32, 42, 52, 62]);
    assert_eq!(queue.calls_of("settle"), [62]);
}

#[tokio::test(start_paused = true)]
async fn suspect_that_takes_long_does_not_stop_other_leads() {
    let queue = Arc::new(ScriptedQueue::default());
    queue.receives.lock().unwrap().push_back(Ok(vec![Message { losses: 1, ..a_message() }]));
    let (worker, _) = work(&queue, Duration::from_mins(5));
    let worker = Worker { concurrency: 2, ..worker };
    run_for(&worker, Duration::from_secs(45)).await;
    let receives = queue.calls_of("receive");
    assert_eq!((receives[0], receives[1]), (0, 30), "{receives:?}");
    assert!(receives.len() > 100, "the worker polls as usual beside it: {}", receives.len());
}

#[tokio::test(start_paused = true)]
async fn suspects_received_together_run_one_after_the_other() {
    let suspect = || Message { losses: 1, ..a_message() };
    let queue = Arc::new(ScriptedQueue::default());
    let batches = [vec![suspect(), a_message(), suspect()], vec![suspect()], vec![a_message(), a_message()]];
    queue.receives.lock().unwrap().extend(batches.map(Ok));
    let (worker, _) = work(&queue, Duration::from_secs(10));
    let worker = Worker { concurrency: 3, ..worker };
    run_for(&worker, Duration::from_secs(35)).await;
    assert_eq!(queue.calls_of("receive")[..3], [0, 10, 20]);
    assert_eq!(queue.calls_of("release"), [0, 0], "the others of the first receive");
    assert_eq!(queue.calls_of("settle"), [10, 20, 30, 30]);
}

#[tokio::test(start_paused = true)]
async fn woken_worker_receives_at_once() {
    let queue = Arc::new(ScriptedQueue::default());
    let (worker, _) = work(&queue, Duration::ZERO);
    let waker = worker.waker();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.run(shutdown).await }
    });
    let start = Instant::now();
    // A paused clock advances only while all tasks wait for it, and this task does not.
    let settle_down = async || {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    };
    settle_down().await;
    assert_eq!(queue.calls_of("receive").len(), 1);
    for wakes in 1..=3 {
        waker.notify_one();
        settle_down().await;
        assert_eq!(queue.calls_of("receive").len(), 1 + wakes);
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn idle_worker_polls_ten_times_a_second() {
    let queue = Arc::new(ScriptedQueue::default());
    let (worker, _) = work(&queue, Duration::ZERO);
    run_for(&worker, Duration::from_millis(950)).await;
    assert_eq!(queue.calls_of("receive").len(), 10);
}

const LONGEST_IDLE_WAIT: Duration = Duration::from_secs(5);

fn queue_that_charges() -> Arc<ScriptedQueue> {
    Arc::new(ScriptedQueue { longest_idle_wait: Some(LONGEST_IDLE_WAIT), ..ScriptedQueue::default() })
}

#[tokio::test(start_paused = true)]
async fn idle_worker_rarely_polls_a_queue_that_charges() {
    let queue = queue_that_charges();
    let (worker, _) = work(&queue, Duration::ZERO);
    run_for(&worker, Duration::from_hours(1)).await;
    let polls = queue.calls_of("receive");
    assert!(polls.len() <= 3_600 / 5 + 30, "{} receives in an hour", polls.len());
    assert!(polls.windows(2).all(|pair| pair[1] - pair[0] <= 6), "at least every 5 s");
}

#[tokio::test(start_paused = true)]
async fn idle_worker_receives_local_sends_at_once() {
    let queue = queue_that_charges();
    let (worker, _) = work(&queue, Duration::ZERO);
    let send = async {
        sleep(Duration::from_millis(600_100)).await;
        let before = queue.calls_of("receive").len();
        queue.receives.lock().unwrap().push_back(Ok(vec![a_message()]));
        queue.work_available.notify_one();
        sleep(Duration::from_millis(1)).await;
        assert!(queue.calls_of("receive").len() > before);
        assert_eq!(queue.calls_of("settle"), [600]);
        // After work, the polls are frequent again.
        sleep(Duration::from_secs(1)).await;
        assert!(queue.calls_of("receive").len() >= before + 7);
    };
    tokio::join!(run_for(&worker, Duration::from_secs(620)), send);
}

#[tokio::test(start_paused = true)]
async fn delayed_message_is_late_by_a_quarter_of_its_delay() {
    for delay in [2, 4, 8, 16] {
        let queue = queue_that_charges();
        let (worker, _) = work(&queue, Duration::ZERO);
        queue.receives.lock().unwrap().push_back(Ok(vec![a_message()]));
        let again = async {
            sleep(Duration::from_secs(delay)).await;
            queue.receives.lock().unwrap().push_back(Ok(vec![a_message()]));
        };
        tokio::join!(run_for(&worker, Duration::from_secs(30)), again);
        let settled = queue.calls_of("settle");
        assert!(settled[1] <= delay + delay.div_ceil(4), "{settled:?}");
    }
}

/// A handler that always fails with the given failure.
struct FailingHandler(Failure);

#[async_trait]
impl LeadHandler for FailingHandler {
    async fn handle(&self, _message: &Message) -> Result<(), Failure> {
        Err(self.0.clone())
    }

    async fn record(&self, _message: &Message, _outcome: &Settlement) -> Result<(), Failure> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn rate_limit_pauses_the_worker_but_not_the_queue() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    let clock = ManualClock::default();
    let wait = Duration::from_secs(20);
    let full = Failure::limit(Dependency::new("crm.mock"), "crm_rate_limit", "full", wait);
    let handler = Arc::new(FailingHandler(full));
    let worker = Worker::new(Arc::clone(&queue) as _, handler, Arc::new(clock.clone()), 1);
    run_for(&worker, Duration::from_secs(30)).await;
    assert_eq!(queue.calls_of("settle").len(), 1);
    assert!(queue.calls_of("pause").is_empty());
    let before = queue.calls_of("receive").len();
    assert!(before <= 2, "nothing more was taken: {before}");
    clock.advance(Duration::from_secs(20));
    run_for(&worker, Duration::from_secs(1)).await;
    assert!(queue.calls_of("receive").len() >= before + 10, "it continues without a resume");
}

#[tokio::test(start_paused = true)]
async fn heartbeat_runs_exactly_while_the_worker_runs() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    let (worker, _) = work(&queue, Duration::from_mins(10));
    let heartbeat = worker.heartbeat();
    assert_eq!(heartbeat.age(), None);
    let watch = async {
        // The message takes ten of the twelve minutes, and the worker receives nothing in that time.
        for _ in 0..700 {
            sleep(Duration::from_secs(1)).await;
            assert!(heartbeat.age().unwrap() <= Duration::from_secs(2), "{:?}", heartbeat.age());
        }
    };
    tokio::join!(run_for(&worker, Duration::from_mins(12)), watch);
    sleep(Duration::from_mins(1)).await;
    assert!(heartbeat.age().unwrap() >= Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_at_most_the_grace_period() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    let (worker, _) = work(&queue, Duration::from_hours(1));
    let worker = worker.with_grace_period(Duration::from_secs(7));
    let start = Instant::now();
    run_for(&worker, Duration::from_secs(5)).await;
    assert_eq!(start.elapsed().as_secs(), 12);
    assert!(queue.calls_of("settle").is_empty());
}
