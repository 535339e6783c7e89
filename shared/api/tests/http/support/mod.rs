//! A complete RevenueFlow on its own database, without a server.

mod client;
mod schema;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use analysis::{Analysis, AnalysisError, Analyst, Icp, Rules, Usage};
use api::ApiState;
use async_trait::async_trait;
use axum::Router;
use database::Database;
use database::testing::TestDatabase;
use grounding::FactSheet;
use lead::{Failure, Lead, LeadEvent, LeadId, ManualClock};
use operations::Operations;
use operators::Credentials;
use pipeline::Pipeline;
use queue::{DatabaseQueue, LeadHandler as _, LeadQueue, Settlement};
use routing::Routing;
use secrecy::SecretString;
use serde_json::json;
use store::Store;
pub(crate) use testkit::fixtures::new_lead;
use testkit::fixtures::{self, mock_crm, no_limits};

pub(crate) use client::Client;

pub(crate) const TOKEN: &str = "an-admin-token-of-some-length";

pub(crate) struct App {
    pub(crate) clock: ManualClock,
    pub(crate) store: Store,
    pub(crate) queue: Arc<dyn LeadQueue>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) operations: Operations,
    pub(crate) analyst: Arc<TestAnalyst>,
    _database: TestDatabase,
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::with_rules(Routing::default_config()).await
    }

    /// An app with the given routing rules.
    pub(crate) async fn with_rules(routing: Routing) -> Self {
        let test = TestDatabase::sqlite().await;
        let database = test.connect().await;
        Self::assemble(database, test, routing)
    }

    pub(crate) fn on(database: Database, test: TestDatabase) -> Self {
        Self::assemble(database, test, Routing::default_config())
    }

    fn assemble(database: Database, test: TestDatabase, routing: Routing) -> Self {
        let clock = ManualClock::default();
        let shared = Arc::new(clock.clone());
        let store = Store::new(database.clone(), shared.clone());
        let queue: Arc<dyn LeadQueue> =
            Arc::new(DatabaseQueue::new(database, shared, Duration::from_secs(30)));
        let rules = Rules::new(Icp::default_config());
        let analyst = Arc::new(TestAnalyst { rules, lies: AtomicBool::new(false) });
        let crm = Arc::new(mock_crm(&store, &clock));
        let pipeline = fixtures::pipeline(&store, &clock, analyst.clone(), crm, no_limits());
        let pipeline = Arc::new(Pipeline { routing: Arc::new(routing), ..pipeline });
        let operations = Operations::new(Arc::clone(&queue), Arc::clone(&pipeline));
        Self { clock, store, queue, pipeline, operations, analyst, _database: test }
    }

    pub(crate) fn state(&self, token: Option<&str>) -> ApiState {
        self.state_with(Credentials::new(token.map(SecretString::from).as_ref(), None))
    }

    pub(crate) fn state_with(&self, credentials: Credentials) -> ApiState {
        ApiState::new(self.operations.clone(), credentials, || "a_metric 1\n".to_owned())
    }

    pub(crate) fn router(&self) -> Router {
        api::router(self.state(None))
    }

    /// A local client of an API without a token.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.router())
    }

    /// Accepts a lead as the webhook does.
    pub(crate) async fn post(&self, lead: Lead) -> LeadId {
        let event = LeadEvent::new(lead, lead::Clock::now(&self.clock));
        self.store.accept(&event).await.unwrap();
        self.queue.send(&event).await.unwrap();
        event.lead_id
    }

    /// Processes all ready messages, or dead-letters them with the failure `give_up`.
    pub(crate) async fn settle(&self, give_up: Option<Failure>) {
        loop {
            let messages = self.queue.receive(10).await.unwrap();
            if messages.is_empty() {
                return;
            }
            for message in messages {
                let settlement = if let Some(failure) = &give_up {
                    Settlement::DeadLetter { failure: failure.clone() }
                } else {
                    self.pipeline.handle(&message).await.unwrap();
                    Settlement::Done
                };
                self.pipeline.record(&message, &settlement).await.unwrap();
                self.queue.settle(&message.receipt, &settlement).await.unwrap();
            }
        }
    }

    pub(crate) async fn work(&self) {
        self.settle(None).await;
    }
}

/// A lead of a well-known company, in a high-value campaign.
pub(crate) fn lead(email: &str) -> Lead {
    let mut lead = new_lead(email, "launch_2024");
    lead.name = Some("Alex Smith".to_owned().into());
    lead
}

/// A lead that is ready to buy.
pub(crate) fn eager(email: &str) -> Lead {
    let mut lead = lead(email);
    lead.title = Some("CTO".into());
    lead.marketo.insert("engagement_score".into(), json!(82));
    lead
}

/// An analyst that follows the rules, or makes false claims.
pub(crate) struct TestAnalyst {
    rules: Rules,
    lies: AtomicBool,
}

impl TestAnalyst {
    pub(crate) fn lie(&self, lies: bool) {
        self.lies.store(lies, Ordering::SeqCst);
    }
}

#[async_trait]
impl Analyst for TestAnalyst {
    fn provider(&self) -> &'static str {
        self.rules.provider()
    }

    fn model(&self) -> &str {
        self.rules.model()
    }

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, AnalysisError> {
        if !self.lies.load(Ordering::SeqCst) {
            return self.rules.analyse(facts).await;
        }
        let claim = json!({"source": "ENRICHMENT", "field_path": "enrichment.industry", "value": "Retail",
            "claim_type": "FIRMOGRAPHIC"});
        let answer = json!({"fit_score": 90, "intent": "HIGH", "decision": "ROUTE_TO_SDR", "reasoning": "",
            "evidence": [claim]});
        Ok(Analysis {
            provider: "rules".into(),
            model: "liar".into(),
            prompt_version: None,
            raw_answer: answer.to_string(),
            usage: Usage::default(),
            latency_ms: 0,
        })
    }
}
