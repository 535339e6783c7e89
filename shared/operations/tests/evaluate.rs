//! Evaluation and verification of all stored judgements, on SQLite and on PostgreSQL. The tests of `pipeline`
//! cover the evaluation of one judgement.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use analysis::{Analysis, AnalysisError, Analyst, Icp, Rules};
use assembly::Config;
use async_trait::async_trait;
use database::testing::TestDatabase;
use grounding::FactSheet;
use lead::{Actor, CampaignId, Cause, Clock, EmailAddress, Failure, Lead, LeadEvent, ManualClock};
use on_both::on_both;
use operations::{Alternative, Evaluation, OperationError, Operations, Selection};
use pipeline::Pipeline;
use queue::{DatabaseQueue, LeadHandler as _, LeadQueue as _, Settlement};
use serde_json::{Value, json};
use store::Suppressed;
use variables::Variables;

struct Fixture {
    operations: Operations,
    analyst: Arc<Colder>,
    queue: Arc<DatabaseQueue>,
    pipeline: Arc<Pipeline>,
    _database: TestDatabase,
}

impl Fixture {
    async fn sqlite() -> Self {
        Self::on(TestDatabase::sqlite().await).await
    }

    async fn postgres() -> Self {
        Self::on(TestDatabase::postgres().await).await
    }

    async fn on(test: TestDatabase) -> Self {
        let (database, clock) = (test.connect().await, Arc::new(ManualClock::default()) as Arc<dyn Clock>);
        // The tests need judgements, and no writes to the CRM.
        let shadow = Variables::from_fn(|name| (name == "CRM_MODE").then(|| "shadow".to_owned()));
        let config = Config::read(&shadow).unwrap();
        let pipeline = Arc::new(assembly::pipeline(&config, &database, &clock, None, None).unwrap());
        let queue = Arc::new(DatabaseQueue::new(database, clock, Duration::from_mins(1)));
        let operations = Operations::new(queue.clone(), pipeline.clone());
        let analyst = Arc::new(Colder {
            rules: Rules::new(Icp::default_config()),
            failure: Mutex::default(),
            calls: 0.into(),
        });
        Self { operations, analyst, queue, pipeline, _database: test }
    }

    /// Processes the leads of this number of people.
    async fn judge(&self, people: u32) {
        for number in 0..people {
            let email = EmailAddress::parse(&format!("person{number}@stripe.com")).unwrap();
            let mut lead = Lead::new(email, CampaignId::parse("launch_2024").unwrap());
            lead.title = Some("CTO".to_owned());
            lead.marketo.insert("activity".into(), json!("demo_request"));
            let event = LeadEvent::new(lead, self.pipeline.clock.now());
            self.pipeline.store.accept(&event).await.unwrap();
            self.queue.send(&event).await.unwrap();
        }
        while let Some(message) = self.queue.receive(1).await.unwrap().pop() {
            self.pipeline.handle(&message).await.unwrap();
            self.queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        }
    }

    /// Evaluates leads with the colder analyst. Also returns the number of reports of progress.
    async fn evaluate(&self, limit: Option<u64>) -> (Result<(), OperationError>, Evaluation, u32) {
        let (analyst, reports) = (self.analyst.clone() as Arc<dyn Analyst>, AtomicU32::new(0));
        let alternative = Alternative { icp: Icp::default_config(), analyst: Some(analyst) };
        let selection = Selection { limit, ..Selection::default() };
        let mut evaluation = Evaluation::listing(1_000);
        let report = || _ = reports.fetch_add(1, Ordering::SeqCst);
        let ended = self.operations.evaluate(&alternative, selection, &mut evaluation, report).await;
        (ended, evaluation, reports.into_inner())
    }
}

/// An analyst that sees less intent than the rules, or fails.
struct Colder {
    rules: Rules,
    failure: Mutex<Option<Failure>>,
    calls: AtomicU32,
}

#[async_trait]
impl Analyst for Colder {
    fn provider(&self) -> &'static str {
        "colder"
    }

    fn model(&self) -> &'static str {
        "colder-1"
    }

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, AnalysisError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if let Some(failure) = self.failure.lock().unwrap().clone() {
            return Err(failure.into());
        }
        let mut analysis = self.rules.analyse(facts).await?;
        let mut answer: Value = serde_json::from_str(&analysis.raw_answer).unwrap();
        (answer["intent"], answer["decision"]) = (json!("LOW"), json!("NURTURE"));
        analysis.raw_answer = answer.to_string();
        Ok(analysis)
    }
}

#[on_both]
async fn every_page_is_visited_once(fixture: Fixture) {
    fixture.judge(120).await;
    let (ended, evaluation, reports) = fixture.evaluate(None).await;
    ended.unwrap();
    assert_eq!((evaluation.leads, evaluation.routed_differently, reports), (120, 120, 120));
    let mut ids: Vec<_> = evaluation.differently.iter().map(|one| &one.lead_id).collect();
    assert!(ids.is_sorted());
    ids.dedup();
    assert_eq!(ids.len(), 120);
    let reports = Mutex::new(Vec::new());
    let report = |verified, total| reports.lock().unwrap().push((verified, total));
    let verification = fixture.operations.verify(None, report).await.unwrap();
    assert_eq!((verification.judgements, verification.reproduced), (120, 120));
    assert_eq!(reports.into_inner().unwrap(), [(0, 120), (100, 120), (120, 120)]);
}

#[on_both]
async fn limit_selects_the_same_leads_on_every_call(fixture: Fixture) {
    fixture.judge(3).await;
    let ids = async || -> Vec<_> {
        let (ended, evaluation, _) = fixture.evaluate(Some(2)).await;
        ended.unwrap();
        evaluation.differently.into_iter().map(|one| one.lead_id).collect()
    };
    let first = ids().await;
    assert_eq!((first.len(), fixture.analyst.calls.load(Ordering::SeqCst)), (2, 2));
    assert_eq!(ids().await, first);
}

#[on_both]
async fn service_level_failure_ends_the_evaluation(fixture: Fixture) {
    fixture.judge(12).await;
    let refused = Failure::permanent("ai_credentials_refused", "x").because(Cause::CredentialsRefused);
    *fixture.analyst.failure.lock().unwrap() = Some(refused.clone());
    let (ended, evaluation, _) = fixture.evaluate(None).await;
    assert!(matches!(ended, Err(OperationError::Failed(failure)) if failure.code == refused.code));
    assert_eq!(evaluation.leads, 0);
    assert!((1..=8).contains(&fixture.analyst.calls.load(Ordering::SeqCst)), "only the concurrent calls");
}

#[on_both]
async fn leads_without_an_evaluation_are_counted(fixture: Fixture) {
    fixture.judge(3).await;
    *fixture.analyst.failure.lock().unwrap() = Some(Failure::permanent("ai_blocked", "x"));
    let person = Suppressed::parse("person1@stripe.com").unwrap();
    fixture.pipeline.store.suppress(&Actor::admin(), &person, "asked for it").await.unwrap();
    let (ended, evaluation, _) = fixture.evaluate(None).await;
    ended.unwrap();
    assert_eq!((evaluation.leads, evaluation.not_evaluated, evaluation.suppressed), (3, 2, 1));
    assert!(evaluation.failures.iter().all(|failed| failed.failure.code == "ai_blocked"));
}
