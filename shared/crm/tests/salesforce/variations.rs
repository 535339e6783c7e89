//! The same mistakes in every mapped field: hidden, read-only, too short, a picklist without the value. Each costs that field
//! and nothing else, whether the org has described it before or changes behind our back.

use crm::testing::suite_plan;
use crm::{Action, Effect, Executor as _, Object, Plan, Text};
use sandbox::salesforce::{Field, RowFault};
use sandbox::{Fault, Misbehaviour};
use serde_json::{Value, json};

use crate::support::{World, mapping, said};

/// Object and field of everything that the mapping writes to leads and tasks.
fn mapped() -> Vec<(&'static str, String)> {
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

/// The plan with an owner and an earlier lead, so that every mapped field of a lead has a value.
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

fn is_required(world: &World, object: &str, field: &str) -> bool {
    world.org(|org| org.object(object).unwrap().field(field).unwrap().required)
}

/// Changes a field as an administrator does.
fn change(world: &World, object: &str, field: &str, change: impl FnOnce(&mut Field)) {
    world.org(|org| change(org.object_mut(object).unwrap().field_mut(field).unwrap()));
}

fn hide(world: &World, object: &str, field: &str) {
    world.org(|org| org.object_mut(object).unwrap().fields.retain(|known| known.name != field));
}

fn reasons(effects: &[Effect], field: &str) -> Vec<&'static str> {
    let all = effects.iter().flat_map(|effect| &effect.left_out);
    let mut reasons: Vec<_> = all.filter(|one| one.field == field).map(|one| one.reason.code()).collect();
    reasons.dedup();
    reasons
}

/// The lead, or the task that is no activity.
fn record(world: &World, object: &str) -> Value {
    let mut records = world.org(|org| org.records(object));
    records.retain(|record| object != "Task" || record["Status"] != "Completed");
    assert!(!records.is_empty(), "{object}");
    records.swap_remove(0)
}

#[tokio::test]
async fn hidden_or_read_only_field_costs_that_field_alone() {
    for (object, field) in mapped() {
        for (is_hidden, is_known) in [(true, true), (true, false), (false, true), (false, false)] {
            let world = World::new().await;
            if is_required(&world, object, &field) {
                continue;
            }
            if !is_known {
                world.executor.schema_problems().await.unwrap();
            }
            if is_hidden {
                hide(&world, object, &field);
            } else {
                change(&world, object, &field, |field| {
                    (field.createable, field.updateable) = (false, false);
                });
            }
            let what = format!("{object}.{field}, hidden: {is_hidden}, described: {is_known}");
            let results = world.execute(&full_plan()).await;
            assert_eq!(said(&results), ["done"; 6], "{what}");
            assert_eq!(world.counts(), [1, 0, 2], "{what}");
            let record = record(&world, object);
            let is_default = |value: &Value| field == "OwnerId" || value == false;
            assert!(record.get(&field).is_none_or(is_default), "{what}");
            assert_eq!(world.lead()["LastName"], "O'Brien", "{what}");
        }
    }
}

#[tokio::test]
async fn text_too_long_is_cut_and_an_address_is_left_out() {
    for (object, name) in mapped() {
        let world = World::new().await;
        let kind = world.org(|org| org.object(object).unwrap().field(&name).unwrap().kind);
        if !matches!(kind, "string" | "textarea" | "email" | "phone" | "url") {
            continue;
        }
        change(&world, object, &name, |field| field.length = 3);
        let effects = world.done(&full_plan()).await;
        let record = record(&world, object);
        let value = record[&name].as_str();
        if matches!(kind, "string" | "textarea") && name != "RevenueFlow_Campaign__c" {
            assert!(value.is_some_and(|value| value.chars().count() <= 3), "{object}.{name}: {value:?}");
            assert_eq!(reasons(&effects, &name), [""; 0], "{object}.{name} is cut");
        } else if matches!(kind, "email" | "phone" | "url") {
            assert_eq!((value, reasons(&effects, &name)), (None, vec!["too_long"]), "{object}.{name}");
        }
    }
}

#[tokio::test]
async fn field_that_became_shorter_unseen_is_left_out() {
    for (object, name) in mapped() {
        let world = World::new().await;
        let field = world.org(|org| org.object(object).unwrap().field(&name).unwrap().clone());
        let is_text = matches!(field.kind, "string" | "textarea" | "email" | "phone" | "url");
        if !is_text || field.required {
            continue;
        }
        world.executor.schema_problems().await.unwrap();
        change(&world, object, &name, |field| field.length = 1);
        let effects = world.done(&full_plan()).await;
        assert_eq!(record(&world, object).get(&name), None, "{object}.{name}");
        assert_eq!(reasons(&effects, &name), ["refused"], "{object}.{name}");
    }
}

#[tokio::test]
async fn restricted_picklist_without_the_value_costs_that_field_alone() {
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
            let world = World::new().await;
            if !is_known {
                world.executor.schema_problems().await.unwrap();
            }
            change(&world, "Lead", name, |field| *field = Field::picklist(name, &["Other"]).restricted());
            let effects = world.done(&full_plan()).await;
            assert_eq!(world.lead().get(name), None, "{name}, described: {is_known}");
            let reason = if is_known { "not_in_picklist" } else { "refused" };
            assert_eq!(reasons(&effects, name), [reason], "{name}");
        }
    }
}

#[tokio::test]
async fn picklist_value_is_found_in_any_case_and_as_it_is_labelled() {
    for (name, options, expected) in [
        ("LeadSource", &["Web", "REVENUEFLOW"][..], "REVENUEFLOW"),
        ("Industry", &["software", "Banking"], "software"),
        ("Country", &["us", "de"], "us"),
        ("State", &["CALIFORNIA", "Texas"], "CALIFORNIA"),
    ] {
        let world = World::new().await;
        change(&world, "Lead", name, |field| *field = Field::picklist(name, options).restricted());
        let mut plan = full_plan();
        if let Action::SyncFirmographics(company) = &mut plan.actions[1].action {
            (company.country, company.region) = (Text::fit("US"), Text::fit("California"));
        }
        let effects = world.done(&plan).await;
        assert_eq!((&world.lead()[name], reasons(&effects, name)), (&json!(expected), vec![]), "{name}");
    }
}

#[tokio::test]
async fn status_that_the_org_does_not_have_is_left_to_the_org() {
    for is_known in [true, false] {
        let world = World::new().await;
        if !is_known {
            world.executor.schema_problems().await.unwrap();
        }
        let own = Field::picklist("Status", &["Fresh", "Called"]).restricted().required();
        change(&world, "Lead", "Status", |field| *field = own);
        world.done(&full_plan()).await;
        assert_eq!(world.lead()["Status"], "Fresh", "the default of the org");
    }
}

#[tokio::test]
async fn states_are_found_without_accents_and_only_in_their_country() {
    for (country, region, state) in [
        ("BR", "São Paulo", Some("SP")),
        ("BR", "Sao Paulo", Some("SP")),
        ("br", "SA\u{303}O PAULO", Some("SP")),
        ("CA", "quebec", Some("QC")),
        ("CA", "Québec", Some("QC")),
        ("CI", "Abidjan", None),
        ("DE", "Bayern", None),
        ("BR", "Sao", None),
    ] {
        let world = World::new().await;
        world.org(sandbox::salesforce::Org::switch_address_picklists_on);
        let mut plan = full_plan();
        if let Action::SyncFirmographics(company) = &mut plan.actions[1].action {
            (company.country, company.region) = (Text::fit(country), Text::fit(region));
        }
        let effects = world.done(&plan).await;
        assert_eq!(world.lead()["StateCode"].as_str(), state, "{country} {region}");
        assert_eq!(world.lead()["CountryCode"], country.to_uppercase(), "{country} {region}");
        let expected = if state.is_none() { vec!["not_in_picklist"] } else { vec![] };
        assert_eq!(reasons(&effects, "StateCode"), expected, "{country} {region}");
        assert_eq!(world.calls("/composite").len(), 3, "nothing was refused");
    }
}

#[tokio::test]
async fn state_without_a_country_is_left_out_where_the_org_has_picklists() {
    let world = World::new().await;
    world.org(sandbox::salesforce::Org::switch_address_picklists_on);
    let mut plan = full_plan();
    if let Action::SyncFirmographics(company) = &mut plan.actions[1].action {
        (company.country, company.region) = (None, Text::fit("California"));
    }
    let effects = world.done(&plan).await;
    assert_eq!(reasons(&effects, "StateCode"), ["partner_missing"]);
    assert_eq!(world.lead()["City"], "Los Angeles");
}

#[tokio::test]
async fn unknown_code_of_a_row_is_that_leads_and_of_the_org_is_nobodys() {
    for object in ["Lead", "Task"] {
        let world = World::new().await;
        world.org(|org| org.row_faults.push(RowFault::of(object, "SOMETHING_NEW", 1)));
        let results = world.execute(&suite_plan("ann", "CTO", 87)).await;
        assert!(said(&results).contains(&"permanent crm_something_new".to_owned()), "{object}: {results:?}");
        world.done(&suite_plan("bob", "CTO", 87)).await;
    }
    let refused = |status| {
        Misbehaviour::answer(status, json!([{ "errorCode": "SOMETHING_NEW", "message": "ann@example.com" }]))
    };
    for path in ["/sobjects/Lead/describe", "/sobjects/Task/describe"] {
        let world = World::new().await;
        world.fake.add_fault(Fault::on(path, refused(400)).times(1));
        let results = world.execute(&suite_plan("ann", "CTO", 87)).await;
        assert_eq!(said(&results), ["deferral crm_something_new"], "{path}");
        world.done(&suite_plan("ann", "CTO", 87)).await;
    }
    let world = World::new().await;
    world.fake.add_fault(Fault::on("/limits", refused(400)));
    assert_eq!(world.executor.probe().await.unwrap_err().class, lead::FailureClass::Deferral);
}

#[tokio::test]
async fn unknown_code_that_names_a_field_costs_that_field() {
    let world = World::new().await;
    let fault = RowFault { fields: vec!["Title".to_owned()], ..RowFault::of("Lead", "SOMETHING_NEW", 1) };
    world.org(|org| org.row_faults.push(fault));
    let effects = world.done(&full_plan()).await;
    assert_eq!((world.lead().get("Title"), reasons(&effects, "Title")), (None, vec!["refused"]));
}

#[tokio::test]
async fn owner_who_may_not_see_the_record_is_left_out() {
    for object in ["Lead", "Task"] {
        let world = World::new().await;
        let code = "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY";
        world.org(|org| org.row_faults.push(RowFault::of(object, code, 1)));
        let effects = world.done(&full_plan()).await;
        assert_eq!(reasons(&effects, "OwnerId"), ["owner_unsuitable"], "{object}");
        assert_eq!(record(&world, object)["OwnerId"], sandbox::salesforce::Org::API_USER, "{object}");
    }
}

#[tokio::test]
async fn limit_of_a_day_and_of_calls_under_way_are_told_apart() {
    let answer = |message: &str| json!([{ "errorCode": "REQUEST_LIMIT_EXCEEDED", "message": message }]);
    for (message, expected) in [
        ("TotalRequests Limit exceeded.", "deferral crm_request_limit_exceeded"),
        ("", "deferral crm_request_limit_exceeded"),
        ("ConcurrentRequests (Concurrent API Requests) Limit exceeded.", "deferral crm_busy"),
        ("concurrentrequests limit exceeded", "deferral crm_busy"),
        ("Too many concurrent requests.", "deferral crm_busy"),
    ] {
        let world = World::new().await;
        world.fake.add_fault(Fault::on("/composite", Misbehaviour::answer(403, answer(message))));
        assert_eq!(said(&world.execute(&suite_plan("ann", "CTO", 87)).await), [expected], "{message}");
    }
}

#[tokio::test]
async fn external_id_too_short_for_our_ids_makes_all_wait() {
    for object in ["Lead", "Task"] {
        let world = World::new().await;
        change(&world, object, "RevenueFlow_Id__c", |field| field.length = 40);
        let results = world.execute(&suite_plan("ann", "CTO", 87)).await;
        assert_eq!(said(&results), ["deferral crm_schema_unsuitable"], "{object}");
        let message = &results[0].as_ref().unwrap_err().message;
        assert!(message.contains("64 characters"), "{message}");
        change(&world, object, "RevenueFlow_Id__c", |field| field.length = 64);
        world.done(&suite_plan("ann", "CTO", 87)).await;
    }
}

#[tokio::test]
async fn new_lead_names_the_earlier_one_and_keeps_what_people_write() {
    let world = World::new().await;
    world.done(&full_plan()).await;
    let lead = world.lead();
    assert_eq!(lead["Description"], "This person has an earlier lead: campaign spring.");
    let id = lead["Id"].as_str().unwrap();
    world.org(|org| org.set(id, "Description", json!("Met at the fair.")));
    world.done(&full_plan()).await;
    assert_eq!(world.lead()["Description"], "Met at the fair.");
    let url = world.executor.record_url(id).unwrap();
    assert_eq!(url, format!("{}/{id}", world.fake.url().trim_end_matches('/')));
}
