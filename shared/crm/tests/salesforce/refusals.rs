use std::sync::Arc;
use std::time::Duration;

use crm::testing::suite_plan;
use crm::{Executor, Salesforce};
use sandbox::salesforce::{DuplicateRule, Field, RowFault, ValidationRule};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{World, mapping, said, settings};

fn row_fault(code: &str, times: u32) -> RowFault {
    RowFault::of("Lead", code, times)
}

#[tokio::test]
async fn what_an_administrator_forbids_is_this_leads_and_final() {
    let world = World::new().await;
    world.org(|org| {
        org.validation_rules.push(ValidationRule {
            object: "Lead".to_owned(),
            field: "Title".to_owned(),
            refused: json!("CTO"),
            message: "We do not sell to ann@example.com".to_owned(),
        });
    });
    let results = world.execute(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(said(&results), ["permanent crm_field_custom_validation_exception"; 6]);
    assert!(!results[0].as_ref().unwrap_err().to_string().contains("ann@"));
    assert_eq!(world.counts(), [0, 0, 0]);
    world.done(&suite_plan("bob", "CEO", 87)).await;
}

#[tokio::test]
async fn an_alert_of_a_duplicate_rule_is_overruled_where_configured_and_a_block_never() {
    let rule = |blocks| DuplicateRule { object: "Lead".to_owned(), field: "Email".to_owned(), blocks };
    for (allow, blocks, expected) in [
        (true, false, "done"),
        (false, false, "permanent crm_duplicates_detected"),
        (true, true, "permanent crm_duplicates_detected"),
    ] {
        let world = World::with(|settings| settings.allow_duplicates = allow).await;
        let other = world.org(|org| {
            org.duplicate_rules.push(rule(blocks));
            org.insert("Lead", json!({ "LastName": "Ann", "Company": "X", "Email": "Ann@Example.com" }))
        });
        let results = world.execute(&suite_plan("ann", "CTO", 87)).await;
        assert_eq!(said(&results)[0], expected);
        if let Err(failure) = &results[0] {
            assert!(failure.message.contains(&other), "the matching record is named: {failure}");
        }
    }
}

#[tokio::test]
async fn two_records_with_our_id_are_for_a_person_to_put_right() {
    let world = World::new().await;
    let plan = suite_plan("ann", "CTO", 87);
    world.org(|org| {
        for name in ["One", "Two"] {
            org.insert(
                "Lead",
                json!({ "LastName": name, "Company": "X", "RevenueFlow_Id__c": plan.lead_id.as_str() }),
            );
        }
    });
    assert_eq!(said(&world.execute(&plan).await), ["permanent crm_multiple_matches"]);
}

#[tokio::test]
async fn leads_wait_before_the_limit_is_reached_and_go_on_when_it_is_far_again() {
    let world = World::with(|settings| settings.usage_percent = 50).await;
    world.done(&suite_plan("ann", "CTO", 87)).await;
    world.org(|org| org.daily_calls = org.calls * 2);
    let plan = suite_plan("bob", "CTO", 87);
    world.executor.probe().await.unwrap_err();
    let results = world.execute(&plan).await;
    assert_eq!(said(&results), ["deferral crm_api_limit_near"]);
    assert!(results[0].as_ref().unwrap_err().retry_after.is_some());
    let calls = world.org(|org| org.calls);
    assert_eq!(said(&world.execute(&plan).await), ["deferral crm_api_limit_near"]);
    assert_eq!(world.org(|org| org.calls), calls, "waiting costs no calls");
    world.org(|org| org.daily_calls = 100_000);
    world.executor.probe().await.unwrap();
    world.done(&plan).await;
}

#[tokio::test]
async fn a_limit_that_is_reached_makes_all_leads_wait() {
    let world = World::new().await;
    world.done(&suite_plan("ann", "CTO", 87)).await;
    world.org(|org| org.daily_calls = org.calls);
    let plan = suite_plan("bob", "CTO", 87);
    assert_eq!(said(&world.execute(&plan).await), ["deferral crm_request_limit_exceeded"]);
    world.org(|org| org.daily_calls *= 100);
    world.executor.probe().await.unwrap();
    world.done(&plan).await;
}

#[tokio::test]
async fn a_right_that_nobody_has_makes_all_wait_and_one_for_this_record_is_this_leads() {
    let world = World::new().await;
    world.org(|org| org.row_faults.push(row_fault("INSUFFICIENT_ACCESS_OR_READONLY", 1)));
    world.done(&suite_plan("ann", "CTO", 87)).await;
    world.org(|org| org.row_faults.push(row_fault("INSUFFICIENT_ACCESS_OR_READONLY", 2)));
    let results = world.execute(&suite_plan("bob", "CTO", 87)).await;
    assert_eq!(said(&results)[0], "permanent crm_insufficient_access_or_readonly");

    let hide = |hidden: bool| {
        world.org(|org| {
            let fields = &mut org.object_mut("Lead").unwrap().fields;
            if hidden {
                fields.retain(|field| field.name != "RevenueFlow_Id__c");
            } else {
                fields.push(Field::external_id("RevenueFlow_Id__c"));
            }
        });
    };
    hide(true);
    let plan = suite_plan("cid", "CTO", 87);
    let executor = Salesforce::new(settings(&world.fake), Arc::new(mapping())).unwrap();
    let results = executor.execute(&plan.lead_id, &plan.actions).await;
    assert_eq!(said(&results), ["deferral crm_schema_unsuitable"]);
    assert_eq!(executor.probe().await.unwrap_err().code, "crm_schema_unsuitable");
    let problems = executor.schema_problems().await.unwrap();
    assert!(problems.iter().any(|problem| problem.blocks && problem.object == "Lead"), "{problems:?}");
    hide(false);
    executor.probe().await.unwrap();
    assert_eq!(said(&executor.execute(&plan.lead_id, &plan.actions).await), ["done"; 6]);
}

#[tokio::test]
async fn a_version_that_the_org_does_not_serve_makes_all_wait_and_is_named() {
    let world = World::with(|settings| settings.api_version = "99.0".to_owned()).await;
    let failure = world.executor.probe().await.unwrap_err();
    assert_eq!(failure.code, "crm_api_version");
    assert!(failure.message.contains("v99.0"), "{failure}");
    assert_eq!(said(&world.execute(&suite_plan("ann", "CTO", 87)).await), ["deferral crm_schema_unsuitable"]);
}

#[tokio::test]
async fn a_page_that_is_no_json_passes_by_itself() {
    let world = World::new().await;
    world.fake.add_fault(
        Fault::on("/composite", Misbehaviour::answer(502, json!("<html>Bad gateway</html>")))
            .after(1)
            .times(1),
    );
    assert_eq!(said(&world.execute(&suite_plan("ann", "CTO", 87)).await), ["transient crm_failed"; 6]);
    world.done(&suite_plan("ann", "CTO", 87)).await;
}

#[tokio::test]
async fn a_question_without_an_answer_is_asked_again_at_once_and_a_write_is_not() {
    let world = World::new().await;
    world.fake.add_fault(Fault::on("/composite", Misbehaviour::Refuse).times(2));
    world.fake.add_fault(Fault::on("/composite", Misbehaviour::LoseReply).after(1).times(1));
    assert_eq!(said(&world.execute(&suite_plan("ann", "CTO", 87)).await), ["transient http_reply_lost"; 6]);
    assert_eq!(world.calls("/composite").len(), 4, "three to read, one to write");
    world.done(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(world.counts(), [1, 0, 2]);
}

#[tokio::test]
async fn an_org_that_works_on_too_many_calls_is_asked_again_at_once_and_then_all_wait_a_little() {
    let world = World::new().await;
    let error = json!([{ "errorCode": "REQUEST_LIMIT_EXCEEDED",
        "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded." }]);
    let busy = Fault::on("/composite", Misbehaviour::answer(403, error));
    world.fake.add_fault(busy.clone().after(1).times(2));
    world.done(&suite_plan("ann", "CTO", 87)).await;
    world.fake.add_fault(busy.times(3));
    let results = world.execute(&suite_plan("bob", "CTO", 87)).await;
    assert_eq!(said(&results), ["deferral crm_busy"]);
    assert_eq!(results[0].as_ref().unwrap_err().retry_after, Some(Duration::from_secs(5)));
}

#[tokio::test]
async fn a_converted_lead_is_kept_up_to_date_as_its_contact() {
    let world = World::new().await;
    world.done(&suite_plan("ann", "CTO", 87)).await;
    let lead = world.lead();
    let contact = world.org(|org| org.convert(lead["Id"].as_str().unwrap())).unwrap();
    let effects = world.done(&suite_plan("ann", "CEO", 61)).await;
    assert_eq!(effects[2].record_id, contact);
    let tasks = world.org(|org| org.records("Task"));
    assert_eq!(tasks.len(), 3);
    assert!(tasks.iter().all(|task| task["WhoId"] == contact.as_str()), "{tasks:?}");
    let contacts = world.org(|org| org.records("Contact"));
    assert_eq!((contacts.len(), &contacts[0]["RevenueFlow_Score__c"]), (1, &json!(61.0)));
    assert_eq!(
        contacts[0]["Title"], "CTO",
        "the contact is people's: a form fills in and does not overwrite"
    );
    let lower = world.done(&suite_plan("ann", "CEO", 20)).await;
    assert_eq!(lower[2].record_id, contact);
    let contacts = world.org(|org| org.records("Contact"));
    assert_eq!(contacts[0]["RevenueFlow_Score__c"], 61.0, "nor does it lower the score");
    assert_eq!(world.lead()["RevenueFlow_Score__c"], 87.0);
    let plan = suite_plan("ann", "CEO", 61);
    for planned in &plan.actions {
        assert!(
            world.executor.find(&plan.lead_id, planned).await.unwrap().is_some(),
            "{}",
            planned.action.kind()
        );
    }
}

#[tokio::test]
async fn a_lead_that_is_converted_while_we_write_is_written_to_its_contact() {
    let world = World::new().await;
    world.done(&suite_plan("ann", "CTO", 87)).await;
    let lead = world.lead()["Id"].as_str().unwrap().to_owned();
    // It was open when we looked.
    world.org(|org| org.row_faults.push(row_fault("CANNOT_UPDATE_CONVERTED_LEAD", 1)));
    let salesforce = world.salesforce.clone();
    let plan = suite_plan("ann", "CEO", 61);
    world.fake.add_fault(Fault::on("/composite", Misbehaviour::DelayMs(50)).after(2).times(1));
    let convert = async {
        while world.org(|org| org.row_faults.iter().any(|fault| fault.times > 0)) {
            tokio::task::yield_now().await;
        }
        salesforce.org(|org| org.convert(&lead)).unwrap()
    };
    let (results, contact) = tokio::join!(world.execute(&plan), convert);
    assert_eq!(said(&results), ["done"; 6]);
    assert_eq!(world.counts(), [1, 1, 3]);
    let contacts = world.org(|org| org.records("Contact"));
    assert_eq!(
        (contacts[0]["Id"].as_str(), &contacts[0]["RevenueFlow_Score__c"]),
        (Some(contact.as_str()), &json!(61.0))
    );
}

#[tokio::test]
async fn lead_of_another_user_with_our_id_is_adopted() {
    let world = World::new().await;
    world.done(&suite_plan("ann", "CTO", 87)).await;
    let lead = world.lead();
    let id = lead["Id"].as_str().unwrap();
    world.org(|org| {
        org.set(id, "Title", json!("Founder"));
        org.set(id, "Status", json!("Working - Contacted"));
    });
    world.done(&suite_plan("ann", "CEO", 61)).await;
    assert_eq!(world.lead()["Title"], "CEO", "we created it");
    assert_eq!(world.lead()["Status"], "Working - Contacted", "a status is never moved back");
    world.org(|org| {
        org.set(id, "Title", json!("Founder"));
        org.set(id, "CreatedById", json!("005000000000ANN001"));
    });
    world.done(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(world.lead()["Title"], "Founder");
    assert_eq!(world.lead()["RevenueFlow_Score__c"], 87.0);
}
