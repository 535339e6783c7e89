//! Every mapped field in every unsuitable form: hidden, read-only, too short, or a picklist without the
//! value.
//!
//! Only that field is omitted, whether the executor read the describe before or after the change.

use crm::testing::suite_plan;
use crm::{Action, Effect, Executor as _, Object, Plan, Text};
use sandbox::salesforce::{Field, RowFault};
use sandbox::{Fault, Misbehaviour};
use serde_json::{Value, json};

use crate::support::{OrgFixture, mapping, outcomes};

/// The object and name of every field that the mapping writes to leads and tasks.
fn mapped_fields() -> Vec<(&'static str, String)> {
    let mapping = mapping();
    let mut fields = Vec::new();
    for (object, name) in [(Object::Lead, "Lead"), (Object::Task, "Task")] {
        let rules = mapping.object(object).unwrap().rules().iter();
        fields.extend(rules.map(|rule| (name, rule.field().to_owned())));
    }
    fields.sort_unstable();
    fields.dedup();
    fields
}

/// The suite's plan with an owner and an earlier lead, so that every mapped field of a lead has a value.
fn full_plan() -> Plan {
    let mut plan = suite_plan("ann", "CTO", 87);
    for planned in &mut plan.actions {
        match &mut planned.action {
            Action::UpsertLead(details) => {
                details.owner = Text::fit("005000000000001AAA");
                details.earlier = Text::fit("This person has an earlier lead: campaign spring.");
            }
            Action::CreateTask(task) => task.owner = Text::fit("005000000000001AAA"),
            _ => {}
        }
    }
    plan
}

fn is_required(fixture: &OrgFixture, object: &str, field: &str) -> bool {
    fixture.org(|org| org.object(object).unwrap().field(field).unwrap().required)
}

/// Changes a field, as an administrator may.
fn change(fixture: &OrgFixture, object: &str, field: &str, change: impl FnOnce(&mut Field)) {
    fixture.org(|org| change(org.object_mut(object).unwrap().field_mut(field).unwrap()));
}

fn hide(fixture: &OrgFixture, object: &str, field: &str) {
    fixture.org(|org| org.object_mut(object).unwrap().fields.retain(|known| known.name != field));
}

fn reasons(effects: &[Effect], field: &str) -> Vec<&'static str> {
    let all = effects.iter().flat_map(|effect| &effect.left_out);
    let mut reasons: Vec<_> = all.filter(|one| one.field == field).map(|one| one.reason.code()).collect();
    reasons.dedup();
    reasons
}

/// The lead, or the task that is not an activity.
fn record(fixture: &OrgFixture, object: &str) -> Value {
    let mut records = fixture.org(|org| org.records(object));
    records.retain(|record| object != "Task" || record["Status"] != "Completed");
    assert!(!records.is_empty(), "{object}");
    records.swap_remove(0)
}

#[tokio::test]
async fn hidden_or_read_only_field_is_omitted_alone() {
    for (object, field) in mapped_fields() {
        for (is_hidden, is_known) in [(true, true), (true, false), (false, true), (false, false)] {
            let fixture = OrgFixture::new().await;
            if is_required(&fixture, object, &field) {
                continue;
            }
            if !is_known {
                fixture.executor.schema_problems().await.unwrap();
            }
            if is_hidden {
                hide(&fixture, object, &field);
            } else {
                change(&fixture, object, &field, |field| {
                    (field.createable, field.updateable) = (false, false);
                });
            }
            let case = format!("{object}.{field}, hidden: {is_hidden}, described: {is_known}");
            let results = fixture.execute(&full_plan()).await;
            assert_eq!(outcomes(&results), ["done"; 6], "{case}");
            assert_eq!(fixture.counts(), [1, 0, 2], "{case}");
            let record = record(&fixture, object);
            let is_default = |value: &Value| field == "OwnerId" || value == false;
            assert!(record.get(&field).is_none_or(is_default), "{case}");
            assert_eq!(fixture.lead()["LastName"], "O'Brien", "{case}");
        }
    }
}

#[tokio::test]
async fn long_text_is_truncated_and_long_address_omitted() {
    for (object, name) in mapped_fields() {
        let fixture = OrgFixture::new().await;
        let kind = fixture.org(|org| org.object(object).unwrap().field(&name).unwrap().kind);
        if !matches!(kind, "string" | "textarea" | "email" | "phone" | "url") {
            continue;
        }
        change(&fixture, object, &name, |field| field.length = 3);
        let effects = fixture.execute_ok(&full_plan()).await;
        let record = record(&fixture, object);
        let value = record[&name].as_str();
        if matches!(kind, "string" | "textarea") && name != "RevenueFlow_Campaign__c" {
            assert!(value.is_some_and(|value| value.chars().count() <= 3), "{object}.{name}: {value:?}");
            assert_eq!(reasons(&effects, &name), [""; 0], "{object}.{name} is truncated");
        } else if matches!(kind, "email" | "phone" | "url") {
            assert_eq!((value, reasons(&effects, &name)), (None, vec!["too_long"]), "{object}.{name}");
        }
    }
}

#[tokio::test]
async fn field_shortened_after_describe_is_omitted() {
    for (object, name) in mapped_fields() {
        let fixture = OrgFixture::new().await;
        let field = fixture.org(|org| org.object(object).unwrap().field(&name).unwrap().clone());
        let is_text = matches!(field.kind, "string" | "textarea" | "email" | "phone" | "url");
        if !is_text || field.required {
            continue;
        }
        fixture.executor.schema_problems().await.unwrap();
        change(&fixture, object, &name, |field| field.length = 1);
        let effects = fixture.execute_ok(&full_plan()).await;
        assert_eq!(record(&fixture, object).get(&name), None, "{object}.{name}");
        assert_eq!(reasons(&effects, &name), ["refused"], "{object}.{name}");
    }
}

#[tokio::test]
async fn value_missing_from_restricted_picklist_is_omitted_alone() {
    for name in [
        "LeadSource",
        "Industry",
        "Country",
        "State",
        "City",
        "Title",
        "RevenueFlow_Fit__c",
        "RevenueFlow_Intent__c",
        "RevenueFlow_Decision__c",
        "Website",
    ] {
        for is_known in [true, false] {
            let fixture = OrgFixture::new().await;
            if !is_known {
                fixture.executor.schema_problems().await.unwrap();
            }
            change(&fixture, "Lead", name, |field| *field = Field::picklist(name, &["Other"]).restricted());
            let effects = fixture.execute_ok(&full_plan()).await;
            assert_eq!(fixture.lead().get(name), None, "{name}, described: {is_known}");
            let reason = if is_known { "not_in_picklist" } else { "refused" };
            assert_eq!(reasons(&effects, name), [reason], "{name}");
        }
    }
}

#[tokio::test]
async fn picklist_value_is_matched_ignoring_case() {
    for (name, options, expected) in [
        ("LeadSource", &["Web", "REVENUEFLOW"][..], "REVENUEFLOW"),
        ("Industry", &["software", "Banking"], "software"),
        ("Country", &["us", "de"], "us"),
        ("State", &["CALIFORNIA", "Texas"], "CALIFORNIA"),
    ] {
        let fixture = OrgFixture::new().await;
        change(&fixture, "Lead", name, |field| *field = Field::picklist(name, options).restricted());
        let mut plan = full_plan();
        if let Action::SyncFirmographics(company) = &mut plan.actions[1].action {
            (company.country, company.region) = (Text::fit("US"), Text::fit("California"));
        }
        let effects = fixture.execute_ok(&plan).await;
        assert_eq!((&fixture.lead()[name], reasons(&effects, name)), (&json!(expected), vec![]), "{name}");
    }
}

#[tokio::test]
async fn status_missing_from_the_org_becomes_its_default() {
    for is_known in [true, false] {
        let fixture = OrgFixture::new().await;
        if !is_known {
            fixture.executor.schema_problems().await.unwrap();
        }
        let own = Field::picklist("Status", &["Fresh", "Called"]).restricted().required();
        change(&fixture, "Lead", "Status", |field| *field = own);
        fixture.execute_ok(&full_plan()).await;
        assert_eq!(fixture.lead()["Status"], "Fresh", "the default of the org");
    }
}

#[tokio::test]
async fn unknown_code_is_permanent_for_a_row_deferral_for_describe() {
    for object in ["Lead", "Task"] {
        let fixture = OrgFixture::new().await;
        fixture.org(|org| org.row_faults.push(RowFault::of(object, "SOMETHING_NEW", 1)));
        let results = fixture.execute(&suite_plan("ann", "CTO", 87)).await;
        assert!(
            outcomes(&results).contains(&"permanent crm_something_new".to_owned()),
            "{object}: {results:?}"
        );
        fixture.execute_ok(&suite_plan("bob", "CTO", 87)).await;
    }
    let refused = |status| {
        Misbehaviour::answer(status, json!([{ "errorCode": "SOMETHING_NEW", "message": "ann@example.com" }]))
    };
    for path in ["/sobjects/Lead/describe", "/sobjects/Task/describe"] {
        let fixture = OrgFixture::new().await;
        fixture.fake.add_fault(Fault::on(path, refused(400)).times(1));
        let results = fixture.execute(&suite_plan("ann", "CTO", 87)).await;
        assert_eq!(outcomes(&results), ["deferral crm_something_new"], "{path}");
        fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    }
    let fixture = OrgFixture::new().await;
    fixture.fake.add_fault(Fault::on("/limits", refused(400)));
    assert_eq!(fixture.executor.probe().await.unwrap_err().class(), lead::FailureClass::Deferral);
}

#[tokio::test]
async fn owner_without_access_to_the_record_is_omitted() {
    for object in ["Lead", "Task"] {
        let fixture = OrgFixture::new().await;
        let code = "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY";
        fixture.org(|org| org.row_faults.push(RowFault::of(object, code, 1)));
        let effects = fixture.execute_ok(&full_plan()).await;
        assert_eq!(reasons(&effects, "OwnerId"), ["owner_unsuitable"], "{object}");
        assert_eq!(record(&fixture, object)["OwnerId"], sandbox::salesforce::Org::API_USER, "{object}");
    }
}

#[tokio::test]
async fn too_short_external_id_field_defers_all_leads() {
    for object in ["Lead", "Task"] {
        let fixture = OrgFixture::new().await;
        change(&fixture, object, "RevenueFlow_Id__c", |field| field.length = 40);
        let results = fixture.execute(&suite_plan("ann", "CTO", 87)).await;
        assert_eq!(outcomes(&results), ["deferral crm_schema_unsuitable"], "{object}");
        let message = &results[0].as_ref().unwrap_err().message;
        assert!(message.contains("64 characters"), "{message}");
        change(&fixture, object, "RevenueFlow_Id__c", |field| field.length = 64);
        fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    }
}

#[tokio::test]
async fn earlier_lead_is_noted_without_overwriting_user_text() {
    let fixture = OrgFixture::new().await;
    fixture.execute_ok(&full_plan()).await;
    let lead = fixture.lead();
    assert_eq!(lead["Description"], "This person has an earlier lead: campaign spring.");
    let id = lead["Id"].as_str().unwrap();
    fixture.org(|org| org.set(id, "Description", json!("Met at the fair.")));
    fixture.execute_ok(&full_plan()).await;
    assert_eq!(fixture.lead()["Description"], "Met at the fair.");
    let url = fixture.executor.record_url(id).unwrap();
    assert_eq!(url, format!("{}/{id}", fixture.fake.url().trim_end_matches('/')));
}
