//! Records that people have merged or deleted since we wrote them.

use crm::testing::suite_plan;
use crm::{Followed, Plan, PlanOutcome};
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
