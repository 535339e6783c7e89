//! The worker on a database queue in SQLite.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Clock, Dependency, Failure, FailureClass, LeadEvent};
use queue::{DatabaseQueue, LeadHandler, LeadQueue, MAX_ATTEMPTS, MAX_LOSSES, Message, Settlement, Worker};
use testkit::fixtures::new_lead;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{Fixture, VISIBILITY};

const CRM: Dependency = Dependency::new("crm.test");

pub(crate) fn event(lead: u32) -> LeadEvent {
    let mut lead = new_lead(&format!("ann{lead}@example.com"), "c1");
    lead.name = Some("Ann Hidden".to_owned().into());
    LeadEvent::new(lead, Timestamp::UNIX_EPOCH)
}

/// A queue with a message of each of these leads, which are numbered from 1.
async fn with_messages(leads: u32) -> (Fixture, Arc<DatabaseQueue>) {
    let fixture = Fixture::sqlite().await;
    let queue = fixture.queue().await;
    for lead in 1..=leads {
        queue.send(&event(lead)).await.unwrap();
    }
    (fixture, queue)
}

/// The work of the handler on a message.
type Work = Box<dyn Fn(&Message) -> Result<(), Failure> + Send + Sync>;

/// Runs `work` once `gate` has a permit, and records its calls.
pub(crate) struct Handler {
    work: Work,
    gate: Semaphore,
    recording: Result<(), Failure>,
    started: Mutex<Vec<u32>>,
    dropped: Arc<Mutex<u32>>,
    recorded: Mutex<Vec<Settlement>>,
}

impl Handler {
    pub(crate) fn new(work: impl Fn(&Message) -> Result<(), Failure> + Send + Sync + 'static) -> Self {
        Self {
            work: Box::new(work),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            recording: Ok(()),
            started: Mutex::default(),
            dropped: Arc::default(),
            recorded: Mutex::default(),
        }
    }

    /// A handler whose work waits for permits of `gate`.
    fn gated() -> Self {
        Self { gate: Semaphore::new(0), ..Self::new(|_| Ok(())) }
    }

    /// The attempts that were started, in order.
    fn started(&self) -> Vec<u32> {
        self.started.lock().unwrap().clone()
    }

    fn recorded(&self) -> Vec<Settlement> {
        self.recorded.lock().unwrap().clone()
    }

    fn dropped(&self) -> u32 {
        *self.dropped.lock().unwrap()
    }
}

/// Counts work that was dropped before it finished.
struct Unfinished(Option<Arc<Mutex<u32>>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(dropped) = self.0.take() {
            *dropped.lock().unwrap() += 1;
        }
    }
}

#[async_trait]
impl LeadHandler for Handler {
    async fn handle(&self, message: &Message) -> Result<(), Failure> {
        self.started.lock().unwrap().push(message.attempt);
        let mut unfinished = Unfinished(Some(Arc::clone(&self.dropped)));
        self.gate.acquire().await.unwrap().forget();
        unfinished.0 = None;
        (self.work)(message)
    }

    async fn record(&self, _message: &Message, outcome: &Settlement) -> Result<(), Failure> {
        self.recorded.lock().unwrap().push(outcome.clone());
        self.recording.clone()
    }
}

/// A running worker.
pub(crate) struct Running {
    handler: Arc<Handler>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(fixture: &Fixture, handler: Handler, concurrency: usize) -> Self {
        let grace_period = Duration::from_mins(1);
        Self::start_on(fixture, fixture.queue().await, handler, concurrency, grace_period)
    }

    fn start_on(
        fixture: &Fixture,
        queue: Arc<dyn LeadQueue>,
        handler: Handler,
        concurrency: usize,
        grace_period: Duration,
    ) -> Self {
        let handler = Arc::new(handler);
        let worker = Worker::new(
            queue,
            Arc::clone(&handler) as Arc<dyn LeadHandler>,
            Arc::new(fixture.clock.clone()),
            concurrency,
        )
        .with_grace_period(grace_period);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { worker.run(shutdown).await }
        });
        Self { handler, shutdown, task }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

/// Waits until a condition holds, at most a minute.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..6000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

pub(crate) async fn until_empty(queue: &dyn LeadQueue) {
    until("the queue is empty", async || queue.depth().await.unwrap().messages == 0).await;
}

#[tokio::test]
async fn handled_messages_leave_the_queue() {
    let (fixture, queue) = with_messages(20).await;
    let running = Running::start(&fixture, Handler::new(|_| Ok(())), 4).await;
    until_empty(&*queue).await;
    assert_eq!(running.handler.started(), [1; 20]);
    assert!(running.handler.recorded().is_empty(), "success needs no record");
    running.stop().await;
}

#[tokio::test]
async fn worker_receives_no_more_than_its_concurrency() {
    let (fixture, queue) = with_messages(5).await;
    let running = Running::start(&fixture, Handler::gated(), 2).await;
    for done in 0..5 {
        let expected = 2.min(5 - done);
        let at_work = async || queue.depth().await.unwrap().in_flight == expected;
        until("every slot is taken", at_work).await;
        tokio::time::sleep(Duration::from_millis(20)).await; // time to take too much
        assert_eq!(queue.depth().await.unwrap().in_flight, expected);
        running.handler.gate.add_permits(1);
        until("one is done", async || queue.depth().await.unwrap().messages == 4 - done).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn panic_is_a_failed_attempt_without_its_text() {
    let (fixture, queue) = with_messages(1).await;
    let handler = Handler::new(|_| panic!("byte index 1 is out of bounds of `Ann Hidden`"));
    let running = Running::start(&fixture, handler, 1).await;
    for attempt in 1..=MAX_ATTEMPTS as usize {
        until("the next attempt", async || running.handler.recorded().len() >= attempt).await;
        until("it is settled", async || queue.depth().await.unwrap().in_flight == 0).await;
        fixture.clock.advance(Duration::from_secs(16));
    }
    until_empty(&*queue).await;
    let recorded = running.handler.recorded();
    let waits: Vec<_> = recorded
        .iter()
        .map(|outcome| match outcome {
            Settlement::Retry { after, failure } | Settlement::Defer { after, failure } => {
                assert_eq!((&*failure.code, failure.class()), ("panic", FailureClass::Transient));
                after.as_secs()
            }
            Settlement::DeadLetter { failure } => {
                assert_eq!(failure.message, "the work panicked; the log says where");
                0
            }
            Settlement::Done => panic!("it failed"),
        })
        .collect();
    assert_eq!(waits, [2, 4, 8, 16, 0]);
    assert_eq!(running.handler.started(), [1, 2, 3, 4, 5]);
    running.stop().await;
}

#[tokio::test]
async fn unrecorded_dead_letter_stays_in_the_queue() {
    let (fixture, queue) = with_messages(1).await;
    let mut handler = Handler::new(|_| Err(Failure::permanent("refused", "the record is refused")));
    handler.recording = Err(Failure::transient("database_error", "no answer"));
    let running = Running::start(&fixture, handler, 1).await;
    for tries in 1..=2 {
        until("it is tried", async || running.handler.recorded().len() >= tries).await;
        assert!(matches!(running.handler.recorded()[tries - 1], Settlement::DeadLetter { .. }));
        until("it is released", async || queue.depth().await.unwrap().in_flight == 0).await;
        assert_eq!(queue.depth().await.unwrap().messages, 1);
        fixture.clock.advance(Duration::from_secs(30));
    }
    running.stop().await;
}

#[tokio::test]
async fn deferral_pauses_the_queue_until_resumed() {
    for (retry_after, seconds) in [(None, 30), (Some(Duration::from_hours(1)), 3600)] {
        let (fixture, queue) = with_messages(1).await;
        let open = Arc::new(Mutex::new(true));
        let handler = Handler::new({
            let open = Arc::clone(&open);
            move |_| {
                let failure = Failure::deferral(CRM, "breaker_open", "five failures in a row", retry_after);
                if *open.lock().unwrap() { Err(failure) } else { Ok(()) }
            }
        });
        let running = Running::start(&fixture, handler, 4).await;
        until("the queue is paused", async || !queue.pauses().await.unwrap().is_empty()).await;
        let pause = queue.pauses().await.unwrap().remove(0);
        assert_eq!(pause.dependency, CRM);
        assert_eq!(pause.reason, "breaker_open: five failures in a row");
        assert_eq!(pause.until, fixture.clock.now() + Duration::from_secs(seconds));
        until("it is released", async || queue.depth().await.unwrap().in_flight == 0).await;

        // Other leads do not run into the same failure.
        queue.send(&event(2)).await.unwrap();
        fixture.clock.advance(Duration::from_secs(2 * seconds));
        tokio::time::sleep(Duration::from_millis(250)).await; // two polls
        assert_eq!(running.handler.started(), [1]);

        *open.lock().unwrap() = false;
        queue.resume(&CRM).await.unwrap();
        until_empty(&*queue).await;
        assert_eq!(running.handler.started(), [1, 1, 1], "the deferral was no attempt");
        running.stop().await;
    }
}

#[tokio::test]
async fn deferral_without_a_dependency_delays_only_its_message() {
    let fixture = Fixture::sqlite().await;
    let queue = fixture.queue().await;
    let limited = event(1);
    queue.send(&limited).await.unwrap();
    let handler = Handler::new(move |message| {
        if message.group == limited.lead_id.as_str() {
            return Err(Failure::lead_deferral(
                "lead_limit",
                "ten actions a minute",
                Duration::from_secs(30),
            ));
        }
        Ok(())
    });
    let running = Running::start(&fixture, handler, 1).await;
    until("it is deferred", async || running.handler.recorded().len() == 1).await;
    queue.send(&event(2)).await.unwrap();
    until("the other one is done", async || queue.depth().await.unwrap().messages == 1).await;
    assert!(queue.pauses().await.unwrap().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn message_with_too_many_losses_is_dead_lettered_untried() {
    let (fixture, queue) = with_messages(1).await;
    for _ in 0..=MAX_LOSSES {
        assert_eq!(queue.receive(1).await.unwrap().len(), 1);
        fixture.clock.advance(VISIBILITY);
    }
    let running = Running::start(&fixture, Handler::new(|_| Ok(())), 1).await;
    until_empty(&*queue).await;
    let recorded = running.handler.recorded();
    assert!(
        matches!(&recorded[..], [Settlement::DeadLetter { failure }] if failure.code == "worker_lost"),
        "{recorded:?}"
    );
    assert!(running.handler.started().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn work_interrupted_by_a_shutdown_is_received_again() {
    let (fixture, queue) = with_messages(1).await;
    let handler = Handler::gated();
    let running = Running::start_on(&fixture, fixture.queue().await, handler, 1, Duration::from_millis(50));
    until("work goes on", async || running.handler.started() == [1]).await;
    running.shutdown.cancel();
    running.task.await.unwrap();
    assert_eq!(running.handler.dropped(), 1);
    assert!(running.handler.recorded().is_empty());
    fixture.clock.advance(VISIBILITY);
    let again = queue.receive(1).await.unwrap();
    assert_eq!((again[0].attempt, again[0].losses), (1, 1));
}

#[tokio::test]
async fn shutdown_finishes_running_work_and_starts_no_more() {
    let (fixture, queue) = with_messages(1).await;
    let running = Running::start(&fixture, Handler::gated(), 2).await;
    until("work goes on", async || running.handler.started() == [1]).await;
    running.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(250)).await; // two polls, if there were any
    queue.send(&event(2)).await.unwrap();
    running.handler.gate.add_permits(2);
    running.task.await.unwrap();
    assert_eq!(running.handler.started(), [1]);
    assert_eq!(running.handler.dropped(), 0);
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.messages, depth.in_flight), (1, 0), "the second waits, the first is done");
}
