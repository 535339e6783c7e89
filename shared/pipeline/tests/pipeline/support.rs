//! The fixture of a test: a database with a mock CRM in it, a scripted analyst, and counters for all calls.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use analysis::{Analysis, AnalysisError, Analyst, Icp, Objection, Rules, Usage};
use async_trait::async_trait;
use crm::MockRecord;
use crm::testing::{FaultyExecutor, Script};
use database::Database;
use database::testing::TestDatabase;
use enrichment::{EnrichmentProvider, Firmographics, Fixtures, Waterfall};
use grounding::FactSheet;
use lead::{Actor, Dependency, Failure, LeadEvent, LeadId, ManualClock, Stage};
use pipeline::{Pipeline, Rejected};
use queue::{LeadHandler as _, Message, Receipt, settle_failed};
use serde_json::{Value, json};
use store::{AuditEvent, AuditKind, LeadRecord, Store};
use testkit::fixtures::{self, analyses, crm_record, hot_lead, mock_crm, no_limits};
pub(crate) use testkit::fixtures::{at, execute};

pub(crate) struct Fixture {
    pub(crate) clock: ManualClock,
    pub(crate) analyst: Arc<FakeAnalyst>,
    pub(crate) provider: Arc<CountingProvider>,
    /// The scripted faults of the CRM, one for each action.
    pub(crate) crm_faults: Arc<Script>,
    pub(crate) rejected: Rejected,
    pub(crate) store: Store,
    database: TestDatabase,
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        Self::on(TestDatabase::sqlite().await).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::on(TestDatabase::postgres().await).await
    }

    async fn on(database: TestDatabase) -> Self {
        let clock = ManualClock::default();
        Self {
            store: Store::new(database.connect().await, Arc::new(clock.clone())),
            clock,
            analyst: Arc::new(FakeAnalyst::new()),
            provider: Arc::new(CountingProvider {
                calls: AtomicUsize::new(0),
                fixtures: Fixtures::built_in(),
            }),
            crm_faults: Script::new([]),
            rejected: Rejected::Hold,
            database,
        }
    }

    /// A separate connection pool, like that of another process.
    pub(crate) async fn connect(&self) -> Database {
        self.database.connect().await
    }

    /// The pipeline of another process.
    pub(crate) async fn pipeline(&self) -> Pipeline {
        self.pipeline_on(self.connect().await)
    }

    pub(crate) fn pipeline_on(&self, database: Database) -> Pipeline {
        let store = Store::new(database, Arc::new(self.clock.clone()));
        let executor = FaultyExecutor::new(mock_crm(&store, &self.clock), Arc::clone(&self.crm_faults));
        let analyst = Arc::clone(&self.analyst) as Arc<dyn Analyst>;
        // The tests of the guard cover rate limits.
        let pipeline = fixtures::pipeline(&store, &self.clock, analyst, Arc::new(executor), no_limits());
        let provider = Arc::clone(&self.provider) as Arc<dyn EnrichmentProvider>;
        let clock = Arc::new(self.clock.clone());
        let enrichment = Waterfall::new(vec![provider], Duration::from_secs(10), clock);
        Pipeline { enrichment, rejected: self.rejected, ..pipeline }
    }

    /// A pipeline, and a lead that it has handled.
    pub(crate) async fn with_lead(&self) -> (Pipeline, LeadEvent) {
        let (pipeline, event) = (self.pipeline().await, hot("ann", "CTO", 0));
        pipeline.handle(&message(&event, 1)).await.unwrap();
        (pipeline, event)
    }

    /// Promotes a planned lead, and handles it.
    pub(crate) async fn promote(&self, pipeline: &Pipeline, id: &LeadId) {
        let promoted = self.store.promote(&Actor::admin(), id).await.unwrap().unwrap();
        pipeline.handle(&message(&promoted, 1)).await.unwrap();
    }

    /// Reopens a lead, and handles it.
    pub(crate) async fn reopen(&self, pipeline: &Pipeline, id: &LeadId, rejudge: bool, reason: &str) {
        let reopened = self.store.reopen(&Actor::admin(), id, rejudge, reason).await.unwrap().unwrap();
        pipeline.handle(&message(&reopened, 1)).await.unwrap();
    }

    /// Records failed attempts of a lead at a stage.
    pub(crate) async fn record_failures(
        &self,
        pipeline: &Pipeline,
        event: &LeadEvent,
        stage: Stage,
        times: u32,
    ) {
        for attempt in 1..=times {
            let failure = Failure::transient("test_failed", "it failed before").at(stage);
            let settlement = settle_failed(attempt, failure);
            pipeline.record(&message(event, attempt), &settlement).await.unwrap();
        }
    }

    /// All records in the CRM.
    pub(crate) async fn crm(&self) -> Vec<MockRecord> {
        mock_crm(&self.store, &self.clock).records(100_000).await.unwrap()
    }

    /// The numbers of leads, tasks and activities in the CRM, which has no other records.
    pub(crate) async fn crm_counts(&self) -> [usize; 3] {
        let records = self.crm().await;
        let counts =
            ["lead", "task", "activity"].map(|kind| records.iter().filter(|r| r.object == kind).count());
        assert_eq!(counts.iter().sum::<usize>(), records.len(), "{records:?}");
        counts
    }

    /// The CRM's record of a lead.
    pub(crate) async fn crm_lead(&self, id: &LeadId) -> MockRecord {
        crm_record(&self.store, id).await.expect("the CRM has the lead")
    }

    pub(crate) async fn lead(&self, id: &LeadId) -> LeadRecord {
        fixtures::lead(&self.store, id).await
    }

    pub(crate) async fn audit(&self, id: &LeadId) -> Vec<AuditEvent> {
        fixtures::audit(&self.store, id).await
    }

    pub(crate) async fn kinds(&self, id: &LeadId) -> Vec<AuditKind> {
        fixtures::kinds(&self.store, id).await
    }

    /// All stored data of a lead and all records in the CRM, for comparison.
    pub(crate) async fn snapshot(&self, id: &LeadId) -> Value {
        let crm: Vec<_> = self
            .crm()
            .await
            .into_iter()
            .map(|record| (record.record_id, record.fields, record.writes))
            .collect();
        json!({
            "lead": format!("{:?}", self.store.lead(id).await.unwrap()),
            "audit": self.audit(id).await,
            "analyses": analyses(&self.store, id).await,
            "deliveries": self.store.deliveries(id, 1000).await.unwrap(),
            "actions": self.store.actions(id, 1000).await.unwrap(),
            "dead_letters": self.store.dead_letters(None, 1000).await.unwrap(),
            "crm": crm,
        })
    }
}

/// A delivery of a lead for an immediate call.
pub(crate) fn hot(person: &str, title: &str, received: i64) -> LeadEvent {
    let mut lead = hot_lead(person);
    lead.title = Some(title.to_owned());
    LeadEvent::new(lead, at(received))
}

pub(crate) fn message(event: &LeadEvent, attempt: u32) -> Message {
    raw_message(&serde_json::to_string(event).unwrap(), attempt)
}

pub(crate) fn raw_message(body: &str, attempt: u32) -> Message {
    Message {
        id: format!("message-{}", body.len()),
        group: "group-1".into(),
        body: body.into(),
        attempt,
        losses: 0,
        sent_at: at(0),
        redriven: false,
        removed: queue::Removed::default(),
        receipt: Receipt { key: "group-1".into(), token: "t".into() },
    }
}

/// A part of a panic message that must not be stored or logged.
pub(crate) const PANIC_SENTINEL: &str = "over `Ann Sentinel`";

/// A scripted reply of the analyst.
pub(crate) enum Reply {
    /// The answer of the rules.
    Rules,
    /// The answer of the rules with a modification.
    Changed(fn(&mut Value)),
    /// This text.
    Text(&'static str),
    Fail(Failure),
    /// A failure of a call that has a cost.
    Paid(Failure),
    Panic,
}

/// Replies from a script, and then judges by the rules.
pub(crate) struct FakeAnalyst {
    rules: Rules,
    script: Mutex<VecDeque<Reply>>,
    /// The scripted corrections of rejected answers. Without one, the analyst does not support corrections.
    corrections: Mutex<VecDeque<Reply>>,
    calls: AtomicUsize,
}

impl FakeAnalyst {
    fn new() -> Self {
        Self {
            rules: Rules::new(Icp::default_config()),
            script: Mutex::default(),
            corrections: Mutex::default(),
            calls: AtomicUsize::new(0),
        }
    }

    /// Adds replies to the script.
    pub(crate) fn will(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().extend(replies);
    }

    /// Adds replies to the script of corrections.
    pub(crate) fn will_correct(&self, replies: impl IntoIterator<Item = Reply>) {
        self.corrections.lock().unwrap().extend(replies);
    }

    /// The number of calls to the analyst since the last call of this method.
    pub(crate) fn take_calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl Analyst for FakeAnalyst {
    fn provider(&self) -> &'static str {
        "fake"
    }

    fn model(&self) -> &'static str {
        "fake-1"
    }

    /// It stands for an outside system, whose answers must not be lost.
    fn dependencies(&self) -> Vec<Dependency> {
        vec![Dependency::new("ai.fake")]
    }

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, AnalysisError> {
        let reply = self.script.lock().unwrap().pop_front().unwrap_or(Reply::Rules);
        self.reply(reply, facts).await
    }

    async fn correct(
        &self,
        facts: &FactSheet,
        _rejected: &Analysis,
        objections: &[Objection],
    ) -> Result<Option<Analysis>, AnalysisError> {
        assert!(!objections.is_empty());
        let Some(reply) = self.corrections.lock().unwrap().pop_front() else { return Ok(None) };
        self.reply(reply, facts).await.map(Some)
    }
}

impl FakeAnalyst {
    async fn reply(&self, reply: Reply, facts: &FactSheet) -> Result<Analysis, AnalysisError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await; // a process can die while it waits for the reply
        let mut analysis = self.rules.analyse(facts).await?;
        match reply {
            Reply::Rules => {}
            Reply::Changed(change) => {
                let mut answer = serde_json::from_str(&analysis.raw_answer).unwrap();
                change(&mut answer);
                analysis.raw_answer = answer.to_string();
            }
            Reply::Text(text) => text.clone_into(&mut analysis.raw_answer),
            Reply::Fail(failure) => return Err(failure.into()),
            Reply::Paid(failure) => {
                let usage = Usage { input_tokens: 1_000, output_tokens: 20, cost_microusd: 7 };
                let spent = Analysis {
                    provider: "fake".into(),
                    model: "fake-1".into(),
                    prompt_version: Some("judge-v2@test".into()),
                    raw_answer: "half an ans".into(),
                    usage,
                    latency_ms: 1_234,
                };
                return Err(AnalysisError { failure, spent: Some(Box::new(spent)) });
            }
            Reply::Panic => panic!("the analyst fell over {PANIC_SENTINEL}"),
        }
        let usage = Usage { input_tokens: 500, output_tokens: 30, cost_microusd: 5 };
        Ok(Analysis { provider: "fake".into(), model: "fake-1".into(), usage, ..analysis })
    }
}

pub(crate) struct CountingProvider {
    fixtures: Fixtures,
    calls: AtomicUsize,
}

impl CountingProvider {
    /// The number of calls to the provider since the last call of this method.
    pub(crate) fn take_calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl EnrichmentProvider for CountingProvider {
    fn name(&self) -> &'static str {
        "fixtures"
    }

    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.fixtures.company(domain).await
    }
}
