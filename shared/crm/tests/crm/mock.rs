use crm::testing::every_action;
use crm::{Executor, Mode, Object, Plan};
use lead::{ContentHash, Decision, DeliveryId, FailureClass};
use on_both::on_both;

use crate::support::{DatabaseFixture, default_plan, lead, plan};

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
async fn created_record_is_never_changed(database: DatabaseFixture) {
    let crm = database.crm();
    let plan = default_plan();
    let task = &plan.actions[3..4];
    let first = crm.execute(&plan.lead_id, task).await[0].clone().unwrap();
    let second = crm.execute(&plan.lead_id, task).await[0].clone().unwrap();
    assert_eq!((first.created, second.created), (true, false));
    assert_eq!(first.record_id, second.record_id);
    assert_eq!(crm.records(10).await.unwrap()[0].writes, 1);
}

#[on_both]
async fn update_without_record_stops_later_actions(database: DatabaseFixture) {
    let crm = database.crm();
    let plan = default_plan();
    let results = crm.execute(&plan.lead_id, &plan.actions[1..]).await;
    assert_eq!(results.len(), 1);
    let failure = results[0].clone().unwrap_err();
    assert_eq!((failure.class(), failure.code.as_ref()), (FailureClass::Permanent, "crm_record_missing"));
    assert!(crm.records(10).await.unwrap().is_empty());
}

#[on_both]
async fn effect_is_found_by_its_written_values(database: DatabaseFixture) {
    let crm = database.crm();
    let old = plan("ann", "old", 1, Decision::Nurture);
    let new = plan("ann", "new", 1, Decision::RouteToSdr);
    crm.execute(&old.lead_id, &old.actions).await;
    for action in &old.actions {
        assert!(crm.find(&old.lead_id, action).await.unwrap().is_some(), "{}", action.action.kind());
    }
    // The record exists, but does not have the values of the revision.
    for action in [&new.actions[0], &new.actions[2], &new.actions[3], &new.actions[4]] {
        assert_eq!(crm.find(&new.lead_id, action).await.unwrap(), None, "{}", action.action.kind());
    }
}

#[on_both]
async fn every_kind_of_action_can_be_executed_and_found(database: DatabaseFixture) {
    let crm = database.crm();
    let lead_id = lead("ann");
    let delivery = DeliveryId::derive(&lead_id, &ContentHash::of("{}"));
    let plan = Plan::new(lead_id.clone(), delivery.clone(), 1, None, every_action(&lead_id, &delivery));
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
async fn values_are_written_unchanged(database: DatabaseFixture) {
    let crm = database.crm();
    for (i, name) in [
        "Constructor.io",
        "Prototype",
        "O'Brien'); DROP TABLE lead;--",
        "<3 Studio",
        "\\ \" $1 {} %s",
        "株式会社 👩\u{200d}🚀",
    ]
    .into_iter()
    .enumerate()
    {
        let plan = plan(&format!("p{i}"), name, 1, Decision::Nurture);
        crm.execute(&plan.lead_id, &plan.actions).await;
        let record = crm.record(Object::Lead, plan.lead_id.as_str()).await.unwrap().unwrap();
        assert_eq!(record.fields["title"], name);
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
