//! Values, owners and fields that an org refuses: the rest of the record is written, and what was left out is named.

use crm::parameters::LeadDetails;
use crm::testing::suite_plan;
use crm::{Action, Effect, Executor, LeftOut, Plan, Text};
use lead::EmailAddress;
use sandbox::salesforce::{Field, RowFault, ValidationRule};
use sandbox::{Fault, Misbehaviour};
use serde_json::{Value, json};

use crate::support::{World, said};

const GONE: &str = "005000000000009AAA";
const ANN: &str = "005000000000001AAA";
const DESK: &str = "00G000000000001EAA";

fn plan(change: impl FnOnce(&mut LeadDetails)) -> Plan {
    let mut plan = suite_plan("ann", "CTO", 87);
    if let Action::UpsertLead(details) = &mut plan.actions[0].action {
        change(details);
    }
    plan
}

/// The plan with this owner for the lead and the task.
fn owned_by(owner: &str) -> Plan {
    let mut plan = plan(|details| details.owner = Text::fit(owner));
    for planned in &mut plan.actions {
        if let Action::CreateTask(task) = &mut planned.action {
            task.owner = Text::fit(owner);
        }
    }
    plan
}

/// Object, field and reason of everything that was left out.
fn left_out(effects: &[Effect]) -> Vec<(&'static str, &str, &'static str)> {
    let all = effects.iter().flat_map(|effect| &effect.left_out);
    all.map(|omission| (omission.object.as_str(), omission.field.as_str(), omission.reason.code())).collect()
}

fn refused(code: &str, fields: &[&str], times: u32) -> RowFault {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    RowFault { fields, ..RowFault::of("Lead", code, times) }
}

#[tokio::test]
async fn every_refusal_of_a_field_costs_that_field_alone() {
    for code in [
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "FIELD_FILTER_VALIDATION_EXCEPTION",
        "FIELD_INTEGRITY_EXCEPTION",
        "INVALID_EMAIL_ADDRESS",
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "NUMBER_OUTSIDE_VALID_RANGE",
        "STRING_TOO_LONG",
    ] {
        let world = World::new().await;
        world.org(|org| org.row_faults.push(refused(code, &["Title", "NumberOfEmployees"], 1)));
        let effects = world.done(&suite_plan("ann", "CTO", 87)).await;
        let expected = [("lead", "Title", "refused"), ("lead", "NumberOfEmployees", "refused")];
        assert_eq!(left_out(&effects), expected, "{code}");
        let lead = world.lead();
        assert_eq!((lead.get("Title"), &lead["Company"]), (None, &json!("Drop Table Ltd")), "{code}");
        assert_eq!(world.counts(), [1, 0, 2], "{code}");
    }
}

#[tokio::test]
async fn a_refused_name_becomes_the_default_of_the_mapping() {
    let world = World::new().await;
    world.org(|org| {
        org.validation_rules.push(ValidationRule {
            object: "Lead".to_owned(),
            field: "LastName".to_owned(),
            refused: json!("O'Brien"),
            message: "no".to_owned(),
        });
        org.row_faults.push(refused("FIELD_CUSTOM_VALIDATION_EXCEPTION", &["LastName"], 1));
    });
    let results = world.execute(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(said(&results), ["done"; 6]);
    assert_eq!(world.lead()["LastName"], "[not provided]");
}

#[tokio::test]
async fn refusals_without_an_end_are_final_after_a_few_rounds() {
    for fields in [&["LastName"][..], &["WhoId"], &[]] {
        let world = World::new().await;
        world.org(|org| org.row_faults.push(refused("STRING_TOO_LONG", fields, 100)));
        let results = world.execute(&suite_plan("ann", "CTO", 87)).await;
        assert_eq!(said(&results)[0], "permanent crm_string_too_long", "{fields:?}");
        let sent = 100 - world.org(|org| org.row_faults[0].times);
        assert!(sent <= 6, "{sent} times");
    }
}

#[tokio::test]
async fn an_inactive_owner_is_not_sent_and_is_named() {
    let world = World::new().await;
    world.org(|org| org.put_user(GONE, false));
    let plan = owned_by(GONE);
    let changes = world.executor.preview(&plan.lead_id, &plan.actions).await.unwrap();
    let foreseen = changes.iter().filter(|change| change.left_out == Some(LeftOut::OwnerInactive)).count();
    let effects = world.done(&plan).await;
    let expected = [("lead", "OwnerId", "owner_inactive"), ("task", "OwnerId", "owner_inactive")];
    assert_eq!((left_out(&effects), foreseen), (expected.to_vec(), 2));
    let refused =
        world.calls("/composite").iter().any(|call| call.json().to_string().contains("\"OwnerId\":"));
    assert!(!refused, "the org is not asked to take the owner");
}

#[tokio::test]
async fn an_owner_who_leaves_unseen_is_refused_and_left_out() {
    let world = World::new().await;
    world.org(|org| org.put_user(ANN, true));
    world.done(&owned_by(ANN)).await;
    world.org(|org| org.put_user(ANN, false));
    // The org's word of a moment ago is still believed.
    let mut plan = suite_plan("bob", "CTO", 87);
    if let Action::UpsertLead(details) = &mut plan.actions[0].action {
        details.owner = Text::fit(ANN);
    }
    let effects = world.done(&plan).await;
    assert_eq!(left_out(&effects), [("lead", "OwnerId", "owner_inactive")]);
}

#[tokio::test]
async fn a_queue_owns_the_lead_and_the_task_only_where_it_may() {
    for (supports, expected) in [
        (&["Lead"][..], &[("task", "OwnerId", "owner_unsuitable")][..]),
        (&["Lead", "Task"], &[]),
        (&["Task"], &[("lead", "OwnerId", "owner_unsuitable")]),
    ] {
        let world = World::new().await;
        world.org(|org| org.put_queue(DESK, supports));
        let effects = world.done(&owned_by(DESK)).await;
        assert_eq!(left_out(&effects), expected, "{supports:?}");
        let owns_lead = world.lead()["OwnerId"] == DESK;
        assert_eq!(owns_lead, supports.contains(&"Lead"));
    }
}

#[tokio::test]
async fn an_unknown_owner_is_left_out_and_the_org_is_asked_once() {
    let world = World::new().await;
    world.org(|org| org.knows_all_users = true);
    let effects = world.done(&owned_by(ANN)).await;
    let expected = [("lead", "OwnerId", "owner_unsuitable"), ("task", "OwnerId", "owner_unsuitable")];
    assert_eq!(left_out(&effects), expected);
    world.done(&owned_by(ANN)).await;
    let asked = world
        .calls("/composite")
        .iter()
        .filter(|call| call.json().to_string().contains("FROM%20User"))
        .count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn an_org_that_hides_its_users_is_written_to_as_before() {
    let world = World::new().await;
    world.org(|org| org.objects.retain(|object| object.name != "User"));
    world.done(&owned_by(ANN)).await;
    assert_eq!(world.lead()["OwnerId"], ANN);
}

#[tokio::test]
async fn an_address_too_long_is_left_out_and_never_cut() {
    let world = World::new().await;
    let long = format!("{}@research-example.co.jp", "a".repeat(60));
    let effects = world
        .done(&plan(|details| {
            details.email = EmailAddress::parse(&long).unwrap();
            details.phone = Text::fit(&format!("+1 {}", "5".repeat(45)));
        }))
        .await;
    assert_eq!(left_out(&effects), [("lead", "Email", "too_long"), ("lead", "Phone", "too_long")]);
    let lead = world.lead();
    assert_eq!((lead.get("Email"), lead.get("Phone")), (None, None));
}

/// The lead's country and state, by code and integration value.
fn place(lead: &Value) -> [Option<&str>; 4] {
    ["CountryCode", "Country", "StateCode", "State"].map(|field| lead[field].as_str())
}

fn in_place(country: &str, region: &str) -> Plan {
    let mut plan = suite_plan("ann", "CTO", 87);
    for planned in &mut plan.actions {
        if let Action::SyncFirmographics(company) = &mut planned.action {
            (company.country, company.region) = (Text::fit(country), Text::fit(region));
        }
    }
    plan
}

#[tokio::test]
async fn countries_and_states_go_by_code_where_the_org_has_picklists() {
    for (country, region, expected, missing) in [
        ("US", "California", [Some("US"), Some("United States"), Some("CA"), Some("California")], &[][..]),
        ("us", "ny", [Some("US"), Some("United States"), Some("NY"), Some("New York")], &[]),
        (
            "GB",
            "England",
            [Some("GB"), Some("United Kingdom"), None, None],
            &[("lead", "StateCode", "not_in_picklist")],
        ),
        // The code of a state of another country.
        ("BR", "AL", [Some("BR"), Some("Brazil"), Some("AL"), Some("Alagoas")], &[]),
        (
            "AU",
            "Western Australia",
            [Some("AU"), Some("Australia"), Some("WA"), Some("Western Australia")],
            &[],
        ),
        (
            "ZZ",
            "California",
            [None; 4],
            &[("lead", "StateCode", "partner_missing"), ("lead", "CountryCode", "not_in_picklist")],
        ),
    ] {
        let world = World::new().await;
        world.org(sandbox::salesforce::Org::switch_address_picklists_on);
        let plan = in_place(country, region);
        let changes = world.executor.preview(&plan.lead_id, &plan.actions).await.unwrap();
        assert!(changes.iter().any(|change| change.field == "CountryCode"));
        let effects = world.done(&plan).await;
        assert_eq!(left_out(&effects), missing, "{country} {region}");
        assert_eq!(place(&world.lead()), expected, "{country} {region}");
        assert_eq!(world.calls("/composite").len(), 3, "nothing was refused");
    }
}

#[tokio::test]
async fn a_state_goes_to_the_country_that_the_record_has() {
    let world = World::new().await;
    world.org(sandbox::salesforce::Org::switch_address_picklists_on);
    world.done(&in_place("IT", "")).await;
    // The country is written only where there is none: Cagliari has the code of California.
    let effects = world.done(&in_place("US", "California")).await;
    assert_eq!(left_out(&effects), [("lead", "StateCode", "not_in_picklist")]);
    assert_eq!(place(&world.lead())[2], None);
    world.done(&in_place("US", "CA")).await;
    assert_eq!(place(&world.lead()), [Some("IT"), Some("Italy"), Some("CA"), Some("Cagliari")]);
}

#[tokio::test]
async fn codes_that_we_may_not_see_cost_the_address_alone() {
    let world = World::new().await;
    let plan = in_place("US", "California");
    world.org(|org| org.row_faults.push(refused("FIELD_INTEGRITY_EXCEPTION", &["Country"], 1)));
    let effects = world.done(&plan).await;
    assert_eq!(left_out(&effects), [("lead", "State", "partner_missing"), ("lead", "Country", "refused")]);
    assert_eq!(world.lead()["City"], "Los Angeles");
}

#[tokio::test]
async fn an_integrity_error_without_a_name_costs_address_and_owner() {
    let world = World::new().await;
    world.org(|org| org.row_faults.push(refused("FIELD_INTEGRITY_EXCEPTION", &[], 1)));
    let effects = world.done(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(left_out(&effects), [("lead", "State", "refused"), ("lead", "Country", "refused")]);
}

#[tokio::test]
async fn the_doctor_hears_that_codes_are_written() {
    let world = World::new().await;
    world.org(sandbox::salesforce::Org::switch_address_picklists_on);
    world.executor.probe().await.unwrap();
    let account = world.executor.account().await.unwrap().unwrap();
    assert!(account.contains("Lead.CountryCode, Lead.StateCode"), "{account}");
    let problems = world.executor.schema_problems().await.unwrap();
    assert!(problems.is_empty(), "{problems:?}");
}

#[tokio::test]
async fn a_describe_of_many_megabytes_is_read() {
    let world = World::new().await;
    world.org(|org| org.describe_padding = 9 << 20);
    world.done(&suite_plan("ann", "CTO", 87)).await;
}

#[tokio::test]
async fn a_limit_on_calls_under_way_passes_in_seconds() {
    for limit in ["ConcurrentPerOrgLongTxn Limit exceeded.", "ConcurrentPerOrgApex Limit exceeded."] {
        let world = World::new().await;
        let error = json!([{ "errorCode": "REQUEST_LIMIT_EXCEEDED", "message": limit }]);
        world.fake.add_fault(Fault::on("/composite", Misbehaviour::answer(403, error)).after(1).times(1));
        world.done(&suite_plan("ann", "CTO", 87)).await;
    }
}

#[tokio::test]
async fn a_read_only_field_is_left_out_before_it_is_described() {
    let world = World::new().await;
    world.done(&suite_plan("ann", "CTO", 87)).await;
    world.org(|org| {
        let title = org.object_mut("Lead").unwrap().field_mut("Title").unwrap();
        *title = Field::new("Title", "string", 128).read_only();
    });
    let effects = world.done(&suite_plan("ann", "CEO", 61)).await;
    assert_eq!(left_out(&effects), [("lead", "Title", "refused")]);
    assert_eq!(world.lead()["RevenueFlow_Score__c"], 61.0);
}
