//! Each provider against its fake: known and unknown companies, and every refusal.

use std::time::Duration;

use enrichment::{EnrichmentProvider as _, Firmographics, Fixtures, Range};
use futures::future::join_all;
use lead::FailureClass;
use sandbox::{Fault, Misbehaviour};
use serde_json::{Value, json};

use crate::support::{ProviderFixture, no_credits};

const ALL: [&str; 5] = ["zoominfo", "apollo", "pdl", "hunter", "clearbit"];

async fn company(fixture: &ProviderFixture, domain: &str) -> Firmographics {
    fixture.provider.company(domain).await.unwrap().unwrap()
}

/// The class of a refusal, its code without the provider's name, and the wait in seconds.
async fn refusal(fixture: &ProviderFixture, domain: &str) -> (FailureClass, String, Option<u64>) {
    let failure = fixture.provider.company(domain).await.unwrap_err();
    let name = fixture.provider.name();
    let dependency = failure.dependency().map(lead::Dependency::as_str);
    let is_about_the_request = failure.code.ends_with("_request_refused");
    assert_eq!(dependency.is_none(), is_about_the_request, "{failure:?}");
    assert!(dependency.is_none_or(|dependency| dependency == format!("enrichment.{name}")));
    let code = failure.code.strip_prefix(&format!("{name}_")).unwrap_or(&failure.code).to_owned();
    (failure.class(), code, failure.retry_after().map(|wait| wait.as_secs()))
}

#[tokio::test]
async fn known_company_has_the_same_form_from_every_provider() {
    let expected = Fixtures::built_in().company("example.com").await.unwrap().unwrap();
    for name in ALL {
        let found = company(&ProviderFixture::of(name).await, "example.com").await;
        assert_eq!(found.name, expected.name, "{name}");
        assert_eq!(found.industry.as_deref().map(str::to_lowercase), Some("software".into()), "{name}");
        assert_eq!(
            (found.city.as_deref(), found.region.as_deref()),
            (Some("Los Angeles"), Some("California"))
        );
        assert_eq!(
            (found.country.as_deref(), found.founded_year),
            (Some("US"), expected.founded_year),
            "{name}"
        );
        let size = found.employee_count.or(found.employee_range.map(|range| range.min));
        assert!(size.is_some_and(|size| (501..=1_000).contains(&size)), "{name}: {size:?}");
        assert_eq!(found.revenue_usd.unwrap().min, 50_000_000, "{name}");
        assert!(found.is_sufficient(), "{name}");
    }
}

#[tokio::test]
async fn peculiarities_of_each_provider_are_read() {
    let exact = |number| Some(Range { min: number, max: Some(number) });
    let zoominfo = company(&ProviderFixture::of("zoominfo").await, "example.com").await;
    assert_eq!((zoominfo.employee_count, zoominfo.revenue_usd), (Some(850), exact(50_000_000)), "thousands");
    assert!(zoominfo.technologies.is_empty());
    let apollo = company(&ProviderFixture::of("apollo").await, "example.com").await;
    assert_eq!((apollo.employee_count, apollo.technologies.is_empty()), (Some(850), false));
    let pdl = company(&ProviderFixture::of("pdl").await, "example.com").await;
    assert_eq!(pdl.employee_range, Some(Range { min: 501, max: Some(1_000) }));
    assert_eq!(pdl.revenue_usd, Some(Range { min: 50_000_000, max: Some(100_000_000) }));
    assert_eq!(pdl.name.as_deref(), Some("Example Corp"), "in title case");
    let hunter = company(&ProviderFixture::of("hunter").await, "example.com").await;
    assert_eq!(
        (hunter.employee_count, hunter.employee_range),
        (None, pdl.employee_range),
        "a band as a text"
    );
    let clearbit = company(&ProviderFixture::of("clearbit").await, "example.com").await;
    assert_eq!((clearbit.employee_count, clearbit.employee_range), (Some(850), pdl.employee_range));
    let open = company(&ProviderFixture::of("pdl").await, "walmart.com").await;
    assert_eq!(open.employee_range, Some(Range { min: 10_001, max: None }));
}

#[tokio::test]
async fn unknown_company_is_no_failure_and_costs_nothing() {
    for name in ALL {
        let fixture = ProviderFixture::of(name).await;
        let before = fixture.credits().await;
        assert_eq!(fixture.provider.company("unknown.example").await, Ok(None), "{name}");
        assert_eq!(fixture.provider.company("no-domain").await, Ok(None), "{name}");
        assert_eq!(fixture.credits().await, before, "{name}");
    }
    assert_eq!(
        ProviderFixture::of("zoominfo").await.provider.company("bakery.example").await,
        Ok(None),
        "too small"
    );
    let pdl = ProviderFixture::of("pdl").await.provider.company("university.example").await;
    assert_eq!(pdl, Ok(None), "not likely enough");
}

#[tokio::test]
async fn zoominfo_lookups_that_wait_together_share_calls() {
    let fixture = ProviderFixture::of("zoominfo").await;
    let domains: Vec<String> = ["example.com", "stripe.com", "limit-exceeded.example", "no-domain"]
        .into_iter()
        .map(str::to_owned)
        .chain((0..56).map(|number| format!("unknown-{number}.example")))
        .collect();
    let lookups = join_all(domains.iter().map(|domain| fixture.provider.company(domain))).await;
    let names: Vec<_> =
        lookups[..2].iter().map(|found| found.clone().unwrap().unwrap().name.unwrap()).collect();
    assert_eq!(names, ["Example Corp", "Stripe"], "each answer is that of its domain");
    assert_eq!(lookups[2].as_ref().unwrap_err().code, "zoominfo_credits_used_up", "of this company only");
    assert!(lookups[3..].iter().all(|found| *found == Ok(None)));
    assert_eq!(fixture.request_count("/companies/enrich"), 4, "one at once, then 25 in each");
}

#[tokio::test]
async fn refusal_of_a_shared_call_is_of_each_lookup_in_it() {
    let fixture = ProviderFixture::of("zoominfo").await;
    fixture.provider.company("unknown.example").await.unwrap();
    fixture.fake.add_fault(
        Fault::on("/companies/enrich", Misbehaviour::answer(503, json!("busy"))).after(1).times(1),
    );
    fixture.fake.add_fault(
        Fault::on("/companies/enrich", Misbehaviour::answer(400, json!("no"))).about("bad.example"),
    );
    let lookups =
        join_all(["a.example", "b.example", "c.example"].map(|domain| fixture.provider.company(domain)))
            .await;
    let failed = |found: &Result<_, lead::Failure>| found.as_ref().err().map(lead::Failure::class);
    assert_eq!(
        lookups.iter().map(failed).collect::<Vec<_>>(),
        [None, Some(FailureClass::Transient), Some(FailureClass::Transient)]
    );
    let lookups =
        join_all(["a.example", "bad.example", "c.example"].map(|domain| fixture.provider.company(domain)))
            .await;
    assert_eq!(lookups.iter().map(failed).collect::<Vec<_>>(), [None, Some(FailureClass::Permanent), None]);
}

#[tokio::test]
async fn refused_credentials_are_permanent() {
    for name in ALL {
        let fixture = ProviderFixture::with_key(name, "wrong").await;
        let refused = refusal(&fixture, "example.com").await;
        assert_eq!(refused, (FailureClass::Permanent, "credentials_refused".into(), None), "{name}");
    }
    let free = ProviderFixture::with_key("apollo", sandbox::apollo::FREE_KEY).await;
    assert_eq!(refusal(&free, "example.com").await, (FailureClass::Permanent, "not_allowed".into(), None));
}

#[tokio::test]
async fn exhausted_credits_defer() {
    for name in ALL {
        let fixture = ProviderFixture::of(name).await;
        fixture.set_account(no_credits()).await;
        let refused = refusal(&fixture, "example.com").await;
        assert_eq!(refused, (FailureClass::Deferral, "credits_used_up".into(), Some(3_600)), "{name}");
    }
    let limited = refusal(&ProviderFixture::of("zoominfo").await, "limit-exceeded.example").await;
    assert_eq!(limited.1, "credits_used_up", "inside a success");
}

#[tokio::test]
async fn rate_limit_defers_for_the_requested_time() {
    for name in ALL {
        let fixture = ProviderFixture::of(name).await;
        fixture.set_account(json!({ "per_minute": 0 })).await;
        let (class, code, wait) = refusal(&fixture, "example.com").await;
        assert_eq!((class, code.as_str()), (FailureClass::Deferral, "rate_limited"), "{name}");
        // Clearbit and People Data Labs send a time in the real present, far from the manual clock.
        assert!(wait.is_some_and(|wait| (1..=86_400).contains(&wait)), "{name}: {wait:?}");
    }
    let fixture = ProviderFixture::of("zoominfo").await;
    let busy = json!({ "error": { "code": "ZI0004" } });
    let headers = vec![("retry-after".to_owned(), "2500".to_owned())];
    fixture.fake.add_fault(Fault::on("/enrich", Misbehaviour::Answer { status: 429, headers, body: busy }));
    assert_eq!(refusal(&fixture, "example.com").await.2, Some(2_500));
}

#[tokio::test]
async fn outages_and_unreadable_answers_are_transient() {
    for name in ALL {
        let fixture = ProviderFixture::of(name).await;
        for (misbehaviour, code) in [
            (Misbehaviour::answer(500, json!("oops")), "unavailable"),
            (Misbehaviour::answer(503, json!({ "message": "busy" })), "unavailable"),
            (Misbehaviour::answer(200, json!("<html>")), "answer_unreadable"),
            (Misbehaviour::answer(200, json!([1, 2])), "answer_unreadable"),
            (Misbehaviour::Refuse, "http_reply_lost"),
            (Misbehaviour::LoseReply, "http_reply_lost"),
        ] {
            // Fetches ZoomInfo's token first, so that the fault affects the lookup itself.
            fixture.provider.company("unknown.example").await.unwrap();
            fixture.fake.add_fault(Fault::on("", misbehaviour));
            let (class, found, _) = refusal(&fixture, "example.com").await;
            assert_eq!((class, found.as_str()), (FailureClass::Transient, code), "{name}");
            fixture.fake.clear_faults();
        }
        let moved = Misbehaviour::answer(302, Value::Null);
        fixture.fake.add_fault(Fault::on("", moved));
        assert_eq!(refusal(&fixture, "example.com").await.1, "request_refused", "{name}");
    }
}

#[tokio::test]
async fn accepted_lookup_is_neither_a_company_nor_its_absence() {
    let fixture = ProviderFixture::of("clearbit").await;
    for _ in 0..2 {
        let failure = fixture.provider.company("queued.example").await.unwrap_err();
        assert_eq!((failure.class(), failure.code.as_ref()), (FailureClass::Transient, "enrichment_not_yet"));
    }
    assert!(company(&fixture, "queued.example").await.is_sufficient());
    let hunter = ProviderFixture::of("hunter").await;
    hunter.fake.add_fault(Fault::on("", Misbehaviour::answer(202, json!({ "data": {} }))));
    assert_eq!(hunter.provider.company("example.com").await.unwrap_err().code, "enrichment_not_yet");
}

#[tokio::test]
async fn token_is_used_until_shortly_before_it_expires() {
    let fixture = ProviderFixture::of("zoominfo").await;
    for _ in 0..3 {
        company(&fixture, "example.com").await;
    }
    assert_eq!(fixture.request_count("/token"), 1);
    fixture.clock.advance(Duration::from_secs(3_600 - 60));
    company(&fixture, "example.com").await;
    assert_eq!(fixture.request_count("/token"), 2);
}

#[tokio::test]
async fn revoked_token_is_replaced_once() {
    let fixture = ProviderFixture::of("zoominfo").await;
    company(&fixture, "example.com").await;
    fixture.revoke_tokens().await;
    company(&fixture, "example.com").await;
    assert_eq!(fixture.request_count("/token"), 2);
    let expired = json!({ "error": { "code": "ZI0001", "status": 401 } });
    fixture.fake.add_fault(Fault::on("/enrich", Misbehaviour::answer(401, expired)));
    let before = fixture.request_count("/enrich");
    assert_eq!(refusal(&fixture, "example.com").await.1, "credentials_refused");
    assert_eq!(
        (fixture.request_count("/token"), fixture.request_count("/enrich") - before),
        (3, 2),
        "once, and no more"
    );
}

#[tokio::test]
async fn missing_rights_of_an_account_are_permanent() {
    let fixture = ProviderFixture::of("zoominfo").await;
    for (status, body) in [
        (403, json!({ "error": { "code": "ZI0002" } })),
        (403, json!({ "error": { "code": "ZI0003" } })),
        (400, json!({ "errors": [{ "code": "PFAPI0001" }] })),
        (400, json!({ "errors": [{ "code": "PFAPI0009" }] })),
    ] {
        fixture.fake.add_fault(Fault::on("/enrich", Misbehaviour::answer(status, body)).times(1));
        let refused = refusal(&fixture, "example.com").await;
        assert_eq!(refused, (FailureClass::Permanent, "not_allowed".into(), None));
    }
}

#[tokio::test]
async fn credentials_are_checked_for_free_where_possible() {
    for name in ["zoominfo", "hunter"] {
        let fixture = ProviderFixture::of(name).await;
        let before = fixture.credits().await;
        assert!(fixture.provider.check().await.unwrap().is_some(), "{name}");
        assert_eq!(fixture.credits().await, before);
        let refused = ProviderFixture::with_key(name, "wrong").await.provider.check().await.unwrap_err();
        assert!(refused.code.ends_with("_credentials_refused"), "{name}");
    }
    for name in ["apollo", "pdl", "clearbit"] {
        let fixture = ProviderFixture::of(name).await;
        assert_eq!(fixture.provider.check().await, Ok(None), "{name}");
        assert_eq!(fixture.fake.exchanges().len(), 0, "{name}");
    }
}

#[tokio::test]
async fn no_failure_quotes_the_domain_or_the_key() {
    for name in ALL {
        let fixture = ProviderFixture::with_key(name, "hush-hush").await;
        fixture.fake.add_fault(Fault::on(
            "",
            Misbehaviour::answer(401, json!({ "error": "hush-hush private.example" })),
        ));
        let failure = fixture.provider.company("private.example").await.unwrap_err();
        let text = format!("{failure} {failure:?}");
        assert!(!text.contains("hush") && !text.contains("private"), "{text}");
    }
}
