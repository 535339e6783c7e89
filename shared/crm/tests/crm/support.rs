//! A database of its own for each test, leads to plan for, and a guard with everything in sight.

use std::sync::Arc;

use crm::parameters::{
    CreateTask, LeadDetails, LogActivity, Priority, SalesStatus, SetLeadScore, UpdateLeadStatus,
};
use crm::testing::{FaultyExecutor, FaultyLedger, MemoryHealth, MemoryLedger, Script};
use crm::{
    Action, ActionId, Effect, Facts, FieldChange, Guard, GuardSettings, Ledger, LedgerState, LimitSettings,
    MockCrm, Outcome, Plan, SlidingWindow, Text,
};
use database::Database;
use database::testing::TestDatabase;
use jiff::Timestamp;
use lead::{
    CampaignId, ContentHash, Decision, DeliveryId, Dependency, EmailAddress, Failure, Fit, FitScore, Intent,
    LeadId, ManualClock,
};

/// A migrated database, gone when this is dropped, and a pool on it.
pub(crate) struct Fixture {
    database: Database,
    _test: TestDatabase,
}

impl Fixture {
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

/// A ledger that a test can look into while the guard has it.
#[derive(Clone, Default)]
pub(crate) struct SharedLedger(pub(crate) Arc<MemoryLedger>);

#[async_trait::async_trait]
impl Ledger for SharedLedger {
    async fn begin(&self, provider: &str, plan: &Plan) -> Result<Vec<LedgerState>, Failure> {
        self.0.begin(provider, plan).await
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

    async fn last_outage(&self, crm: &Dependency, lead: &LeadId) -> Result<Option<Timestamp>, Failure> {
        self.0.last_outage(crm, lead).await
    }
}

/// A guard, and a hand on everything around it. Each call to the CRM or to the ledger takes one fault of the script.
pub(crate) struct World {
    pub(crate) guard: Guard,
    pub(crate) crm: MockCrm,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) crm_faults: Arc<Script>,
    pub(crate) ledger_faults: Arc<Script>,
    pub(crate) clock: ManualClock,
}

impl World {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        Self::with_limits(fixture, LimitSettings::default())
    }

    pub(crate) fn with_limits(fixture: &Fixture, limits: LimitSettings) -> Self {
        Self::build(fixture, limits, Script::new([]), Script::new([]))
    }

    pub(crate) fn build(
        fixture: &Fixture,
        limits: LimitSettings,
        crm_faults: Arc<Script>,
        ledger_faults: Arc<Script>,
    ) -> Self {
        let clock = ManualClock::default();
        let crm = fixture.crm();
        let ledger = SharedLedger::default();
        let guard = Guard::new(
            Arc::new(FaultyExecutor::new(crm.clone(), Arc::clone(&crm_faults))),
            Arc::new(FaultyLedger::new(ledger.clone(), Arc::clone(&ledger_faults))),
            Arc::new(MemoryHealth::default()),
            Arc::new(SlidingWindow::new(limits, Arc::new(clock.clone()))),
            Arc::new(clock.clone()),
            GuardSettings::default(),
        );
        Self { guard, crm, ledger: ledger.0, crm_faults, ledger_faults, clock }
    }

    /// The states of a plan's rows, `-` where there is none.
    pub(crate) fn rows(&self, plan: &Plan) -> Vec<&'static str> {
        let ids = plan.actions.iter().map(|planned| &planned.action_id);
        ids.map(|id| self.ledger.row(id).map_or("-", |row| row.state)).collect()
    }

    /// What the CRM has of a plan: how often each action's record was written.
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

/// The plan of a usual lead: its record, score, status, a task and an activity.
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

/// The same plan for every test that needs no more than one.
pub(crate) fn a_plan() -> Plan {
    plan("ann", "{}", 1, Decision::RouteToSdr)
}

/// What a plan's lead record is called after.
pub(crate) fn lead_record(outcome: &crm::PlanOutcome) -> &Effect {
    outcome.lead_record.as_ref().expect("the plan writes the lead's record")
}
