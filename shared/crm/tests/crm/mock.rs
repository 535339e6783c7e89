use crm::testing::{full_plan, named};
use crm::{Executor, Mode, Object};
use lead::Decision;
use on_both::on_both;

use crate::support::{DatabaseFixture, default_plan, plan};

#[on_both]
async fn records_are_keyed_by_external_id_and_fields_merged(database: DatabaseFixture) {
    let crm = database.crm();
    let plan = default_plan();
    let results = crm.execute(&plan.lead_id, &plan.actions[..1]).await;
    let first = results[0].clone().unwrap();
    assert!(first.created);
    assert!(first.record_id.starts_with("00Q") && first.record_id.len() == 18, "{}", first.record_id);

    let results = crm.execute(&plan.lead_id, &plan.actions[1..3]).await;
    for result in results {
        let effect = result.unwrap();
        assert_eq!((&effect.record_id, effect.created), (&first.record_id, false));
    }
    let record = crm.record(Object::Lead, plan.lead_id.as_str()).await.unwrap().unwrap();
    assert_eq!(record.writes, 3);
    assert_eq!(record.fields["email"], "ann@example.com");
    assert_eq!(record.fields["fit_score"], 51);
    assert_eq!(record.fields["status"], "new");
}

#[on_both]
async fn update_without_record_stops_later_actions(database: DatabaseFixture) {
    let crm = database.crm();
    let plan = default_plan();
    let results = crm.execute(&plan.lead_id, &plan.actions[1..]).await;
    assert_eq!(results.len(), 1);
    assert_eq!(named(&results[0].clone().unwrap_err()), "permanent crm_record_missing");
    assert!(crm.records(10).await.unwrap().is_empty());
}

#[on_both]
async fn every_kind_of_action_can_be_executed_and_found(database: DatabaseFixture) {
    let crm = database.crm();
    let plan = full_plan();
    let lead_id = plan.lead_id.clone();
    for planned in &plan.actions {
        let kind = planned.action.kind();
        let effect = crm.execute(&lead_id, std::slice::from_ref(planned)).await[0].clone().unwrap();
        let found = crm.find(&lead_id, planned).await.unwrap().unwrap();
        assert_eq!(found.record_id, effect.record_id, "{kind}");
        assert!(planned.action.mode() != Mode::Update || !effect.created, "{kind}");
        let external_id = planned.external_id(&lead_id);
        let record = crm.record(planned.action.object(), external_id).await.unwrap().unwrap();
        // The built-in mapping sends no facts.
        for (name, value) in planned.action.fields().into_iter().filter(|(name, _)| !name.contains('.')) {
            assert_eq!(record.fields[&name], value, "{kind}.{name}");
        }
    }
    assert_eq!(
        crm.records(100).await.unwrap().len(),
        5,
        "a lead, a task, an activity, a contact, an opportunity"
    );
}

#[on_both]
async fn concurrent_writers_leave_one_mock_record(database: DatabaseFixture) {
    let crm = database.crm();
    let plan = default_plan();
    let one = || crm.execute(&plan.lead_id, &plan.actions);
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    let mut created = 0;
    for results in [a, b, c, d] {
        assert_eq!(results.len(), plan.actions.len());
        created += results.into_iter().filter(|result| result.as_ref().unwrap().created).count();
    }
    assert_eq!(created, 3, "a lead, a task and an activity, each created by one of the four");
    let records = crm.records(10).await.unwrap();
    assert_eq!(records.len(), 3);
    for record in records {
        assert_eq!(record.writes, if record.object == "lead" { 12 } else { 1 }, "{}", record.object);
    }
}

#[on_both]
async fn records_are_listed_newest_first_and_bounded(database: DatabaseFixture) {
    let crm = database.crm();
    for name in ["ann", "bob", "cid"] {
        let plan = plan(name, "{}", 1, Decision::Nurture);
        crm.execute(&plan.lead_id, &plan.actions).await;
    }
    assert_eq!(crm.records(4).await.unwrap().len(), 4);
    assert_eq!(crm.records(100).await.unwrap().len(), 9);
    assert_eq!(crm.record(Object::Lead, "nobody").await.unwrap(), None);
    assert!(!format!("{:?}", crm.records(9).await.unwrap()).contains("ann@"));
}
