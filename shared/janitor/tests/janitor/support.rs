//! The fixture: leads, their queue, and a worker's pipeline.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use analysis::{Analysis, AnalysisError, Analyst, Icp, Rules};
use async_trait::async_trait;
use crm::{Executor, LimitSettings};
use database::testing::TestDatabase;
use grounding::FactSheet;
use janitor::{Janitor, Probe, Round};
use jiff::Timestamp;
use lead::{Clock as _, Dependency, Failure, LeadEvent, ManualClock};
use pipeline::Pipeline;
use queue::{DatabaseQueue, LeadHandler as _, LeadQueue, Settlement};
use store::Store;
pub(crate) use testkit::fixtures::no_limits;
use testkit::fixtures::{hot_lead, mock_crm, pipeline};

pub(crate) const AI: Dependency = Dependency::new("ai.fake");
pub(crate) const CRM: Dependency = Dependency::new("crm.mock");

pub(crate) struct Fixture {
    pub(crate) clock: ManualClock,
    pub(crate) store: Store,
    pub(crate) queue: Arc<dyn LeadQueue>,
    pub(crate) ai: Arc<Answers>,
    pub(crate) crm: Arc<Answers>,
    database: TestDatabase,
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        Self::on(TestDatabase::sqlite().await).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::on(TestDatabase::postgres().await).await
    }

    async fn on(test: TestDatabase) -> Self {
        let (clock, database) = (ManualClock::default(), test.connect().await);
        let visibility = Duration::from_mins(10);
        Self {
            store: Store::new(database.clone(), Arc::new(clock.clone())),
            queue: Arc::new(DatabaseQueue::new(database, Arc::new(clock.clone()), visibility)),
            clock,
            ai: Arc::default(),
            crm: Arc::default(),
            database: test,
        }
    }

    /// A janitor that can probe the CRM.
    pub(crate) fn janitor(&self) -> Janitor {
        let probes = vec![(CRM, Arc::clone(&self.crm) as Arc<dyn Probe>)];
        Janitor::new(self.store.clone(), Arc::clone(&self.queue), probes, Arc::new(self.clock.clone()))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The time `seconds` from now.
    pub(crate) fn in_seconds(&self, seconds: u64) -> Timestamp {
        self.clock.now() + Duration::from_secs(seconds)
    }

    /// Accepts leads and sends them to the queue, except the indices in `lost`.
    pub(crate) async fn post(&self, events: &[LeadEvent], lost: &[usize]) {
        let mut transaction = self.store.database().begin().await.unwrap();
        for (place, event) in events.iter().enumerate() {
            let (_, event) = self.store.accept_arrival(&mut transaction, event).await.unwrap();
            if !lost.contains(&place) {
                DatabaseQueue::send_in(&mut transaction, &event, self.clock.now()).await.unwrap();
            }
        }
        transaction.commit().await.unwrap();
    }

    /// Processes every message in the queue.
    pub(crate) async fn work(&self) {
        self.work_with(&self.pipeline(Arc::clone(&self.ai) as Arc<dyn Analyst>)).await;
    }

    /// The same, with this pipeline.
    pub(crate) async fn work_with(&self, pipeline: &Pipeline) {
        while let Some(message) = self.queue.receive(1).await.unwrap().pop() {
            pipeline.handle(&message).await.unwrap();
            self.queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        }
    }

    /// A pipeline whose database does not answer.
    pub(crate) async fn broken_pipeline(&self) -> Pipeline {
        let database = self.database.connect().await;
        database.close().await;
        let store = Store::new(database, Arc::new(self.clock.clone()));
        Pipeline { store, ..self.pipeline(Arc::clone(&self.ai) as Arc<dyn Analyst>) }
    }

    /// A worker's pipeline with the given analyst.
    pub(crate) fn pipeline(&self, analyst: Arc<dyn Analyst>) -> Pipeline {
        let crm = mock_crm(&self.store, &self.clock);
        self.pipeline_on(analyst, Arc::new(crm), no_limits())
    }

    /// A worker's pipeline with the given analyst, CRM and limits.
    pub(crate) fn pipeline_on(
        &self,
        analyst: Arc<dyn Analyst>,
        crm: Arc<dyn Executor>,
        limits: LimitSettings,
    ) -> Pipeline {
        pipeline(&self.store, &self.clock, analyst, crm, limits)
    }
}

/// A lead that an analyst routes to a call.
pub(crate) fn event(fixture: &Fixture, person: &str) -> LeadEvent {
    LeadEvent::new(hot_lead(person), fixture.clock.now())
}

/// A round with no other counts than these.
pub(crate) fn only(change: impl FnOnce(&mut Round)) -> Round {
    let mut round = Round::default();
    change(&mut round);
    round
}

/// A dependency that returns the queued failures, and then succeeds.
#[derive(Default)]
pub(crate) struct Answers {
    failures: Mutex<VecDeque<Failure>>,
    asked: Mutex<usize>,
    hangs: Mutex<bool>,
}

impl Answers {
    pub(crate) fn will_fail(&self, failures: impl IntoIterator<Item = Failure>) {
        self.failures.lock().unwrap().extend(failures);
    }

    /// Makes every later probe hang.
    pub(crate) fn will_hang(&self) {
        *self.hangs.lock().unwrap() = true;
    }

    /// The number of calls.
    pub(crate) fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }

    fn answer(&self) -> Result<(), Failure> {
        *self.asked.lock().unwrap() += 1;
        self.failures.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Probe for Answers {
    async fn probe(&self) -> Result<(), Failure> {
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        self.answer()
    }
}

#[async_trait]
impl Analyst for Answers {
    fn provider(&self) -> &'static str {
        "fake"
    }

    fn model(&self) -> &'static str {
        "fake-1"
    }

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, AnalysisError> {
        self.answer()?;
        Rules::new(Icp::default_config()).analyse(facts).await
    }
}
