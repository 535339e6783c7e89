//! Values, owners and fields that an org refuses: the rest of the record is written, and omitted fields are
//! reported.

use crm::parameters::LeadDetails;
use crm::testing::suite_plan;
use crm::{Action, Effect, Executor, LeftOut, Plan, Text};
use sandbox::salesforce::{Field, RowFault, ValidationRule};
use serde_json::{Value, json};

use crate::support::{OrgFixture, outcomes};

const INACTIVE: &str = "005000000000009AAA";
const ANN: &str = "005000000000001AAA";
const QUEUE: &str = "00G000000000001EAA";

fn plan(change: impl FnOnce(&mut LeadDetails)) -> Plan {
    let mut plan = suite_plan("ann", "CTO", 87);
    if let Action::UpsertLead(details) = &mut plan.actions[0].action {
        change(details);
    }
    plan
}

/// The suite's plan with an owner for the lead and the task.
fn owned_by(owner: &str) -> Plan {
    let mut plan = plan(|details| details.owner = Text::fit(owner));
    for planned in &mut plan.actions {
        if let Action::CreateTask(task) = &mut planned.action {
            task.owner = Text::fit(owner);
        }
    }
    plan
}

/// The object, name and reason of every omitted field.
fn left_out(effects: &[Effect]) -> Vec<(&'static str, &str, &'static str)> {
    let all = effects.iter().flat_map(|effect| &effect.left_out);
    all.map(|omission| (omission.object.as_str(), omission.field.as_str(), omission.reason.code())).collect()
}

fn refused(code: &str, fields: &[&str], times: u32) -> RowFault {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    RowFault { fields, ..RowFault::of("Lead", code, times) }
}

#[tokio::test]
async fn refused_fields_are_omitted_for_every_field_error_code() {
    for code in [
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "FIELD_FILTER_VALIDATION_EXCEPTION",
        "FIELD_INTEGRITY_EXCEPTION",
        "INVALID_EMAIL_ADDRESS",
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "NUMBER_OUTSIDE_VALID_RANGE",
        "STRING_TOO_LONG",
        "SOMETHING_NEW",
    ] {
        let fixture = OrgFixture::new().await;
        fixture.org(|org| org.row_faults.push(refused(code, &["Title", "NumberOfEmployees"], 1)));
        let effects = fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
        let expected = [("lead", "Title", "refused"), ("lead", "NumberOfEmployees", "refused")];
        assert_eq!(left_out(&effects), expected, "{code}");
        let lead = fixture.lead();
        assert_eq!((lead.get("Title"), &lead["Company"]), (None, &json!("Drop Table Ltd")), "{code}");
        assert_eq!(fixture.counts(), [1, 0, 2], "{code}");
    }
}

#[tokio::test]
async fn refused_name_falls_back_to_the_mapping_default() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| {
        org.validation_rules.push(ValidationRule {
            object: "Lead".to_owned(),
            field: "LastName".to_owned(),
            refused: json!("O'Brien"),
            message: "no".to_owned(),
        });
        org.row_faults.push(refused("FIELD_CUSTOM_VALIDATION_EXCEPTION", &["LastName"], 1));
    });
    let results = fixture.execute(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(outcomes(&results), ["done"; 6]);
    assert_eq!(fixture.lead()["LastName"], "[not provided]");
}

#[tokio::test]
async fn repeated_refusals_are_final_after_a_few_rounds() {
    for fields in [&["LastName"][..], &["WhoId"], &[]] {
        let fixture = OrgFixture::new().await;
        fixture.org(|org| org.row_faults.push(refused("STRING_TOO_LONG", fields, 100)));
        let results = fixture.execute(&suite_plan("ann", "CTO", 87)).await;
        assert_eq!(outcomes(&results)[0], "permanent crm_string_too_long", "{fields:?}");
        let sent = 100 - fixture.org(|org| org.row_faults[0].times);
        assert!(sent <= 6, "{sent} times");
    }
}

#[tokio::test]
async fn inactive_owner_is_omitted_and_reported() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| org.put_user(INACTIVE, false));
    let plan = owned_by(INACTIVE);
    let changes = fixture.executor.preview(&plan.lead_id, &plan.actions).await.unwrap();
    let previewed = changes.iter().filter(|change| change.left_out == Some(LeftOut::OwnerInactive)).count();
    let effects = fixture.execute_ok(&plan).await;
    let expected = [("lead", "OwnerId", "owner_inactive"), ("task", "OwnerId", "owner_inactive")];
    assert_eq!((left_out(&effects), previewed), (expected.to_vec(), 2));
    let sent =
        fixture.calls("/composite").iter().any(|call| call.json().to_string().contains("\"OwnerId\":"));
    assert!(!sent, "the owner is not sent");
}

#[tokio::test]
async fn owner_deactivated_after_lookup_is_omitted_when_refused() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| org.put_user(ANN, true));
    fixture.execute_ok(&owned_by(ANN)).await;
    fixture.org(|org| org.put_user(ANN, false));
    // The cached status of the owner is still valid.
    let mut plan = suite_plan("bob", "CTO", 87);
    if let Action::UpsertLead(details) = &mut plan.actions[0].action {
        details.owner = Text::fit(ANN);
    }
    let effects = fixture.execute_ok(&plan).await;
    assert_eq!(left_out(&effects), [("lead", "OwnerId", "owner_inactive")]);
}

#[tokio::test]
async fn queue_owns_only_the_objects_that_it_supports() {
    for (supports, expected) in [
        (&["Lead"][..], &[("task", "OwnerId", "owner_unsuitable")][..]),
        (&["Lead", "Task"], &[]),
        (&["Task"], &[("lead", "OwnerId", "owner_unsuitable")]),
    ] {
        let fixture = OrgFixture::new().await;
        fixture.org(|org| org.put_queue(QUEUE, supports));
        let effects = fixture.execute_ok(&owned_by(QUEUE)).await;
        assert_eq!(left_out(&effects), expected, "{supports:?}");
        let owns_lead = fixture.lead()["OwnerId"] == QUEUE;
        assert_eq!(owns_lead, supports.contains(&"Lead"));
    }
}

#[tokio::test]
async fn unknown_owner_is_omitted_and_looked_up_once() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| org.knows_all_users = true);
    let effects = fixture.execute_ok(&owned_by(ANN)).await;
    let expected = [("lead", "OwnerId", "owner_unsuitable"), ("task", "OwnerId", "owner_unsuitable")];
    assert_eq!(left_out(&effects), expected);
    fixture.execute_ok(&owned_by(ANN)).await;
    let lookups = fixture
        .calls("/composite")
        .iter()
        .filter(|call| call.json().to_string().contains("FROM%20User"))
        .count();
    assert_eq!(lookups, 1);
}

#[tokio::test]
async fn owner_is_written_if_the_org_hides_its_users() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| org.objects.retain(|object| object.name != "User"));
    fixture.execute_ok(&owned_by(ANN)).await;
    assert_eq!(fixture.lead()["OwnerId"], ANN);
}

/// The code and the integration value of the lead's country, and of its state.
fn address(lead: &Value) -> [Option<&str>; 4] {
    ["CountryCode", "Country", "StateCode", "State"].map(|field| lead[field].as_str())
}

/// The suite's plan with a country and region for the company.
fn in_region(country: &str, region: &str) -> Plan {
    let mut plan = suite_plan("ann", "CTO", 87);
    for planned in &mut plan.actions {
        if let Action::SyncFirmographics(company) = &mut planned.action {
            (company.country, company.region) = (Text::fit(country), Text::fit(region));
        }
    }
    plan
}

const SAO_PAULO: [Option<&str>; 4] = [Some("BR"), Some("Brazil"), Some("SP"), Some("São Paulo")];
const NO_STATE: &[(&str, &str, &str)] = &[("lead", "StateCode", "not_in_picklist")];

#[tokio::test]
async fn countries_and_states_are_written_as_codes_with_picklists() {
    for (country, region, expected, missing) in [
        ("US", "California", [Some("US"), Some("United States"), Some("CA"), Some("California")], &[][..]),
        ("us", "ny", [Some("US"), Some("United States"), Some("NY"), Some("New York")], &[]),
        ("GB", "England", [Some("GB"), Some("United Kingdom"), None, None], NO_STATE),
        // AL is also the code of a state in another country.
        ("BR", "AL", [Some("BR"), Some("Brazil"), Some("AL"), Some("Alagoas")], &[]),
        // A state is matched without accents, but not by a part of its name.
        ("BR", "São Paulo", SAO_PAULO, &[]),
        ("BR", "Sao Paulo", SAO_PAULO, &[]),
        ("br", "SA\u{303}O PAULO", SAO_PAULO, &[]),
        ("BR", "Sao", [Some("BR"), Some("Brazil"), None, None], NO_STATE),
        ("CA", "quebec", [Some("CA"), Some("Canada"), Some("QC"), Some("Québec")], &[]),
        ("CI", "Abidjan", [Some("CI"), Some("Côte d'Ivoire"), None, None], NO_STATE),
        ("DE", "Bayern", [Some("DE"), Some("Germany"), None, None], NO_STATE),
        ("", "California", [None; 4], &[("lead", "StateCode", "partner_missing")]),
        (
            "ZZ",
            "California",
            [None; 4],
            &[("lead", "StateCode", "partner_missing"), ("lead", "CountryCode", "not_in_picklist")],
        ),
    ] {
        let fixture = OrgFixture::new().await;
        fixture.org(sandbox::salesforce::Org::enable_address_picklists);
        let plan = in_region(country, region);
        let changes = fixture.executor.preview(&plan.lead_id, &plan.actions).await.unwrap();
        let is_previewed = changes.iter().any(|change| change.field == "CountryCode");
        assert_eq!(is_previewed, !country.is_empty(), "{country} {region}");
        let effects = fixture.execute_ok(&plan).await;
        assert_eq!(left_out(&effects), missing, "{country} {region}");
        let lead = fixture.lead();
        assert_eq!(
            (address(&lead), lead["City"].as_str()),
            (expected, Some("Los Angeles")),
            "{country} {region}"
        );
        assert_eq!(fixture.calls("/composite").len(), 2, "nothing was refused");
    }
}

#[tokio::test]
async fn state_is_matched_within_the_records_country() {
    let fixture = OrgFixture::new().await;
    fixture.org(sandbox::salesforce::Org::enable_address_picklists);
    fixture.execute_ok(&in_region("IT", "")).await;
    // The record keeps its country, Italy, in which CA is the code of Cagliari.
    let effects = fixture.execute_ok(&in_region("US", "California")).await;
    assert_eq!(left_out(&effects), [("lead", "StateCode", "not_in_picklist")]);
    assert_eq!(address(&fixture.lead())[2], None);
    fixture.execute_ok(&in_region("US", "CA")).await;
    assert_eq!(address(&fixture.lead()), [Some("IT"), Some("Italy"), Some("CA"), Some("Cagliari")]);
}

#[tokio::test]
async fn refused_country_omits_country_and_state_only() {
    let fixture = OrgFixture::new().await;
    let plan = in_region("US", "California");
    fixture.org(|org| org.row_faults.push(refused("FIELD_INTEGRITY_EXCEPTION", &["Country"], 1)));
    let effects = fixture.execute_ok(&plan).await;
    assert_eq!(left_out(&effects), [("lead", "State", "partner_missing"), ("lead", "Country", "refused")]);
    assert_eq!(fixture.lead()["City"], "Los Angeles");
}

#[tokio::test]
async fn integrity_error_without_fields_omits_country_and_state() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| org.row_faults.push(refused("FIELD_INTEGRITY_EXCEPTION", &[], 1)));
    let effects = fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    assert_eq!(left_out(&effects), [("lead", "State", "refused"), ("lead", "Country", "refused")]);
}

#[tokio::test]
async fn account_info_lists_the_address_code_fields() {
    let fixture = OrgFixture::new().await;
    fixture.org(sandbox::salesforce::Org::enable_address_picklists);
    fixture.executor.probe().await.unwrap();
    let account = fixture.executor.account().await.unwrap().unwrap();
    assert!(account.contains("Lead.CountryCode, Lead.StateCode"), "{account}");
    let problems = fixture.executor.schema_problems().await.unwrap();
    assert!(problems.is_empty(), "{problems:?}");
}

#[tokio::test]
async fn describe_of_several_megabytes_is_read() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| org.describe_padding = 9 << 20);
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
}

#[tokio::test]
async fn field_made_read_only_after_describe_is_omitted() {
    let fixture = OrgFixture::new().await;
    fixture.execute_ok(&suite_plan("ann", "CTO", 87)).await;
    fixture.org(|org| {
        let title = org.object_mut("Lead").unwrap().field_mut("Title").unwrap();
        *title = Field::new("Title", "string", 128).read_only();
    });
    let effects = fixture.execute_ok(&suite_plan("ann", "CEO", 61)).await;
    assert_eq!(left_out(&effects), [("lead", "Title", "refused")]);
    assert_eq!(fixture.lead()["RevenueFlow_Score__c"], 61.0);
}
