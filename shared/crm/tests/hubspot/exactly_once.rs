//! Whatever is lost, refused, repeated or done by several at once: `HubSpot` ends up as if nothing had.

use std::time::Duration;

use crm::parameters::CreateTask;
use crm::testing::suite_plan;
use crm::{Action, Executor as _, Guard, Plan};
use lead::{Decision, FailureClass};
use sandbox::hubspot::{Kind, RowFault};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{Place, with_actions};

/// Submits a plan until it is done, as the queue would.
async fn deliver(place: &Place, guard: &Guard, plan: &Plan) {
    for _ in 0..500 {
        match guard.submit(plan).await {
            Ok(_) => return,
            Err(failure) => assert_ne!(failure.class, FailureClass::Permanent, "{failure}"),
        }
        place.clock.advance(Duration::from_secs(30)); // an open breaker lets a trial through, a limit is over
    }
    panic!("the plan is never done");
}

#[tokio::test]
async fn whichever_request_goes_wrong_there_is_one_of_each() {
    let busy = || Misbehaviour::answer(502, json!("<html>bad gateway</html>"));
    let limit = || Misbehaviour::answer(429, json!({"policyName": "TEN_SECONDLY_ROLLING"}));
    let ways: [fn() -> Misbehaviour; 4] = [|| Misbehaviour::LoseReply, || Misbehaviour::Refuse, busy, limit];
    let requests = {
        let place = Place::prepared().await;
        let before = place.fake.exchanges().len();
        deliver(&place, &place.guard(), &suite_plan("ann", "CTO", 87)).await;
        u32::try_from(place.fake.exchanges().len() - before).unwrap()
    };
    assert!(requests > 10, "{requests} requests");
    for nth in 0..requests {
        for way in ways {
            let place = Place::prepared().await;
            let (guard, plan) = (place.guard(), suite_plan("ann", "CTO", 87));
            place.fault(Fault::on("", way()).after(nth).times(1));
            deliver(&place, &guard, &plan).await;
            deliver(&place, &guard, &plan).await;
            assert_eq!(place.counts(), [1, 1, 1, 1, 0], "request {nth}, {:?}", way());
            place.assert_whole(&plan);
        }
    }
}

#[tokio::test]
async fn many_leads_through_many_faults_are_each_there_once() {
    let place = Place::prepared().await;
    // Of every kind, all the time, at distances that never fall into step.
    for (path, skip, way) in [
        ("/batch/upsert", 2, Misbehaviour::LoseReply),
        ("/batch/read", 6, Misbehaviour::Refuse),
        ("/associate/default", 4, Misbehaviour::LoseReply),
        ("/batch/upsert", 6, Misbehaviour::answer(503, json!("busy"))),
        ("/batch/update", 1, Misbehaviour::LoseReply),
        ("", 12, Misbehaviour::answer(429, json!({"policyName": "SECONDLY"}))),
    ] {
        for turn in 0..40 {
            place.fault(Fault::on(path, way.clone()).after(skip * (turn + 1)).times(1));
        }
    }
    let guards = [place.guard(), place.guard()];
    let plans: Vec<Plan> = (0..25).map(|n| suite_plan(&format!("p{n}"), "CTO", 87)).collect();
    for plan in &plans {
        // Two processes have the same delivery.
        tokio::join!(deliver(&place, &guards[0], plan), deliver(&place, &guards[1], plan));
    }
    let broken = place.fake.exchanges().iter().filter(|e| e.status.is_none_or(|s| !s.is_success())).count();
    assert!(broken > 40, "{broken} requests went wrong");
    assert_eq!(place.counts(), [25, 1, 25, 25, 0]);
    for plan in &plans {
        place.assert_whole(plan);
    }
}

#[tokio::test]
async fn several_processes_with_one_lead_leave_one_of_each() {
    let place = Place::prepared().await;
    // The contact is created by a form at the same moment.
    place.hubspot.add(Kind::Contact, &[("email", "bob@example.com")]);
    for name in ["ann", "bob"] {
        let plan = suite_plan(name, "CTO", 87);
        let guards: Vec<Guard> = (0..6).map(|_| place.guard()).collect();
        let all = guards.iter().map(|guard| deliver(&place, guard, &plan));
        futures(all).await;
        place.assert_whole(&plan);
    }
    assert_eq!(place.counts(), [2, 1, 2, 3, 0], "one note is the anchor of the contact that was there");
}

/// Runs all at the same time.
async fn futures<F: Future<Output = ()>>(all: impl Iterator<Item = F>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn a_row_that_is_refused_fails_its_own_action_only() {
    let place = Place::prepared().await;
    let usual = suite_plan("ann", "CTO", 87);
    let mut actions: Vec<Action> = usual.actions.iter().map(|planned| planned.action.clone()).collect();
    let Action::CreateTask(task) = actions[4].clone() else { unreachable!() };
    actions.push(Action::CreateTask(CreateTask { decision: Decision::ManualReview, ..task }));
    let plan = with_actions(&usual, actions);
    let refused = plan.actions[6].action_id.to_string();
    place.hubspot.set(|settings| {
        settings.row_faults.push(RowFault { id: refused, category: "INTERNAL_ERROR".to_owned(), times: 1 });
    });
    let results = place.executor().execute(&plan.lead_id, &plan.actions).await;
    assert!(results[..6].iter().all(Result::is_ok), "{results:?}");
    assert_eq!(results[6].as_ref().unwrap_err().class, FailureClass::Transient);
    let multi = place.fake.exchanges().iter().filter(|e| e.status.is_some_and(|s| s == 207)).count();
    assert!(multi > 0);
    assert_eq!(place.counts(), [1, 1, 1, 1, 0]);
    deliver(&place, &place.guard(), &plan).await;
    assert_eq!(place.counts(), [1, 1, 2, 1, 0]);
    place.assert_whole(&usual);
}

#[tokio::test]
async fn a_plan_done_twice_asks_for_nothing_new_to_be_written() {
    let place = Place::prepared().await;
    let (plan, crm) = (suite_plan("ann", "CTO", 87), place.executor());
    crm.execute(&plan.lead_id, &plan.actions).await;
    let before = place.fake.exchanges().len();
    let contact = place.made(&plan, "upsert_lead");
    let note = place.made(&plan, "log_activity");
    assert_eq!(note.get("hs_note_body"), Some("Fit HIGH<br>- industry: Software"));
    crm.execute(&plan.lead_id, &plan.actions).await;
    assert_eq!(place.made(&plan, "upsert_lead").writes, contact.writes);
    let again = &place.fake.exchanges()[before..];
    let written: Vec<&str> =
        again.iter().map(|e| e.path.as_str()).filter(|path| path.contains("/batch/up")).collect();
    assert_eq!(written, Vec::<&str>::new());
}
