//! Records that people have merged or deleted since we wrote them.

use crm::testing::suite_plan;
use crm::{Followed, LeftOut, Plan, PlanOutcome};
use lead::Failure;
use serde_json::{Value, json};

use crate::support::World;

/// A lead that was written, and a guard that knows of it.
async fn written(world: &World, name: &str) -> (crm::Guard, Plan, String) {
    let (guard, _) = world.guard();
    let plan = suite_plan(name, "CTO", 87);
    let outcome = guard.submit(&plan).await.unwrap();
    let record = outcome.lead_record.unwrap().record_id;
    (guard, suite_plan(name, "CEO", 61), record)
}

#[expect(clippy::needless_pass_by_value, reason = "the calls stay short")]
fn older(world: &World, fields: Value) -> String {
    let mut lead =
        json!({ "LastName": "Ann", "Company": "X", "Title": "Old", "Status": "Open - Not Contacted" });
    lead.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    world.org(|org| org.insert("Lead", lead))
}

fn code(result: Result<PlanOutcome, Failure>) -> String {
    result.unwrap_err().code.into_owned()
}

#[tokio::test]
async fn a_merged_record_is_followed_to_the_one_that_is_left() {
    let world = World::new().await;
    let (guard, plan, ours) = written(&world, "ann").await;
    let (middle, survivor) = (older(&world, json!({})), older(&world, json!({})));
    world.org(|org| assert!(org.merge(&middle, &ours) && org.merge(&survivor, &middle)));
    let outcome = guard.submit(&plan).await.unwrap();
    assert_eq!(outcome.followed, Some(Followed { from: ours, to: survivor.clone() }));
    let lead = world.lead();
    assert_eq!((&lead["Id"], &lead["Title"]), (&json!(survivor), &json!("Old")), "the record is people's");
    assert_eq!(lead["RevenueFlow_Score__c"], 61.0);
    assert_eq!(lead["RevenueFlow_Id__c"], plan.lead_id.as_str());
    assert_eq!(
        guard.submit(&suite_plan("ann", "VP", 70)).await.unwrap().followed,
        None,
        "it is found by its id"
    );
    assert_eq!(world.lead()["RevenueFlow_Score__c"], 70.0);
}

#[tokio::test]
async fn the_external_id_of_another_lead_is_never_taken() {
    let world = World::new().await;
    let (guard, plan, ours) = written(&world, "ann").await;
    let theirs = suite_plan("bob", "CTO", 87).lead_id;
    let survivor = older(&world, json!({ "RevenueFlow_Id__c": theirs.as_str() }));
    world.org(|org| org.merge(&survivor, &ours));
    assert_eq!(code(guard.submit(&plan).await), "crm_record_merged");
    let lead = world.lead();
    assert_eq!((&lead["RevenueFlow_Id__c"], &lead["Title"]), (&json!(theirs.as_str()), &json!("Old")));
}

#[tokio::test]
async fn a_deleted_record_is_not_created_again() {
    let world = World::new().await;
    let (guard, plan, ours) = written(&world, "ann").await;
    world.org(|org| org.delete_record(&ours));
    let failure = guard.submit(&plan).await.unwrap_err();
    assert_eq!(failure.code, "crm_record_deleted");
    assert!(failure.message.contains(&ours) && failure.message.contains("redrive"), "{failure}");
    assert_eq!(code(guard.submit(&plan).await), "crm_record_deleted");
    assert_eq!(world.counts()[0], 0);
}

#[tokio::test]
async fn a_record_that_lost_its_external_id_gets_it_back() {
    let world = World::new().await;
    let (guard, plan, ours) = written(&world, "ann").await;
    world.org(|org| org.set(&ours, "RevenueFlow_Id__c", Value::Null));
    guard.submit(&plan).await.unwrap();
    let lead = world.lead();
    assert_eq!((&lead["Id"], &lead["Title"]), (&json!(ours), &json!("CEO")));
}

#[tokio::test]
async fn a_converted_lead_is_no_merge() {
    let world = World::new().await;
    let (guard, plan, ours) = written(&world, "ann").await;
    world.org(|org| org.convert(&ours)).unwrap();
    assert_eq!(guard.submit(&plan).await.unwrap().followed, None);
}

#[tokio::test]
async fn preview_is_about_the_record_that_a_merge_left() {
    let world = World::new().await;
    let (guard, plan, ours) = written(&world, "ann").await;
    let (middle, survivor) = (older(&world, json!({})), older(&world, json!({})));
    world.org(|org| assert!(org.merge(&middle, &ours) && org.merge(&survivor, &middle)));
    let preview = guard.preview(&plan).await.unwrap();
    assert_eq!(preview.followed, Some(Followed { from: ours, to: survivor.clone() }));
    let change = |field: &str| preview.changes.iter().find(|change| change.field == field).unwrap();
    assert_eq!(change("RevenueFlow_Score__c").record_id, Some(survivor.clone()));
    let title = change("Title");
    assert_eq!((&title.old, title.left_out), (&Some(json!("Old")), Some(LeftOut::Adopted)));
    assert_eq!(world.lead().get("RevenueFlow_Id__c"), None, "a preview writes nothing");
    assert_eq!(guard.submit(&plan).await.unwrap().lead_record.unwrap().record_id, survivor);
}

#[tokio::test]
async fn record_that_is_gone_is_reported_by_the_preview_too() {
    let world = World::new().await;
    let (guard, plan, ours) = written(&world, "ann").await;
    world.org(|org| org.delete_record(&ours));
    let failure = guard.preview(&plan).await.unwrap_err();
    assert_eq!(failure.code, "crm_record_deleted");
    assert!(failure.message.contains(&ours), "{failure}");
    let (guard, plan, ours) = written(&world, "bob").await;
    let theirs = suite_plan("cid", "CTO", 87).lead_id;
    let survivor = older(&world, json!({ "RevenueFlow_Id__c": theirs.as_str() }));
    world.org(|org| assert!(org.merge(&survivor, &ours)));
    assert_eq!(guard.preview(&plan).await.unwrap_err().code, "crm_record_merged");
}

#[tokio::test]
async fn merge_into_a_record_that_was_deleted_is_a_deletion() {
    let world = World::new().await;
    let (guard, plan, ours) = written(&world, "ann").await;
    let (middle, last) = (older(&world, json!({})), older(&world, json!({})));
    world.org(|org| {
        assert!(org.merge(&middle, &ours) && org.merge(&last, &middle) && org.delete_record(&last));
    });
    for failure in [guard.submit(&plan).await.unwrap_err(), guard.preview(&plan).await.unwrap_err()] {
        assert_eq!(failure.code, "crm_record_deleted");
        assert!(failure.message.contains(&last), "the record to restore is named: {failure}");
    }
    assert_eq!(world.counts()[0], 0);
}

#[tokio::test]
async fn chain_of_merges_is_followed_no_further_than_its_bound() {
    let world = World::new().await;
    let (guard, plan, ours) = written(&world, "ann").await;
    let mut at = ours;
    for _ in 0..7 {
        let next = older(&world, json!({}));
        world.org(|org| assert!(org.merge(&next, &at)));
        at = next;
    }
    assert_eq!(code(guard.submit(&plan).await), "crm_record_merged");
    assert_eq!(world.lead()["Title"], "Old");
}

#[tokio::test]
async fn contact_of_a_converted_lead_is_followed_and_not_created_again() {
    let world = World::new().await;
    let (guard, plan, ours) = written(&world, "ann").await;
    let contact = world.org(|org| org.convert(&ours)).unwrap();
    let other = world.org(|org| org.insert("Contact", json!({ "LastName": "Ann", "Title": "Founder" })));
    world.org(|org| assert!(org.merge(&other, &contact)));
    let outcome = guard.submit(&plan).await.unwrap();
    assert_eq!(outcome.lead_record.unwrap().record_id, other);
    let contacts = world.org(|org| org.records("Contact"));
    assert_eq!((contacts.len(), &contacts[0]["Title"]), (1, &json!("Founder")));
    assert_eq!(contacts[0]["RevenueFlow_Score__c"], 61.0);
    world.org(|org| org.delete_record(&other));
    assert_eq!(code(guard.submit(&suite_plan("ann", "VP", 70)).await), "crm_record_deleted");
    assert_eq!(world.counts()[..2], [1, 0]);
}

#[tokio::test]
async fn converted_lead_that_was_deleted_is_not_created_again() {
    for is_contact_known in [false, true] {
        let world = World::new().await;
        let (guard, plan, ours) = written(&world, "ann").await;
        world.org(|org| org.convert(&ours)).unwrap();
        if is_contact_known {
            guard.submit(&plan).await.unwrap();
        }
        world.org(|org| org.delete_record(&ours));
        assert_eq!(code(guard.submit(&suite_plan("ann", "VP", 70)).await), "crm_record_deleted");
        assert_eq!(world.counts()[..2], [0, 1], "{is_contact_known}");
    }
}

#[tokio::test]
async fn task_that_was_deleted_is_not_created_again() {
    let world = World::new().await;
    let (guard, plan, _) = written(&world, "ann").await;
    let task = plan.actions.iter().find(|planned| planned.action.kind() == "create_task").unwrap();
    let tasks = |world: &World| {
        let of_plan = |record: &Value| record["RevenueFlow_Id__c"] == task.action_id.as_str();
        world.org(|org| org.records("Task")).into_iter().filter(of_plan).collect::<Vec<_>>()
    };
    let [only] = &tasks(&world)[..] else { panic!("one task") };
    world.org(|org| assert!(org.delete_record(only["Id"].as_str().unwrap())));
    guard.submit(&plan).await.unwrap();
    assert!(tasks(&world).is_empty(), "people have deleted it");
    assert_eq!(world.lead()["Title"], "CEO", "the rest is written");
}
