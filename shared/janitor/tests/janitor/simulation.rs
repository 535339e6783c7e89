//! A real worker and a janitor on a simulated clock that advances as fast as they work.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use analysis::{Analyst, Icp, Rules};
use async_trait::async_trait;
use crm::LimitSettings;
use janitor::{IsHot, Janitor};
use jiff::Timestamp;
use lead::{Clock, Dependency, LeadEvent, LeadId, ManualClock};
use queue::{Depth, LeadQueue, Message, Pause, QueueError, Receipt, Sent, Settlement, Worker};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::faulty_crm::FaultyCrm;
use crate::support::Fixture;

/// Leads that are processed concurrently.
pub(crate) const CONCURRENCY: usize = 8;
/// The interval of the janitor's rounds, in seconds.
const ROUND: u64 = 30;

pub(crate) struct Simulation<'a> {
    fixture: &'a Fixture,
    queue: Arc<ObservedQueue>,
    janitor: Janitor,
    waker: Arc<Notify>,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
    passed: AtomicUsize,
}

impl<'a> Simulation<'a> {
    pub(crate) async fn start(
        fixture: &'a Fixture,
        crm: &FaultyCrm,
        limits: LimitSettings,
        is_hot: Option<Arc<IsHot>>,
    ) -> Self {
        let analyst: Arc<dyn Analyst> = Arc::new(Rules::new(Icp::default_config()));
        let pipeline = Arc::new(fixture.pipeline_on(analyst, Arc::new(crm.clone()), limits));
        let queue = Arc::new(ObservedQueue::new(fixture));
        let clock = Arc::new(fixture.clock.clone());
        let probes = janitor::probes(&pipeline);
        let asked = Arc::clone(&queue) as Arc<dyn LeadQueue>;
        let janitor = Janitor::new(fixture.store.clone(), asked, probes, clock.clone());
        let janitor = if let Some(is_hot) = is_hot { janitor.with_hot_leads_first(is_hot) } else { janitor };
        let worker = Worker::new(Arc::clone(&queue) as _, pipeline, clock, CONCURRENCY);
        let (waker, shutdown) = (worker.waker(), CancellationToken::new());
        let running = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { worker.run(shutdown).await }
        });
        let simulation =
            Self { fixture, queue, janitor, waker, shutdown, running, passed: AtomicUsize::new(0) };
        simulation.until_idle().await;
        simulation
    }

    /// Advances the clock in steps; after each one the worker processes everything that is due.
    pub(crate) async fn live(&self, seconds: u64, step: u64) {
        for _ in 0..seconds / step {
            self.fixture.advance(step);
            let passed = self.passed.fetch_add(usize::try_from(step).unwrap(), SeqCst) as u64;
            if (passed + step) / ROUND > passed / ROUND {
                self.janitor.round().await.unwrap();
            }
            self.until_idle().await;
        }
    }

    /// Waits until no work is left at the present time: no message is in flight, and either a receive that
    /// began after the call and after the last settlement was empty, or a limit keeps the worker from
    /// receiving. Does not depend on real time.
    async fn until_idle(&self) {
        let called = self.queue.receives.load(SeqCst);
        self.waker.notify_one();
        loop {
            let last_settled = self.queue.last_settled.load(SeqCst);
            let is_empty = self.queue.last_empty.load(SeqCst) > called.max(last_settled);
            let is_held = self.fixture.clock.now() < *self.queue.held_until.lock().unwrap();
            if self.queue.in_flight.load(SeqCst) == 0 && (is_empty || is_held) {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The number of pauses of consumption.
    pub(crate) fn pauses(&self) -> usize {
        self.queue.paused.load(SeqCst)
    }

    pub(crate) async fn finish_without_used_attempts(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
        let burned = std::mem::take(&mut *self.queue.burned.lock().unwrap());
        assert!(burned.is_empty(), "{} attempts were burned, such as {:?}", burned.len(), burned[0]);
        assert_eq!(self.fixture.store.count_dead_letters().await.unwrap(), 0);
        assert_eq!(self.queue.depth().await.unwrap().messages, 0);
    }
}

/// A queue that records its use.
struct ObservedQueue {
    queue: Arc<dyn LeadQueue>,
    in_flight: AtomicUsize,
    /// Receives that have begun. The next two fields are positions in this count, from 1.
    receives: AtomicUsize,
    /// The last empty receive.
    last_empty: AtomicUsize,
    /// The last receive that had begun when a message was settled.
    last_settled: AtomicUsize,
    /// The end of the limit that keeps the worker from receiving.
    held_until: Mutex<Timestamp>,
    clock: ManualClock,
    paused: AtomicUsize,
    /// Settlements that count as attempts.
    burned: Mutex<Vec<Settlement>>,
}

impl ObservedQueue {
    fn new(fixture: &Fixture) -> Self {
        Self {
            queue: Arc::clone(&fixture.queue),
            in_flight: AtomicUsize::default(),
            receives: AtomicUsize::default(),
            last_empty: AtomicUsize::default(),
            last_settled: AtomicUsize::default(),
            held_until: Mutex::default(),
            clock: fixture.clock.clone(),
            paused: AtomicUsize::default(),
            burned: Mutex::default(),
        }
    }
}

#[async_trait]
impl LeadQueue for ObservedQueue {
    fn backend(&self) -> &'static str {
        self.queue.backend()
    }

    async fn send(&self, event: &LeadEvent) -> Result<Sent, QueueError> {
        self.queue.send(event).await
    }

    async fn receive(&self, max: usize) -> Result<Vec<Message>, QueueError> {
        let receive = self.receives.fetch_add(1, SeqCst) + 1;
        let messages = self.queue.receive(max).await?;
        self.in_flight.fetch_add(messages.len(), SeqCst);
        if messages.is_empty() {
            self.last_empty.store(receive, SeqCst);
        }
        Ok(messages)
    }

    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.queue.extend(receipt).await
    }

    async fn settle(&self, receipt: &Receipt, settlement: &Settlement) -> Result<(), QueueError> {
        if let Settlement::Retry { .. } | Settlement::DeadLetter { .. } = settlement {
            self.burned.lock().unwrap().push(settlement.clone());
        }
        if let Settlement::Defer { after, failure } = settlement
            && failure.is_limit_of_all()
        {
            let until = self.clock.now() + *after;
            let mut held = self.held_until.lock().unwrap();
            *held = until.max(*held);
        }
        let settled = self.queue.settle(receipt, settlement).await;
        self.last_settled.store(self.receives.load(SeqCst), SeqCst);
        self.in_flight.fetch_sub(1, SeqCst);
        settled
    }

    async fn release(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.in_flight.fetch_sub(1, SeqCst);
        self.queue.release(receipt).await
    }

    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError> {
        self.paused.fetch_add(1, SeqCst);
        self.queue.pause(dependency, reason, until).await
    }

    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError> {
        self.queue.resume(dependency).await
    }

    async fn prioritize(&self, lead: &LeadId) -> Result<bool, QueueError> {
        self.queue.prioritize(lead).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        self.queue.pauses().await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.queue.depth().await
    }

    fn visibility_timeout(&self) -> Duration {
        self.queue.visibility_timeout()
    }
}
