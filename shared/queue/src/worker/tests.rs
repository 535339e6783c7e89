//! What depends on time and on a queue that fails, on a scripted queue and a clock that stands still by itself.

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

/// Answers as it was told to, then: nothing to receive, leases renewed, settlements taken.
#[derive(Default)]
struct ScriptedQueue {
    receives: Answers<Vec<Message>>,
    extends: Answers<()>,
    settles: Answers<()>,
    extend_hangs: bool,
    receive_hangs: bool,
    /// What was asked, and when, counted in seconds from the first question.
    asked: Mutex<Vec<(&'static str, u64)>>,
    start: Mutex<Option<Instant>>,
    longest_idle_wait: Option<Duration>,
    has_news: Notify,
}

impl ScriptedQueue {
    fn holding_a_message() -> Self {
        let queue = Self::default();
        queue.receives.lock().unwrap().push_back(Ok(vec![a_message()]));
        queue
    }

    fn note(&self, question: &'static str) {
        let start = *self.start.lock().unwrap().get_or_insert_with(Instant::now);
        self.asked.lock().unwrap().push((question, start.elapsed().as_secs()));
    }

    fn asked(&self, question: &str) -> Vec<u64> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(what, _)| *what == question).map(|(_, when)| *when).collect()
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

    async fn has_news(&self) {
        self.has_news.notified().await;
    }
}

/// Works for a while, and says how it ended.
struct Takes {
    time: Duration,
    finished: Notify,
    recorded: Mutex<u32>,
}

#[async_trait]
impl LeadHandler for Takes {
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

/// A worker on `queue` whose messages take `time`. Returns what tells their end.
fn work(queue: &Arc<ScriptedQueue>, time: Duration) -> (Worker, Arc<Takes>) {
    let handler = Arc::new(Takes { time, finished: Notify::new(), recorded: Mutex::default() });
    let worker = Worker::new(
        Arc::clone(queue) as Arc<dyn LeadQueue>,
        Arc::clone(&handler) as Arc<dyn LeadHandler>,
        Arc::new(ManualClock::default()),
        1,
    );
    (worker, handler)
}

/// Runs a worker for this long.
async fn run_for(worker: &Worker, time: Duration) {
    let shutdown = CancellationToken::new();
    let stop = async {
        sleep(time).await;
        shutdown.cancel();
    };
    tokio::join!(worker.run(shutdown.clone()), stop);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_at_a_third_of_the_visibility_timeout() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    let (worker, _) = work(&queue, Duration::from_secs(45));
    run_for(&worker, Duration::from_mins(1)).await;
    assert_eq!(queue.asked("extend"), [10, 20, 30, 40]);
    assert_eq!(queue.asked("settle"), [45]);
}

#[tokio::test(start_paused = true)]
async fn work_whose_lease_was_lost_is_stopped_and_settles_nothing() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    queue.extends.lock().unwrap().extend([Ok(()), Err(QueueError::LeaseLost)]);
    let (worker, handler) = work(&queue, Duration::from_secs(45));
    run_for(&worker, Duration::from_mins(1)).await;
    assert_eq!(queue.asked("extend"), [10, 20]);
    assert!(queue.asked("settle").is_empty());
    assert_eq!(*handler.recorded.lock().unwrap(), 0);
    let finished = tokio::time::timeout(Duration::from_secs(1), handler.finished.notified());
    assert!(finished.await.is_err(), "the work did not go on to its end");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_tried_again_while_the_lease_lasts() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    queue.extends.lock().unwrap().extend([unavailable(), unavailable(), Ok(())]);
    let (worker, _) = work(&queue, Duration::from_secs(25));
    run_for(&worker, Duration::from_secs(40)).await;
    assert_eq!(queue.asked("settle"), [25]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_could_not_be_renewed_in_time_counts_as_lost() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    queue.extends.lock().unwrap().extend((0..20).map(|_| unavailable()));
    let (worker, _) = work(&queue, Duration::from_secs(45));
    run_for(&worker, Duration::from_mins(1)).await;
    assert_eq!(queue.asked("extend"), [10, 13, 16, 19, 22, 25], "and the work ends before the lease");
    assert!(queue.asked("settle").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_ends_the_work_before_its_lease() {
    let queue = Arc::new(ScriptedQueue { extend_hangs: true, ..ScriptedQueue::holding_a_message() });
    let (worker, handler) = work(&queue, Duration::from_secs(29));
    run_for(&worker, Duration::from_mins(1)).await;
    assert_eq!(queue.asked("extend"), [10]);
    assert!(queue.asked("settle").is_empty());
    let finished = tokio::time::timeout(Duration::from_secs(1), handler.finished.notified());
    assert!(finished.await.is_err(), "the work did not go on until the lease was over");
}

#[tokio::test(start_paused = true)]
async fn work_that_never_ends_is_a_failed_attempt_although_leased() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    let (worker, handler) = work(&queue, Duration::from_secs(1 << 30));
    run_for(&worker.with_handling_limit(Duration::from_mins(2)), Duration::from_mins(3)).await;
    assert_eq!(queue.asked("settle"), [120]);
    assert_eq!(*handler.recorded.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_hangs_is_asked_again() {
    let queue = Arc::new(ScriptedQueue { receive_hangs: true, ..ScriptedQueue::default() });
    let (worker, _) = work(&queue, Duration::from_secs(1));
    run_for(&worker, Duration::from_mins(3)).await;
    assert!(queue.asked("receive").len() >= 3, "{:?}", queue.asked("receive"));
}

#[tokio::test(start_paused = true)]
async fn a_settlement_that_fails_is_tried_again() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    queue.settles.lock().unwrap().extend([unavailable(), unavailable()]);
    let (worker, handler) = work(&queue, Duration::from_secs(1));
    run_for(&worker, Duration::from_secs(10)).await;
    assert_eq!(queue.asked("settle").len(), 3);
    assert_eq!(*handler.recorded.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fails_is_asked_ever_less_often_and_then_worked_on_again() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    for _ in 0..12 {
        queue.receives.lock().unwrap().push_front(unavailable());
    }
    let (worker, _) = work(&queue, Duration::ZERO);
    run_for(&worker, Duration::from_secs(65)).await;
    // 0.1 s, doubled seven times, then ten seconds each.
    assert_eq!(queue.asked("receive")[..13], [0, 0, 0, 0, 1, 3, 6, 12, 22, 32, 42, 52, 62]);
    assert_eq!(queue.asked("settle"), [62]);
}

#[tokio::test(start_paused = true)]
async fn a_woken_worker_does_not_wait_for_its_next_poll() {
    let queue = Arc::new(ScriptedQueue::default());
    let (worker, _) = work(&queue, Duration::ZERO);
    let waker = worker.waker();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.run(shutdown).await }
    });
    let start = Instant::now();
    // A clock that stands still moves only while everybody waits for it, and this task does not.
    let settle_down = async || {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    };
    settle_down().await;
    assert_eq!(queue.asked("receive").len(), 1);
    for wakes in 1..=3 {
        waker.notify_one();
        settle_down().await;
        assert_eq!(queue.asked("receive").len(), 1 + wakes);
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_nobody_wakes_polls_ten_times_a_second() {
    let queue = Arc::new(ScriptedQueue::default());
    let (worker, _) = work(&queue, Duration::ZERO);
    run_for(&worker, Duration::from_millis(950)).await;
    assert_eq!(queue.asked("receive").len(), 10);
}

const LONGEST_IDLE_WAIT: Duration = Duration::from_secs(5);

fn queue_that_costs() -> Arc<ScriptedQueue> {
    Arc::new(ScriptedQueue { longest_idle_wait: Some(LONGEST_IDLE_WAIT), ..ScriptedQueue::default() })
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_asks_a_queue_that_costs_seldom() {
    let queue = queue_that_costs();
    let (worker, _) = work(&queue, Duration::ZERO);
    run_for(&worker, Duration::from_hours(1)).await;
    let asked = queue.asked("receive");
    assert!(asked.len() <= 3_600 / 5 + 30, "{} receives in an hour", asked.len());
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] <= 6), "and never less often than every 5 s");
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_receives_at_once_what_is_sent_here() {
    let queue = queue_that_costs();
    let (worker, _) = work(&queue, Duration::ZERO);
    let send = async {
        sleep(Duration::from_millis(600_100)).await;
        let before = queue.asked("receive").len();
        queue.receives.lock().unwrap().push_back(Ok(vec![a_message()]));
        queue.has_news.notify_one();
        sleep(Duration::from_millis(1)).await;
        assert!(queue.asked("receive").len() > before);
        assert_eq!(queue.asked("settle"), [600]);
        // Where there was work there may be more.
        sleep(Duration::from_secs(1)).await;
        assert!(queue.asked("receive").len() >= before + 7);
    };
    tokio::join!(run_for(&worker, Duration::from_secs(620)), send);
}

#[tokio::test(start_paused = true)]
async fn a_message_after_a_delay_is_late_by_a_quarter_of_it() {
    for delay in [2, 4, 8, 16] {
        let queue = queue_that_costs();
        let (worker, _) = work(&queue, Duration::ZERO);
        queue.receives.lock().unwrap().push_back(Ok(vec![a_message()]));
        let again = async {
            sleep(Duration::from_secs(delay)).await;
            queue.receives.lock().unwrap().push_back(Ok(vec![a_message()]));
        };
        tokio::join!(run_for(&worker, Duration::from_secs(30)), again);
        let settled = queue.asked("settle");
        assert!(settled[1] <= delay + delay.div_ceil(4), "{settled:?}");
    }
}

/// Fails with a limit that is reached.
struct IsFull(Failure);

#[async_trait]
impl LeadHandler for IsFull {
    async fn handle(&self, _message: &Message) -> Result<(), Failure> {
        Err(self.0.clone())
    }

    async fn record(&self, _message: &Message, _outcome: &Settlement) -> Result<(), Failure> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_ends_by_itself_keeps_the_worker_from_taking_more_and_pauses_nothing() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    let clock = ManualClock::default();
    let wait = Some(Duration::from_secs(20));
    let full = Failure::deferral(Dependency::new("crm.mock"), "crm_rate_limit", "full", wait);
    let handler = Arc::new(IsFull(full.ending_by_itself()));
    let worker = Worker::new(Arc::clone(&queue) as _, handler, Arc::new(clock.clone()), 1);
    run_for(&worker, Duration::from_secs(30)).await;
    assert_eq!(queue.asked("settle").len(), 1);
    assert!(queue.asked("pause").is_empty());
    let before = queue.asked("receive").len();
    assert!(before <= 2, "nothing more was taken: {before}");
    clock.advance(Duration::from_secs(20));
    run_for(&worker, Duration::from_secs(1)).await;
    assert!(queue.asked("receive").len() >= before + 10, "and then it goes on, though nobody resumed");
}

#[tokio::test(start_paused = true)]
async fn a_worker_has_a_pulse_while_it_works_or_looks_for_work_and_none_before_and_after() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    let (worker, _) = work(&queue, Duration::from_mins(10));
    let pulse = worker.pulse();
    assert_eq!(pulse.age(), None);
    let watch = async {
        // The message takes ten of the twelve minutes, and nothing can be received meanwhile.
        for _ in 0..700 {
            sleep(Duration::from_secs(1)).await;
            assert!(pulse.age().unwrap() <= Duration::from_secs(2), "{:?}", pulse.age());
        }
    };
    tokio::join!(run_for(&worker, Duration::from_mins(12)), watch);
    sleep(Duration::from_mins(1)).await;
    assert!(pulse.age().unwrap() >= Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_no_longer_than_the_grace_period() {
    let queue = Arc::new(ScriptedQueue::holding_a_message());
    let (worker, _) = work(&queue, Duration::from_hours(1));
    let worker = worker.with_grace_period(Duration::from_secs(7));
    let start = Instant::now();
    run_for(&worker, Duration::from_secs(5)).await;
    assert_eq!(start.elapsed().as_secs(), 12);
    assert!(queue.asked("settle").is_empty());
}
