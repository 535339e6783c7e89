use std::sync::Arc;

use crm::testing::{MemoryHealth, MemoryLedger};
use crm::{
    Action, Guard, GuardSettings, HubSpotCredentials, HubSpotCrm, HubSpotSettings, LimitSettings, Mapping,
    Object, Plan, SlidingWindow,
};
use lead::{Clock, ManualClock};
use sandbox::hubspot::{HubSpot, Kind, Record};
use sandbox::{Fake, Fault};

/// A fake account, and executors before it. Time stands still until it is moved.
pub(crate) struct Place {
    pub(crate) fake: Fake,
    pub(crate) hubspot: HubSpot,
    pub(crate) clock: ManualClock,
    pub(crate) mapping: Arc<Mapping>,
}

impl Place {
    /// An account that is prepared for the built-in mapping.
    pub(crate) async fn prepared() -> Self {
        let place = Self::bare().await;
        let crm = place.executor();
        for property in crm.missing_properties().await.unwrap() {
            crm.create_property(&property).await.unwrap();
        }
        place
    }

    /// An account as `HubSpot` hands it out. Limits are out of the way, since time stands still.
    pub(crate) async fn bare() -> Self {
        let clock = ManualClock::default();
        let hubspot = HubSpot::with_clock(Arc::new(clock.clone()));
        hubspot.set(|settings| (settings.burst, settings.searches) = (1_000_000, 1_000_000));
        Self::of(hubspot, clock).await
    }

    /// An account as it is. Its own time may be another than that of the executors.
    pub(crate) async fn of(hubspot: HubSpot, clock: ManualClock) -> Self {
        let fake = Fake::serve("hubspot", hubspot.router()).await.unwrap();
        let mapping = Arc::new(Mapping::default_for("hubspot").unwrap());
        Self { fake, hubspot, clock, mapping }
    }

    /// Another process.
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

    /// A guard with a memory of its own before an executor of its own.
    pub(crate) fn guard(&self) -> Guard {
        self.guard_before(self.executor())
    }

    pub(crate) fn guard_before(&self, executor: HubSpotCrm) -> Guard {
        let no_limits = LimitSettings {
            per_lead: u32::MAX,
            per_account: u32::MAX,
            global: u32::MAX,
            ..LimitSettings::default()
        };
        Guard::new(
            Arc::new(executor),
            Arc::new(MemoryLedger::default()),
            Arc::new(MemoryHealth::default()),
            Arc::new(SlidingWindow::new(no_limits, self.clock())),
            self.clock(),
            GuardSettings::default(),
        )
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    /// The record that an action of a plan made.
    pub(crate) fn made(&self, plan: &Plan, kind: &str) -> Record {
        let planned = plan.actions.iter().find(|planned| planned.action.kind() == kind).unwrap();
        let id = planned.external_id(&plan.lead_id);
        let of = kind_of(planned.action.object());
        self.hubspot.record(of, self.key(planned.action.object()), id).unwrap()
    }

    /// The property that names records of an object.
    pub(crate) fn key(&self, object: Object) -> &str {
        self.mapping.object(object).unwrap().external_id()
    }

    pub(crate) fn contact(&self, email: &str) -> Record {
        self.hubspot.record(Kind::Contact, "email", email).unwrap()
    }

    /// How many contacts, companies, tasks, notes and deals there are.
    pub(crate) fn counts(&self) -> [usize; 5] {
        [Kind::Contact, Kind::Company, Kind::Task, Kind::Note, Kind::Deal]
            .map(|kind| self.hubspot.records(kind).len())
    }

    /// Fails unless everything that a usual plan makes is there once, and tied together.
    pub(crate) fn assert_whole(&self, plan: &Plan) {
        let contact = self.made(plan, "upsert_lead");
        for (kind, of) in [("create_task", Kind::Task), ("log_activity", Kind::Note)] {
            let record = self.made(plan, kind);
            let on = self.hubspot.associated(of, record.id, Kind::Contact);
            assert_eq!(on.keys().collect::<Vec<_>>(), [&contact.id], "{kind} is on the contact");
        }
        let companies = self.hubspot.associated(Kind::Contact, contact.id, Kind::Company);
        assert_eq!(companies.len(), 1, "the contact is the company's");
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

/// A plan of the same lead with these actions instead.
pub(crate) fn with_actions(plan: &Plan, actions: Vec<Action>) -> Plan {
    Plan::new(plan.lead_id.clone(), plan.delivery_id.clone(), 1, None, actions)
}
