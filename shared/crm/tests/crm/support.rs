//! Fixtures: a separate database for each test, plans, and a guard with access to its parts.

use std::sync::Arc;

use crm::parameters::{CreateTask, LeadDetails, SalesStatus, SetLeadScore, UpdateLeadStatus};
use crm::testing::{
    FaultyExecutor, FaultyLedger, MemoryHealth, MemoryLedger, MemoryLimits, Script, suite_plan,
};
use crm::{Action, Effect, Guard, GuardSettings, LimitSettings, MockCrm, Plan, Text};
use database::Database;
use database::testing::TestDatabase;
use lead::{ContentHash, Decision, DeliveryId, ManualClock};

/// A pool on a migrated database, which is removed on drop.
pub(crate) struct DatabaseFixture {
    database: Database,
    _test: TestDatabase,
}

impl DatabaseFixture {
    pub(crate) async fn sqlite() -> Self {
        Self::on(TestDatabase::sqlite().await).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::on(TestDatabase::postgres().await).await
    }

    async fn on(test: TestDatabase) -> Self {
        Self { database: test.connect().await, _test: test }
    }

    pub(crate) fn crm(&self) -> MockCrm {
        MockCrm::new(self.database.clone(), Arc::new(ManualClock::default()))
    }
}

/// A guard with access to its parts. Each CRM or ledger call takes one fault from its script.
pub(crate) struct GuardFixture {
    pub(crate) guard: Guard,
    pub(crate) crm: MockCrm,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) health: Arc<MemoryHealth>,
    pub(crate) crm_faults: Arc<Script>,
    pub(crate) ledger_faults: Arc<Script>,
    pub(crate) clock: ManualClock,
    _database: Option<DatabaseFixture>,
}

impl GuardFixture {
    /// A guard with the default limits and a database of its own.
    pub(crate) async fn new() -> Self {
        Self::with(LimitSettings::default(), GuardSettings::default()).await
    }

    /// A guard without limits.
    pub(crate) async fn unlimited() -> Self {
        Self::with(no_limits(), GuardSettings::default()).await
    }

    /// A guard that stores old values.
    pub(crate) async fn with_old_values() -> Self {
        Self::with(no_limits(), GuardSettings { keep_old_values: true, ..GuardSettings::default() }).await
    }

    pub(crate) async fn with(limits: LimitSettings, settings: GuardSettings) -> Self {
        let database = DatabaseFixture::sqlite().await;
        let fixture = Self::build(&database, limits, settings, Script::new([]), Script::new([]));
        Self { _database: Some(database), ..fixture }
    }

    /// A guard without limits on a shared database.
    pub(crate) fn on(
        database: &DatabaseFixture,
        crm_faults: Arc<Script>,
        ledger_faults: Arc<Script>,
    ) -> Self {
        Self::build(database, no_limits(), GuardSettings::default(), crm_faults, ledger_faults)
    }

    fn build(
        database: &DatabaseFixture,
        limits: LimitSettings,
        settings: GuardSettings,
        crm_faults: Arc<Script>,
        ledger_faults: Arc<Script>,
    ) -> Self {
        let (clock, crm) = (ManualClock::default(), database.crm());
        let (ledger, health) = (Arc::new(MemoryLedger::default()), Arc::new(MemoryHealth::default()));
        let guard = Guard::new(
            Arc::new(FaultyExecutor::new(crm.clone(), Arc::clone(&crm_faults))),
            Arc::new(FaultyLedger::new(Arc::clone(&ledger) as _, Arc::clone(&ledger_faults))),
            Arc::clone(&health) as _,
            Arc::new(MemoryLimits::new(limits, Arc::new(clock.clone()))),
            Arc::new(clock.clone()),
            settings,
        );
        Self { guard, crm, ledger, health, crm_faults, ledger_faults, clock, _database: None }
    }

    /// The states of a plan's rows, `-` for a missing row.
    pub(crate) fn rows(&self, plan: &Plan) -> Vec<&'static str> {
        let ids = plan.actions.iter().map(|planned| &planned.action_id);
        ids.map(|id| self.ledger.row(id).map_or("-", |row| row.state.as_str())).collect()
    }

    /// The number of writes to each action's record in the CRM.
    pub(crate) async fn writes(&self, plan: &Plan) -> Vec<i64> {
        let mut writes = Vec::new();
        for planned in &plan.actions {
            let external_id = planned.external_id(&plan.lead_id);
            let record = self.crm.record(planned.action.object(), external_id).await.unwrap();
            writes.push(record.map_or(0, |record| record.writes));
        }
        writes
    }
}

pub(crate) fn no_limits() -> LimitSettings {
    LimitSettings { per_lead: u32::MAX, per_account: u32::MAX, global: u32::MAX, ..LimitSettings::default() }
}

/// A plan of a lead without company data: its record, score, status, a task and an activity. The content is
/// the lead's title.
pub(crate) fn plan(name: &str, content: &str, round: u32, decision: Decision) -> Plan {
    let plan = suite_plan(name, content, 50 + i64::from(round));
    let delivery_id = DeliveryId::derive(&plan.lead_id, &ContentHash::of(content));
    let actions = plan.actions.into_iter().filter_map(|planned| match planned.action {
        Action::UpsertLead(details) => {
            Some(Action::UpsertLead(LeadDetails { first_name: Text::fit("Ann"), ..details }))
        }
        Action::SyncFirmographics(_) => None,
        Action::SetLeadScore(score) => Some(Action::SetLeadScore(SetLeadScore { decision, ..score })),
        Action::UpdateLeadStatus(_) => {
            Some(Action::UpdateLeadStatus(UpdateLeadStatus { status: SalesStatus::from(decision) }))
        }
        Action::CreateTask(task) => Some(Action::CreateTask(CreateTask { decision, ..task })),
        other => Some(other),
    });
    Plan::new(plan.lead_id, delivery_id, round, Some("example.com".to_owned()), actions.collect())
}

/// A plan for tests that need only one.
pub(crate) fn default_plan() -> Plan {
    plan("ann", "{}", 1, Decision::RouteToSdr)
}

/// The effect on the plan's lead record.
pub(crate) fn lead_record(outcome: &crm::PlanOutcome) -> &Effect {
    outcome.lead_record.as_ref().expect("the plan writes the lead's record")
}
