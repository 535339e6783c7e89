//! CRM facts before the judgement, plans in shadow mode, and rollback.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use crm::{
    About, CrmMode, Effect, Executor, FieldChange, Guard, GuardSettings, Known, KnownAccount,
    KnownOpportunity, LimitSettings, Mapping, MockCrm, OwnerStatus, PlannedAction, Restored, SchemaProblem,
};
use grounding::Namespace;
use lead::{Actor, Dependency, Failure, LeadEvent, LeadId, LeadStatus, Stage};
use on_both::on_both;
use pipeline::Pipeline;
use queue::{LeadHandler as _, MAX_ATTEMPTS, settle_failed};
use serde_json::{Value, json};
use store::{AuditKind, CrmFacts, SharedLimits, Store};

use crate::support::{Fixture, Reply, hot, message};

/// The mock CRM with scripted facts about people.
pub(crate) struct ScriptedCrm {
    crm: MockCrm,
    pub(crate) answers: Mutex<VecDeque<Result<Known, Failure>>>,
    /// The company domains of all fact queries.
    pub(crate) queries: Mutex<Vec<Option<String>>>,
    /// The status of owners.
    pub(crate) owners: Mutex<BTreeMap<String, OwnerStatus>>,
    /// The scripted outcomes of restore calls.
    pub(crate) restores: Mutex<VecDeque<CallOutcome>>,
    /// The store in which an operator holds the CRM during the next query of owners.
    pub(crate) held_during_owners: Mutex<Option<Store>>,
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CallOutcome {
    Succeeds,
    Fails,
    /// The call has its effect, but the reply is lost.
    LosesReply,
}

#[async_trait]
impl Executor for ScriptedCrm {
    fn provider(&self) -> &'static str {
        "mock"
    }

    async fn execute(&self, lead: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        self.crm.execute(lead, actions).await
    }

    async fn find(&self, lead: &LeadId, action: &PlannedAction) -> Result<Option<Effect>, Failure> {
        self.crm.find(lead, action).await
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.crm.probe().await
    }

    async fn owners(&self, ids: &[String]) -> BTreeMap<String, OwnerStatus> {
        let held = self.held_during_owners.lock().unwrap().take();
        if let Some(store) = held {
            store.hold_crm(&Actor::admin(), "mock", "stop").await.unwrap();
        }
        let owners = self.owners.lock().unwrap();
        ids.iter().filter_map(|id| Some((id.clone(), *owners.get(id)?))).collect()
    }

    async fn facts(&self, about: &About) -> Result<Known, Failure> {
        self.queries.lock().unwrap().push(about.company_domain.clone());
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| Ok(Known::default()))
    }

    async fn preview(&self, lead: &LeadId, actions: &[PlannedAction]) -> Result<Vec<FieldChange>, Failure> {
        self.crm.preview(lead, actions).await
    }

    async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure> {
        self.crm.schema_problems().await
    }

    async fn restore(&self, changes: &[FieldChange]) -> Result<Vec<Restored>, Failure> {
        let lost = || Failure::transient("crm_reset", "connection reset");
        let outcome = self.restores.lock().unwrap().pop_front().unwrap_or(CallOutcome::Succeeds);
        match outcome {
            CallOutcome::Succeeds => self.crm.restore(changes).await,
            CallOutcome::Fails => Err(lost()),
            CallOutcome::LosesReply => self.crm.restore(changes).await.and(Err(lost())),
        }
    }
}

fn customer() -> Known {
    let proposal = KnownOpportunity { stage: "Proposal".into(), amount: Some(50_000.0) };
    Known {
        account: Some(KnownAccount { owner_id: Some("005A".into()), kind: Some("Customer".into()) }),
        open_opportunities: vec![proposal],
        ..Known::default()
    }
}

/// A pipeline with a CRM in this mode and with these scripted facts.
pub(crate) async fn pipeline(
    fixture: &Fixture,
    mode: CrmMode,
    answers: impl IntoIterator<Item = Result<Known, Failure>>,
) -> (Pipeline, Arc<ScriptedCrm>) {
    limited(fixture, mode, answers, LimitSettings { per_lead: 1000, ..LimitSettings::default() }).await
}

/// A [`pipeline`], and a lead that it has handled.
pub(crate) async fn with_lead(fixture: &Fixture, mode: CrmMode) -> (Pipeline, Arc<ScriptedCrm>, LeadEvent) {
    let ((pipeline, crm), event) = (pipeline(fixture, mode, []).await, hot("ann", "CTO", 0));
    pipeline.handle(&message(&event, 1)).await.unwrap();
    (pipeline, crm, event)
}

async fn limited(
    fixture: &Fixture,
    mode: CrmMode,
    answers: impl IntoIterator<Item = Result<Known, Failure>>,
    limits: LimitSettings,
) -> (Pipeline, Arc<ScriptedCrm>) {
    let mut pipeline = fixture.pipeline().await;
    let clock = Arc::new(fixture.clock.clone());
    let mapping = include_str!("../../../../config/crm-mapping-mock.toml").replace(
        "fields = [\n  { source = \"lead.email\"",
        "fields = [\n  { source = \"marketo.activity\", field = \"last_activity\" },\n  { source = \"lead.email\"",
    );
    let mapping = Arc::new(Mapping::parse(&mapping).unwrap());
    let crm = MockCrm::new(fixture.connect().await, clock.clone()).with_mapping(Arc::clone(&mapping));
    let answers = Mutex::new(answers.into_iter().collect());
    let (queries, owners, restores, held_during_owners) = Default::default();
    let scripted = Arc::new(ScriptedCrm { crm, answers, queries, owners, restores, held_during_owners });
    pipeline.guard = Guard::new(
        Arc::clone(&scripted) as Arc<dyn Executor>,
        Arc::new(pipeline.steps.clone()),
        Arc::new(pipeline.store.clone()),
        Arc::new(SharedLimits::new(pipeline.store.clone(), limits)),
        clock,
        GuardSettings { mode, mapping, keep_old_values: true, ..GuardSettings::default() },
    );
    (pipeline, scripted)
}

#[on_both]
async fn crm_facts_replace_the_facts_of_the_sender(fixture: Fixture) {
    let mut event = hot("ann", "CTO", 0);
    event.lead.salesforce.insert("deal_stage".into(), json!("Closed Won"));
    for spelling in [
        "territory",
        "deal stage",
        "Deal_Stage",
        "dealStage",
        "deal.stage",
        "opportunity.stage",
        "account type",
    ] {
        event.lead.salesforce.insert(spelling.into(), json!("Closed Won"));
    }
    event.lead.salesforce.insert("DoNotCall".into(), json!(true));
    fixture.analyst.will([Reply::Changed(cite_the_deal)]);
    let event = LeadEvent::new(event.lead, event.received_at);
    let (pipeline, crm) = pipeline(&fixture, CrmMode::Live, [Ok(customer())]).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();

    let analysis = fixture.store.analysis_in_force(&event.lead_id).await.unwrap().unwrap();
    let facts = analysis.facts.namespace(Namespace::Salesforce).unwrap();
    assert_eq!(*facts, customer().facts(), "and nothing else");
    assert_eq!((&facts["account_type"], &facts["open_opportunities"]), (&json!("Customer"), &json!(1)));
    assert_eq!(*crm.queries.lock().unwrap(), [Some("stripe.com".to_owned())]);
    let read = fixture.store.deliveries(&event.lead_id, 1).await.unwrap().remove(0).crm_read.unwrap();
    assert_eq!(read.facts, CrmFacts::Known(customer()));
    assert_eq!(
        (read.provider.as_deref(), read.at),
        (Some(pipeline.guard.provider()), Some(lead::Clock::now(&fixture.clock)))
    );
    assert!(read.states("deal_stage") && !read.states("territory"), "facts are attributed to their source");
    assert!(fixture.kinds(&event.lead_id).await.contains(&AuditKind::CrmRead));
    let summary = summary_of(&fixture, &event).await;
    assert!(summary.contains("- deal stage: Proposal (crm)"), "{summary}");
    assert!(!summary.contains("Closed Won"), "{summary}");
    assert!(
        summary.contains("The person opted out: do_not_call (sent)."),
        "an opt-out in the webhook counts: {summary}"
    );
}

fn cite_the_deal(answer: &mut Value) {
    let claim = json!({"source": "SALESFORCE", "field_path": "salesforce.deal_stage", "value": "Proposal", "claim_type": "PIPELINE"});
    answer["evidence"].as_array_mut().unwrap().push(claim);
}

async fn summary_of(fixture: &Fixture, event: &LeadEvent) -> String {
    fixture.crm_lead(&event.lead_id).await.fields["summary"].as_str().unwrap().to_owned()
}

#[on_both]
async fn crm_facts_of_the_sender_are_marked_as_sent(fixture: Fixture) {
    let denied = || Err(Failure::permanent("crm_no_access", "no right to read accounts"));
    for (person, answers) in [("ann", Some(denied())), ("bob", None)] {
        let mut event = hot(person, "CTO", 0);
        event.lead.salesforce.insert("deal_stage".into(), json!("Proposal"));
        event.lead.salesforce.insert("de\u{430}l_stage".into(), json!("Closed Won"));
        let event = LeadEvent::new(event.lead, event.received_at);
        // A CRM that cannot be read, and the mock, which has no facts.
        let pipeline = match answers {
            Some(answer) => pipeline(&fixture, CrmMode::Live, [answer]).await.0,
            None => fixture.pipeline().await,
        };
        fixture.analyst.will([Reply::Changed(cite_the_deal)]);
        pipeline.handle(&message(&event, 1)).await.unwrap();
        let analysis = fixture.store.analysis_in_force(&event.lead_id).await.unwrap().unwrap();
        let facts = analysis.facts.namespace(Namespace::Salesforce).unwrap();
        assert_eq!(facts.keys().collect::<Vec<_>>(), ["deal_stage"], "names are plain ASCII");
        let summary = summary_of(&fixture, &event).await;
        assert!(summary.contains("- deal stage: Proposal (sent)"), "{summary}");
        assert!(summary.contains("- industry: Fintech (fixtures)"), "{summary}");
        assert!(!summary.contains("(crm)") && !summary.contains("(salesforce)"), "{summary}");
    }
}

#[on_both]
async fn crm_is_read_once_for_each_round(fixture: Fixture) {
    let event = hot("ann", "CTO", 0);
    let (pipeline, crm) = pipeline(&fixture, CrmMode::Live, [Ok(customer())]).await;
    fixture.analyst.will([Reply::Fail(Failure::transient("ai_timeout", "no answer"))]);
    pipeline.handle(&message(&event, 1)).await.unwrap_err();
    pipeline.handle(&message(&event, 2)).await.unwrap();
    assert_eq!(crm.queries.lock().unwrap().len(), 1);
    fixture.store.reopen(&Actor::admin(), &event.lead_id, true, "test").await.unwrap();
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(crm.queries.lock().unwrap().len(), 2, "a new round reads the CRM again");
}

#[on_both]
async fn lead_waits_for_a_crm_outage_but_not_for_its_own_failures(fixture: Fixture) {
    let [event, other] = [hot("ann", "CTO", 0), hot("bob", "CTO", 0)];
    let quota = Failure::deferral(Dependency::new("crm.mock"), "test_quota", "quota reached", None);
    let down = || Err(Failure::transient("crm_timeout", "no answer"));
    let answers = [Err(quota.clone()), down(), Ok(Known::default()), down()];
    let (pipeline, _) = pipeline(&fixture, CrmMode::Live, answers).await;
    assert_eq!(pipeline.handle(&message(&event, 1)).await.unwrap_err(), quota.at(Stage::CrmRead));
    let outage = pipeline.handle(&message(&event, MAX_ATTEMPTS)).await.unwrap_err();
    assert_eq!(outage.code, "crm_outage", "on every attempt");
    pipeline.record(&message(&event, MAX_ATTEMPTS), &settle_failed(MAX_ATTEMPTS, outage)).await.unwrap();
    assert_eq!(fixture.analyst.take_calls(), 0, "no judgement without the CRM's facts");
    fixture.clock.advance(Duration::from_secs(2));
    pipeline.handle(&message(&other, 1)).await.unwrap();
    fixture.record_failures(&pipeline, &event, Stage::CrmRead, MAX_ATTEMPTS - 1).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Synced);
    let read = fixture.store.deliveries(&event.lead_id, 1).await.unwrap().remove(0).crm_read.unwrap();
    assert_eq!(read.facts, CrmFacts::Unreadable("crm_timeout".into()));
}

#[on_both]
async fn refused_crm_read_is_skipped_at_once(fixture: Fixture) {
    let event = hot("ann", "CTO", 0);
    let denied = Err(Failure::permanent("crm_no_access", "no right to read accounts"));
    let (pipeline, _) = pipeline(&fixture, CrmMode::Live, [denied]).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Synced);
}

#[on_both]
async fn lead_in_shadow_mode_is_planned_and_not_written(fixture: Fixture) {
    let (pipeline, _, event) = with_lead(&fixture, CrmMode::Shadow).await;

    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Planned);
    assert!(fixture.crm().await.is_empty());
    assert!(fixture.store.actions(&event.lead_id, 100).await.unwrap().is_empty(), "the ledger has no row");
    let last = fixture.audit(&event.lead_id).await.pop().unwrap();
    assert_eq!((last.kind, last.delivery_id), (AuditKind::Planned, Some(event.delivery_id())));
    assert_eq!((&last.detail["provider"], &last.detail["refused"]), (&json!("mock"), &json!(0)));

    // An operator's preview shows the same plan and writes nothing either.
    let planned = pipeline.planned(&event.lead_id).await.unwrap();
    assert_eq!(planned.mode, CrmMode::Shadow);
    let fields = planned.changes.iter().filter(|change| change.left_out.is_none()).count();
    assert_eq!(last.detail["fields"], json!(fields));
    let value = |source: &str| {
        let change = planned.changes.iter().find(|change| change.source == source).unwrap();
        (change.field.clone(), change.old.clone(), change.new.clone())
    };
    assert_eq!(value("lead.title"), ("title".to_owned(), None, Some("CTO".into())));
    assert_eq!(value("marketo.activity"), ("last_activity".to_owned(), None, Some("demo_request".into())));
    assert!(fixture.crm().await.is_empty());
}

#[on_both]
async fn promoted_lead_is_written_once_in_shadow_mode(fixture: Fixture) {
    let event = hot("ann", "CTO", 0);
    let (pipeline, _) = pipeline(&fixture, CrmMode::Shadow, []).await;
    assert_eq!(
        fixture.store.promote(&Actor::admin(), &event.lead_id).await.unwrap(),
        None,
        "the lead does not exist"
    );
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let promoted = fixture.store.promote(&Actor::admin(), &event.lead_id).await.unwrap().unwrap();
    assert_eq!(promoted, event);
    assert_eq!(
        fixture.store.promote(&Actor::admin(), &event.lead_id).await.unwrap(),
        None,
        "it is promoted already"
    );
    pipeline.handle(&message(&promoted, 1)).await.unwrap();
    pipeline.handle(&message(&promoted, 1)).await.unwrap();

    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Synced);
    assert_eq!(fixture.store.promote(&Actor::admin(), &event.lead_id).await.unwrap(), None);
    assert_eq!(fixture.crm_counts().await, [1, 1, 1]);
    assert_eq!(fixture.crm_lead(&event.lead_id).await.fields["last_activity"], "demo_request");
    assert_eq!(fixture.analyst.take_calls(), 1, "it is not judged again");

    // Newer content is planned again: the promotion was for this delivery only.
    let newer = hot("ann", "CEO", 1);
    pipeline.handle(&message(&newer, 1)).await.unwrap();
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Planned);
    assert_eq!(fixture.crm_lead(&event.lead_id).await.fields["title"], "CTO");
}

#[on_both]
async fn hold_takes_effect_in_every_process_and_loses_nothing(fixture: Fixture) {
    let (first, _) = pipeline(&fixture, CrmMode::Live, []).await;
    let (second, _) = pipeline(&fixture, CrmMode::Live, []).await;
    let (ann, bob) = (hot("ann", "CTO", 0), hot("bob", "CTO", 0));
    first.handle(&message(&ann, 1)).await.unwrap();
    fixture.store.hold_crm(&Actor::admin(), "mock", "wrong field").await.unwrap();
    fixture.store.hold_crm(&Actor::admin(), "mock", "again").await.unwrap();
    assert_eq!(fixture.store.crm_hold("mock").await.unwrap().unwrap().reason, "wrong field");
    second.handle(&message(&bob, 1)).await.unwrap();
    assert_eq!(fixture.lead(&ann.lead_id).await.status, LeadStatus::Synced);
    assert_eq!(fixture.lead(&bob.lead_id).await.status, LeadStatus::Planned);

    assert!(fixture.store.unhold_crm(&Actor::admin(), "mock").await.unwrap());
    assert!(!fixture.store.unhold_crm(&Actor::admin(), "mock").await.unwrap());
    fixture.promote(&second, &bob.lead_id).await;
    assert_eq!(fixture.lead(&bob.lead_id).await.status, LeadStatus::Synced);
}

#[on_both]
async fn rollback_restores_values_and_promotion_rewrites_them(fixture: Fixture) {
    let (pipeline, _) = pipeline(&fixture, CrmMode::Live, []).await;
    let (first, second) = (hot("ann", "CTO", 0), hot("ann", "CEO", 1));
    pipeline.handle(&message(&first, 1)).await.unwrap();
    pipeline.handle(&message(&second, 1)).await.unwrap();
    assert_eq!(fixture.crm_lead(&first.lead_id).await.fields["title"], "CEO");
    fixture.store.hold_crm(&Actor::admin(), "mock", "rolled back").await.unwrap();

    let restored = pipeline.restore(&Actor::admin(), &first.lead_id).await.unwrap();
    let put_back: Vec<_> = restored
        .iter()
        .flat_map(|(action, results)| action.changes.iter().zip(results))
        .filter(|(_, result)| **result == Restored::PutBack)
        .map(|(change, _)| change.field.as_str())
        .collect();
    assert_eq!(put_back, ["title"]);
    assert_eq!(fixture.crm_lead(&first.lead_id).await.fields["title"], "CTO");
    assert_eq!(fixture.lead(&first.lead_id).await.status, LeadStatus::Planned);
    assert_eq!(fixture.kinds(&first.lead_id).await.last(), Some(&AuditKind::Restored));
    let again = pipeline.restore(&Actor::admin(), &first.lead_id).await.unwrap();
    assert!(again.iter().all(|(_, results)| !results.contains(&Restored::PutBack)));

    fixture.clock.advance(Duration::from_secs(1));
    fixture.promote(&pipeline, &first.lead_id).await;
    assert_eq!(fixture.crm_lead(&first.lead_id).await.fields["title"], "CEO");
    assert_eq!(fixture.crm_counts().await[..2], [1, 1], "no record was duplicated");
}

#[on_both]
async fn plan_of_a_synced_lead_has_no_changes(fixture: Fixture) {
    let (pipeline, _, event) = with_lead(&fixture, CrmMode::Live).await;
    let before = fixture.snapshot(&event.lead_id).await;
    let planned = pipeline.planned(&event.lead_id).await.unwrap();
    assert!(planned.changes.iter().all(|change| change.left_out.is_some()), "{:?}", planned.changes);
    assert_eq!(fixture.snapshot(&event.lead_id).await, before, "a preview changes nothing");
}

/// Handles a message and records its settlement like a worker. Returns the last audit event and its failure
/// code.
async fn settled(fixture: &Fixture, pipeline: &Pipeline, event: &LeadEvent) -> (AuditKind, String) {
    let message = message(event, 1);
    let failure = pipeline.handle(&message).await.unwrap_err();
    pipeline.record(&message, &settle_failed(1, failure)).await.unwrap();
    let last = fixture.audit(&event.lead_id).await.pop().unwrap();
    (last.kind, last.detail["failure"]["code"].as_str().unwrap_or_default().to_owned())
}

#[on_both]
async fn refusals_and_deferrals_of_the_guard_are_recorded(fixture: Fixture) {
    let limits = |per_lead, global| LimitSettings { per_lead, global, ..LimitSettings::default() };
    let event = hot("ann", "CTO", 0);
    let (too_small, _) = limited(&fixture, CrmMode::Live, [], limits(3, 1000)).await;
    let refused = settled(&fixture, &too_small, &event).await;
    assert_eq!(refused, (AuditKind::DeadLettered, "plan_too_large".to_owned()));
    let rows = fixture.store.actions(&event.lead_id, 100).await.unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.state.as_str() == "refused"), "{rows:?}");

    let (bob, bobs_next) = (hot("bob", "CTO", 0), hot("bob", "CEO", 1));
    let (narrow, _) = limited(&fixture, CrmMode::Live, [], limits(8, 1000)).await;
    narrow.handle(&message(&bob, 1)).await.unwrap();
    let deferred = settled(&fixture, &narrow, &bobs_next).await;
    assert_eq!(deferred, (AuditKind::Deferred, "lead_rate_limit".to_owned()));

    // Another process has used up the global limit.
    let (other, _) = limited(&fixture, CrmMode::Live, [], limits(8, 9)).await;
    let deferred = settled(&fixture, &other, &hot("cid", "CTO", 0)).await;
    assert_eq!(deferred, (AuditKind::Deferred, "crm_rate_limit".to_owned()));
    assert_eq!(fixture.crm_counts().await[0], 1, "refused and deferred plans have no effect");
}
