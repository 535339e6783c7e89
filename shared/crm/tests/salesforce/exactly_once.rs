use std::slice;

use crm::testing::suite_plan;
use crm::{Executor, OUTAGE, Plan, Salesforce};
use sandbox::salesforce::RowFault;
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{World, said};

fn plan() -> Plan {
    suite_plan("ann", "CTO", 87)
}

/// One lead, one task and one activity, both about the lead.
fn assert_once(world: &World) {
    assert_eq!(world.counts(), [1, 0, 2]);
    let lead = world.lead();
    for task in world.org(|org| org.records("Task")) {
        assert_eq!(task["WhoId"], lead["Id"]);
    }
}

#[tokio::test]
async fn a_plan_takes_one_call_that_reads_and_one_that_writes() {
    let world = World::new().await;
    let effects = world.done(&plan()).await;
    assert_once(&world);
    let created: Vec<bool> = effects.iter().map(|effect| effect.created).collect();
    assert_eq!(created, [true, false, false, false, true, true]);
    assert_eq!(world.calls("/composite").len(), 2);
    let parts = world.calls("/composite")[1].json();
    let parts = parts["compositeRequest"].as_array().unwrap();
    let paths: Vec<_> =
        parts.iter().map(|part| part["url"].as_str().unwrap().split('/').nth(5).unwrap()).collect();
    assert_eq!(paths, ["Lead", "Task", "Task"]);
    assert_eq!(parts[1]["body"]["WhoId"], "@{r0.id}");

    // Nothing is left to write: nothing is sent.
    world.done(&plan()).await;
    assert_eq!(world.calls("/composite").len(), 3);
    assert_eq!(world.calls("/describe").len(), 2, "each object is described once");
}

#[tokio::test]
async fn every_reply_of_a_plan_may_be_lost() {
    for lost in 0..12 {
        let world = World::new().await;
        let (guard, _) = world.guard();
        world.fake.add_fault(Fault::on("/services", Misbehaviour::LoseReply).after(lost).times(1));
        let mut tries = 0;
        while let Err(failure) = guard.submit(&plan()).await {
            assert_eq!(failure.code, OUTAGE, "{failure}");
            tries += 1;
            assert!(tries < 5, "{failure}");
        }
        assert_once(&world);
        guard.submit(&plan()).await.unwrap();
        assert_once(&world);
    }
}

#[tokio::test]
async fn a_session_may_end_between_any_two_calls() {
    for calls in 1..8 {
        let world = World::new().await;
        world.org(|org| org.calls_per_session = Some(calls));
        world.done(&plan()).await;
        world.done(&suite_plan("ann", "CEO", 61)).await;
        assert_eq!(world.counts(), [1, 0, 3], "the revision logs an activity of its own");
        assert_eq!(world.lead()["Title"], "CEO");
    }
}

#[tokio::test]
async fn each_part_of_a_composite_call_stands_for_itself() {
    let world = World::new().await;
    world
        .org(|org| org.row_faults.push(RowFault { skip: 1, ..RowFault::of("Task", "UNKNOWN_EXCEPTION", 1) }));
    let results = world.execute(&plan()).await;
    let mut expected = vec!["done"; 5];
    expected.push("transient crm_unknown_exception");
    assert_eq!(said(&results), expected);
    assert_eq!(world.counts(), [1, 0, 1]);
    let open = slice::from_ref(&plan().actions[5]).to_vec();
    assert_eq!(world.executor.find(&plan().lead_id, &open[0]).await.unwrap(), None);
    assert_eq!(said(&world.executor.execute(&plan().lead_id, &open).await), ["done"]);
    assert_once(&world);
}

#[tokio::test]
async fn what_refers_to_a_lead_that_failed_is_not_sent_and_fails_for_its_reason() {
    let world = World::new().await;
    world.org(|org| org.row_faults.push(RowFault::of("Lead", "UNKNOWN_EXCEPTION", 1)));
    assert_eq!(said(&world.execute(&plan()).await), ["transient crm_unknown_exception"; 6]);
    assert_eq!(world.counts(), [0, 0, 0]);
    world.done(&plan()).await;
    assert_once(&world);
}

#[tokio::test]
async fn a_locked_record_is_tried_again_at_once_with_what_waits_for_it() {
    let world = World::new().await;
    world.org(|org| org.row_faults.push(RowFault::of("Lead", "UNABLE_TO_LOCK_ROW", 2)));
    world.org(|org| org.row_faults.push(RowFault::of("Task", "UNABLE_TO_LOCK_ROW", 1)));
    world.done(&plan()).await;
    assert_once(&world);
    assert_eq!(
        world.calls("/composite").len() + world.calls("/sobjects/Task/RevenueFlow_Id__c/").len(),
        5,
        "one read, four writes"
    );

    world.org(|org| org.row_faults.push(RowFault::of("Lead", "UNABLE_TO_LOCK_ROW", 100)));
    let results = world.execute(&suite_plan("ann", "CEO", 61)).await;
    assert_eq!(said(&results)[0], "transient crm_unable_to_lock_row");
}

#[tokio::test]
async fn several_processes_that_are_given_the_same_lead_make_one() {
    for _ in 0..5 {
        let world = World::new().await;
        let executors: Vec<Salesforce> = (0..4).map(|_| world.another_executor()).collect();
        let plan = plan();
        let run = |at: usize| executors[at].execute(&plan.lead_id, &plan.actions);
        let (a, b, c, d) = tokio::join!(run(0), run(1), run(2), run(3));
        for results in [a, b, c, d] {
            assert_eq!(said(&results), ["done"; 6]);
        }
        assert_once(&world);
    }
}

#[tokio::test]
async fn a_record_that_another_writer_has_just_created_is_looked_at_again() {
    let world = World::new().await;
    world.org(|org| org.row_faults.push(RowFault::of("Lead", "DUPLICATE_VALUE", 1)));
    world.done(&plan()).await;
    assert_once(&world);
    // Again and again is somebody else's record: a unique field of the customer's own.
    world.org(|org| org.row_faults.push(RowFault::of("Lead", "DUPLICATE_VALUE", 2)));
    let results = world.execute(&suite_plan("ann", "CEO", 61)).await;
    assert_eq!(said(&results)[0], "permanent crm_duplicate_value");
}

#[tokio::test]
async fn one_session_serves_all_calls_and_one_call_renews_it() {
    let world = World::new().await;
    let plans: Vec<Plan> = (0..4).map(|i| suite_plan(&format!("p{i}"), "CTO", 87)).collect();
    let all = || async {
        let run = |at: usize| world.execute(&plans[at]);
        let (a, b, c, d) = tokio::join!(run(0), run(1), run(2), run(3));
        for results in [a, b, c, d] {
            assert_eq!(said(&results), ["done"; 6]);
        }
    };
    all().await;
    assert_eq!(world.calls("/oauth2/token").len(), 1);
    world.org(sandbox::salesforce::Org::end_sessions);
    all().await;
    assert_eq!(world.calls("/oauth2/token").len(), 2);
}

#[tokio::test]
async fn a_session_that_ends_again_at_once_is_renewed_only_once() {
    let world = World::new().await;
    world.done(&plan()).await;
    let expired = json!([{ "errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid" }]);
    world.fake.add_fault(Fault::on("/services/data", Misbehaviour::answer(401, expired)));
    assert_eq!(said(&world.execute(&plan()).await), ["deferral crm_invalid_session_id"]);
    assert_eq!(world.calls("/oauth2/token").len(), 2);
    world.fake.clear_faults();

    // Two bodies say that the token is not what is wrong.
    for message in
        ["Connected app is not attached to Agent", "This session is not valid for use with the REST API"]
    {
        let body = json!([{ "errorCode": "INVALID_SESSION_ID", "message": message }]);
        world.fake.add_fault(Fault::on("/services/data", Misbehaviour::answer(401, body)));
        assert_eq!(said(&world.execute(&plan()).await), ["deferral crm_invalid_session_id"]);
        assert_eq!(world.calls("/oauth2/token").len(), 2, "{message}");
        world.fake.clear_faults();
    }
    world.done(&plan()).await;
    assert_once(&world);
}
