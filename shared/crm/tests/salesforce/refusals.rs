use std::sync::Arc;
use std::time::Duration;

use crm::testing::{assert_found, suite_plan};
use crm::{Executor, Salesforce};
use sandbox::salesforce::{DuplicateRule, Field, RowFault, ValidationRule};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{OrgFixture, mapping, outcomes, settings};

fn row_fault(code: &str, times: u32) -> RowFault {
    RowFault::of("Lead", code, times)
}

#[tokio::test]
async fn validation_rule_refusal_is_permanent_for_its_lead() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| {
        org.validation_rules.push(ValidationRule {
            object: "Lead".to_owned(),
            field: "Title".to_owned(),
            refused: json!("CTO"),
            message: "We do not sell to ann@example.com".to_owned(),
        });
    });
    let results = fixture.execute(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(outcomes(&results), ["permanent crm_field_custom_validation_exception"; 6]);
    assert!(!results[0].as_ref().unwrap_err().to_string().contains("ann@"));
    assert_eq!(fixture.counts(), [0, 0, 0]);
    fixture.execute_ok(&suite_plan("bob", "CEO", 87)).await;
}

#[tokio::test]
async fn duplicate_alert_can_be_overridden_but_a_block_cannot() {
    let rule = |blocks| DuplicateRule { object: "Lead".to_owned(), field: "Email".to_owned(), blocks };
    for (allow, blocks, expected) in [
        (true, false, "done"),
        (false, false, "permanent crm_duplicates_detected"),
        (true, true, "permanent crm_duplicates_detected"),
    ] {
        let fixture = OrgFixture::with(|settings| settings.allow_duplicates = allow).await;
        let other = fixture.org(|org| {
            org.duplicate_rules.push(rule(blocks));
            org.insert("Lead", json!({ "LastName": "Ann", "Company": "X", "Email": "Ann@Example.com" }))
        });
        let results = fixture.execute(&suite_plan("ann", "CTO", 87)).await;
        assert_eq!(outcomes(&results)[0], expected);
        if let Err(failure) = &results[0] {
            assert!(failure.message.contains(&other), "the matching record is named: {failure}");
        }
    }
}

#[tokio::test]
async fn two_records_with_one_external_id_are_a_permanent_failure() {
    let fixture = OrgFixture::new().await;
    let plan = suite_plan("ann", "CTO", 87);
    fixture.org(|org| {
        for name in ["One", "Two"] {
            org.insert(
                "Lead",
                json!({ "LastName": name, "Company": "X", "RevenueFlow_Id__c": plan.lead_id.as_str() }),
            );
        }
    });
    assert_eq!(outcomes(&fixture.execute(&plan).await), ["permanent crm_multiple_matches"]);
}

#[tokio::test]
async fn leads_wait_near_the_call_limit_and_resume_afterwards() {
    let fixture = OrgFixture::with(|settings| settings.usage_percent = 50).await;
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    fixture.org(|org| org.daily_calls = org.calls * 2);
    let plan = suite_plan("bob", "CTO", 87);
    fixture.executor.probe().await.unwrap_err();
    let results = fixture.execute(&plan).await;
    assert_eq!(outcomes(&results), ["deferral crm_api_limit_near"]);
    assert!(results[0].as_ref().unwrap_err().retry_after().is_some());
    let calls = fixture.org(|org| org.calls);
    assert_eq!(outcomes(&fixture.execute(&plan).await), ["deferral crm_api_limit_near"]);
    assert_eq!(fixture.org(|org| org.calls), calls, "waiting costs no calls");
    fixture.org(|org| org.daily_calls = 100_000);
    fixture.executor.probe().await.unwrap();
    fixture.execute_ok(&plan).await;
}

#[tokio::test]
async fn reached_call_limit_defers_all_leads() {
    let fixture = OrgFixture::new().await;
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    fixture.org(|org| org.daily_calls = org.calls);
    let plan = suite_plan("bob", "CTO", 87);
    assert_eq!(outcomes(&fixture.execute(&plan).await), ["deferral crm_request_limit_exceeded"]);
    fixture.org(|org| org.daily_calls *= 100);
    fixture.executor.probe().await.unwrap();
    fixture.execute_ok(&plan).await;
}

#[tokio::test]
async fn missing_right_is_record_level_unless_the_schema_lacks_it() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| org.row_faults.push(row_fault("INSUFFICIENT_ACCESS_OR_READONLY", 1)));
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    fixture.org(|org| org.row_faults.push(row_fault("INSUFFICIENT_ACCESS_OR_READONLY", 2)));
    let results = fixture.execute(&suite_plan("bob", "CTO", 87)).await;
    assert_eq!(outcomes(&results)[0], "permanent crm_insufficient_access_or_readonly");

    let hide = |hidden: bool| {
        fixture.org(|org| {
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
    let executor = Salesforce::new(settings(&fixture.fake), Arc::new(mapping())).unwrap();
    let results = executor.execute(&plan.lead_id, &plan.actions).await;
    assert_eq!(outcomes(&results), ["deferral crm_schema_unsuitable"]);
    assert_eq!(executor.probe().await.unwrap_err().code, "crm_schema_unsuitable");
    let problems = executor.schema_problems().await.unwrap();
    assert!(problems.iter().any(|problem| problem.blocks && problem.object == "Lead"), "{problems:?}");
    hide(false);
    executor.probe().await.unwrap();
    assert_eq!(outcomes(&executor.execute(&plan.lead_id, &plan.actions).await), ["done"; 6]);
}

#[tokio::test]
async fn unsupported_api_version_defers_all_leads_and_is_named() {
    let fixture = OrgFixture::with(|settings| settings.api_version = "99.0".to_owned()).await;
    let failure = fixture.executor.probe().await.unwrap_err();
    assert_eq!(failure.code, "crm_api_version");
    assert!(failure.message.contains("v99.0"), "{failure}");
    assert_eq!(
        outcomes(&fixture.execute(&suite_plan("ann", "CTO", 87)).await),
        ["deferral crm_schema_unsuitable"]
    );
}

#[tokio::test]
async fn error_page_without_json_is_transient() {
    let fixture = OrgFixture::new().await;
    fixture.fake.add_fault(
        Fault::on("/composite", Misbehaviour::answer(502, json!("<html>Bad gateway</html>")))
            .after(1)
            .times(1),
    );
    assert_eq!(outcomes(&fixture.execute(&suite_plan("ann", "CTO", 87)).await), ["transient crm_failed"; 6]);
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
}

#[tokio::test]
async fn lost_reply_is_retried_for_reads_and_not_for_writes() {
    let fixture = OrgFixture::new().await;
    fixture.fake.add_fault(Fault::on("/composite", Misbehaviour::Refuse).times(2));
    fixture.fake.add_fault(Fault::on("/composite", Misbehaviour::LoseReply).after(1).times(1));
    assert_eq!(
        outcomes(&fixture.execute(&suite_plan("ann", "CTO", 87)).await),
        ["transient http_reply_lost"; 6]
    );
    assert_eq!(fixture.calls("/composite").len(), 4, "three to read, one to write");
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(fixture.counts(), [1, 0, 2]);
}

#[tokio::test]
async fn busy_org_is_retried_at_once_and_then_deferred() {
    let fixture = OrgFixture::new().await;
    let error = json!([{ "errorCode": "REQUEST_LIMIT_EXCEEDED",
        "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded." }]);
    let busy = Fault::on("/composite", Misbehaviour::answer(403, error));
    fixture.fake.add_fault(busy.clone().after(1).times(2));
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    fixture.fake.add_fault(busy.times(3));
    let results = fixture.execute(&suite_plan("bob", "CTO", 87)).await;
    assert_eq!(outcomes(&results), ["deferral crm_busy"]);
    assert_eq!(results[0].as_ref().unwrap_err().retry_after(), Some(Duration::from_secs(5)));
}

#[tokio::test]
async fn converted_lead_is_updated_through_its_contact() {
    let fixture = OrgFixture::new().await;
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    let lead = fixture.lead();
    let contact = fixture.org(|org| org.convert(lead["Id"].as_str().unwrap())).unwrap();
    let effects = fixture.execute_ok(&suite_plan("ann", "CEO", 61)).await;
    assert_eq!(effects[2].record_id, contact);
    let tasks = fixture.org(|org| org.records("Task"));
    assert_eq!(tasks.len(), 3);
    assert!(tasks.iter().all(|task| task["WhoId"] == contact.as_str()), "{tasks:?}");
    let contacts = fixture.org(|org| org.records("Contact"));
    assert_eq!((contacts.len(), &contacts[0]["RevenueFlow_Score__c"]), (1, &json!(61.0)));
    assert_eq!(
        contacts[0]["Title"], "CTO",
        "users maintain the contact: a form fills in empty fields and does not overwrite"
    );
    let lower = fixture.execute_ok(&suite_plan("ann", "CEO", 20)).await;
    assert_eq!(lower[2].record_id, contact);
    let contacts = fixture.org(|org| org.records("Contact"));
    assert_eq!(contacts[0]["RevenueFlow_Score__c"], 61.0, "the form does not lower the score either");
    assert_eq!(fixture.lead()["RevenueFlow_Score__c"], 87.0);
    let plan = suite_plan("ann", "CEO", 61);
    assert_found(&*fixture.executor, &plan.lead_id, &plan.actions).await;
}

#[tokio::test]
async fn lead_converted_during_the_write_updates_its_contact() {
    let fixture = OrgFixture::new().await;
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    let lead = fixture.lead()["Id"].as_str().unwrap().to_owned();
    // The lead was open when the state was read.
    fixture.org(|org| org.row_faults.push(row_fault("CANNOT_UPDATE_CONVERTED_LEAD", 1)));
    let salesforce = fixture.salesforce.clone();
    let plan = suite_plan("ann", "CEO", 61);
    fixture.fake.add_fault(Fault::on("/composite", Misbehaviour::DelayMs(50)).after(2).times(1));
    let convert = async {
        while fixture.org(|org| org.row_faults.iter().any(|fault| fault.times > 0)) {
            tokio::task::yield_now().await;
        }
        salesforce.org(|org| org.convert(&lead)).unwrap()
    };
    let (results, contact) = tokio::join!(fixture.execute(&plan), convert);
    assert_eq!(outcomes(&results), ["done"; 6]);
    assert_eq!(fixture.counts(), [1, 1, 3]);
    let contacts = fixture.org(|org| org.records("Contact"));
    assert_eq!(
        (contacts[0]["Id"].as_str(), &contacts[0]["RevenueFlow_Score__c"]),
        (Some(contact.as_str()), &json!(61.0))
    );
}

#[tokio::test]
async fn lead_created_by_another_user_is_adopted() {
    let fixture = OrgFixture::new().await;
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    let lead = fixture.lead();
    let id = lead["Id"].as_str().unwrap();
    fixture.org(|org| {
        org.set(id, "Title", json!("Founder"));
        org.set(id, "Status", json!("Working - Contacted"));
    });
    fixture.execute_ok(&suite_plan("ann", "CEO", 61)).await;
    assert_eq!(fixture.lead()["Title"], "CEO", "the integration created it");
    assert_eq!(fixture.lead()["Status"], "Working - Contacted", "a status is never moved back");
    fixture.org(|org| {
        org.set(id, "Title", json!("Founder"));
        org.set(id, "CreatedById", json!("005000000000ANN001"));
    });
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(fixture.lead()["Title"], "Founder");
    assert_eq!(fixture.lead()["RevenueFlow_Score__c"], 87.0);
}
