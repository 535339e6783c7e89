//! Tokens, rate limits, quotas and retries.

use std::sync::Arc;
use std::time::Duration;

use crm::testing::{execute_ok, named, suite_plan};
use crm::{Executor as _, HubSpotCredentials};
use lead::{Clock as _, ManualClock};
use sandbox::hubspot::{HubSpot, Settings};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::AccountFixture;

fn oauth(refresh: bool, secret: &str) -> HubSpotCredentials {
    let settings = Settings::default();
    HubSpotCredentials::OAuth {
        client_id: settings.client_id,
        client_secret: secret.into(),
        refresh_token: refresh.then(|| settings.refresh_token.into()),
    }
}

/// The number of token requests.
fn token_requests(fixture: &AccountFixture) -> usize {
    fixture.fake.exchanges().iter().filter(|exchange| exchange.path.starts_with("/oauth/")).count()
}

#[tokio::test]
async fn oauth_token_is_replaced_before_it_expires() {
    for refresh in [true, false] {
        let fixture = AccountFixture::prepared().await;
        let crm = fixture.executor_with("2026-03", oauth(refresh, "sandbox-client-secret"));
        for (minutes, expected) in [(0, 1), (27, 1), (2, 2), (120, 3)] {
            fixture.clock.advance(Duration::from_mins(minutes));
            crm.probe().await.unwrap();
            assert_eq!(token_requests(&fixture), expected, "after {minutes} minutes");
        }
        let refused = fixture.fake.exchanges().iter().filter(|e| e.status.is_some_and(|s| s == 401)).count();
        assert_eq!(refused, 0, "no request was sent with a token that had expired");
    }
}

#[tokio::test]
async fn token_that_expires_during_a_plan_is_replaced_once() {
    let fixture = AccountFixture::prepared().await;
    let crm = fixture.executor_with("2026-03", oauth(true, "sandbox-client-secret"));
    crm.probe().await.unwrap();
    fixture.hubspot.expire_tokens();
    let plan = suite_plan("ann", "CTO", 87);
    execute_ok(&crm, &plan).await;
    fixture.assert_complete(&plan);
    assert_eq!(token_requests(&fixture), 2);
}

#[tokio::test]
async fn refused_credentials_defer_all_leads() {
    let fixture = AccountFixture::prepared().await;
    let plan = suite_plan("ann", "CTO", 87);
    for credentials in
        [HubSpotCredentials::PrivateApp("revoked".into()), oauth(false, "wrong"), oauth(true, "wrong")]
    {
        let crm = fixture.executor_with("2026-03", credentials);
        let failure = crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err();
        assert_eq!(named(&failure), "deferral crm_credentials_refused");
        assert_eq!(failure.dependency().unwrap().as_str(), "crm.hubspot");
        assert_eq!(crm.probe().await.unwrap_err().code, "crm_credentials_refused");
    }
    assert_eq!(fixture.counts(), [0; 5]);
}

#[tokio::test]
async fn missing_scope_is_named() {
    let fixture = AccountFixture::prepared().await;
    let body = json!({
        "status": "error", "category": "MISSING_SCOPES", "message": "This app hasn't been granted all scopes",
        "errors": [{"context": {"requiredGranularScopes": ["crm.objects.companies.write"]}}],
    });
    fixture.fault(Fault::on("/companies/batch/upsert", Misbehaviour::answer(403, body)));
    let plan = suite_plan("ann", "CTO", 87);
    let failure = fixture.executor().execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err();
    assert_eq!(failure.code, "crm_credentials_refused");
    assert!(failure.message.contains("crm.objects.companies.write"), "{failure}");
}

#[tokio::test]
async fn burst_limit_defers_leads_until_its_window_ends() {
    let fixture = AccountFixture::prepared().await;
    fixture.clock.advance(Duration::from_secs(10));
    // Each window has room for one call.
    fixture.hubspot.set(|settings| settings.burst = 1);
    let crm = fixture.executor();
    let plan = suite_plan("ann", "CTO", 87);
    let mut waits = 0;
    for _ in 0..100 {
        let before = fixture.fake.exchanges().len();
        let results = crm.execute(&plan.lead_id, &plan.actions).await;
        let Some(failure) = results.iter().find_map(|result| result.as_ref().err()) else { break };
        assert_eq!(named(failure), "deferral crm_rate_limited");
        waits += 1;
        // No request is sent until the window ends.
        assert!(crm.probe().await.is_err());
        let after = fixture.fake.exchanges().len();
        assert!(after > before, "a request reached the limit");
        assert_eq!(
            crm.execute(&plan.lead_id, &plan.actions).await[0].as_ref().unwrap_err().code,
            "crm_rate_limited"
        );
        assert_eq!(fixture.fake.exchanges().len(), after);
        fixture.clock.advance(failure.retry_after().unwrap());
        if waits == 10 {
            fixture.hubspot.set(|settings| settings.burst = 1_000_000);
        }
    }
    assert!(waits > 1);
    fixture.assert_complete(&plan);
    assert_eq!(fixture.counts(), [1, 1, 1, 1, 0]);
}

/// Probes the account after each wait until a probe succeeds. Returns the number of probes.
async fn probe_until_ok(fixture: &AccountFixture, crm: &crm::HubSpotCrm) -> u32 {
    for probes in 1..60 {
        match crm.probe().await {
            Ok(()) => return probes,
            Err(failure) => {
                assert_eq!(named(&failure), "deferral crm_daily_quota");
                let wait = failure.retry_after().unwrap();
                assert!(wait <= Duration::from_hours(1), "a probe is cheap: {wait:?}");
                fixture.clock.advance(wait);
            }
        }
    }
    panic!("the quota is never reset");
}

/// The time waited since the start of the test, in seconds. Tests start at midnight UTC.
fn waited_since_midnight(fixture: &AccountFixture) -> i64 {
    fixture.clock.now().as_second().rem_euclid(86_400)
}

/// Uses up the daily quota.
fn use_up_quota(fixture: &AccountFixture) {
    let answered = fixture.fake.exchanges().iter().filter(|exchange| exchange.fault.is_none()).count();
    fixture.hubspot.set(|settings| settings.daily = answered);
}

#[tokio::test]
async fn daily_quota_is_probed_hourly_until_the_accounts_midnight() {
    let fixture = AccountFixture::prepared().await;
    let crm = fixture.executor();
    crm.facts(&about()).await.unwrap();
    // It is midnight in UTC; the account is five hours behind.
    use_up_quota(&fixture);
    let plan = suite_plan("ann", "CTO", 87);
    assert_eq!(
        named(&crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err()),
        "deferral crm_daily_quota"
    );
    let before = fixture.fake.exchanges().len();
    assert!(crm.probe().await.is_err(), "no request is sent during the wait");
    assert_eq!(fixture.fake.exchanges().len(), before);
    assert_eq!(probe_until_ok(&fixture, &crm).await, 6, "the first one is during the first wait");
    let waited = waited_since_midnight(&fixture);
    assert!((5 * 3600..=5 * 3600 + 60).contains(&waited), "{waited} seconds");
    execute_ok(&crm, &plan).await;
    fixture.assert_complete(&plan);
}

#[tokio::test]
async fn unknown_or_stale_offset_delays_no_lead_by_a_day() {
    // The account details are not readable at first, or the UTC offset changes while the quota is used up.
    for (fails, change) in [(true, None), (false, Some(-4)), (false, Some(-6)), (true, Some(-6))] {
        let fixture = AccountFixture::prepared().await;
        if fails {
            let busy = Misbehaviour::answer(500, json!({"status": "error"}));
            fixture.fault(Fault::on("/account-info/", busy).times(3));
        }
        let crm = fixture.executor();
        crm.facts(&about()).await.unwrap();
        if let Some(hours) = change {
            let at = fixture.clock.now() + jiff::SignedDuration::from_hours(2);
            fixture.hubspot.set(|settings| settings.offset_change = Some((at, hours * 60)));
        }
        use_up_quota(&fixture);
        probe_until_ok(&fixture, &crm).await;
        let (reset, waited) = (-change.unwrap_or(-5) * 3600, waited_since_midnight(&fixture));
        assert!((reset..reset + 3600 + 120).contains(&waited), "{fails} {change:?}: {waited} seconds");
    }
}

#[tokio::test]
async fn short_rate_limit_is_waited_out_during_the_plan() {
    let fixture = AccountFixture::prepared().await;
    let too_many = |wait: &str| Misbehaviour::Answer {
        status: 429,
        headers: vec![("retry-after".to_owned(), wait.to_owned())],
        body: json!({"policyName": "SECONDLY"}),
    };
    let in_a_second = Misbehaviour::answer(429, json!({"policyName": "SECONDLY"}));
    fixture.fault(Fault::on("/companies/search", in_a_second).times(1));
    fixture.fault(Fault::on("/contacts/batch/create", too_many("0")).times(3));
    let (crm, plan) = (fixture.executor(), suite_plan("ann", "CTO", 87));
    execute_ok(&crm, &plan).await;
    fixture.assert_complete(&plan);

    // A rate limit that persists defers the lead.
    fixture.fault(Fault::on("/contacts/batch/read", too_many("0")).times(4));
    assert_eq!(
        named(&crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err()),
        "deferral crm_rate_limited"
    );
}

#[tokio::test]
async fn searches_beyond_the_limit_all_succeed() {
    let fixture = AccountFixture::of(HubSpot::prepared(), ManualClock::default()).await;
    let crm = Arc::new(fixture.executor());
    let mut tasks = JoinSet::new();
    for number in 0..12 {
        let about = crm::About { company_domain: Some(format!("company-{number}.example")), ..about() };
        let crm = Arc::clone(&crm);
        tasks.spawn(async move { crm.facts(&about).await });
    }
    let known = tasks.join_all().await;
    assert!(known.iter().all(Result::is_ok), "{known:?}");
    let exchanges = fixture.fake.exchanges();
    let mut searches = exchanges.iter().filter(|exchange| exchange.path.ends_with("/search"));
    assert!(searches.all(|exchange| exchange.status.is_some_and(|status| status == 200)));
    for number in 0..12 {
        let is_about_it = |exchange: &&sandbox::Exchange| {
            exchange.path.ends_with("/search")
                && exchange.json().to_string().contains(&format!("company-{number}.example"))
        };
        assert_eq!(exchanges.iter().filter(is_about_it).count(), 1, "each company is searched once");
    }
}

#[tokio::test]
async fn unanswered_call_is_retried_a_few_times() {
    let fixture = AccountFixture::prepared().await;
    let (crm, plan) = (fixture.executor(), suite_plan("ann", "CTO", 87));
    for (path, way) in [
        ("/batch/read", Misbehaviour::Refuse),
        ("/search", Misbehaviour::answer(502, json!("<html>"))),
        ("/contacts/batch/create", Misbehaviour::LoseReply),
        ("/tasks/batch/create", Misbehaviour::answer(423, json!({"category": "LOCKED"}))),
    ] {
        fixture.fault(Fault::on(path, way).times(2));
    }
    execute_ok(&crm, &plan).await;
    fixture.assert_complete(&plan);
    assert_eq!(fixture.counts(), [1, 1, 1, 1, 0]);

    fixture.fault(Fault::on("/contacts/batch/read", Misbehaviour::Refuse).times(3));
    assert_eq!(
        named(&crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err()),
        "transient http_reply_lost"
    );
}

fn about() -> crm::About {
    let plan = suite_plan("nobody", "CTO", 1);
    crm::About {
        lead_id: plan.lead_id,
        email: lead::EmailAddress::parse("nobody@example.com").unwrap(),
        company_domain: None,
    }
}
