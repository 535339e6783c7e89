//! Fixtures: a separate database for each test, plans, and a guard with access to its parts.

use std::sync::Arc;

use crm::parameters::{
    CreateTask, LeadDetails, LogActivity, Priority, SalesStatus, SetLeadScore, UpdateLeadStatus,
};
use crm::testing::{FaultyExecutor, FaultyLedger, MemoryHealth, MemoryLedger, MemoryLimits, Script};
use crm::{
    Action, ActionId, Authority, BegunPlan, Effect, Facts, FieldChange, Guard, GuardSettings, Ledger,
    LimitSettings, MockCrm, Outcome, Plan, Text,
};
use database::Database;
use database::testing::TestDatabase;
use jiff::Timestamp;
use lead::{
    CampaignId, ContentHash, Decision, DeliveryId, EmailAddress, Failure, Fit, FitScore, Intent, LeadId,
    ManualClock,
};

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

/// A ledger that a test can read while the guard uses it.
#[derive(Clone, Default)]
pub(crate) struct SharedLedger(pub(crate) Arc<MemoryLedger>);

#[async_trait::async_trait]
impl Ledger for SharedLedger {
    async fn begin(&self, provider: &str, plan: &Plan, authority: Authority) -> Result<BegunPlan, Failure> {
        self.0.begin(provider, plan, authority).await
    }

    async fn note(&self, changes: &[(ActionId, Vec<FieldChange>)]) -> Result<(), Failure> {
        self.0.note(changes).await
    }

    async fn finish(&self, outcomes: &[(ActionId, Outcome)]) -> Result<(), Failure> {
        self.0.finish(outcomes).await
    }

    async fn written_record(&self, provider: &str, lead: &LeadId) -> Result<Option<String>, Failure> {
        self.0.written_record(provider, lead).await
    }

    async fn record_outage(&self, lead: &LeadId) -> Result<(), Failure> {
        self.0.record_outage(lead).await
    }

    async fn last_outage(&self, lead: &LeadId) -> Result<Option<Timestamp>, Failure> {
        self.0.last_outage(lead).await
    }
}

/// A guard with access to its parts. Each CRM or ledger call takes one fault from its script.
pub(crate) struct GuardFixture {
    pub(crate) guard: Guard,
    pub(crate) crm: MockCrm,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) crm_faults: Arc<Script>,
    pub(crate) ledger_faults: Arc<Script>,
    pub(crate) clock: ManualClock,
}

impl GuardFixture {
    pub(crate) fn new(database: &DatabaseFixture) -> Self {
        Self::with_limits(database, LimitSettings::default())
    }

    pub(crate) fn with_limits(database: &DatabaseFixture, limits: LimitSettings) -> Self {
        Self::build(database, limits, Script::new([]), Script::new([]))
    }

    pub(crate) fn build(
        database: &DatabaseFixture,
        limits: LimitSettings,
        crm_faults: Arc<Script>,
        ledger_faults: Arc<Script>,
    ) -> Self {
        let clock = ManualClock::default();
        let crm = database.crm();
        let ledger = SharedLedger::default();
        let guard = Guard::new(
            Arc::new(FaultyExecutor::new(crm.clone(), Arc::clone(&crm_faults))),
            Arc::new(FaultyLedger::new(ledger.clone(), Arc::clone(&ledger_faults))),
            Arc::new(MemoryHealth::default()),
            Arc::new(MemoryLimits::new(limits, Arc::new(clock.clone()))),
            Arc::new(clock.clone()),
            GuardSettings::default(),
        );
        Self { guard, crm, ledger: ledger.0, crm_faults, ledger_faults, clock }
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

pub(crate) fn lead(name: &str) -> LeadId {
    LeadId::derive(&email(name), &CampaignId::parse("launch_2024").unwrap())
}

fn email(name: &str) -> EmailAddress {
    EmailAddress::parse(&format!("{name}@example.com")).unwrap()
}

/// A typical plan of a lead: its record, score, status, a task and an activity.
pub(crate) fn plan(name: &str, content: &str, round: u32, decision: Decision) -> Plan {
    let lead_id = lead(name);
    let delivery_id = DeliveryId::derive(&lead_id, &ContentHash::of(content));
    let actions = vec![
        Action::UpsertLead(LeadDetails {
            email: email(name),
            campaign_id: CampaignId::parse("launch_2024").unwrap(),
            first_name: Text::fit("Ann"),
            last_name: Text::fit("O'Brien"),
            company: Text::fit("Drop Table Ltd"),
            title: Text::fit(content),
            phone: Text::fit("+1 555 0100"),
            owner: None,
            earlier: None,
            facts: Facts::default(),
        }),
        Action::SetLeadScore(SetLeadScore {
            fit_score: FitScore::clamped(50 + i64::from(round)),
            fit: Fit::Medium,
            intent: Intent::High,
            decision,
            fallback: false,
            summary: Text::fit("Fit MEDIUM"),
            facts: Facts::default(),
        }),
        Action::UpdateLeadStatus(UpdateLeadStatus { status: SalesStatus::from(decision) }),
        Action::CreateTask(CreateTask {
            decision,
            subject: Text::parse("Call the lead").unwrap(),
            description: None,
            priority: Priority::High,
            due_at: Timestamp::UNIX_EPOCH,
            owner: None,
        }),
        Action::LogActivity(LogActivity {
            subject: Text::parse("Judged").unwrap(),
            body: None,
            at: Timestamp::UNIX_EPOCH,
        }),
    ];
    Plan::new(lead_id, delivery_id, round, Some("example.com".to_owned()), actions)
}

/// A plan for tests that need only one.
pub(crate) fn default_plan() -> Plan {
    plan("ann", "{}", 1, Decision::RouteToSdr)
}

/// The effect on the plan's lead record.
pub(crate) fn lead_record(outcome: &crm::PlanOutcome) -> &Effect {
    outcome.lead_record.as_ref().expect("the plan writes the lead's record")
}
