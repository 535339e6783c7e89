//! Every mapped property in every unsuitable form, daily quotas in several time zones, and waits of every
//! form.

use std::time::Duration;

use crm::testing::{execute_ok, named, suite_plan};
use crm::{Executor as _, HubSpotCredentials, Object, Plan};
use sandbox::hubspot::{Kind, PropertyChange, Record};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{AccountFixture, kind_of};

/// The kind and name of every property that the mapping writes, except for those that records require.
fn mapped_properties(fixture: &AccountFixture) -> Vec<(Kind, String)> {
    let objects = [Object::Lead, Object::Company, Object::Task, Object::Activity];
    let rules = objects.into_iter().flat_map(|object| {
        let rules = fixture.mapping.object(object).unwrap().rules().iter();
        rules.map(move |rule| (kind_of(object), rule.field().to_owned()))
    });
    let is_required = |name: &str| matches!(name, "hs_timestamp" | "hubspot_owner_id" | "domain");
    rules.filter(|(_, name)| !is_required(name)).collect()
}

/// Writes a new person with an executor that reads the properties after `change` (`is_known`) or before it.
async fn write_around_change(
    fixture: &AccountFixture,
    person: &str,
    is_known: bool,
    change: impl FnOnce(),
) -> Plan {
    let (crm, plan) = (fixture.executor(), suite_plan(person, "CTO", 87));
    if !is_known {
        crm.schema_problems().await.unwrap();
    }
    change();
    let results = crm.execute(&plan.lead_id, &plan.actions).await;
    let all_ok = results.len() == plan.actions.len() && results.iter().all(Result::is_ok);
    assert!(all_ok, "{person}, described: {is_known}: {results:?}");
    plan
}

/// The newest record of a kind.
fn newest(fixture: &AccountFixture, kind: Kind) -> Record {
    fixture.hubspot.records(kind).pop().unwrap()
}

#[tokio::test]
async fn refused_property_is_omitted_alone() {
    type Refuse = fn(&AccountFixture, Kind, &str);
    let refusals: [(&str, Refuse); 3] = [
        ("read-only", |fixture, kind, name| {
            let change = PropertyChange { read_only: Some(true), ..PropertyChange::default() };
            assert!(fixture.hubspot.change_property(kind, name, change));
        }),
        ("shortened", |fixture, kind, name| {
            let change = PropertyChange { max_length: Some(1), ..PropertyChange::default() };
            assert!(fixture.hubspot.change_property(kind, name, change));
        }),
        // The properties stay hidden, so that none is left at the end.
        ("hidden", |fixture, kind, name| fixture.hubspot.undefine(kind, name)),
    ];
    let fixture = AccountFixture::prepared().await;
    for (how, refuse) in refusals {
        for (number, (kind, name)) in mapped_properties(&fixture).into_iter().enumerate() {
            let (person, is_known) = (format!("{how}{number}"), how == "shortened" || number % 2 == 0);
            write_around_change(&fixture, &person, is_known, || refuse(&fixture, kind, &name)).await;
            // Only texts are certain to be longer than a character.
            let texts = ["email", "phone", "jobtitle", "hs_task_subject", "hs_note_body"];
            if kind != Kind::Company && (how != "shortened" || texts.contains(&name.as_str())) {
                assert_eq!(newest(&fixture, kind).get(&name), None, "{how}: {kind:?}.{name}");
            }
            let contact = newest(&fixture, Kind::Contact);
            assert!(how == "hidden" || name == "email" || contact.get("email").is_some(), "{kind:?}.{name}");
            let restored = PropertyChange { read_only: Some(false), max_length: Some(65_536), options: None };
            fixture.hubspot.change_property(kind, &name, restored);
        }
    }
}

#[tokio::test]
async fn unknown_association_error_is_a_record_level_error() {
    let body = || {
        json!({
            "status": "COMPLETE", "results": [], "numErrors": 1,
            "errors": [{"status": "error", "category": "SOMETHING_NEW", "context": {"fromObjectId": ["1"]}}],
        })
    };
    for path in ["/tasks/contacts/batch/read", "/tasks/contacts/batch/associate/default"] {
        let fixture = AccountFixture::prepared().await;
        let guard = fixture.guard();
        guard.submit_normal(&suite_plan("zoe", "CTO", 87)).await.unwrap();
        fixture.fault(Fault::on(path, Misbehaviour::answer(207, body())).times(1));
        let plan = suite_plan("ann", "CTO", 87);
        let submitted = guard.submit_normal(&plan).await;
        if let Err(failure) = &submitted {
            assert_eq!(named(failure), "transient crm_row_refused", "{path}");
        }
        fixture.fake.clear_faults();
        guard.submit_normal(&suite_plan("bob", "CTO", 87)).await.unwrap();
        guard.submit_normal(&plan).await.unwrap();
        fixture.assert_complete(&plan);
    }
}

#[tokio::test]
async fn unknown_refusal_that_names_a_property_omits_it() {
    let fixture = AccountFixture::prepared().await;
    let body = json!({
        "status": "error", "category": "SOMETHING_NEW", "message": "no",
        "errors": [{"code": "SOMETHING_NEW", "context": {"propertyName": ["jobtitle"]}}],
    });
    fixture.fault(Fault::on("/contacts/batch/create", Misbehaviour::answer(400, body)).times(1));
    let plan = write_around_change(&fixture, "ann", true, || ()).await;
    let contact = fixture.record_of(&plan, "upsert_lead");
    assert_eq!((contact.get("jobtitle"), contact.get("phone")), (None, Some("+1 555 0100")));
}

#[tokio::test]
async fn unknown_refusal_of_the_properties_defers_all_leads() {
    let fixture = AccountFixture::prepared().await;
    let body = json!({"status": "error", "category": "SOMETHING_NEW", "message": "no"});
    fixture.fault(Fault::on("/crm/properties/", Misbehaviour::answer(400, body)).times(1));
    let (crm, plan) = (fixture.executor(), suite_plan("ann", "CTO", 87));
    assert_eq!(
        named(&crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err()),
        "deferral crm_request_refused"
    );
    execute_ok(&crm, &plan).await;
}

#[tokio::test]
async fn requested_wait_is_bounded() {
    for (requested, least, most) in [
        ("120", 120, 120),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 600, 600),
        ("99999999999999999999", 1, 600),
        ("1e300", 1, 600),
        ("86400", 600, 600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1, 1),
        ("0", 1, 1),
        ("-5", 10, 10),
        ("soon", 10, 10),
    ] {
        let fixture = AccountFixture::prepared().await;
        let (crm, plan) = (fixture.executor(), suite_plan("ann", "CTO", 87));
        crm.schema_problems().await.unwrap();
        let too_many = Misbehaviour::Answer {
            status: 429,
            headers: vec![("retry-after".to_owned(), requested.to_owned())],
            body: json!({"policyName": "TEN_SECONDLY_ROLLING"}),
        };
        fixture.fault(Fault::on("/batch/read", too_many));
        let failure = crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err();
        assert_eq!(named(&failure), "deferral crm_rate_limited", "{requested}");
        let wait = failure.retry_after().unwrap().as_secs();
        assert!((least..=most).contains(&wait), "{requested}: {wait} seconds");
    }
}

#[tokio::test]
async fn daily_quota_ends_at_midnight_in_every_time_zone() {
    // UTC offsets in minutes: Nepal, Kiribati, Baker Island, UTC, Newfoundland. Then two offsets that change
    // while the quota is used up.
    for (minutes, changed) in
        [(345, None), (840, None), (-720, None), (0, None), (-210, None), (-300, Some(-240)), (60, Some(120))]
    {
        let fixture = AccountFixture::prepared().await;
        fixture.hubspot.set(|settings| settings.utc_offset_minutes = minutes);
        let crm = fixture.executor();
        crm.schema_problems().await.unwrap();
        fixture.hubspot.set(|settings| settings.daily = 0);
        let plan = suite_plan("ann", "CTO", 87);
        let mut failure = crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err();
        if let Some(changed) = changed {
            let at = fixture.clock().now() + jiff::SignedDuration::from_mins(30);
            fixture.hubspot.set(|settings| settings.offset_change = Some((at, changed)));
        }
        // The account is probed at least hourly, and accepts calls within an hour after the quota is reset.
        for hour in 0..25 {
            assert_eq!(failure.code, "crm_daily_quota", "{minutes}");
            let wait = failure.retry_after().unwrap();
            assert!(
                (Duration::from_secs(1)..=Duration::from_hours(1)).contains(&wait),
                "{minutes}: {wait:?}"
            );
            fixture.clock.advance(wait);
            if hour == 23 {
                fixture.hubspot.set(|settings| settings.daily = 1_000_000);
            }
            match crm.execute(&plan.lead_id, &plan.actions).await.remove(0) {
                Ok(_) => break,
                Err(again) => failure = again,
            }
        }
        fixture.hubspot.set(|settings| settings.daily = 1_000_000);
        fixture.clock.advance(Duration::from_hours(1));
        execute_ok(&crm, &plan).await;
        fixture.assert_complete(&plan);
    }
}

#[tokio::test]
async fn token_may_expire_at_any_call() {
    let oauth = || HubSpotCredentials::OAuth {
        client_id: "sandbox-client".to_owned(),
        client_secret: "sandbox-client-secret".into(),
        refresh_token: Some("sandbox-refresh-token".into()),
    };
    let calls = {
        let fixture = AccountFixture::prepared().await;
        let (crm, plan) = (fixture.executor_with("2026-03", oauth()), suite_plan("ann", "CTO", 87));
        crm.schema_problems().await.unwrap();
        let before = fixture.fake.exchanges().len();
        execute_ok(&crm, &plan).await;
        u32::try_from(fixture.fake.exchanges().len() - before).unwrap()
    };
    for nth in 0..calls {
        let fixture = AccountFixture::prepared().await;
        let (crm, plan) = (fixture.executor_with("2026-03", oauth()), suite_plan("ann", "CTO", 87));
        crm.schema_problems().await.unwrap();
        let ended = json!({"status": "error", "category": "EXPIRED_AUTHENTICATION", "message": "expired"});
        fixture.fault(Fault::on("/crm/", Misbehaviour::answer(401, ended)).after(nth).times(1));
        let results = crm.execute(&plan.lead_id, &plan.actions).await;
        assert!(results.iter().all(Result::is_ok), "call {nth}: {results:?}");
        fixture.assert_complete(&plan);
        assert_eq!(fixture.counts(), [1, 1, 1, 1, 0], "call {nth}");
    }
}
