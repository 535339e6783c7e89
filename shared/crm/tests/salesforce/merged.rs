//! Records that users merged or deleted after they were written.

use crm::testing::suite_plan;
use crm::{Followed, LeftOut, Plan, PlanOutcome};
use lead::Failure;
use serde_json::{Value, json};

use crate::support::OrgFixture;

/// Writes a lead. Returns the guard with its ledger, a revision of the plan, and the id of the record.
async fn written(fixture: &OrgFixture, name: &str) -> (crm::Guard, Plan, String) {
    let (guard, _) = fixture.guard();
    let plan = suite_plan(name, "CTO", 87);
    let outcome = guard.submit_normal(&plan).await.unwrap();
    let record = outcome.lead_record.unwrap().record_id;
    (guard, suite_plan(name, "CEO", 61), record)
}

#[expect(clippy::needless_pass_by_value, reason = "the calls stay short")]
fn older(fixture: &OrgFixture, fields: Value) -> String {
    let mut lead =
        json!({ "LastName": "Ann", "Company": "X", "Title": "Old", "Status": "Open - Not Contacted" });
    lead.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    fixture.org(|org| org.insert("Lead", lead))
}

fn code(result: Result<PlanOutcome, Failure>) -> String {
    result.unwrap_err().code.into_owned()
}

#[tokio::test]
async fn merged_record_is_followed_to_its_survivor() {
    let fixture = OrgFixture::new().await;
    let (guard, plan, ours) = written(&fixture, "ann").await;
    let (middle, survivor) = (older(&fixture, json!({})), older(&fixture, json!({})));
    fixture.org(|org| assert!(org.merge(&middle, &ours) && org.merge(&survivor, &middle)));
    let outcome = guard.submit_normal(&plan).await.unwrap();
    assert_eq!(outcome.followed, Some(Followed { from: ours, to: survivor.clone() }));
    let lead = fixture.lead();
    assert_eq!((&lead["Id"], &lead["Title"]), (&json!(survivor), &json!("Old")), "users maintain the record");
    assert_eq!(lead["RevenueFlow_Score__c"], 61.0);
    assert_eq!(lead["RevenueFlow_Id__c"], plan.lead_id.as_str());
    assert_eq!(
        guard.submit_normal(&suite_plan("ann", "VP", 70)).await.unwrap().followed,
        None,
        "the survivor has the external id"
    );
    assert_eq!(fixture.lead()["RevenueFlow_Score__c"], 70.0);
}

#[tokio::test]
async fn external_id_of_another_lead_is_never_overwritten() {
    let fixture = OrgFixture::new().await;
    let (guard, plan, ours) = written(&fixture, "ann").await;
    let theirs = suite_plan("bob", "CTO", 87).lead_id;
    let survivor = older(&fixture, json!({ "RevenueFlow_Id__c": theirs.as_str() }));
    fixture.org(|org| org.merge(&survivor, &ours));
    assert_eq!(code(guard.submit_normal(&plan).await), "crm_record_merged");
    let lead = fixture.lead();
    assert_eq!((&lead["RevenueFlow_Id__c"], &lead["Title"]), (&json!(theirs.as_str()), &json!("Old")));
}

#[tokio::test]
async fn deleted_record_is_not_created_again() {
    let fixture = OrgFixture::new().await;
    let (guard, plan, ours) = written(&fixture, "ann").await;
    fixture.org(|org| org.delete_record(&ours));
    let failure = guard.submit_normal(&plan).await.unwrap_err();
    assert_eq!(failure.code, "crm_record_deleted");
    assert!(failure.message.contains(&ours) && failure.message.contains("redrive"), "{failure}");
    assert_eq!(code(guard.submit_normal(&plan).await), "crm_record_deleted");
    assert_eq!(fixture.counts()[0], 0);
}

#[tokio::test]
async fn lost_external_id_is_restored() {
    let fixture = OrgFixture::new().await;
    let (guard, plan, ours) = written(&fixture, "ann").await;
    fixture.org(|org| org.set(&ours, "RevenueFlow_Id__c", Value::Null));
    guard.submit_normal(&plan).await.unwrap();
    let lead = fixture.lead();
    assert_eq!((&lead["Id"], &lead["Title"]), (&json!(ours), &json!("CEO")));
}

#[tokio::test]
async fn converted_lead_is_not_a_merge() {
    let fixture = OrgFixture::new().await;
    let (guard, plan, ours) = written(&fixture, "ann").await;
    fixture.org(|org| org.convert(&ours)).unwrap();
    assert_eq!(guard.submit_normal(&plan).await.unwrap().followed, None);
}

#[tokio::test]
async fn preview_uses_the_survivor_of_a_merge() {
    let fixture = OrgFixture::new().await;
    let (guard, plan, ours) = written(&fixture, "ann").await;
    let (middle, survivor) = (older(&fixture, json!({})), older(&fixture, json!({})));
    fixture.org(|org| assert!(org.merge(&middle, &ours) && org.merge(&survivor, &middle)));
    let preview = guard.preview(&plan).await.unwrap();
    assert_eq!(preview.followed, Some(Followed { from: ours, to: survivor.clone() }));
    let change = |field: &str| preview.changes.iter().find(|change| change.field == field).unwrap();
    assert_eq!(change("RevenueFlow_Score__c").record_id, Some(survivor.clone()));
    let title = change("Title");
    assert_eq!((&title.old, title.left_out), (&Some(json!("Old")), Some(LeftOut::Adopted)));
    assert_eq!(fixture.lead().get("RevenueFlow_Id__c"), None, "a preview writes nothing");
    assert_eq!(guard.submit_normal(&plan).await.unwrap().lead_record.unwrap().record_id, survivor);
}

#[tokio::test]
async fn preview_reports_deleted_and_taken_records() {
    let fixture = OrgFixture::new().await;
    let (guard, plan, ours) = written(&fixture, "ann").await;
    fixture.org(|org| org.delete_record(&ours));
    let failure = guard.preview(&plan).await.unwrap_err();
    assert_eq!(failure.code, "crm_record_deleted");
    assert!(failure.message.contains(&ours), "{failure}");
    let (guard, plan, ours) = written(&fixture, "bob").await;
    let theirs = suite_plan("cid", "CTO", 87).lead_id;
    let survivor = older(&fixture, json!({ "RevenueFlow_Id__c": theirs.as_str() }));
    fixture.org(|org| assert!(org.merge(&survivor, &ours)));
    assert_eq!(guard.preview(&plan).await.unwrap_err().code, "crm_record_merged");
}

#[tokio::test]
async fn merge_into_a_deleted_record_counts_as_a_deletion() {
    let fixture = OrgFixture::new().await;
    let (guard, plan, ours) = written(&fixture, "ann").await;
    let (middle, last) = (older(&fixture, json!({})), older(&fixture, json!({})));
    fixture.org(|org| {
        assert!(org.merge(&middle, &ours) && org.merge(&last, &middle) && org.delete_record(&last));
    });
    for failure in [guard.submit_normal(&plan).await.unwrap_err(), guard.preview(&plan).await.unwrap_err()] {
        assert_eq!(failure.code, "crm_record_deleted");
        assert!(failure.message.contains(&last), "the record to restore is named: {failure}");
    }
    assert_eq!(fixture.counts()[0], 0);
}

#[tokio::test]
async fn chain_of_merges_is_followed_up_to_its_limit() {
    let fixture = OrgFixture::new().await;
    let (guard, plan, ours) = written(&fixture, "ann").await;
    let mut current = ours;
    for _ in 0..7 {
        let next = older(&fixture, json!({}));
        fixture.org(|org| assert!(org.merge(&next, &current)));
        current = next;
    }
    assert_eq!(code(guard.submit_normal(&plan).await), "crm_record_merged");
    assert_eq!(fixture.lead()["Title"], "Old");
}

#[tokio::test]
async fn merged_contact_of_a_converted_lead_is_followed() {
    let fixture = OrgFixture::new().await;
    let (guard, plan, ours) = written(&fixture, "ann").await;
    let contact = fixture.org(|org| org.convert(&ours)).unwrap();
    let other = fixture.org(|org| org.insert("Contact", json!({ "LastName": "Ann", "Title": "Founder" })));
    fixture.org(|org| assert!(org.merge(&other, &contact)));
    let outcome = guard.submit_normal(&plan).await.unwrap();
    assert_eq!(outcome.lead_record.unwrap().record_id, other);
    let contacts = fixture.org(|org| org.records("Contact"));
    assert_eq!((contacts.len(), &contacts[0]["Title"]), (1, &json!("Founder")));
    assert_eq!(contacts[0]["RevenueFlow_Score__c"], 61.0);
    fixture.org(|org| org.delete_record(&other));
    assert_eq!(code(guard.submit_normal(&suite_plan("ann", "VP", 70)).await), "crm_record_deleted");
    assert_eq!(fixture.counts()[..2], [1, 0]);
}

#[tokio::test]
async fn deleted_converted_lead_is_not_created_again() {
    for is_contact_known in [false, true] {
        let fixture = OrgFixture::new().await;
        let (guard, plan, ours) = written(&fixture, "ann").await;
        fixture.org(|org| org.convert(&ours)).unwrap();
        if is_contact_known {
            guard.submit_normal(&plan).await.unwrap();
        }
        fixture.org(|org| org.delete_record(&ours));
        assert_eq!(code(guard.submit_normal(&suite_plan("ann", "VP", 70)).await), "crm_record_deleted");
        assert_eq!(fixture.counts()[..2], [0, 1], "{is_contact_known}");
    }
}

#[tokio::test]
async fn deleted_task_is_not_created_again() {
    let fixture = OrgFixture::new().await;
    let (guard, plan, _) = written(&fixture, "ann").await;
    let task = plan.actions.iter().find(|planned| planned.action.kind() == "create_task").unwrap();
    let tasks = |fixture: &OrgFixture| {
        let of_plan = |record: &Value| record["RevenueFlow_Id__c"] == task.action_id.as_str();
        fixture.org(|org| org.records("Task")).into_iter().filter(of_plan).collect::<Vec<_>>()
    };
    let [only] = &tasks(&fixture)[..] else { panic!("one task") };
    fixture.org(|org| assert!(org.delete_record(only["Id"].as_str().unwrap())));
    guard.submit_normal(&plan).await.unwrap();
    assert!(tasks(&fixture).is_empty(), "a user deleted it");
    assert_eq!(fixture.lead()["Title"], "CEO", "the rest of the plan is written");
}
