//! Exactly-once writes despite lost replies, refusals, repeated plans and concurrent processes.

use std::time::Duration;

use crm::parameters::CreateTask;
use crm::testing::suite_plan;
use crm::{Action, Executor as _, Guard, Plan};
use lead::{Decision, FailureClass};
use sandbox::hubspot::{Kind, RowFault};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{AccountFixture, with_actions};

/// Submits a plan until it succeeds, as the queue does.
async fn deliver(fixture: &AccountFixture, guard: &Guard, plan: &Plan) {
    for _ in 0..500 {
        match guard.submit_normal(plan).await {
            Ok(_) => return,
            Err(failure) => assert_ne!(failure.class(), FailureClass::Permanent, "{failure}"),
        }
        // An open circuit breaker becomes half-open, and rate limits end.
        fixture.clock.advance(Duration::from_secs(30));
    }
    panic!("the plan never succeeds");
}

#[tokio::test]
async fn any_failed_request_leaves_one_record_of_each() {
    let busy = || Misbehaviour::answer(502, json!("<html>bad gateway</html>"));
    let limit = || Misbehaviour::answer(429, json!({"policyName": "TEN_SECONDLY_ROLLING"}));
    let ways: [fn() -> Misbehaviour; 4] = [|| Misbehaviour::LoseReply, || Misbehaviour::Refuse, busy, limit];
    let requests = {
        let fixture = AccountFixture::prepared().await;
        let before = fixture.fake.exchanges().len();
        deliver(&fixture, &fixture.guard(), &suite_plan("ann", "CTO", 87)).await;
        u32::try_from(fixture.fake.exchanges().len() - before).unwrap()
    };
    assert!(requests > 10, "{requests} requests");
    for nth in 0..requests {
        for way in ways {
            let fixture = AccountFixture::prepared().await;
            let (guard, plan) = (fixture.guard(), suite_plan("ann", "CTO", 87));
            fixture.fault(Fault::on("", way()).after(nth).times(1));
            deliver(&fixture, &guard, &plan).await;
            deliver(&fixture, &guard, &plan).await;
            assert_eq!(fixture.counts(), [1, 1, 1, 1, 0], "request {nth}, {:?}", way());
            fixture.assert_complete(&plan);
        }
    }
}

#[tokio::test]
async fn many_leads_with_many_faults_are_each_written_once() {
    let fixture = AccountFixture::prepared().await;
    // Faults of every kind, at different intervals so that they do not coincide.
    for (path, skip, way) in [
        ("/batch/create", 2, Misbehaviour::LoseReply),
        ("/batch/read", 6, Misbehaviour::Refuse),
        ("/associate/default", 4, Misbehaviour::LoseReply),
        ("/batch/create", 6, Misbehaviour::answer(503, json!("busy"))),
        ("/batch/update", 1, Misbehaviour::LoseReply),
        ("", 12, Misbehaviour::answer(429, json!({"policyName": "SECONDLY"}))),
    ] {
        for turn in 0..40 {
            fixture.fault(Fault::on(path, way.clone()).after(skip * (turn + 1)).times(1));
        }
    }
    let guards = [fixture.guard(), fixture.guard()];
    let plans: Vec<Plan> = (0..25).map(|n| suite_plan(&format!("p{n}"), "CTO", 87)).collect();
    for plan in &plans {
        // Two processes work on the same delivery.
        tokio::join!(deliver(&fixture, &guards[0], plan), deliver(&fixture, &guards[1], plan));
    }
    let broken = fixture.fake.exchanges().iter().filter(|e| e.status.is_none_or(|s| !s.is_success())).count();
    assert!(broken > 40, "{broken} requests went wrong");
    assert_eq!(fixture.counts(), [25, 1, 25, 25, 0]);
    for plan in &plans {
        fixture.assert_complete(plan);
    }
}

#[tokio::test]
async fn concurrent_processes_leave_one_record_of_each() {
    let fixture = AccountFixture::prepared().await;
    // A form of HubSpot created one of the contacts before.
    fixture.hubspot.add(Kind::Contact, &[("email", "bob@example.com")]);
    for name in ["ann", "bob"] {
        let plan = suite_plan(name, "CTO", 87);
        let guards: Vec<Guard> = (0..6).map(|_| fixture.guard()).collect();
        let all = guards.iter().map(|guard| deliver(&fixture, guard, &plan));
        run_all(all).await;
        fixture.assert_complete(&plan);
    }
    assert_eq!(fixture.counts(), [2, 1, 2, 3, 0], "one note is the anchor of the existing contact");
}

/// Runs all futures concurrently.
async fn run_all<F: Future<Output = ()>>(all: impl Iterator<Item = F>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn refused_row_fails_its_own_action_only() {
    let fixture = AccountFixture::prepared().await;
    let usual = suite_plan("ann", "CTO", 87);
    let mut actions: Vec<Action> = usual.actions.iter().map(|planned| planned.action.clone()).collect();
    let Action::CreateTask(task) = actions[4].clone() else { unreachable!() };
    actions.push(Action::CreateTask(CreateTask { decision: Decision::ManualReview, ..task }));
    let plan = with_actions(&usual, actions);
    let refused = plan.actions[6].action_id.to_string();
    fixture.hubspot.set(|settings| {
        settings.row_faults.push(RowFault { id: refused, category: "INTERNAL_ERROR".to_owned(), times: 1 });
    });
    let results = fixture.executor().execute(&plan.lead_id, &plan.actions).await;
    assert!(results[..6].iter().all(Result::is_ok), "{results:?}");
    assert_eq!(results[6].as_ref().unwrap_err().class(), FailureClass::Transient);
    let multi = fixture.fake.exchanges().iter().filter(|e| e.status.is_some_and(|s| s == 207)).count();
    assert!(multi > 0);
    assert_eq!(fixture.counts(), [1, 1, 1, 1, 0]);
    deliver(&fixture, &fixture.guard(), &plan).await;
    assert_eq!(fixture.counts(), [1, 1, 2, 1, 0]);
    fixture.assert_complete(&usual);
}

#[tokio::test]
async fn repeated_plan_writes_nothing() {
    let fixture = AccountFixture::prepared().await;
    let (plan, crm) = (suite_plan("ann", "CTO", 87), fixture.executor());
    crm.execute(&plan.lead_id, &plan.actions).await;
    let before = fixture.fake.exchanges().len();
    let contact = fixture.record_of(&plan, "upsert_lead");
    let note = fixture.record_of(&plan, "log_activity");
    assert_eq!(note.get("hs_note_body"), Some("Fit HIGH<br>- industry: Software"));
    crm.execute(&plan.lead_id, &plan.actions).await;
    assert_eq!(fixture.record_of(&plan, "upsert_lead").writes, contact.writes);
    let again = &fixture.fake.exchanges()[before..];
    let written: Vec<&str> = again
        .iter()
        .map(|e| e.path.as_str())
        .filter(|path| path.contains("/batch/up") || path.contains("/batch/create"))
        .collect();
    assert_eq!(written, Vec::<&str>::new());
}
