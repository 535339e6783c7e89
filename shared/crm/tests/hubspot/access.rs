//! Tokens, limits, and what a refusal does to a lead.

use std::sync::Arc;
use std::time::Duration;

use crm::testing::suite_plan;
use crm::{Executor as _, HubSpotCredentials};
use lead::{Clock as _, FailureClass, ManualClock};
use sandbox::hubspot::{HubSpot, Settings};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::Place;

fn oauth(refresh: bool, secret: &str) -> HubSpotCredentials {
    let settings = Settings::default();
    HubSpotCredentials::OAuth {
        client_id: settings.client_id,
        client_secret: secret.into(),
        refresh_token: refresh.then(|| settings.refresh_token.into()),
    }
}

/// How many tokens were asked for.
fn tokens(place: &Place) -> usize {
    place.fake.exchanges().iter().filter(|exchange| exchange.path.starts_with("/oauth/")).count()
}

#[tokio::test]
async fn an_oauth_token_is_replaced_before_it_expires() {
    for refresh in [true, false] {
        let place = Place::prepared().await;
        let crm = place.executor_with("2026-03", oauth(refresh, "sandbox-client-secret"));
        for (minutes, expected) in [(0, 1), (27, 1), (2, 2), (120, 3)] {
            place.clock.advance(Duration::from_mins(minutes));
            crm.probe().await.unwrap();
            assert_eq!(tokens(&place), expected, "after {minutes} minutes");
        }
        let refused = place.fake.exchanges().iter().filter(|e| e.status.is_some_and(|s| s == 401)).count();
        assert_eq!(refused, 0, "no request was sent with a token that had expired");
    }
}

#[tokio::test]
async fn a_token_that_expires_in_the_middle_of_a_plan_is_replaced_once() {
    let place = Place::prepared().await;
    let crm = place.executor_with("2026-03", oauth(true, "sandbox-client-secret"));
    crm.probe().await.unwrap();
    place.hubspot.expire_tokens();
    let plan = suite_plan("ann", "CTO", 87);
    let results = crm.execute(&plan.lead_id, &plan.actions).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    place.assert_whole(&plan);
    assert_eq!(tokens(&place), 2);
}

#[tokio::test]
async fn refused_credentials_make_every_lead_wait() {
    let place = Place::prepared().await;
    let plan = suite_plan("ann", "CTO", 87);
    for credentials in
        [HubSpotCredentials::PrivateApp("revoked".into()), oauth(false, "wrong"), oauth(true, "wrong")]
    {
        let crm = place.executor_with("2026-03", credentials);
        let failure = crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err();
        assert_eq!(
            (failure.class, failure.code.as_ref()),
            (FailureClass::Deferral, "crm_credentials_refused")
        );
        assert_eq!(failure.dependency.unwrap().as_str(), "crm.hubspot");
        assert_eq!(crm.probe().await.unwrap_err().code, "crm_credentials_refused");
    }
    assert_eq!(place.counts(), [0; 5]);
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let place = Place::prepared().await;
    let body = json!({
        "status": "error", "category": "MISSING_SCOPES", "message": "This app hasn't been granted all scopes",
        "errors": [{"context": {"requiredGranularScopes": ["crm.objects.companies.write"]}}],
    });
    place.fault(Fault::on("/companies/batch/upsert", Misbehaviour::answer(403, body)));
    let plan = suite_plan("ann", "CTO", 87);
    let failure = place.executor().execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err();
    assert_eq!(failure.code, "crm_credentials_refused");
    assert!(failure.message.contains("crm.objects.companies.write"), "{failure}");
}

#[tokio::test]
async fn a_burst_limit_makes_leads_wait_for_its_window_and_no_longer() {
    let place = Place::prepared().await;
    place.clock.advance(Duration::from_secs(10));
    place.hubspot.set(|settings| settings.burst = 3);
    let crm = place.executor();
    let plan = suite_plan("ann", "CTO", 87);
    let mut waits = 0;
    for _ in 0..100 {
        let asked = place.fake.exchanges().len();
        let results = crm.execute(&plan.lead_id, &plan.actions).await;
        let Some(failure) = results.iter().find_map(|result| result.as_ref().err()) else { break };
        assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Deferral, "crm_rate_limited"));
        waits += 1;
        // Until the window is over nobody asks again.
        assert!(crm.probe().await.is_err());
        let between = place.fake.exchanges().len();
        assert!(between > asked, "the limit was met by asking");
        assert_eq!(
            crm.execute(&plan.lead_id, &plan.actions).await[0].as_ref().unwrap_err().code,
            "crm_rate_limited"
        );
        assert_eq!(place.fake.exchanges().len(), between);
        place.clock.advance(failure.retry_after.unwrap());
        place.hubspot.set(|settings| settings.burst += 3);
    }
    assert!(waits > 1);
    place.assert_whole(&plan);
    assert_eq!(place.counts(), [1, 1, 1, 1, 0]);
}

/// Until the account lets us in again, asking whenever a wait is over. Gives the number of times it was asked.
async fn asked_until_let_in(place: &Place, crm: &crm::HubSpotCrm) -> u32 {
    for asked in 1..60 {
        match crm.probe().await {
            Ok(()) => return asked,
            Err(failure) => {
                assert_eq!(
                    (failure.class, failure.code.as_ref()),
                    (FailureClass::Deferral, "crm_daily_quota")
                );
                let wait = failure.retry_after.unwrap();
                assert!(wait <= Duration::from_hours(1), "a probe is cheap: {wait:?}");
                place.clock.advance(wait);
            }
        }
    }
    panic!("the quota is never over");
}

/// In seconds. It is midnight in UTC when a test begins.
fn waited_since_midnight(place: &Place) -> i64 {
    place.clock.now().as_second().rem_euclid(86_400)
}

/// Uses up the calls of the day.
fn use_up(place: &Place) {
    let answered = place.fake.exchanges().iter().filter(|exchange| exchange.fault.is_none()).count();
    place.hubspot.set(|settings| settings.daily = answered);
}

#[tokio::test]
async fn daily_limit_is_asked_about_hourly_until_the_accounts_midnight() {
    let place = Place::prepared().await;
    let crm = place.executor();
    crm.facts(&about()).await.unwrap();
    // It is midnight in UTC; the account is five hours behind.
    use_up(&place);
    let plan = suite_plan("ann", "CTO", 87);
    let failure = crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Deferral, "crm_daily_quota"));
    let before = place.fake.exchanges().len();
    assert!(crm.probe().await.is_err(), "it is not asked again before");
    assert_eq!(place.fake.exchanges().len(), before);
    assert_eq!(asked_until_let_in(&place, &crm).await, 6, "one of them before any wait is over");
    let waited = waited_since_midnight(&place);
    assert!((5 * 3600..=5 * 3600 + 60).contains(&waited), "{waited} seconds");
    assert!(crm.execute(&plan.lead_id, &plan.actions).await.iter().all(Result::is_ok));
    place.assert_whole(&plan);
}

#[tokio::test]
async fn unknown_or_stale_offset_costs_no_day() {
    // The account details fail at first, or the clocks change while the quota is used up.
    for (fails, change) in [(true, None), (false, Some(-4)), (false, Some(-6)), (true, Some(-6))] {
        let place = Place::prepared().await;
        if fails {
            let busy = Misbehaviour::answer(500, json!({"status": "error"}));
            place.fault(Fault::on("/account-info/", busy).times(3));
        }
        let crm = place.executor();
        crm.facts(&about()).await.unwrap();
        if let Some(hours) = change {
            let at = place.clock.now() + jiff::SignedDuration::from_hours(2);
            place.hubspot.set(|settings| settings.offset_change = Some((at, hours * 60)));
        }
        use_up(&place);
        asked_until_let_in(&place, &crm).await;
        let (reset, waited) = (-change.unwrap_or(-5) * 3600, waited_since_midnight(&place));
        assert!((reset..reset + 3600 + 120).contains(&waited), "{fails} {change:?}: {waited} seconds");
    }
}

#[tokio::test]
async fn a_limit_that_is_over_in_a_moment_is_waited_for_with_the_plan_in_hand() {
    let place = Place::prepared().await;
    let too_many = |wait: &str| Misbehaviour::Answer {
        status: 429,
        headers: vec![("retry-after".to_owned(), wait.to_owned())],
        body: json!({"policyName": "SECONDLY"}),
    };
    let in_a_second = Misbehaviour::answer(429, json!({"policyName": "SECONDLY"}));
    place.fault(Fault::on("/companies/search", in_a_second).times(1));
    place.fault(Fault::on("/contacts/batch/upsert", too_many("0")).times(3));
    let (crm, plan) = (place.executor(), suite_plan("ann", "CTO", 87));
    assert!(crm.execute(&plan.lead_id, &plan.actions).await.iter().all(Result::is_ok));
    place.assert_whole(&plan);

    // One that stays is for the queue to wait for.
    place.fault(Fault::on("/contacts/batch/read", too_many("0")).times(4));
    let failure = crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Deferral, "crm_rate_limited"));
}

#[tokio::test]
async fn more_searches_than_the_account_takes_in_a_second_all_find_what_they_look_for() {
    let place = Place::of(HubSpot::prepared(), ManualClock::default()).await;
    let crm = Arc::new(place.executor());
    let mut asked = JoinSet::new();
    for number in 0..12 {
        let about = crm::About { company_domain: Some(format!("company-{number}.example")), ..about() };
        let crm = Arc::clone(&crm);
        asked.spawn(async move { crm.facts(&about).await });
    }
    let known = asked.join_all().await;
    assert!(known.iter().all(Result::is_ok), "{known:?}");
    let exchanges = place.fake.exchanges();
    let searches = exchanges.iter().filter(|exchange| exchange.path.ends_with("/search"));
    assert_eq!(searches.filter(|exchange| exchange.status.is_some_and(|status| status == 200)).count(), 12);
}

#[tokio::test]
async fn a_call_without_an_answer_is_made_again_at_once_and_not_for_ever() {
    let place = Place::prepared().await;
    let (crm, plan) = (place.executor(), suite_plan("ann", "CTO", 87));
    for (path, way) in [
        ("/batch/read", Misbehaviour::Refuse),
        ("/search", Misbehaviour::answer(502, json!("<html>"))),
        ("/contacts/batch/upsert", Misbehaviour::LoseReply),
        ("/tasks/batch/upsert", Misbehaviour::answer(423, json!({"category": "LOCKED"}))),
    ] {
        place.fault(Fault::on(path, way).times(2));
    }
    assert!(crm.execute(&plan.lead_id, &plan.actions).await.iter().all(Result::is_ok));
    place.assert_whole(&plan);
    assert_eq!(place.counts(), [1, 1, 1, 1, 0]);

    place.fault(Fault::on("/contacts/batch/read", Misbehaviour::Refuse).times(3));
    let failure = crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Transient, "http_reply_lost"));
}

/// `docs/hubspot.md` has these numbers.
#[tokio::test]
async fn a_lead_costs_so_many_calls() {
    let place = Place::prepared().await;
    let (crm, plan) = (place.executor(), suite_plan("ann", "CTO", 87));
    crm.schema_problems().await.unwrap();
    let about = crm::About { company_domain: Some("example.com".to_owned()), ..about() };
    let mut counts = Vec::new();
    for _ in ["new", "unchanged"] {
        let mut before = place.fake.exchanges().len();
        let mut calls = || {
            let after = place.fake.exchanges().len();
            after - std::mem::replace(&mut before, after)
        };
        crm.facts(&about).await.unwrap();
        let facts = calls();
        crm.preview(&plan.lead_id, &plan.actions).await.unwrap();
        let old_values = calls();
        assert!(crm.execute(&plan.lead_id, &plan.actions).await.iter().all(Result::is_ok));
        counts.push([facts, old_values, calls()]);
    }
    assert_eq!(counts, [[4, 8, 15], [4, 7, 8]]);
}

fn about() -> crm::About {
    let plan = suite_plan("nobody", "CTO", 1);
    crm::About {
        lead_id: plan.lead_id,
        email: lead::EmailAddress::parse("nobody@example.com").unwrap(),
        company_domain: None,
    }
}
