//! What the CRM knows before a lead is judged, plans that are only kept, and the way back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use crm::{
    About, CrmMode, Effect, Executor, FieldChange, Guard, GuardSettings, Known, KnownAccount,
    KnownOpportunity, LimitSettings, Mapping, MockCrm, OwnerStanding, PlannedAction, Restored, SchemaProblem,
};
use grounding::Namespace;
use lead::{Dependency, Failure, LeadEvent, LeadId, LeadStatus, Stage};
use pipeline::Pipeline;
use queue::{LeadHandler as _, MAX_ATTEMPTS, settle_failed};
use serde_json::{Value, json};
use store::{AuditKind, CrmFacts, SharedLimits};

use crate::support::{Say, World, hot, message};

/// The mock CRM, with answers about people.
pub(crate) struct Informed {
    crm: MockCrm,
    pub(crate) answers: Mutex<VecDeque<Result<Known, Failure>>>,
    pub(crate) asked: Mutex<Vec<Option<String>>>,
    /// What is said of owners.
    pub(crate) owners: Mutex<BTreeMap<String, OwnerStanding>>,
    /// What goes wrong with putting back, call by call.
    pub(crate) restores: Mutex<VecDeque<Goes>>,
}

/// How a call goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goes {
    Well,
    Wrong,
    /// It has its effect, and nobody hears of it.
    Unheard,
}

#[async_trait]
impl Executor for Informed {
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

    async fn owners(&self, ids: &[String]) -> BTreeMap<String, OwnerStanding> {
        let owners = self.owners.lock().unwrap();
        ids.iter().filter_map(|id| Some((id.clone(), *owners.get(id)?))).collect()
    }

    async fn facts(&self, about: &About) -> Result<Known, Failure> {
        self.asked.lock().unwrap().push(about.company_domain.clone());
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
        let goes = self.restores.lock().unwrap().pop_front().unwrap_or(Goes::Well);
        match goes {
            Goes::Well => self.crm.restore(changes).await,
            Goes::Wrong => Err(lost()),
            Goes::Unheard => self.crm.restore(changes).await.and(Err(lost())),
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

/// A pipeline before a CRM that answers so, in this mode.
pub(crate) async fn pipeline(
    world: &World,
    mode: CrmMode,
    answers: impl IntoIterator<Item = Result<Known, Failure>>,
) -> (Pipeline, Arc<Informed>) {
    limited(world, mode, answers, LimitSettings { per_lead: 1000, ..LimitSettings::default() }).await
}

async fn limited(
    world: &World,
    mode: CrmMode,
    answers: impl IntoIterator<Item = Result<Known, Failure>>,
    limits: LimitSettings,
) -> (Pipeline, Arc<Informed>) {
    let mut pipeline = world.pipeline().await;
    let clock = Arc::new(world.clock.clone());
    let mapping = include_str!("../../../../config/crm-mapping-mock.toml").replace(
        "fields = [\n  { source = \"lead.email\"",
        "fields = [\n  { source = \"marketo.activity\", field = \"last_activity\" },\n  { source = \"lead.email\"",
    );
    let mapping = Arc::new(Mapping::parse(&mapping).unwrap());
    let crm = MockCrm::new(world.connect().await, clock.clone()).with_mapping(Arc::clone(&mapping));
    let answers = Mutex::new(answers.into_iter().collect());
    let (asked, owners, restores) = Default::default();
    let informed = Arc::new(Informed { crm, answers, asked, owners, restores });
    pipeline.guard = Guard::new(
        Arc::clone(&informed) as Arc<dyn Executor>,
        Arc::new(pipeline.store.clone()),
        Arc::new(pipeline.store.clone()),
        Arc::new(SharedLimits::new(pipeline.store.clone(), limits)),
        clock,
        GuardSettings { mode, mapping, keep_old_values: true, ..GuardSettings::default() },
    );
    (pipeline, informed)
}

async fn what_the_crm_says_wins_over_what_the_sender_said(world: World) {
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
    world.analyst.will([Say::Changed(cite_the_deal)]);
    let event = LeadEvent::new(event.lead, event.received_at);
    let (pipeline, informed) = pipeline(&world, CrmMode::Live, [Ok(customer())]).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();

    let analysis = world.store.analysis_in_force(&event.lead_id).await.unwrap().unwrap();
    let facts = analysis.facts.namespace(Namespace::Salesforce).unwrap();
    assert_eq!(*facts, customer().facts(), "and nothing else");
    assert_eq!((&facts["account_type"], &facts["open_opportunities"]), (&json!("Customer"), &json!(1)));
    assert_eq!(*informed.asked.lock().unwrap(), [Some("stripe.com".to_owned())]);
    let kept = world.store.crm_facts_of(&event.delivery_id()).await.unwrap();
    assert_eq!(kept, Some(CrmFacts::Known(customer())));
    let read = world.store.deliveries(&event.lead_id, 1).await.unwrap().remove(0).crm_read.unwrap();
    assert_eq!(
        (read.provider.as_deref(), read.at),
        (Some(pipeline.guard.provider()), Some(lead::Clock::now(&world.clock)))
    );
    assert!(read.states("deal_stage") && !read.states("territory"), "who said what");
    assert!(world.kinds(&event.lead_id).await.contains(&AuditKind::CrmRead));
    let summary = summary_of(&world, &event).await;
    assert!(summary.contains("- deal stage: Proposal (crm)"), "{summary}");
    assert!(!summary.contains("Closed Won"), "{summary}");
    assert!(
        summary.contains("The person opted out: do_not_call (sent)."),
        "what it says of a wish counts: {summary}"
    );
}

fn cite_the_deal(answer: &mut Value) {
    let claim = json!({"source": "SALESFORCE", "field_path": "salesforce.deal_stage", "value": "Proposal", "claim_type": "PIPELINE"});
    answer["evidence"].as_array_mut().unwrap().push(claim);
}

async fn summary_of(world: &World, event: &LeadEvent) -> String {
    world.crm_lead(&event.lead_id).await.fields["summary"].as_str().unwrap().to_owned()
}

async fn what_a_sender_says_of_the_crm_is_shown_as_sent(world: World) {
    let denied = || Err(Failure::permanent("crm_no_access", "no right to read accounts"));
    for (person, answers) in [("ann", Some(denied())), ("bob", None)] {
        let mut event = hot(person, "CTO", 0);
        event.lead.salesforce.insert("deal_stage".into(), json!("Proposal"));
        event.lead.salesforce.insert("de\u{430}l_stage".into(), json!("Closed Won"));
        let event = LeadEvent::new(event.lead, event.received_at);
        // A CRM that cannot be read, and the mock, which is not asked.
        let pipeline = match answers {
            Some(answer) => pipeline(&world, CrmMode::Live, [answer]).await.0,
            None => world.pipeline().await,
        };
        world.analyst.will([Say::Changed(cite_the_deal)]);
        pipeline.handle(&message(&event, 1)).await.unwrap();
        let analysis = world.store.analysis_in_force(&event.lead_id).await.unwrap().unwrap();
        let facts = analysis.facts.namespace(Namespace::Salesforce).unwrap();
        assert_eq!(facts.keys().collect::<Vec<_>>(), ["deal_stage"], "names are plain ASCII");
        let summary = summary_of(&world, &event).await;
        assert!(summary.contains("- deal stage: Proposal (sent)"), "{summary}");
        assert!(summary.contains("- industry: Fintech (fixtures)"), "{summary}");
        assert!(!summary.contains("(crm)") && !summary.contains("(salesforce)"), "{summary}");
    }
}

async fn the_crm_is_asked_once_for_each_judgement(world: World) {
    let event = hot("ann", "CTO", 0);
    let (pipeline, informed) = pipeline(&world, CrmMode::Live, [Ok(customer())]).await;
    world.analyst.will([Say::Fail(Failure::transient("ai_timeout", "no answer"))]);
    pipeline.handle(&message(&event, 1)).await.unwrap_err();
    pipeline.handle(&message(&event, 2)).await.unwrap();
    assert_eq!(informed.asked.lock().unwrap().len(), 1);
    world.store.reopen(&event.lead_id, true, "test").await.unwrap();
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(informed.asked.lock().unwrap().len(), 2, "a new round asks again");
}

async fn a_crm_that_is_down_is_waited_for_and_one_that_fails_for_one_lead_alone_not_for_ever(world: World) {
    let [event, other] = [hot("ann", "CTO", 0), hot("bob", "CTO", 0)];
    let quota = Failure::deferral(Dependency::new("crm.mock"), "test_quota", "quota reached", None);
    let down = || Err(Failure::transient("crm_timeout", "no answer"));
    let answers = [Err(quota.clone()), down(), Ok(Known::default()), down()];
    let (pipeline, _) = pipeline(&world, CrmMode::Live, answers).await;
    assert_eq!(pipeline.handle(&message(&event, 1)).await.unwrap_err(), quota.at(Stage::CrmRead));
    let outage = pipeline.handle(&message(&event, MAX_ATTEMPTS)).await.unwrap_err();
    assert_eq!(outage.code, "crm_outage", "on whichever attempt");
    pipeline.record(&message(&event, MAX_ATTEMPTS), &settle_failed(MAX_ATTEMPTS, outage)).await.unwrap();
    assert_eq!(world.analyst.asked(), 0, "nobody judges what the CRM may know better");
    world.clock.advance(Duration::from_secs(2));
    pipeline.handle(&message(&other, 1)).await.unwrap();
    world.has_failed(&pipeline, &event, Stage::CrmRead, MAX_ATTEMPTS - 1).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Synced);
    let kept = world.store.crm_facts_of(&event.delivery_id()).await.unwrap();
    assert_eq!(kept, Some(CrmFacts::Unreadable("crm_timeout".into())));
}

async fn a_crm_that_will_not_be_read_is_done_without_at_once(world: World) {
    let event = hot("ann", "CTO", 0);
    let denied = Err(Failure::permanent("crm_no_access", "no right to read accounts"));
    let (pipeline, _) = pipeline(&world, CrmMode::Live, [denied]).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Synced);
}

async fn a_shadowed_lead_is_planned_and_nothing_is_written(world: World) {
    let event = hot("ann", "CTO", 0);
    let (pipeline, _) = pipeline(&world, CrmMode::Shadow, []).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();

    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Planned);
    assert!(world.crm().await.is_empty());
    assert!(world.store.actions(&event.lead_id, 100).await.unwrap().is_empty(), "the ledger has no row");
    let kept = world.store.planned_write(&event.lead_id).await.unwrap().unwrap();
    assert_eq!((kept.delivery_id, kept.round, kept.provider.as_str()), (event.delivery_id(), 1, "mock"));
    let value = |source: &str| {
        let change = kept.preview.changes.iter().find(|change| change.source == source).unwrap();
        (change.field.clone(), change.old.clone(), change.new.clone())
    };
    assert_eq!(value("lead.title"), ("title".to_owned(), None, Some("CTO".into())));
    assert_eq!(value("marketo.activity"), ("last_activity".to_owned(), None, Some("demo_request".into())));
    assert_eq!(world.kinds(&event.lead_id).await.last(), Some(&AuditKind::Planned));

    // The same plan, asked for by an operator, and again nothing is written.
    let planned = pipeline.planned(&event.lead_id).await.unwrap();
    assert_eq!((planned.mode, planned.changes), (CrmMode::Shadow, kept.preview.changes));
    assert!(world.crm().await.is_empty());
}

async fn a_promoted_lead_is_written_once_also_in_shadow_mode(world: World) {
    let event = hot("ann", "CTO", 0);
    let (pipeline, _) = pipeline(&world, CrmMode::Shadow, []).await;
    assert_eq!(world.store.promote(&event.lead_id).await.unwrap(), None, "there is no such lead");
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let promoted = world.store.promote(&event.lead_id).await.unwrap().unwrap();
    assert_eq!(promoted, event);
    assert_eq!(world.store.promote(&event.lead_id).await.unwrap(), None, "it is on its way");
    pipeline.handle(&message(&promoted, 1)).await.unwrap();
    pipeline.handle(&message(&promoted, 1)).await.unwrap();

    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Synced);
    assert_eq!(world.store.promote(&event.lead_id).await.unwrap(), None);
    let counts: Vec<_> = world.crm_counts().await.into_iter().collect();
    assert_eq!(counts, [("activity".to_owned(), 1), ("lead".to_owned(), 1), ("task".to_owned(), 1)]);
    assert_eq!(world.crm_lead(&event.lead_id).await.fields["last_activity"], "demo_request");
    assert_eq!(world.analyst.asked(), 1, "it is not judged again");

    // Newer content is planned again: what was let through was this delivery.
    let newer = hot("ann", "CEO", 1);
    pipeline.handle(&message(&newer, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Planned);
    assert_eq!(world.crm_lead(&event.lead_id).await.fields["title"], "CTO");
}

async fn a_hold_counts_in_every_process_at_once_and_loses_nothing(world: World) {
    let (first, _) = pipeline(&world, CrmMode::Live, []).await;
    let (second, _) = pipeline(&world, CrmMode::Live, []).await;
    let (ann, bob) = (hot("ann", "CTO", 0), hot("bob", "CTO", 0));
    first.handle(&message(&ann, 1)).await.unwrap();
    world.store.hold_crm("mock", "wrong field").await.unwrap();
    world.store.hold_crm("mock", "again").await.unwrap();
    assert_eq!(world.store.crm_hold("mock").await.unwrap().unwrap().reason, "wrong field");
    second.handle(&message(&bob, 1)).await.unwrap();
    assert_eq!(world.lead(&ann.lead_id).await.status, LeadStatus::Synced);
    assert_eq!(world.lead(&bob.lead_id).await.status, LeadStatus::Planned);

    assert!(world.store.unhold_crm("mock").await.unwrap());
    assert!(!world.store.unhold_crm("mock").await.unwrap());
    let promoted = world.store.promote(&bob.lead_id).await.unwrap().unwrap();
    second.handle(&message(&promoted, 1)).await.unwrap();
    assert_eq!(world.lead(&bob.lead_id).await.status, LeadStatus::Synced);
}

async fn a_rollback_puts_old_values_back_and_promoting_writes_them_again(world: World) {
    let (pipeline, _) = pipeline(&world, CrmMode::Live, []).await;
    let (first, second) = (hot("ann", "CTO", 0), hot("ann", "CEO", 1));
    pipeline.handle(&message(&first, 1)).await.unwrap();
    pipeline.handle(&message(&second, 1)).await.unwrap();
    assert_eq!(world.crm_lead(&first.lead_id).await.fields["title"], "CEO");
    world.store.hold_crm("mock", "rolled back").await.unwrap();

    let restored = pipeline.restore(&first.lead_id).await.unwrap();
    let put_back: Vec<_> = restored
        .iter()
        .flat_map(|(action, results)| action.changes.iter().zip(results))
        .filter(|(_, result)| **result == Restored::PutBack)
        .map(|(change, _)| change.field.as_str())
        .collect();
    assert_eq!(put_back, ["title"]);
    assert_eq!(world.crm_lead(&first.lead_id).await.fields["title"], "CTO");
    assert_eq!(world.lead(&first.lead_id).await.status, LeadStatus::Planned);
    assert_eq!(world.kinds(&first.lead_id).await.last(), Some(&AuditKind::Restored));
    let again = pipeline.restore(&first.lead_id).await.unwrap();
    assert!(again.iter().all(|(_, results)| !results.contains(&Restored::PutBack)));

    world.clock.advance(Duration::from_secs(1));
    let promoted = world.store.promote(&first.lead_id).await.unwrap().unwrap();
    pipeline.handle(&message(&promoted, 1)).await.unwrap();
    assert_eq!(world.crm_lead(&first.lead_id).await.fields["title"], "CEO");
    let counts = world.crm_counts().await;
    assert_eq!((counts["lead"], counts["task"]), (1, 1), "nothing was doubled on the way");
}

async fn a_plan_for_a_lead_that_is_synced_shows_that_nothing_is_left(world: World) {
    let event = hot("ann", "CTO", 0);
    let (pipeline, _) = pipeline(&world, CrmMode::Live, []).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let before = world.everything(&event.lead_id).await;
    let planned = pipeline.planned(&event.lead_id).await.unwrap();
    assert!(planned.changes.iter().all(|change| change.left_out.is_some()), "{:?}", planned.changes);
    assert_eq!(world.everything(&event.lead_id).await, before, "looking changes nothing");
}

/// Handles a message and has its end recorded, as a worker does; the last event of the trail, with its failure's code.
async fn settled(world: &World, pipeline: &Pipeline, event: &LeadEvent) -> (AuditKind, String) {
    let message = message(event, 1);
    let failure = pipeline.handle(&message).await.unwrap_err();
    pipeline.record(&message, &settle_failed(1, failure)).await.unwrap();
    let last = world.audit(&event.lead_id).await.pop().unwrap();
    (last.kind, last.detail["failure"]["code"].as_str().unwrap_or_default().to_owned())
}

async fn every_refusal_and_every_deferral_of_the_guard_is_on_record(world: World) {
    let limits = |per_lead, global| LimitSettings { per_lead, global, ..LimitSettings::default() };
    let event = hot("ann", "CTO", 0);
    let (too_small, _) = limited(&world, CrmMode::Live, [], limits(3, 1000)).await;
    let refused = settled(&world, &too_small, &event).await;
    assert_eq!(refused, (AuditKind::DeadLettered, "plan_too_large".to_owned()));
    let rows = world.store.actions(&event.lead_id, 100).await.unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.state == "refused"), "{rows:?}");

    let (bob, bobs_next) = (hot("bob", "CTO", 0), hot("bob", "CEO", 1));
    let (narrow, _) = limited(&world, CrmMode::Live, [], limits(8, 1000)).await;
    narrow.handle(&message(&bob, 1)).await.unwrap();
    let deferred = settled(&world, &narrow, &bobs_next).await;
    assert_eq!(deferred, (AuditKind::Deferred, "lead_rate_limit".to_owned()));

    // Another process has its part of the limit over all taken already.
    let (other, _) = limited(&world, CrmMode::Live, [], limits(8, 9)).await;
    let deferred = settled(&world, &other, &hot("cid", "CTO", 0)).await;
    assert_eq!(deferred, (AuditKind::Deferred, "crm_rate_limit".to_owned()));
    assert_eq!(world.crm_counts().await["lead"], 1, "what was refused or deferred has had no effect");
}

on_both!(
    every_refusal_and_every_deferral_of_the_guard_is_on_record,
    what_the_crm_says_wins_over_what_the_sender_said,
    what_a_sender_says_of_the_crm_is_shown_as_sent,
    the_crm_is_asked_once_for_each_judgement,
    a_crm_that_is_down_is_waited_for_and_one_that_fails_for_one_lead_alone_not_for_ever,
    a_crm_that_will_not_be_read_is_done_without_at_once,
    a_shadowed_lead_is_planned_and_nothing_is_written,
    a_promoted_lead_is_written_once_also_in_shadow_mode,
    a_hold_counts_in_every_process_at_once_and_loses_nothing,
    a_rollback_puts_old_values_back_and_promoting_writes_them_again,
    a_plan_for_a_lead_that_is_synced_shows_that_nothing_is_left,
);
