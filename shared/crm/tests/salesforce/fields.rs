use crm::parameters::{ConvertLead, ReassignTask};
use crm::testing::suite_plan;
use crm::{Action, ActionId, AutoAssign, Executor, Plan, Text};
use lead::{ContentHash, DeliveryId};
use sandbox::salesforce::{Field, Org};
use serde_json::{Value, json};

use crate::support::{OrgFixture, outcomes};

/// The suite's plan with its first action changed.
fn plan(change: impl FnOnce(&mut crm::parameters::LeadDetails)) -> Plan {
    let mut plan = suite_plan("ann", "CTO", 87);
    if let Action::UpsertLead(details) = &mut plan.actions[0].action {
        change(details);
    }
    plan
}

#[tokio::test]
async fn values_are_fitted_to_the_describe_of_the_org() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| {
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
    fixture.execute_ok(&plan(|details| details.title = Text::fit("Chief 👩 of it"))).await;
    let lead = fixture.lead();
    assert_eq!((&lead["Title"], &lead["Industry"]), (&json!("Chief"), &json!("SOFTWARE")));
    assert_eq!((lead.get("Country"), lead.get("RevenueFlow_Technologies__c")), (None, None));
    assert_eq!(lead["City"], "Los Angeles");
}

#[tokio::test]
async fn lead_without_a_name_gets_placeholders() {
    let fixture = OrgFixture::new().await;
    let nameless = plan(|details| {
        details.last_name = None;
        details.company = None;
    });
    fixture.execute_ok(&nameless).await;
    let lead = fixture.lead();
    assert_eq!((&lead["LastName"], &lead["Company"]), (&json!("[not provided]"), &json!("[not provided]")));
    fixture.execute_ok(&nameless).await;
    assert_eq!(fixture.counts(), [1, 0, 2]);
}

#[tokio::test]
async fn owner_is_kept_unless_assignment_rules_are_enabled() {
    let rule = "01Q000000000001AAA".to_owned();
    for (auto_assign, is_kept) in
        [(AutoAssign::Never, true), (AutoAssign::ActiveRule, false), (AutoAssign::Rule(rule), false)]
    {
        let fixture = OrgFixture::with(|settings| settings.auto_assign = auto_assign.clone()).await;
        let (ours, theirs) = ("005000000000007AAA", "005000000000008AAA");
        let plan = suite_plan("ann", "CTO", 87);
        fixture.org(|org| {
            org.assignment_rule = Some(theirs.to_owned());
            org.insert(
                "Lead",
                json!({ "LastName": "Ann", "Company": "X", "OwnerId": ours, "RevenueFlow_Id__c": plan.lead_id.as_str() }),
            )
        });
        fixture.execute_ok(&plan).await;
        assert_eq!(fixture.lead()["OwnerId"], if is_kept { ours } else { theirs }, "{auto_assign:?}");
    }
}

#[tokio::test]
async fn text_that_looks_like_a_reference_stays_text() {
    let fixture = OrgFixture::new().await;
    fixture.execute_ok(&plan(|details| details.title = Text::fit("@{r0.id} @{lead.id}"))).await;
    assert_eq!(fixture.lead()["Title"], "@{r0.id} @{lead.id}");
    assert_eq!(fixture.counts(), [1, 0, 2]);
    assert!(fixture.org(|org| org.records("Task")).iter().all(|task| task["WhoId"] == fixture.lead()["Id"]));
}

#[tokio::test]
async fn calls_carry_the_client_name_and_saves_their_headers() {
    let fixture = OrgFixture::new().await;
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    for call in fixture.calls("/services/data") {
        assert_eq!(call.headers["sforce-call-options"], "client=RevenueFlow");
    }
    let writes = fixture.calls("/composite")[1].json();
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
async fn old_api_version_that_answers_without_a_body_works() {
    let fixture = OrgFixture::with(|settings| settings.api_version = "45.0".to_owned()).await;
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    let first = fixture.lead()["Id"].clone();
    let effects = fixture.execute_ok(&suite_plan("ann", "CEO", 61)).await;
    assert_eq!((Value::from(effects[0].record_id.clone()), &fixture.lead()["Title"]), (first, &json!("CEO")));
}

fn conversion() -> Plan {
    let plan = suite_plan("ann", "CTO", 87);
    let delivery = DeliveryId::derive(&plan.lead_id, &ContentHash::of("convert"));
    let convert =
        Action::ConvertLead(ConvertLead { converted_status: Text::parse("Closed - Converted").unwrap() });
    Plan::new(plan.lead_id, delivery, 1, None, vec![convert])
}

#[tokio::test]
async fn lead_is_converted_once_by_the_customers_apex_class() {
    let fixture =
        OrgFixture::with(|settings| settings.convert_path = Some("revenueflow/convert".to_owned())).await;
    let conversion = conversion();
    assert_eq!(outcomes(&fixture.execute(&conversion).await), ["permanent crm_record_missing"]);
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(
        outcomes(&fixture.execute(&conversion).await),
        ["permanent crm_not_found"],
        "the class is not deployed"
    );
    assert_eq!(fixture.executor.find(&conversion.lead_id, &conversion.actions[0]).await.unwrap(), None);

    fixture.org(|org| org.has_convert_endpoint = true);
    let first = fixture.execute_ok(&conversion).await;
    assert_eq!(fixture.execute_ok(&conversion).await, first);
    assert_eq!(
        fixture.executor.find(&conversion.lead_id, &conversion.actions[0]).await.unwrap(),
        first.first().cloned()
    );
    assert_eq!(fixture.counts(), [1, 1, 2]);
    assert_eq!(fixture.org(|org| org.records("Contact"))[0]["Id"], first[0].record_id.as_str());
}

#[tokio::test]
async fn conversion_without_an_apex_class_is_refused() {
    let fixture = OrgFixture::new().await;
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(outcomes(&fixture.execute(&conversion()).await), ["permanent crm_conversion_not_configured"]);
}

#[tokio::test]
async fn task_is_reassigned_by_its_external_id() {
    let fixture = OrgFixture::new().await;
    let plan = suite_plan("ann", "CTO", 87);
    fixture.execute_ok(&plan).await;
    let task = plan.actions.iter().find(|planned| planned.action.kind() == "create_task").unwrap();
    let to = |task: &ActionId| {
        let action = ReassignTask { task: task.clone(), owner: Text::parse("005000000000001AAA").unwrap() };
        let actions = vec![Action::ReassignTask(action)];
        Plan::new(plan.lead_id.clone(), plan.delivery_id.clone(), 2, None, actions)
    };
    fixture.execute_ok(&to(&task.action_id)).await;
    let tasks = fixture.org(|org| org.records("Task"));
    let owners: Vec<_> = tasks
        .iter()
        .map(|record| (record["RevenueFlow_Id__c"] == task.action_id.as_str(), record["OwnerId"].clone()))
        .collect();
    assert!(owners.contains(&(true, json!("005000000000001AAA"))), "{owners:?}");
    assert!(owners.contains(&(false, json!(Org::API_USER))), "the activity keeps its owner: {owners:?}");
    let results = fixture.execute(&to(&plan.actions[0].action_id)).await;
    assert_eq!(outcomes(&results), ["permanent crm_record_missing"]);
    assert_eq!(fixture.org(|org| org.records("Task")).len(), tasks.len());
}
