use std::sync::Arc;
use std::time::Duration;

use crm::testing::{MemoryHealth, MemoryLedger};
use crm::{
    Effect, Executor, Guard, GuardSettings, LimitSettings, Mapping, Plan, Salesforce, SalesforceCredentials,
    SalesforceSettings, SlidingWindow,
};
use lead::{Failure, FailureClass, SystemClock};
use sandbox::salesforce::Org;
use sandbox::{Exchange, Fake};
use serde_json::Value;

/// An org, and an executor that writes to it.
pub(crate) struct World {
    pub(crate) salesforce: sandbox::salesforce::Salesforce,
    pub(crate) fake: Fake,
    pub(crate) executor: Arc<Salesforce>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings than the usual ones.
    pub(crate) async fn with(change: impl FnOnce(&mut SalesforceSettings)) -> Self {
        let salesforce = sandbox::salesforce::Salesforce::new();
        let fake = Fake::serve("salesforce", salesforce.router()).await.unwrap();
        let mut settings = settings(&fake);
        change(&mut settings);
        let executor = Arc::new(Salesforce::new(settings, Arc::new(mapping())).unwrap());
        Self { salesforce, fake, executor }
    }

    /// Another process with the same settings.
    pub(crate) fn another_executor(&self) -> Salesforce {
        Salesforce::new(settings(&self.fake), Arc::new(mapping())).unwrap()
    }

    pub(crate) fn org<T>(&self, work: impl FnOnce(&mut Org) -> T) -> T {
        self.salesforce.org(work)
    }

    pub(crate) async fn execute(&self, plan: &Plan) -> Vec<Result<Effect, Failure>> {
        self.executor.execute(&plan.lead_id, &plan.actions).await
    }

    /// Does a plan, which has to succeed.
    pub(crate) async fn done(&self, plan: &Plan) -> Vec<Effect> {
        let results = self.execute(plan).await;
        assert_eq!(results.len(), plan.actions.len(), "{results:?}");
        results.into_iter().map(Result::unwrap).collect()
    }

    /// A guard with a ledger of its own, before the executor.
    pub(crate) fn guard(&self) -> (Guard, Arc<MemoryLedger>) {
        let clock = Arc::new(SystemClock);
        let ledger = Arc::new(MemoryLedger::default());
        let most = u32::MAX;
        let limits =
            LimitSettings { per_lead: most, per_account: most, global: most, ..LimitSettings::default() };
        let guard = Guard::new(
            Arc::clone(&self.executor) as _,
            Arc::clone(&ledger) as _,
            Arc::new(MemoryHealth::default()),
            Arc::new(SlidingWindow::new(limits, clock.clone())),
            clock,
            GuardSettings::default(),
        );
        (guard, ledger)
    }

    /// How many leads, contacts and tasks (activities are tasks) there are.
    pub(crate) fn counts(&self) -> [usize; 3] {
        self.org(|org| ["Lead", "Contact", "Task"].map(|object| org.records(object).len()))
    }

    /// The only lead.
    pub(crate) fn lead(&self) -> Value {
        let leads = self.org(|org| org.records("Lead"));
        assert_eq!(leads.len(), 1, "{leads:?}");
        leads[0].clone()
    }

    /// The calls made so far, by what their paths hold.
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

/// The class and code of each result, `done` for a success.
pub(crate) fn said(results: &[Result<Effect, Failure>]) -> Vec<String> {
    let one = |result: &Result<Effect, Failure>| match result {
        Ok(_) => "done".to_owned(),
        Err(Failure { class, code, .. }) => format!("{} {code}", word(*class)),
    };
    results.iter().map(one).collect()
}

fn word(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Transient => "transient",
        FailureClass::Deferral => "deferral",
        FailureClass::Permanent => "permanent",
    }
}
