//! The ledger of CRM actions, through `crm::Ledger`.

use crm::testing::{MemoryLedger, every_action};
use crm::{
    ActionId, Authority, BegunPlan, Effect, Ledger, LedgerState, LeftOut, Object, Omission, Outcome, Plan,
};
use lead::{Failure, LeadEvent, LeadStatus};
use on_both::on_both;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::json;
use store::{AuditKind, Begun, Steps};

use crate::support::{
    Fixture, begin, begin_plan, company, event, finish_actions, judged, kinds, lead, settled,
};

const NORMAL: Authority = Authority::Normal;

/// The states of a plan that was begun.
fn states(begun: BegunPlan) -> Vec<LedgerState> {
    let BegunPlan::States(states) = begun else { panic!("not begun: {begun:?}") };
    states
}

fn plan(event: &LeadEvent, round: u32) -> Plan {
    let actions = every_action(&event.lead_id, &event.delivery_id());
    Plan::new(event.lead_id.clone(), event.delivery_id(), round, None, actions)
}

fn effect(id: &str) -> Effect {
    Effect::new(id, true)
}

fn failure() -> Failure {
    Failure::transient("crm_timeout", "no answer")
}

#[on_both]
async fn begin_returns_the_recorded_outcome_of_each_action(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    store.accept(&event).await.unwrap();
    let plan = plan(&event, 1);
    let id = |position: usize| plan.actions[position].action_id.clone();
    let new = vec![LedgerState::New; plan.actions.len()];
    assert_eq!(begin_plan(&store, "mock", &plan, NORMAL).await, BegunPlan::States(new));
    finish_actions(
        &store,
        &[
            (id(0), Outcome::Done(effect("00Q1"))),
            (id(1), Outcome::Failed(failure())),
            (id(2), Outcome::Unknown(failure())),
            (id(3), Outcome::Skipped),
            (id(4), Outcome::Refused(failure())),
        ],
    )
    .await;
    let again = states(begin_plan(&fixture.store().await, "mock", &plan, NORMAL).await);
    assert_eq!(
        again[..6],
        [
            LedgerState::Done(effect("00Q1")),
            LedgerState::New,
            LedgerState::Unsettled,
            LedgerState::New,
            LedgerState::New,
            LedgerState::Unsettled, // begun, without a recorded outcome
        ]
    );
}

#[on_both]
async fn a_done_action_stays_done(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    store.accept(&event).await.unwrap();
    let plan = plan(&event, 1);
    let id = plan.actions[0].action_id.clone();
    begin_plan(&store, "mock", &plan, NORMAL).await;
    finish_actions(&store, &[(id.clone(), Outcome::Done(effect("00Q1")))]).await;
    begin_plan(&store, "other", &plan, NORMAL).await;
    finish_actions(&store, &[(id.clone(), Outcome::Failed(failure()))]).await;
    finish_actions(&store, &[(id.clone(), Outcome::Done(effect("other")))]).await;
    assert_eq!(states(begin_plan(&store, "mock", &plan, NORMAL).await)[0], LedgerState::Done(effect("00Q1")));
    let row = store.actions(&event.lead_id, 100).await.unwrap().swap_remove(0);
    assert_eq!((row.state.as_str(), row.provider.as_str(), row.attempts), ("done", "mock", 1));
    assert_eq!((row.record_id.as_deref(), row.failure), (Some("00Q1"), None));
}

#[on_both]
async fn left_out_fields_are_saved_with_the_effect(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    store.accept(&event).await.unwrap();
    let plan = plan(&event, 1);
    let id = |position: usize| plan.actions[position].action_id.clone();
    let omission = Omission {
        object: Object::Lead,
        field: "OwnerId".to_owned(),
        source: "lead.owner".to_owned(),
        reason: LeftOut::OwnerInactive,
    };
    let reduced = effect("00Q1").without([omission.clone(), omission.clone()]);
    begin_plan(&store, "mock", &plan, NORMAL).await;
    let outcomes = [(id(0), Outcome::Done(reduced.clone())), (id(2), Outcome::Done(effect("00Q1")))];
    finish_actions(&store, &outcomes).await;
    assert_eq!(states(begin_plan(&store, "mock", &plan, NORMAL).await)[0], LedgerState::Done(reduced));
    let rows = store.actions(&event.lead_id, 100).await.unwrap();
    assert_eq!((&rows[0].left_out[..], rows[2].left_out.len()), (&[omission.clone()][..], 0));
    let recent = store.left_out("mock", jiff::Timestamp::UNIX_EPOCH, 10).await.unwrap();
    assert_eq!(recent.len(), 1);
    assert_eq!((&recent[0].lead_id, &recent[0].left_out), (&event.lead_id, &vec![omission]));
    assert!(store.left_out("other", jiff::Timestamp::UNIX_EPOCH, 10).await.unwrap().is_empty());
    let record = Steps::new(store.clone()).written_record("mock", &event.lead_id).await.unwrap();
    assert_eq!(record.as_deref(), Some("00Q1"));
}

#[on_both]
async fn an_action_begun_again_is_pending_without_its_old_failure(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    store.accept(&event).await.unwrap();
    let plan = plan(&event, 1);
    begin_plan(&store, "mock", &plan, NORMAL).await;
    finish_actions(&store, &[(plan.actions[0].action_id.clone(), Outcome::Failed(failure()))]).await;
    let row = store.actions(&event.lead_id, 100).await.unwrap().swap_remove(0);
    assert_eq!((row.state.as_str(), row.failure), ("failed", Some(failure())));
    begin_plan(&store, "mock", &plan, NORMAL).await;
    let row = store.actions(&event.lead_id, 100).await.unwrap().swap_remove(0);
    assert_eq!((row.state.as_str(), row.failure, row.attempts), ("pending", None, 2));
}

#[on_both]
async fn a_task_has_one_row_and_other_actions_one_per_round(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    store.accept(&event).await.unwrap();
    begin_plan(&store, "mock", &plan(&event, 1), NORMAL).await;
    fixture.advance(1);
    begin_plan(&store, "mock", &plan(&event, 2), NORMAL).await;
    let rows = store.actions(&event.lead_id, 100).await.unwrap();
    let of = |kind: &str| rows.iter().filter(|row| row.kind == kind).count();
    assert_eq!((of("create_task"), of("upsert_lead"), of("log_activity")), (1, 2, 2));
    let kinds: Vec<_> = rows.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(kinds[0], "upsert_lead", "in the order they were begun");
}

#[on_both]
async fn last_written_leaves_out_kinds_with_an_unknown_outcome(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    store.accept(&event).await.unwrap();
    let plans = [1, 2, 3].map(|round| plan(&event, round));
    let id = |round: usize| plans[round].actions[0].action_id.clone();
    let upsert = serde_json::Value::Object(plans[0].actions[0].action.fields());
    let last =
        async |round: usize| store.last_written("mock", &plans[round]).await.unwrap().remove("upsert_lead");
    begin_plan(&store, "mock", &plans[0], NORMAL).await;
    assert_eq!(last(1).await, None, "begun, without a recorded outcome");
    finish_actions(&store, &[(id(0), Outcome::Done(effect("00Q1")))]).await;
    assert_eq!(last(1).await, Some(upsert.clone()));
    assert_eq!(last(0).await, None, "without the plan's own actions");
    assert_eq!(store.last_written("other", &plans[1]).await.unwrap().len(), 0);

    fixture.advance(1);
    begin_plan(&store, "mock", &plans[1], NORMAL).await;
    finish_actions(&store, &[(id(1), Outcome::Unknown(failure()))]).await;
    assert_eq!(last(2).await, None);
    begin_plan(&store, "mock", &plans[1], NORMAL).await;
    finish_actions(&store, &[(id(1), Outcome::Failed(failure()))]).await;
    assert_eq!(last(2).await, Some(upsert), "a failed action changes nothing");
}

/// An operation on a ledger.
#[derive(Clone, Debug)]
enum Step {
    Begin(u32),
    Finish(usize, Outcome),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        Just(Outcome::Done(effect("00Q1"))),
        Just(Outcome::Failed(failure())),
        Just(Outcome::Unknown(failure())),
        Just(Outcome::Skipped),
        Just(Outcome::Refused(failure())),
    ];
    let step = prop_oneof![
        (1..3_u32).prop_map(Step::Begin),
        (0..5_usize, outcome).prop_map(|(position, outcome)| Step::Finish(position, outcome)),
    ];
    proptest::collection::vec(step, 1..12)
}

/// The in-memory ledger, on which the guard's tests are based, and this one must agree.
#[on_both]
async fn it_agrees_with_the_in_memory_ledger(fixture: Fixture) {
    let store = fixture.store().await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for case in 0..40 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let event = event(&format!("person{case}"), "a", 0);
        store.accept(&event).await.unwrap();
        let memory = MemoryLedger::default();
        for step in &steps {
            match step {
                Step::Begin(round) => {
                    let plan = plan(&event, *round);
                    let stored = begin_plan(&store, "mock", &plan, NORMAL).await;
                    assert_eq!(memory.begin("mock", &plan, None, NORMAL).await, Ok(stored), "{steps:?}");
                }
                Step::Finish(position, outcome) => {
                    let id: ActionId = plan(&event, 1).actions[*position].action_id.clone();
                    let outcomes = [(id, outcome.clone())];
                    finish_actions(&store, &outcomes).await;
                    memory.finish(&outcomes).await.unwrap();
                }
            }
        }
        for row in store.actions(&event.lead_id, 100).await.unwrap() {
            let remembered = memory.row(&row.action_id.parse().unwrap()).unwrap();
            assert_eq!(
                (row.state, row.record_id),
                (remembered.state, remembered.effect.map(|effect| effect.record_id)),
                "{steps:?}"
            );
            assert_eq!(row.attempts, i64::from(remembered.attempts), "{steps:?}");
        }
    }
}

#[on_both]
async fn a_superseded_plan_is_not_begun_and_closes_its_delivery(fixture: Fixture) {
    let store = fixture.store().await;
    let (older, newer) = (event("ann", "a", 0), event("ann", "b", 1));
    begin(&store, &older).await;
    store.accept(&newer).await.unwrap();
    for _ in 0..2 {
        assert_eq!(begin_plan(&store, "mock", &plan(&older, 1), NORMAL).await, BegunPlan::Superseded);
    }
    assert!(store.actions(&older.lead_id, 100).await.unwrap().is_empty());
    assert_eq!(
        kinds(&store, &older.lead_id).await.iter().filter(|kind| **kind == AuditKind::Superseded).count(),
        1
    );
    begin_plan(&store, "mock", &plan(&newer, 1), NORMAL).await;
}

/// A new owner of a lead is written for the delivery that was routed.
#[on_both]
async fn a_finished_older_delivery_may_still_write(fixture: Fixture) {
    let store = fixture.store().await;
    let (older, newer) = (event("ann", "a", 0), event("ann", "b", 1));
    settled(&fixture, &store, &older).await;
    store.accept(&newer).await.unwrap();
    begin_plan(&store, "mock", &plan(&older, 9), NORMAL).await;
}

/// The row of a lead is written once for a plan and the end of the work. Whatever comes between shows the
/// judgement all the same.
#[on_both]
async fn interrupted_plan_leaves_its_judgement_in_force(fixture: Fixture) {
    let store = fixture.store().await;
    let steps = Steps::new(store.clone());
    for (name, is_saved) in [("died", false), ("failed", true)] {
        let event = event(name, "a", 0);
        store.accept(&event).await.unwrap();
        let Begun::Work(mut work) = steps.begin(&event, 1).await.unwrap() else { panic!("there is work") };
        work.enriched(company("Fintech"), json!({}));
        let analysis = judged(&fixture, &work, "rules");
        work.judged(analysis, None);
        let ledger = steps.ledger(&mut work);
        ledger.begin("mock", &plan(&event, 1), None, NORMAL).await.unwrap();
        assert_eq!(lead(&store, &event.lead_id).await.status, LeadStatus::Queued, "{name}");
        if is_saved {
            steps.save(&mut work).await.unwrap();
        } else {
            assert!(matches!(steps.begin(&event, 2).await.unwrap(), Begun::Work(_)));
        }
        assert_eq!(lead(&store, &event.lead_id).await.status, LeadStatus::Processing, "{name}");
        let in_force = store.analysis_in_force(&event.lead_id).await.unwrap();
        assert_eq!(in_force.unwrap().provider, "rules", "{name}");
    }
}
