use std::slice;

use crm::testing::suite_plan;
use crm::{Executor, Plan, Salesforce};
use sandbox::salesforce::RowFault;
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{OrgFixture, outcomes};

fn plan() -> Plan {
    suite_plan("ann", "CTO", 87)
}

/// Asserts that there is one lead with one task and one activity.
fn assert_once(fixture: &OrgFixture) {
    assert_eq!(fixture.counts(), [1, 0, 2]);
    let lead = fixture.lead();
    for task in fixture.org(|org| org.records("Task")) {
        assert_eq!(task["WhoId"], lead["Id"]);
    }
}

#[tokio::test]
async fn plan_takes_one_read_and_one_write_call() {
    let fixture = OrgFixture::new().await;
    let effects = fixture.execute_ok(&plan()).await;
    assert_once(&fixture);
    let created: Vec<bool> = effects.iter().map(|effect| effect.created).collect();
    assert_eq!(created, [true, false, false, false, true, true]);
    assert_eq!(fixture.calls("/composite").len(), 2);
    let parts = fixture.calls("/composite")[1].json();
    let parts = parts["compositeRequest"].as_array().unwrap();
    let paths: Vec<_> =
        parts.iter().map(|part| part["url"].as_str().unwrap().split('/').nth(5).unwrap()).collect();
    assert_eq!(paths, ["Lead", "Task", "Task"]);
    assert_eq!(parts[1]["body"]["WhoId"], "@{r0.id}");

    // Nothing is left to write, so the second plan sends no write.
    fixture.execute_ok(&plan()).await;
    assert_eq!(fixture.calls("/composite").len(), 3);
    assert_eq!(fixture.calls("/describe").len(), 2, "each object is described once");
}

#[tokio::test]
async fn any_lost_reply_leaves_one_record_of_each() {
    for lost in 0..12 {
        let fixture = OrgFixture::new().await;
        let (guard, _) = fixture.guard();
        fixture.fake.add_fault(Fault::on("/services", Misbehaviour::LoseReply).after(lost).times(1));
        let mut attempts = 0;
        while let Err(failure) = guard.submit_normal(&plan()).await {
            assert_eq!(failure.code, "crm_outage", "{failure}");
            attempts += 1;
            assert!(attempts < 5, "{failure}");
        }
        assert_once(&fixture);
        guard.submit_normal(&plan()).await.unwrap();
        assert_once(&fixture);
    }
}

#[tokio::test]
async fn session_may_expire_between_any_two_calls() {
    for calls in 1..8 {
        let fixture = OrgFixture::new().await;
        fixture.org(|org| org.calls_per_session = Some(calls));
        fixture.execute_ok(&plan()).await;
        fixture.execute_ok(&suite_plan("ann", "CEO", 61)).await;
        assert_eq!(fixture.counts(), [1, 0, 3], "the revision logs another activity");
        assert_eq!(fixture.lead()["Title"], "CEO");
    }
}

#[tokio::test]
async fn failed_part_of_a_composite_call_fails_its_action_only() {
    let fixture = OrgFixture::new().await;
    fixture
        .org(|org| org.row_faults.push(RowFault { skip: 1, ..RowFault::of("Task", "UNKNOWN_EXCEPTION", 1) }));
    let results = fixture.execute(&plan()).await;
    let mut expected = vec!["done"; 5];
    expected.push("transient crm_unknown_exception");
    assert_eq!(outcomes(&results), expected);
    assert_eq!(fixture.counts(), [1, 0, 1]);
    let pending = slice::from_ref(&plan().actions[5]).to_vec();
    assert_eq!(fixture.executor.find(&plan().lead_id, &pending[0]).await.unwrap(), None);
    assert_eq!(outcomes(&fixture.executor.execute(&plan().lead_id, &pending).await), ["done"]);
    assert_once(&fixture);
}

#[tokio::test]
async fn tasks_of_a_failed_lead_share_its_failure() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| org.row_faults.push(RowFault::of("Lead", "UNKNOWN_EXCEPTION", 1)));
    assert_eq!(outcomes(&fixture.execute(&plan()).await), ["transient crm_unknown_exception"; 6]);
    assert_eq!(fixture.counts(), [0, 0, 0]);
    fixture.execute_ok(&plan()).await;
    assert_once(&fixture);
}

#[tokio::test]
async fn locked_record_is_retried_with_its_dependent_records() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| org.row_faults.push(RowFault::of("Lead", "UNABLE_TO_LOCK_ROW", 2)));
    fixture.org(|org| org.row_faults.push(RowFault::of("Task", "UNABLE_TO_LOCK_ROW", 1)));
    fixture.execute_ok(&plan()).await;
    assert_once(&fixture);
    assert_eq!(
        fixture.calls("/composite").len() + fixture.calls("/sobjects/Task/RevenueFlow_Id__c/").len(),
        5,
        "one read, four writes"
    );

    fixture.org(|org| org.row_faults.push(RowFault::of("Lead", "UNABLE_TO_LOCK_ROW", 100)));
    let results = fixture.execute(&suite_plan("ann", "CEO", 61)).await;
    assert_eq!(outcomes(&results)[0], "transient crm_unable_to_lock_row");
}

#[tokio::test]
async fn concurrent_processes_create_one_lead() {
    for _ in 0..5 {
        let fixture = OrgFixture::new().await;
        let executors: Vec<Salesforce> = (0..4).map(|_| fixture.another_executor()).collect();
        let plan = plan();
        let run = |at: usize| executors[at].execute(&plan.lead_id, &plan.actions);
        let (a, b, c, d) = tokio::join!(run(0), run(1), run(2), run(3));
        for results in [a, b, c, d] {
            assert_eq!(outcomes(&results), ["done"; 6]);
        }
        assert_once(&fixture);
    }
}

#[tokio::test]
async fn record_created_by_another_writer_is_read_again() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| org.row_faults.push(RowFault::of("Lead", "DUPLICATE_VALUE", 1)));
    fixture.execute_ok(&plan()).await;
    assert_once(&fixture);
    // A repeated conflict concerns another unique field of the customer, not the external id.
    fixture.org(|org| org.row_faults.push(RowFault::of("Lead", "DUPLICATE_VALUE", 2)));
    let results = fixture.execute(&suite_plan("ann", "CEO", 61)).await;
    assert_eq!(outcomes(&results)[0], "permanent crm_duplicate_value");
}

#[tokio::test]
async fn concurrent_calls_share_one_session_and_one_login() {
    let fixture = OrgFixture::new().await;
    let plans: Vec<Plan> = (0..4).map(|i| suite_plan(&format!("p{i}"), "CTO", 87)).collect();
    let all = || async {
        let run = |at: usize| fixture.execute(&plans[at]);
        let (a, b, c, d) = tokio::join!(run(0), run(1), run(2), run(3));
        for results in [a, b, c, d] {
            assert_eq!(outcomes(&results), ["done"; 6]);
        }
    };
    all().await;
    assert_eq!(fixture.calls("/oauth2/token").len(), 1);
    fixture.org(sandbox::salesforce::Org::end_sessions);
    all().await;
    assert_eq!(fixture.calls("/oauth2/token").len(), 2);
}

#[tokio::test]
async fn session_is_renewed_once_per_call() {
    let fixture = OrgFixture::new().await;
    fixture.execute_ok(&plan()).await;
    let expired = json!([{ "errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid" }]);
    fixture.fake.add_fault(Fault::on("/services/data", Misbehaviour::answer(401, expired)));
    assert_eq!(outcomes(&fixture.execute(&plan()).await), ["deferral crm_invalid_session_id"]);
    assert_eq!(fixture.calls("/oauth2/token").len(), 2);
    fixture.fake.clear_faults();

    // With these two messages a new token does not help.
    for message in
        ["Connected app is not attached to Agent", "This session is not valid for use with the REST API"]
    {
        let body = json!([{ "errorCode": "INVALID_SESSION_ID", "message": message }]);
        fixture.fake.add_fault(Fault::on("/services/data", Misbehaviour::answer(401, body)));
        assert_eq!(outcomes(&fixture.execute(&plan()).await), ["deferral crm_invalid_session_id"]);
        assert_eq!(fixture.calls("/oauth2/token").len(), 2, "{message}");
        fixture.fake.clear_faults();
    }
    fixture.execute_ok(&plan()).await;
    assert_once(&fixture);
}
