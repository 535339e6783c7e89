//! The same mistakes in every mapped property, limits in every time zone, waits of every kind.

use std::time::Duration;

use crm::testing::suite_plan;
use crm::{Executor as _, HubSpotCredentials, Object, Plan};
use lead::FailureClass;
use sandbox::hubspot::{Kind, PropertyChange, Record};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{Place, kind_of};

/// Kind and property of everything that the mapping writes, but for what records cannot be without.
fn mapped(place: &Place) -> Vec<(Kind, String)> {
    let objects = [Object::Lead, Object::Company, Object::Task, Object::Activity];
    let rules = objects.into_iter().flat_map(|object| {
        let rules = place.mapping.object(object).unwrap().rules().iter();
        rules.map(move |rule| (kind_of(object), rule.field().to_owned()))
    });
    let is_needed = |name: &str| matches!(name, "hs_timestamp" | "hubspot_owner_id" | "domain");
    rules.filter(|(_, name)| !is_needed(name)).collect()
}

/// Writes a person who is new, with an executor that has read the properties before `change` or after it.
async fn written_around(place: &Place, person: &str, is_known: bool, change: impl FnOnce()) -> Plan {
    let (crm, plan) = (place.executor(), suite_plan(person, "CTO", 87));
    if !is_known {
        crm.schema_problems().await.unwrap();
    }
    change();
    let results = crm.execute(&plan.lead_id, &plan.actions).await;
    let is_done = results.len() == plan.actions.len() && results.iter().all(Result::is_ok);
    assert!(is_done, "{person}, described: {is_known}: {results:?}");
    plan
}

/// The newest record of a kind.
fn newest(place: &Place, kind: Kind) -> Record {
    place.hubspot.records(kind).pop().unwrap()
}

#[tokio::test]
async fn read_only_property_costs_that_property_alone() {
    let place = Place::prepared().await;
    for (number, (kind, name)) in mapped(&place).into_iter().enumerate() {
        let change = |read_only| {
            let change = PropertyChange { read_only: Some(read_only), ..PropertyChange::default() };
            assert!(place.hubspot.change_property(kind, &name, change));
        };
        let person = format!("p{number}");
        written_around(&place, &person, number % 2 == 0, || change(true)).await;
        if kind != Kind::Company {
            assert_eq!(newest(&place, kind).get(&name), None, "{kind:?}.{name}");
        }
        let contact = newest(&place, Kind::Contact);
        assert!(name == "email" || contact.get("email").is_some(), "{kind:?}.{name}");
        change(false);
    }
}

#[tokio::test]
async fn hidden_property_costs_that_property_alone() {
    let place = Place::prepared().await;
    // One after the other, until none is left.
    for (number, (kind, name)) in mapped(&place).into_iter().enumerate() {
        let hide = || place.hubspot.undefine(kind, &name);
        written_around(&place, &format!("p{number}"), number % 2 == 0, hide).await;
        if kind != Kind::Company {
            assert_eq!(newest(&place, kind).get(&name), None, "{kind:?}.{name}");
        }
    }
}

#[tokio::test]
async fn property_that_takes_less_is_left_out_and_nothing_else_is() {
    let place = Place::prepared().await;
    for (number, (kind, name)) in mapped(&place).into_iter().enumerate() {
        let change = |max_length| {
            let change = PropertyChange { max_length: Some(max_length), ..PropertyChange::default() };
            assert!(place.hubspot.change_property(kind, &name, change));
        };
        written_around(&place, &format!("p{number}"), true, || change(1)).await;
        if matches!(name.as_str(), "email" | "phone" | "jobtitle" | "hs_task_subject" | "hs_note_body") {
            assert_eq!(
                newest(&place, kind).get(&name),
                None,
                "{kind:?}.{name} is never cut to one character"
            );
        }
        change(65_536);
    }
}

#[tokio::test]
async fn unknown_category_of_an_association_is_this_leads_alone() {
    let body = || {
        json!({
            "status": "COMPLETE", "results": [], "numErrors": 1,
            "errors": [{"status": "error", "category": "SOMETHING_NEW", "context": {"fromObjectId": ["1"]}}],
        })
    };
    for path in ["/tasks/contacts/batch/read", "/tasks/contacts/batch/associate/default"] {
        let place = Place::prepared().await;
        let guard = place.guard();
        guard.submit(&suite_plan("zoe", "CTO", 87)).await.unwrap();
        place.fault(Fault::on(path, Misbehaviour::answer(207, body())).times(1));
        let plan = suite_plan("ann", "CTO", 87);
        let submitted = guard.submit(&plan).await;
        if let Err(failure) = &submitted {
            assert_eq!(
                (failure.class, failure.code.as_ref()),
                (FailureClass::Transient, "crm_row_refused"),
                "{path}"
            );
        }
        place.fake.clear_faults();
        guard.submit(&suite_plan("bob", "CTO", 87)).await.unwrap();
        guard.submit(&plan).await.unwrap();
        place.assert_whole(&plan);
    }
}

#[tokio::test]
async fn unknown_refusal_that_names_a_property_costs_that_property() {
    let place = Place::prepared().await;
    let body = json!({
        "status": "error", "category": "SOMETHING_NEW", "message": "no",
        "errors": [{"code": "SOMETHING_NEW", "context": {"propertyName": ["jobtitle"]}}],
    });
    place.fault(Fault::on("/contacts/batch/upsert", Misbehaviour::answer(400, body)).times(1));
    let plan = written_around(&place, "ann", true, || ()).await;
    let contact = place.made(&plan, "upsert_lead");
    assert_eq!((contact.get("jobtitle"), contact.get("phone")), (None, Some("+1 555 0100")));
}

#[tokio::test]
async fn unknown_refusal_of_the_properties_makes_all_wait() {
    let place = Place::prepared().await;
    let body = json!({"status": "error", "category": "SOMETHING_NEW", "message": "no"});
    place.fault(Fault::on("/crm/properties/", Misbehaviour::answer(400, body)).times(1));
    let (crm, plan) = (place.executor(), suite_plan("ann", "CTO", 87));
    let failure = crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Deferral, "crm_request_refused"));
    assert!(crm.execute(&plan.lead_id, &plan.actions).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn wait_that_an_answer_asks_for_is_bounded() {
    for (asked, least, most) in [
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
        let place = Place::prepared().await;
        let (crm, plan) = (place.executor(), suite_plan("ann", "CTO", 87));
        crm.schema_problems().await.unwrap();
        let too_many = Misbehaviour::Answer {
            status: 429,
            headers: vec![("retry-after".to_owned(), asked.to_owned())],
            body: json!({"policyName": "TEN_SECONDLY_ROLLING"}),
        };
        place.fault(Fault::on("/batch/read", too_many));
        let failure = crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err();
        assert_eq!(
            (failure.class, failure.code.as_ref()),
            (FailureClass::Deferral, "crm_rate_limited"),
            "{asked}"
        );
        let wait = failure.retry_after.unwrap().as_secs();
        assert!((least..=most).contains(&wait), "{asked}: {wait} seconds");
    }
}

#[tokio::test]
async fn daily_limit_ends_at_midnight_in_every_zone() {
    // Nepal, Kiribati, Baker Island, UTC, Newfoundland: minutes from UTC. Then clocks that change at the limit.
    for (minutes, changed) in
        [(345, None), (840, None), (-720, None), (0, None), (-210, None), (-300, Some(-240)), (60, Some(120))]
    {
        let place = Place::prepared().await;
        place.hubspot.set(|settings| settings.utc_offset_minutes = minutes);
        let crm = place.executor();
        crm.schema_problems().await.unwrap();
        place.hubspot.set(|settings| settings.daily = 0);
        let plan = suite_plan("ann", "CTO", 87);
        let mut failure = crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err();
        if let Some(changed) = changed {
            let at = place.clock().now() + jiff::SignedDuration::from_mins(30);
            place.hubspot.set(|settings| settings.offset_change = Some((at, changed)));
        }
        // Asked again hourly at least, and let in within the hour after the limit ends.
        for hour in 0..25 {
            assert_eq!(failure.code, "crm_daily_quota", "{minutes}");
            let wait = failure.retry_after.unwrap();
            assert!(
                (Duration::from_secs(1)..=Duration::from_hours(1)).contains(&wait),
                "{minutes}: {wait:?}"
            );
            place.clock.advance(wait);
            if hour == 23 {
                place.hubspot.set(|settings| settings.daily = 1_000_000);
            }
            match crm.execute(&plan.lead_id, &plan.actions).await.remove(0) {
                Ok(_) => break,
                Err(again) => failure = again,
            }
        }
        place.hubspot.set(|settings| settings.daily = 1_000_000);
        place.clock.advance(Duration::from_hours(1));
        assert!(crm.execute(&plan.lead_id, &plan.actions).await.iter().all(Result::is_ok), "{minutes}");
        place.assert_whole(&plan);
    }
}

#[tokio::test]
async fn token_that_ends_at_any_call_costs_nothing() {
    let oauth = || HubSpotCredentials::OAuth {
        client_id: "sandbox-client".to_owned(),
        client_secret: "sandbox-client-secret".into(),
        refresh_token: Some("sandbox-refresh-token".into()),
    };
    let calls = {
        let place = Place::prepared().await;
        let (crm, plan) = (place.executor_with("2026-03", oauth()), suite_plan("ann", "CTO", 87));
        crm.schema_problems().await.unwrap();
        let before = place.fake.exchanges().len();
        assert!(crm.execute(&plan.lead_id, &plan.actions).await.iter().all(Result::is_ok));
        u32::try_from(place.fake.exchanges().len() - before).unwrap()
    };
    for nth in 0..calls {
        let place = Place::prepared().await;
        let (crm, plan) = (place.executor_with("2026-03", oauth()), suite_plan("ann", "CTO", 87));
        crm.schema_problems().await.unwrap();
        let ended = json!({"status": "error", "category": "EXPIRED_AUTHENTICATION", "message": "expired"});
        place.fault(Fault::on("/crm/", Misbehaviour::answer(401, ended)).after(nth).times(1));
        let results = crm.execute(&plan.lead_id, &plan.actions).await;
        assert!(results.iter().all(Result::is_ok), "call {nth}: {results:?}");
        place.assert_whole(&plan);
        assert_eq!(place.counts(), [1, 1, 1, 1, 0], "call {nth}");
    }
}

#[tokio::test]
async fn second_campaign_of_a_person_loses_nothing_of_the_first() {
    let place = Place::prepared().await;
    let guard = place.guard();
    let first = suite_plan("ann", "CTO", 87);
    guard.submit(&first).await.unwrap();
    let second = crate::people::in_campaign(&first, "g09-2");
    guard.submit(&second).await.unwrap();
    assert_eq!(
        place.counts(),
        [1, 1, 2, 3, 0],
        "a task and a note for each, and one that names the second campaign"
    );
    let notes = place.hubspot.records(Kind::Note);
    let naming =
        notes.iter().filter(|note| note.get("hs_note_body").is_some_and(|body| body.contains("g09-2")));
    assert_eq!(naming.count(), 1);
    assert_eq!(
        place.contact("ann@example.com").get("revenueflow_campaign"),
        Some("g09-2"),
        "the last one to write"
    );
    assert_eq!(place.contact("ann@example.com").get("revenueflow_id"), Some(first.lead_id.as_str()));
}
