//! A test suite for the rules of [`Executor`].

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{
    CampaignId, ContentHash, Decision, DeliveryId, EmailAddress, FailureClass, Fit, FitScore, Intent, LeadId,
};
use serde_json::Value;

use super::execute_ok;
use crate::parameters::{
    CreateTask, LeadDetails, LogActivity, Priority, SetLeadScore, SyncFirmographics, UpdateLeadStatus,
};
use crate::{
    About, Action, Executor, Facts, FieldChange, LeftOut, Mapping, Object, Plan, PlannedAction, Restored,
    Text, Write,
};

/// An executor for an empty CRM, with access to the CRM's own state.
///
/// Dropping the fixture ends the CRM.
#[async_trait]
pub trait ExecutorFixture: Send + Sync {
    /// The executor.
    fn executor(&self) -> Arc<dyn Executor>;

    /// The executor's mapping.
    fn mapping(&self) -> Arc<Mapping>;

    /// The number of records of an object that have this external id.
    async fn count(&self, object: Object, external_id: &str) -> usize;

    /// The number of records of all mapped objects.
    async fn total(&self) -> usize;

    /// The value of a field in the CRM, by the CRM's name. None if it is empty.
    async fn field(&self, object: Object, external_id: &str, field: &str) -> Option<Value>;

    /// Changes a field as a person would do in the CRM.
    async fn set_field(&self, object: Object, external_id: &str, field: &str, value: Value);

    /// Injects a fault into the next write request; [`SuiteFault::Down`] affects every request until
    /// [`Self::heal`].
    async fn inject(&self, fault: SuiteFault);

    /// Ends all faults.
    async fn heal(&self);
}

/// A fault of a CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuiteFault {
    /// The next write has its effect, and its reply is lost.
    LoseReply,
    /// The next write fails with a server error and has no effect.
    Fail,
    /// Every request fails.
    Down,
}

/// Checks every rule, each on a fixture of its own.
///
/// # Panics
///
/// If the executor breaks a rule.
pub async fn executor_suite<F: ExecutorFixture>(fresh: impl AsyncFn() -> F) {
    preview_writes_nothing_and_matches_the_write(&fresh().await).await;
    executing_a_plan_again_changes_nothing(&fresh().await).await;
    effect_is_found_only_after_it_happened(&fresh().await).await;
    lost_reply_is_resolved_by_lookup(&fresh().await).await;
    failed_write_can_be_repeated(&fresh().await).await;
    mapping_protects_values_entered_by_people(&fresh().await).await;
    update_requires_a_record(&fresh().await).await;
    concurrent_writers_leave_one_record(&fresh().await).await;
    names_are_written_unchanged(&fresh().await).await;
    facts_hold_nothing_personal(&fresh().await).await;
    old_values_are_restored_unless_changed_since(&fresh().await).await;
    every_call_fails_while_the_crm_is_down(&fresh().await).await;
    schema_matches_the_mapping(&fresh().await).await;
}

/// A typical plan for a lead that is routed to sales. `name` is the person's name and the local part of the
/// address; `title` distinguishes revisions.
///
/// # Panics
///
/// For a name that cannot be part of an address.
pub fn suite_plan(name: &str, title: &str, score: i64) -> Plan {
    let email = EmailAddress::parse(&format!("{name}@example.com")).expect("an address");
    let campaign_id = CampaignId::parse("launch_2024").expect("a campaign");
    let lead_id = LeadId::derive(&email, &campaign_id);
    let delivery_id = DeliveryId::derive(&lead_id, &ContentHash::of(&format!("{title}:{score}")));
    let summary = Text::fit("Fit HIGH\n- industry: Software");
    let at = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * 365 * 50);
    let text = |text: &str| Text::parse(text).expect("a text");
    let actions = vec![
        Action::UpsertLead(LeadDetails {
            email,
            campaign_id,
            first_name: Text::fit(name),
            last_name: Text::fit("O'Brien"),
            company: Text::fit("Drop Table Ltd"),
            title: Text::fit(title),
            phone: Text::fit("+1 555 0100"),
            owner: None,
            earlier: None,
            facts: Facts::default(),
        }),
        Action::SyncFirmographics(SyncFirmographics {
            company_domain: Text::parse("example.com").expect("a domain"),
            company_name: Text::fit("Example Corp"),
            industry: Text::fit("Software"),
            employees_min: Some(850),
            employees_max: Some(850),
            revenue_usd_min: Some(50_000_000),
            revenue_usd_max: None,
            city: Text::fit("Los Angeles"),
            region: Text::fit("California"),
            country: Text::fit("US"),
            technologies: Text::list(["AWS", "Kubernetes"]),
            facts: Facts::default(),
        }),
        Action::SetLeadScore(SetLeadScore {
            fit_score: FitScore::clamped(score),
            fit: Fit::High,
            intent: Intent::High,
            decision: Decision::RouteToSdr,
            fallback: false,
            summary: summary.clone(),
            facts: Facts::default(),
        }),
        Action::UpdateLeadStatus(UpdateLeadStatus { status: Decision::RouteToSdr.into() }),
        Action::CreateTask(CreateTask {
            decision: Decision::RouteToSdr,
            subject: text("Call the lead"),
            description: summary.clone(),
            priority: Priority::High,
            due_at: at,
            owner: None,
        }),
        Action::LogActivity(LogActivity { subject: text("Judged"), body: summary, at }),
    ];
    Plan::new(lead_id, delivery_id, 1, Some("example.com".to_owned()), actions)
}

async fn done(fixture: &impl ExecutorFixture, plan: &Plan) -> Vec<String> {
    let effects = execute_ok(&*fixture.executor(), plan).await;
    effects.into_iter().map(|effect| effect.record_id).collect()
}

async fn preview(fixture: &impl ExecutorFixture, plan: &Plan) -> Vec<FieldChange> {
    fixture.executor().preview(&plan.lead_id, &plan.actions).await.expect("a preview")
}

/// One lead, one task, one activity, and one company if the CRM keeps companies.
async fn assert_one_of_each(fixture: &impl ExecutorFixture, plan: &Plan) {
    for planned in &plan.actions {
        let (object, id) = (planned.action.object(), planned.external_id(&plan.lead_id));
        assert_eq!(fixture.count(object, id).await, 1, "{} of {}", object.as_str(), planned.action.kind());
    }
    let company = usize::from(fixture.mapping().object(Object::Company).is_some());
    assert_eq!(fixture.total().await, 3 + company, "and nothing else");
}

/// Whether the values are equal as text: CRMs store numbers and booleans in different types.
fn same(a: &Value, b: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    a == b || text(a) == text(b)
}

fn left_to_write(changes: &[FieldChange]) -> Vec<&FieldChange> {
    changes.iter().filter(|change| change.left_out.is_none()).collect()
}

async fn preview_writes_nothing_and_matches_the_write(fixture: &impl ExecutorFixture) {
    let plan = suite_plan("ann", "CTO", 87);
    let before = preview(fixture, &plan).await;
    assert_eq!(fixture.total().await, 0, "a preview writes nothing");
    assert!(before.iter().any(|change| change.source == "lead.email" && change.left_out.is_none()));
    assert!(
        before.iter().all(|change| change.old.is_none() && change.record_id.is_none()),
        "there is nothing yet"
    );
    assert!(before.is_sorted_by_key(|change| change.position), "in the plan's order");

    done(fixture, &plan).await;
    for change in left_to_write(&before) {
        let there = fixture.field(change.object, &change.external_id, &change.field).await;
        assert!(there.is_some(), "{change:?} was previewed but not written");
        if change.source == "lead.title" || change.source == "score.fit_score" {
            assert!(
                same(&there.expect("checked above"), change.new.as_ref().expect("a value")),
                "{change:?}"
            );
        }
    }
    let after = preview(fixture, &plan).await;
    assert_eq!(left_to_write(&after), Vec::<&FieldChange>::new(), "nothing is left to write");

    // The preview of a revision holds exactly the changes.
    let revision = suite_plan("ann", "CEO", 61);
    let previewed = preview(fixture, &revision).await;
    let mut sources: Vec<_> = left_to_write(&previewed)
        .iter()
        .filter(|c| c.object == Object::Lead)
        .map(|c| c.source.as_str())
        .collect();
    sources.sort_unstable();
    assert_eq!(sources, ["lead.title", "score.fit_score"]);
    let title = previewed.iter().find(|change| change.source == "lead.title").expect("a title");
    assert!(same(title.old.as_ref().expect("an old value"), &"CTO".into()), "the old value is shown");
    done(fixture, &revision).await;
    assert_eq!(left_to_write(&preview(fixture, &revision).await), Vec::<&FieldChange>::new());
}

async fn executing_a_plan_again_changes_nothing(fixture: &impl ExecutorFixture) {
    let plan = suite_plan("ann", "CTO", 87);
    let first = done(fixture, &plan).await;
    assert_one_of_each(fixture, &plan).await;
    assert_eq!(done(fixture, &plan).await, first, "the same records");
    assert_one_of_each(fixture, &plan).await;
    // Single actions, as after a crash in the middle of a plan.
    for planned in &plan.actions {
        let results = fixture.executor().execute(&plan.lead_id, std::slice::from_ref(planned)).await;
        assert!(matches!(results[..], [Ok(_)]), "{}: {results:?}", planned.action.kind());
    }
    assert_one_of_each(fixture, &plan).await;
}

async fn effect_is_found_only_after_it_happened(fixture: &impl ExecutorFixture) {
    let plan = suite_plan("ann", "CTO", 87);
    let executor = fixture.executor();
    let find =
        async |planned: &PlannedAction| executor.find(&plan.lead_id, planned).await.expect("an answer");
    for planned in &plan.actions {
        assert_eq!(find(planned).await, None, "{}", planned.action.kind());
    }
    let records = done(fixture, &plan).await;
    for (planned, record_id) in plan.actions.iter().zip(&records) {
        let found = find(planned).await.map(|effect| effect.record_id);
        assert_eq!(found.as_ref(), Some(record_id), "{}", planned.action.kind());
    }
    // The record exists, but does not have the values of the revision.
    let revision = suite_plan("ann", "CEO", 61);
    for index in [0, 2, 5] {
        let planned = &revision.actions[index];
        assert_eq!(find(planned).await, None, "{}", planned.action.kind());
    }
}

async fn lost_reply_is_resolved_by_lookup(fixture: &impl ExecutorFixture) {
    let plan = suite_plan("ann", "CTO", 87);
    let executor = fixture.executor();
    fixture.inject(SuiteFault::LoseReply).await;
    let results = executor.execute(&plan.lead_id, &plan.actions).await;
    let failure = results.iter().find_map(|result| result.as_ref().err()).expect("a failure");
    assert_eq!(failure.class(), FailureClass::Transient, "the outcome is unknown: {failure}");
    fixture.heal().await;

    let mut open = Vec::new();
    for planned in &plan.actions {
        if executor.find(&plan.lead_id, planned).await.expect("an answer").is_none() {
            open.push(planned.clone());
        }
    }
    assert!(open.len() < plan.actions.len(), "at least one written action is found");
    if !open.is_empty() {
        let results = executor.execute(&plan.lead_id, &open).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    assert_one_of_each(fixture, &plan).await;
    assert_eq!(left_to_write(&preview(fixture, &plan).await), Vec::<&FieldChange>::new());
}

async fn failed_write_can_be_repeated(fixture: &impl ExecutorFixture) {
    let plan = suite_plan("ann", "CTO", 87);
    fixture.inject(SuiteFault::Fail).await;
    let results = fixture.executor().execute(&plan.lead_id, &plan.actions).await;
    assert!(results.len() <= plan.actions.len());
    let failure = results.iter().find_map(|result| result.as_ref().err()).expect("a failure");
    assert_eq!(failure.class(), FailureClass::Transient, "{failure}");
    assert!(!failure.message.contains("ann@"), "messages hold nothing personal");
    fixture.heal().await;
    done(fixture, &plan).await;
    assert_one_of_each(fixture, &plan).await;
}

async fn mapping_protects_values_entered_by_people(fixture: &impl ExecutorFixture) {
    let plan = suite_plan("ann", "CTO", 87);
    done(fixture, &plan).await;
    let mapping = fixture.mapping();
    let rules = mapping.object(Object::Lead).expect("leads are mapped").rules().iter();
    let kept: Vec<_> = rules
        .filter(|rule| rule.write() != Write::Always && rule.origin().starts_with("lead."))
        .map(|rule| rule.field().to_owned())
        .collect();
    for field in &kept {
        fixture.set_field(Object::Lead, plan.lead_id.as_str(), field, "Theirs".into()).await;
    }
    let previewed = preview(fixture, &plan).await;
    done(fixture, &plan).await;
    for field in &kept {
        let change =
            previewed.iter().find(|change| change.field == *field).expect("every mapped field is shown");
        assert!(matches!(change.left_out, Some(LeftOut::NotEmpty | LeftOut::RecordExists)), "{change:?}");
        let there = fixture.field(Object::Lead, plan.lead_id.as_str(), field).await;
        assert_eq!(there, Some("Theirs".into()), "{field}");
    }
}

async fn update_requires_a_record(fixture: &impl ExecutorFixture) {
    let plan = suite_plan("ann", "CTO", 87);
    let results = fixture.executor().execute(&plan.lead_id, &plan.actions[2..3]).await;
    let failure = results[0].clone().expect_err("there is no lead to score");
    assert_eq!((failure.class(), failure.code.as_ref()), (FailureClass::Permanent, "crm_record_missing"));
    assert_eq!(fixture.total().await, 0);
}

async fn concurrent_writers_leave_one_record(fixture: &impl ExecutorFixture) {
    let plan = suite_plan("ann", "CTO", 87);
    let executor = fixture.executor();
    let one = || executor.execute(&plan.lead_id, &plan.actions);
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    for results in [a, b, c, d] {
        for failure in results.into_iter().filter_map(Result::err) {
            assert_eq!(failure.class(), FailureClass::Transient, "to be tried again: {failure}");
        }
    }
    done(fixture, &plan).await;
    assert_one_of_each(fixture, &plan).await;
}

async fn names_are_written_unchanged(fixture: &impl ExecutorFixture) {
    let mapping = fixture.mapping();
    let rules = mapping.object(Object::Lead).expect("leads are mapped").rules();
    let title = rules.iter().find(|rule| rule.origin() == "lead.title").expect("a title").field().to_owned();
    for (i, name) in [
        "Constructor.io",
        "Null",
        "O'Brien'); DROP TABLE lead;--",
        "<b>Müller & Söhne</b>",
        "\\ \" $1 {} %s @{ref.id} ' OR ''='",
        "株式会社 👩\u{200d}🚀",
        "[]{}",
        "007",
        "true",
    ]
    .into_iter()
    .enumerate()
    {
        let plan = suite_plan(&format!("p{i}"), name, 50);
        done(fixture, &plan).await;
        let there = fixture.field(Object::Lead, plan.lead_id.as_str(), &title).await;
        assert_eq!(there, Some(name.into()));
        assert_eq!(left_to_write(&preview(fixture, &plan).await), Vec::<&FieldChange>::new(), "{name}");
    }
}

async fn facts_hold_nothing_personal(fixture: &impl ExecutorFixture) {
    let plan = suite_plan("ann", "CTO", 87);
    let about = About {
        lead_id: plan.lead_id.clone(),
        email: EmailAddress::parse("ann@example.com").expect("an address"),
        company_domain: Some("example.com".to_owned()),
    };
    let known = fixture.executor().facts(&about).await.expect("an answer, although the person is unknown");
    assert!(
        known.lead.is_none() && known.contact.is_none() && known.open_opportunities.is_empty(),
        "{known:?}"
    );
    done(fixture, &plan).await;
    let known = fixture.executor().facts(&about).await.expect("an answer");
    assert!(known.lead.is_some() || known.contact.is_some(), "our own record counts");
    let text = serde_json::to_string(&known).expect("plain data").to_lowercase();
    for personal in ["ann@", "o'brien", "555", "drop table"] {
        assert!(!text.contains(personal), "{personal}");
    }
}

async fn old_values_are_restored_unless_changed_since(fixture: &impl ExecutorFixture) {
    let (plan, revision) = (suite_plan("ann", "CTO", 87), suite_plan("ann", "CEO", 61));
    let created = preview(fixture, &plan).await;
    done(fixture, &plan).await;
    let changed = preview(fixture, &revision).await;
    done(fixture, &revision).await;
    let id = plan.lead_id.as_str();
    let of = |source: &str| changed.iter().find(|change| change.source == source).expect("a change").clone();
    let (title, score) = (of("lead.title"), of("score.fit_score"));
    fixture.set_field(Object::Lead, id, &title.field, "Theirs".into()).await;

    let executor = fixture.executor();
    let results = executor.restore(&changed).await.expect("an answer");
    assert_eq!(results.len(), changed.len(), "one result for each change");
    for (change, result) in changed.iter().zip(&results) {
        let expected = match change.source.as_str() {
            "lead.title" => Restored::ChangedSince,
            "score.fit_score" => Restored::PutBack,
            _ if change.left_out.is_none() && change.record_id.is_none() => Restored::Created,
            _ => Restored::Unchanged,
        };
        assert_eq!(*result, expected, "{change:?}");
    }
    assert_eq!(fixture.field(Object::Lead, id, &title.field).await, Some("Theirs".into()));
    let there = fixture.field(Object::Lead, id, &score.field).await.expect("a score");
    assert!(same(&there, &87.into()), "{there}");

    let again = executor.restore(&changed).await.expect("an answer");
    assert!(!again.contains(&Restored::PutBack), "putting back twice changes nothing");
    let first: Vec<_> = executor.restore(&created).await.expect("an answer");
    assert!(!first.contains(&Restored::PutBack), "a created record has no old values");
    assert_one_of_each_after_revision(fixture, &plan, &revision).await;
}

async fn assert_one_of_each_after_revision(fixture: &impl ExecutorFixture, plan: &Plan, revision: &Plan) {
    for planned in plan.actions.iter().chain(&revision.actions) {
        let (object, id) = (planned.action.object(), planned.external_id(&plan.lead_id));
        assert_eq!(fixture.count(object, id).await, 1, "records are not deleted: {}", planned.action.kind());
    }
}

async fn every_call_fails_while_the_crm_is_down(fixture: &impl ExecutorFixture) {
    let plan = suite_plan("ann", "CTO", 87);
    let executor = fixture.executor();
    executor.probe().await.expect("the CRM is up");
    fixture.inject(SuiteFault::Down).await;
    executor.probe().await.expect_err("the CRM is down");
    executor.find(&plan.lead_id, &plan.actions[0]).await.expect_err("an unknown state is a failure");
    executor.preview(&plan.lead_id, &plan.actions).await.expect_err("an unknown state is a failure");
    let results = executor.execute(&plan.lead_id, &plan.actions).await;
    assert!(results.first().is_some_and(Result::is_err), "{results:?}");
    fixture.heal().await;
    done(fixture, &plan).await;
    assert_one_of_each(fixture, &plan).await;
}

async fn schema_matches_the_mapping(fixture: &impl ExecutorFixture) {
    let problems = fixture.executor().schema_problems().await.expect("an answer");
    assert_eq!(problems, []);
}
