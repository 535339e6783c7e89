use std::sync::Arc;
use std::time::Duration;

use crm::testing::{MemoryHealth, MemoryLedger, MemoryLimits};
use crm::{
    Effect, Executor, Guard, GuardSettings, Mapping, Plan, Salesforce, SalesforceCredentials,
    SalesforceSettings,
};
use lead::{Failure, FailureClass, SystemClock};
use sandbox::salesforce::Org;
use sandbox::{Exchange, Fake};
use serde_json::Value;

/// A fake org, and an executor for it.
pub(crate) struct OrgFixture {
    pub(crate) salesforce: sandbox::salesforce::Salesforce,
    pub(crate) fake: Fake,
    pub(crate) executor: Arc<Salesforce>,
}

impl OrgFixture {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A fixture with changed settings.
    pub(crate) async fn with(change: impl FnOnce(&mut SalesforceSettings)) -> Self {
        let salesforce = sandbox::salesforce::Salesforce::new();
        let fake = Fake::serve("salesforce", salesforce.router()).await.unwrap();
        let mut settings = settings(&fake);
        change(&mut settings);
        let executor = Arc::new(Salesforce::new(settings, Arc::new(mapping())).unwrap());
        Self { salesforce, fake, executor }
    }

    /// An executor with the default settings, as of another process.
    pub(crate) fn another_executor(&self) -> Salesforce {
        Salesforce::new(settings(&self.fake), Arc::new(mapping())).unwrap()
    }

    pub(crate) fn org<T>(&self, work: impl FnOnce(&mut Org) -> T) -> T {
        self.salesforce.org(work)
    }

    pub(crate) async fn execute(&self, plan: &Plan) -> Vec<Result<Effect, Failure>> {
        self.executor.execute(&plan.lead_id, &plan.actions).await
    }

    /// Executes a plan. Every action must succeed.
    pub(crate) async fn execute_ok(&self, plan: &Plan) -> Vec<Effect> {
        let results = self.execute(plan).await;
        assert_eq!(results.len(), plan.actions.len(), "{results:?}");
        results.into_iter().map(Result::unwrap).collect()
    }

    /// A guard of the executor with a new ledger and no limits.
    pub(crate) fn guard(&self) -> (Guard, Arc<MemoryLedger>) {
        let clock = Arc::new(SystemClock);
        let ledger = Arc::new(MemoryLedger::default());
        let guard = Guard::new(
            Arc::clone(&self.executor) as _,
            Arc::clone(&ledger) as _,
            Arc::new(MemoryHealth::default()),
            Arc::new(MemoryLimits::unlimited()),
            clock,
            GuardSettings::default(),
        );
        (guard, ledger)
    }

    /// The numbers of leads, contacts and tasks. Activities are tasks.
    pub(crate) fn counts(&self) -> [usize; 3] {
        self.org(|org| ["Lead", "Contact", "Task"].map(|object| org.records(object).len()))
    }

    /// The org's only lead.
    pub(crate) fn lead(&self) -> Value {
        let leads = self.org(|org| org.records("Lead"));
        assert_eq!(leads.len(), 1, "{leads:?}");
        leads[0].clone()
    }

    /// The calls so far whose path contains `path`.
    pub(crate) fn calls(&self, path: &str) -> Vec<Exchange> {
        let mut calls = self.fake.exchanges();
        calls.retain(|exchange| exchange.path.contains(path));
        calls
    }
}

pub(crate) fn mapping() -> Mapping {
    Mapping::default_for("salesforce").unwrap()
}

pub(crate) fn settings(fake: &Fake) -> SalesforceSettings {
    let credentials = SalesforceCredentials::ClientSecret {
        client_id: "consumer-key".to_owned(),
        client_secret: "consumer-secret".into(),
    };
    let url = fake.url().parse().unwrap();
    SalesforceSettings { lock_backoff: Duration::from_millis(1), ..SalesforceSettings::new(url, credentials) }
}

/// The class and code of each failure, and `done` for each success.
pub(crate) fn outcomes(results: &[Result<Effect, Failure>]) -> Vec<String> {
    let one = |result: &Result<Effect, Failure>| match result {
        Ok(_) => "done".to_owned(),
        Err(failure) => format!("{} {}", class_name(failure.class()), failure.code),
    };
    results.iter().map(one).collect()
}

fn class_name(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Transient => "transient",
        FailureClass::Deferral => "deferral",
        FailureClass::Permanent => "permanent",
    }
}
