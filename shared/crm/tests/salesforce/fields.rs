use crm::parameters::{ConvertLead, ReassignTask};
use crm::testing::suite_plan;
use crm::{Action, ActionId, AutoAssign, Executor, Plan, Text};
use lead::{ContentHash, DeliveryId};
use sandbox::salesforce::{Field, Org};
use serde_json::{Value, json};

use crate::support::{World, said};

/// The suite's plan with its first action changed.
fn plan(change: impl FnOnce(&mut crm::parameters::LeadDetails)) -> Plan {
    let mut plan = suite_plan("ann", "CTO", 87);
    if let Action::UpsertLead(details) = &mut plan.actions[0].action {
        change(details);
    }
    plan
}

#[tokio::test]
async fn what_the_org_describes_decides_what_fits() {
    let world = World::new().await;
    world.org(|org| {
        let lead = org.object_mut("Lead").unwrap();
        for field in &mut lead.fields {
            match field.name.as_str() {
                "Title" => field.length = 5,
                "Industry" => *field = Field::picklist("Industry", &["SOFTWARE", "Finance"]).restricted(),
                "Country" => *field = Field::picklist("Country", &["Germany"]).restricted(),
                "City" => field.updateable = false,
                _ => {}
            }
        }
        lead.fields.retain(|field| field.name != "RevenueFlow_Technologies__c");
    });
    world.done(&plan(|details| details.title = Text::fit("Chief 👩 of it"))).await;
    let lead = world.lead();
    assert_eq!((&lead["Title"], &lead["Industry"]), (&json!("Chief"), &json!("SOFTWARE")));
    assert_eq!((lead.get("Country"), lead.get("RevenueFlow_Technologies__c")), (None, None));
    assert_eq!(lead["City"], "Los Angeles");
}

#[tokio::test]
async fn a_lead_without_a_name_gets_a_placeholder_that_a_later_name_replaces_nothing_of() {
    let world = World::new().await;
    let nameless = plan(|details| {
        details.last_name = None;
        details.company = None;
    });
    world.done(&nameless).await;
    let lead = world.lead();
    assert_eq!((&lead["LastName"], &lead["Company"]), (&json!("[not provided]"), &json!("[not provided]")));
    world.done(&nameless).await;
    assert_eq!(world.counts(), [1, 0, 2]);
}

#[tokio::test]
async fn the_owner_stays_as_it_is_unless_the_assignment_rules_are_asked() {
    let rule = "01Q000000000001AAA".to_owned();
    for (auto_assign, is_kept) in
        [(AutoAssign::Never, true), (AutoAssign::ActiveRule, false), (AutoAssign::Rule(rule), false)]
    {
        let world = World::with(|settings| settings.auto_assign = auto_assign.clone()).await;
        let (ours, theirs) = ("005000000000007AAA", "005000000000008AAA");
        let plan = suite_plan("ann", "CTO", 87);
        world.org(|org| {
            org.assignment_rule = Some(theirs.to_owned());
            org.insert(
                "Lead",
                json!({ "LastName": "Ann", "Company": "X", "OwnerId": ours, "RevenueFlow_Id__c": plan.lead_id.as_str() }),
            )
        });
        world.done(&plan).await;
        assert_eq!(world.lead()["OwnerId"], if is_kept { ours } else { theirs }, "{auto_assign:?}");
    }
}

#[tokio::test]
async fn a_text_that_looks_like_a_reference_is_a_text() {
    let world = World::new().await;
    world.done(&plan(|details| details.title = Text::fit("@{r0.id} @{lead.id}"))).await;
    assert_eq!(world.lead()["Title"], "@{r0.id} @{lead.id}");
    assert_eq!(world.counts(), [1, 0, 2]);
    assert!(world.org(|org| org.records("Task")).iter().all(|task| task["WhoId"] == world.lead()["Id"]));
}

#[tokio::test]
async fn every_call_says_who_we_are_and_every_save_what_is_wanted() {
    let world = World::new().await;
    world.done(&suite_plan("ann", "CTO", 87)).await;
    for call in world.calls("/services/data") {
        assert_eq!(call.headers["sforce-call-options"], "client=RevenueFlow");
    }
    let writes = world.calls("/composite")[1].json();
    assert_eq!(writes["allOrNone"], false);
    for part in writes["compositeRequest"].as_array().unwrap() {
        assert_eq!(
            part["httpHeaders"],
            json!({ "Sforce-Auto-Assign": "FALSE", "Sforce-Duplicate-Rule-Header": "allowSave=true" })
        );
        assert!(part["url"].as_str().unwrap().starts_with("/services/data/v67.0/sobjects/"), "{part}");
    }
}

#[tokio::test]
async fn the_version_of_the_api_is_configured_and_an_old_one_answers_without_a_body() {
    let world = World::with(|settings| settings.api_version = "45.0".to_owned()).await;
    world.done(&suite_plan("ann", "CTO", 87)).await;
    let first = world.lead()["Id"].clone();
    let effects = world.done(&suite_plan("ann", "CEO", 61)).await;
    assert_eq!((Value::from(effects[0].record_id.clone()), &world.lead()["Title"]), (first, &json!("CEO")));
}

fn conversion() -> Plan {
    let plan = suite_plan("ann", "CTO", 87);
    let delivery = DeliveryId::derive(&plan.lead_id, &ContentHash::of("convert"));
    let convert =
        Action::ConvertLead(ConvertLead { converted_status: Text::parse("Closed - Converted").unwrap() });
    Plan::new(plan.lead_id, delivery, 1, None, vec![convert])
}

#[tokio::test]
async fn a_lead_is_converted_by_the_customers_own_class_and_once() {
    let world = World::with(|settings| settings.convert_path = Some("revenueflow/convert".to_owned())).await;
    let conversion = conversion();
    assert_eq!(said(&world.execute(&conversion).await), ["permanent crm_record_missing"]);
    world.done(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(
        said(&world.execute(&conversion).await),
        ["permanent crm_not_found"],
        "nobody has deployed the class"
    );
    assert_eq!(world.executor.find(&conversion.lead_id, &conversion.actions[0]).await.unwrap(), None);

    world.org(|org| org.has_convert_endpoint = true);
    let first = world.done(&conversion).await;
    assert_eq!(world.done(&conversion).await, first);
    assert_eq!(
        world.executor.find(&conversion.lead_id, &conversion.actions[0]).await.unwrap(),
        first.first().cloned()
    );
    assert_eq!(world.counts(), [1, 1, 2]);
    assert_eq!(world.org(|org| org.records("Contact"))[0]["Id"], first[0].record_id.as_str());
}

#[tokio::test]
async fn without_such_a_class_a_conversion_is_refused() {
    let world = World::new().await;
    world.done(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(said(&world.execute(&conversion()).await), ["permanent crm_conversion_not_configured"]);
}

#[tokio::test]
async fn a_task_is_given_to_somebody_else_by_its_external_id() {
    let world = World::new().await;
    let plan = suite_plan("ann", "CTO", 87);
    world.done(&plan).await;
    let task = plan.actions.iter().find(|planned| planned.action.kind() == "create_task").unwrap();
    let to = |task: &ActionId| {
        let action = ReassignTask { task: task.clone(), owner: Text::parse("005000000000001AAA").unwrap() };
        let actions = vec![Action::ReassignTask(action)];
        Plan::new(plan.lead_id.clone(), plan.delivery_id.clone(), 2, None, actions)
    };
    world.done(&to(&task.action_id)).await;
    let tasks = world.org(|org| org.records("Task"));
    let owners: Vec<_> = tasks
        .iter()
        .map(|record| (record["RevenueFlow_Id__c"] == task.action_id.as_str(), record["OwnerId"].clone()))
        .collect();
    assert!(owners.contains(&(true, json!("005000000000001AAA"))), "{owners:?}");
    assert!(owners.contains(&(false, json!(Org::API_USER))), "the activity stays: {owners:?}");
    let results = world.execute(&to(&plan.actions[0].action_id)).await;
    assert_eq!(said(&results), ["permanent crm_record_missing"]);
    assert_eq!(world.org(|org| org.records("Task")).len(), tasks.len());
}
