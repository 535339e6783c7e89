//! A real worker and a janitor, for whom time passes as fast as they can work.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use analysis::{Analyst, Icp, Rules};
use async_trait::async_trait;
use crm::LimitSettings;
use janitor::{IsHot, Janitor, Probe};
use jiff::Timestamp;
use lead::{Clock, Dependency, Failure, LeadEvent, LeadId, ManualClock};
use pipeline::Pipeline;
use queue::{Depth, LeadQueue, Message, Pause, QueueError, Receipt, Sent, Settlement, Worker};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::sick_crm::SickCrm;
use crate::support::{CRM, House};

/// Leads that are worked on at the same time.
pub(crate) const CONCURRENCY: usize = 8;
/// Between two rounds of the janitor, in seconds.
const ROUND: u64 = 30;

pub(crate) struct Simulation<'a> {
    house: &'a House,
    queue: Arc<Watched>,
    janitor: Janitor,
    waker: Arc<Notify>,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
    passed: AtomicUsize,
}

impl<'a> Simulation<'a> {
    pub(crate) async fn start(
        house: &'a House,
        crm: &SickCrm,
        limits: LimitSettings,
        is_hot: Option<Arc<IsHot>>,
    ) -> Self {
        let analyst: Arc<dyn Analyst> = Arc::new(Rules::new(Icp::default_config()));
        let pipeline = Arc::new(house.pipeline_on(analyst, Arc::new(crm.clone()), limits));
        let queue = Arc::new(Watched::new(house));
        let clock = Arc::new(house.clock.clone());
        let probe: Arc<dyn Probe> = Arc::new(Probed(Arc::clone(&pipeline)));
        let asked = Arc::clone(&queue) as Arc<dyn LeadQueue>;
        let janitor = Janitor::new(house.store.clone(), asked, vec![(CRM, probe)], clock.clone());
        let janitor = if let Some(is_hot) = is_hot { janitor.hot_first(is_hot) } else { janitor };
        let worker = Worker::new(Arc::clone(&queue) as _, pipeline, clock, CONCURRENCY);
        let (waker, shutdown) = (worker.waker(), CancellationToken::new());
        let running = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { worker.run(shutdown).await }
        });
        let simulation =
            Self { house, queue, janitor, waker, shutdown, running, passed: AtomicUsize::new(0) };
        simulation.until_idle().await;
        simulation
    }

    /// Lets time pass in steps, after each of which the worker does all there is to do.
    pub(crate) async fn live(&self, seconds: u64, step: u64) {
        for _ in 0..seconds / step {
            self.house.advance(step);
            let passed = self.passed.fetch_add(usize::try_from(step).unwrap(), SeqCst) as u64;
            if (passed + step) / ROUND > passed / ROUND {
                self.janitor.round().await.unwrap();
            }
            self.until_idle().await;
        }
    }

    /// Until everything that can be done now is done: nothing is in work, and a receive that began after the call and after the
    /// last settlement brought nothing, or a limit keeps the worker from taking more. No real time decides it.
    async fn until_idle(&self) {
        let called = self.queue.receives.load(SeqCst);
        self.waker.notify_one();
        loop {
            let last_settled = self.queue.last_settled.load(SeqCst);
            let is_empty = self.queue.last_empty.load(SeqCst) > called.max(last_settled);
            let is_held = self.house.clock.now() < *self.queue.held_until.lock().unwrap();
            if self.queue.in_flight.load(SeqCst) == 0 && (is_empty || is_held) {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// How often consumption was paused.
    pub(crate) fn pauses(&self) -> usize {
        self.queue.paused.load(SeqCst)
    }

    pub(crate) async fn end_with_no_attempt_burned(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
        let burned = std::mem::take(&mut *self.queue.burned.lock().unwrap());
        assert!(burned.is_empty(), "{} attempts were burned, such as {:?}", burned.len(), burned[0]);
        assert_eq!(self.house.store.count_dead_letters().await.unwrap(), 0);
        assert_eq!(self.queue.depth().await.unwrap().messages, 0);
    }
}

/// As the function and the binary probe it.
struct Probed(Arc<Pipeline>);

#[async_trait]
impl Probe for Probed {
    async fn probe(&self) -> Result<(), Failure> {
        self.0.guard.probe().await
    }
}

/// A queue, and what is asked of it.
struct Watched {
    queue: Arc<dyn LeadQueue>,
    in_flight: AtomicUsize,
    /// Receives that have begun. The next two are positions in this count, from 1.
    receives: AtomicUsize,
    /// The last receive that brought nothing.
    last_empty: AtomicUsize,
    /// The last receive that had begun when a message was settled.
    last_settled: AtomicUsize,
    /// Until when a limit keeps the worker from taking more.
    held_until: Mutex<Timestamp>,
    clock: ManualClock,
    paused: AtomicUsize,
    /// What was not done and not deferred, and what came with an attempt behind it.
    burned: Mutex<Vec<Settlement>>,
}

impl Watched {
    fn new(house: &House) -> Self {
        Self {
            queue: Arc::clone(&house.queue),
            in_flight: AtomicUsize::default(),
            receives: AtomicUsize::default(),
            last_empty: AtomicUsize::default(),
            last_settled: AtomicUsize::default(),
            held_until: Mutex::default(),
            clock: house.clock.clone(),
            paused: AtomicUsize::default(),
            burned: Mutex::default(),
        }
    }
}

#[async_trait]
impl LeadQueue for Watched {
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
            && failure.ends_by_itself
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

    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError> {
        self.paused.fetch_add(1, SeqCst);
        self.queue.pause(dependency, reason, until).await
    }

    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError> {
        self.queue.resume(dependency).await
    }

    async fn hasten(&self, lead: &LeadId) -> Result<bool, QueueError> {
        self.queue.hasten(lead).await
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
