use std::sync::Arc;

use crm::testing::{MemoryHealth, MemoryLedger, MemoryLimits};
use crm::{
    Action, Guard, GuardSettings, HubSpotCredentials, HubSpotCrm, HubSpotSettings, Mapping, Object, Plan,
};
use lead::{Clock, ManualClock};
use sandbox::hubspot::{HubSpot, Kind, Record};
use sandbox::{Fake, Fault};

/// A fake account with executors and a manual clock.
pub(crate) struct AccountFixture {
    pub(crate) fake: Fake,
    pub(crate) hubspot: HubSpot,
    pub(crate) clock: ManualClock,
    pub(crate) mapping: Arc<Mapping>,
}

impl AccountFixture {
    /// An account that is set up for the built-in mapping.
    pub(crate) async fn prepared() -> Self {
        let fixture = Self::bare().await;
        let crm = fixture.executor();
        for property in crm.missing_properties().await.unwrap() {
            crm.create_property(&property).await.unwrap();
        }
        fixture
    }

    /// A new account without custom properties. Its rate limits are out of reach, since the clock does not
    /// advance.
    pub(crate) async fn bare() -> Self {
        let clock = ManualClock::default();
        let hubspot = HubSpot::with_clock(Arc::new(clock.clone()));
        hubspot.set(|settings| (settings.burst, settings.searches) = (1_000_000, 1_000_000));
        Self::of(hubspot, clock).await
    }

    /// A fixture for an existing account, whose clock may differ from the executors' clock.
    pub(crate) async fn of(hubspot: HubSpot, clock: ManualClock) -> Self {
        let fake = Fake::serve("hubspot", hubspot.router()).await.unwrap();
        let mapping = Arc::new(Mapping::default_for("hubspot").unwrap());
        Self { fake, hubspot, clock, mapping }
    }

    /// A new executor, as of another process.
    pub(crate) fn executor(&self) -> HubSpotCrm {
        self.executor_with("2026-03", HubSpotCredentials::PrivateApp(HubSpot::TOKEN.into()))
    }

    pub(crate) fn executor_with(&self, version: &str, credentials: HubSpotCredentials) -> HubSpotCrm {
        let settings = HubSpotSettings {
            base_url: self.fake.url().parse().unwrap(),
            version: version.to_owned(),
            credentials,
        };
        HubSpotCrm::new(settings, Arc::clone(&self.mapping), self.clock()).unwrap()
    }

    /// A guard with a new ledger and a new executor.
    pub(crate) fn guard(&self) -> Guard {
        self.guard_for(self.executor())
    }

    pub(crate) fn guard_for(&self, executor: HubSpotCrm) -> Guard {
        Guard::new(
            Arc::new(executor),
            Arc::new(MemoryLedger::default()),
            Arc::new(MemoryHealth::default()),
            Arc::new(MemoryLimits::unlimited()),
            self.clock(),
            GuardSettings::default(),
        )
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    /// The record of the plan's action of this kind.
    pub(crate) fn record_of(&self, plan: &Plan, kind: &str) -> Record {
        let planned = plan.actions.iter().find(|planned| planned.action.kind() == kind).unwrap();
        let id = planned.external_id(&plan.lead_id);
        let of = kind_of(planned.action.object());
        self.hubspot.record(of, self.key(planned.action.object()), id).unwrap()
    }

    /// The key property of an object.
    pub(crate) fn key(&self, object: Object) -> &str {
        self.mapping.object(object).unwrap().external_id()
    }

    pub(crate) fn contact(&self, email: &str) -> Record {
        self.hubspot.record(Kind::Contact, "email", email).unwrap()
    }

    /// The numbers of contacts, companies, tasks, notes and deals.
    pub(crate) fn counts(&self) -> [usize; 5] {
        [Kind::Contact, Kind::Company, Kind::Task, Kind::Note, Kind::Deal]
            .map(|kind| self.hubspot.records(kind).len())
    }

    /// Asserts that all records of the suite's plan exist and are associated with each other.
    pub(crate) fn assert_complete(&self, plan: &Plan) {
        let contact = self.record_of(plan, "upsert_lead");
        for (kind, of) in [("create_task", Kind::Task), ("log_activity", Kind::Note)] {
            let record = self.record_of(plan, kind);
            let on = self.hubspot.associated(of, record.id, Kind::Contact);
            assert_eq!(on.keys().collect::<Vec<_>>(), [&contact.id], "{kind} is on the contact");
        }
        let companies = self.hubspot.associated(Kind::Contact, contact.id, Kind::Company);
        assert_eq!(companies.len(), 1, "the contact belongs to one company");
        assert_eq!(contact.get("revenueflow_score"), Some("87"));
        assert_eq!(contact.get("hs_lead_status"), Some("NEW"));
        assert_eq!(contact.get("lifecyclestage"), Some("salesqualifiedlead"));
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.fake.add_fault(fault);
    }
}

pub(crate) fn kind_of(object: Object) -> Kind {
    match object {
        Object::Lead | Object::Contact => Kind::Contact,
        Object::Company => Kind::Company,
        Object::Task => Kind::Task,
        Object::Activity => Kind::Note,
        Object::Opportunity => Kind::Deal,
    }
}

/// A plan of the same lead with other actions.
pub(crate) fn with_actions(plan: &Plan, actions: Vec<Action>) -> Plan {
    Plan::new(plan.lead_id.clone(), plan.delivery_id.clone(), 1, None, actions)
}
