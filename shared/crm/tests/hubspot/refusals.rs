//! Refused records and properties: their effect on the lead, and the absence of effects on other leads.

use std::time::Duration;

use crm::testing::{named, suite_plan};
use crm::{Executor as _, LeftOut, OwnerStatus, Plan};
use lead::FailureClass;
use sandbox::hubspot::{HubSpot, Kind, PropertyChange};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::AccountFixture;

fn refused_row(path: &str) -> Fault {
    Fault::on(path, Misbehaviour::Row { code: "SOME_NEW_CATEGORY".to_owned(), skip: 0 })
}

#[tokio::test]
async fn unknown_row_category_is_a_transient_record_level_error() {
    for path in
        ["/contacts/batch/create", "/companies/batch/upsert", "/tasks/batch/create", "/notes/batch/create"]
    {
        let fixture = AccountFixture::prepared().await;
        let guard = fixture.guard();
        let bad = suite_plan("ann", "CTO", 87);
        for attempt in 1..=6 {
            fixture.fault(refused_row(path).times(1));
            let failure = guard.submit_normal(&bad).await.unwrap_err();
            assert_eq!(failure.class(), FailureClass::Transient, "{path}, attempt {attempt}: {failure}");
            assert_eq!(failure.code, "crm_row_refused", "{path}, attempt {attempt}");
            assert!(failure.message.contains("SOME_NEW_CATEGORY"), "{failure}");
            fixture.fake.clear_faults();
        }
        let good = suite_plan("bob", "CTO", 87);
        guard.submit_normal(&good).await.unwrap();
        fixture.assert_complete(&good);
        guard.submit_normal(&bad).await.unwrap();
        fixture.assert_complete(&bad);
    }
}

#[tokio::test]
async fn unknown_category_of_an_update_is_record_level() {
    let fixture = AccountFixture::prepared().await;
    let guard = fixture.guard();
    guard.submit_normal(&suite_plan("ann", "CTO", 87)).await.unwrap();
    let revision = suite_plan("ann", "CEO", 61);
    for _ in 0..6 {
        fixture.fault(refused_row("/contacts/batch/update").times(1));
        assert_eq!(guard.submit_normal(&revision).await.unwrap_err().code, "crm_row_refused");
    }
    guard.submit_normal(&suite_plan("bob", "CTO", 87)).await.unwrap();
    guard.submit_normal(&revision).await.unwrap();
}

/// The suite's plan with an owner for the lead and the task.
fn owned_by(owner: &str) -> Plan {
    let plan = suite_plan("ann", "CTO", 87);
    let actions = plan.actions.iter().map(|planned| match planned.action.clone() {
        crm::Action::UpsertLead(mut details) => {
            details.owner = crm::Text::fit(owner);
            crm::Action::UpsertLead(details)
        }
        crm::Action::CreateTask(mut task) => {
            task.owner = crm::Text::fit(owner);
            crm::Action::CreateTask(task)
        }
        other => other,
    });
    crate::support::with_actions(&plan, actions.collect())
}

#[tokio::test]
async fn unsuitable_owner_is_omitted() {
    let scope = || {
        let body = json!({"status": "error", "category": "MISSING_SCOPES", "message": "a scope is missing"});
        Fault::on("/crm/owners/", Misbehaviour::answer(403, body))
    };
    for (owner, alone, hidden, reason) in [
        ("72", false, false, LeftOut::OwnerInactive),
        ("73", false, false, LeftOut::OwnerUnsuitable),
        ("73", true, false, LeftOut::OwnerUnsuitable),
        ("72", false, true, LeftOut::OwnerUnsuitable),
        ("not an id", false, false, LeftOut::OwnerUnsuitable),
    ] {
        let fixture = AccountFixture::prepared().await;
        fixture.hubspot.set(|settings| {
            settings.archived_owners.push("72".to_owned());
            settings.invalid_inputs_fail_alone = alone;
        });
        if hidden {
            fixture.fault(scope());
        }
        let plan = owned_by(owner);
        let results = fixture.executor().execute(&plan.lead_id, &plan.actions).await;
        assert!(results.iter().all(Result::is_ok), "{owner}: {results:?}");
        fixture.assert_complete(&plan);
        assert_eq!(fixture.record_of(&plan, "upsert_lead").get("hubspot_owner_id"), None);
        assert_eq!(fixture.record_of(&plan, "create_task").get("hubspot_owner_id"), None);
        assert_eq!(fixture.counts(), [1, 1, 1, 1, 0]);
        let left_out = |index: usize| results[index].as_ref().unwrap().left_out.clone();
        for (index, source) in [(0, "lead.owner"), (4, "task.owner")] {
            let [omission] = &left_out(index)[..] else { panic!("{:?}", left_out(index)) };
            assert_eq!((omission.source.as_str(), omission.reason), (source, reason), "{owner}");
        }
        assert_eq!(left_out(2), [], "each action reports its own fields");
    }
    let fixture = AccountFixture::prepared().await;
    let plan = owned_by(HubSpot::OWNER);
    fixture.executor().execute(&plan.lead_id, &plan.actions).await;
    assert_eq!(fixture.record_of(&plan, "upsert_lead").get("hubspot_owner_id"), Some(HubSpot::OWNER));
}

#[tokio::test]
async fn owners_are_looked_up_and_cached() {
    let fixture = AccountFixture::prepared().await;
    fixture.hubspot.set(|settings| settings.archived_owners.push("72".to_owned()));
    let crm = fixture.executor();
    let ids = [HubSpot::OWNER, "72", "73", "Ann"].map(str::to_owned);
    let statuses = crm.owners(&ids).await;
    let of = |id: &str| statuses.get(id).copied();
    assert_eq!(of(HubSpot::OWNER), Some(OwnerStatus::Active));
    assert_eq!(of("72"), Some(OwnerStatus::Inactive));
    assert_eq!((of("73"), of("Ann")), (Some(OwnerStatus::Unknown), None));
    let before = fixture.fake.exchanges().len();
    assert_eq!(crm.owners(&ids).await, statuses);
    assert_eq!(fixture.fake.exchanges().len(), before);
    fixture.clock.advance(Duration::from_mins(5));
    crm.owners(&ids).await;
    assert!(fixture.fake.exchanges().len() > before, "the cached status has expired");
}

#[tokio::test]
async fn each_kind_of_refused_property_is_omitted() {
    type Change = fn(&AccountFixture);
    let undefine: Change = |fixture| fixture.hubspot.undefine(Kind::Contact, "revenueflow_campaign");
    let changes: [(&str, Change); 4] = [
        ("revenueflow_campaign", undefine),
        ("revenueflow_campaign", |fixture| {
            let change = PropertyChange { read_only: Some(true), ..PropertyChange::default() };
            assert!(fixture.hubspot.change_property(Kind::Contact, "revenueflow_campaign", change));
        }),
        ("hs_lead_status", |fixture| {
            let change =
                PropertyChange { options: Some(vec!["HOT".to_owned()]), ..PropertyChange::default() };
            assert!(fixture.hubspot.change_property(Kind::Contact, "hs_lead_status", change));
        }),
        ("jobtitle", |fixture| {
            let change = PropertyChange { max_length: Some(2), ..PropertyChange::default() };
            assert!(fixture.hubspot.change_property(Kind::Contact, "jobtitle", change));
        }),
    ];
    for (property, change) in changes {
        let fixture = AccountFixture::prepared().await;
        let crm = fixture.executor();
        // The properties are read before the administrator changes them.
        crm.schema_problems().await.unwrap();
        change(&fixture);
        let plan = suite_plan("ann", "CTO", 87);
        let results = crm.execute(&plan.lead_id, &plan.actions).await;
        assert!(results.iter().all(Result::is_ok), "{property}: {results:?}");
        let contact = fixture.record_of(&plan, "upsert_lead");
        assert_eq!(contact.get(property), None);
        let fields = results.iter().flatten().flat_map(|effect| &effect.left_out);
        let fields: Vec<&str> = fields.map(|omission| omission.field.as_str()).collect();
        assert_eq!(fields, [property], "the omitted property is reported");
        assert_eq!((contact.get("email"), contact.get("firstname")), (Some("ann@example.com"), Some("ann")));
        assert_eq!(fixture.counts(), [1, 1, 1, 1, 0]);
    }
}

#[tokio::test]
async fn repeated_refusals_of_a_record_end_after_a_few_rounds() {
    let fixture = AccountFixture::prepared().await;
    // The refusal names the same property for every request.
    let body = json!({
        "status": "error", "category": "VALIDATION_ERROR",
        "errors": [{"code": "INVALID_OPTION", "context": {"propertyName": ["hs_lead_status"]}}],
    });
    fixture.fault(Fault::on("/contacts/batch/create", Misbehaviour::answer(400, body)));
    let plan = suite_plan("ann", "CTO", 87);
    let before = fixture.fake.exchanges().len();
    let results = fixture.executor().execute(&plan.lead_id, &plan.actions).await;
    let failure = results[0].clone().unwrap_err();
    assert_eq!(named(&failure), "permanent crm_values_refused");
    assert!(failure.message.contains("hs_lead_status"), "{failure}");
    let exchanges = fixture.fake.exchanges();
    let writes =
        exchanges[before..].iter().filter(|exchange| exchange.path.contains("/contacts/batch/create"));
    assert!(writes.count() <= 12);
}
