//! The waterfall with shared state: single flight, daily credits and circuit breaker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use breaker::{Day, Spending, Taken};
use enrichment::testing::MemoryCache;
use enrichment::{
    Cache, Enrichment, EnrichmentProvider, EnrichmentStatus, Firmographics, Kept, SharedState, Terms,
    Waterfall,
};
use jiff::Timestamp;
use lead::{CampaignId, Clock, Dependency, EmailAddress, Failure, Lead};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{ProviderFixture, no_credits};

pub(crate) fn lead(email: &str) -> Lead {
    Lead::new(EmailAddress::parse(email).unwrap(), CampaignId::parse("c").unwrap())
}

/// A waterfall of another process with the same shared state.
pub(crate) fn waterfall(fixture: &ProviderFixture, memory: &SharedState, credits: Option<u32>) -> Waterfall {
    let clock: Arc<dyn Clock> = Arc::new(fixture.clock.clone());
    let credits: HashMap<_, _> =
        credits.map(|credits| (fixture.provider.name(), credits)).into_iter().collect();
    let providers = vec![Arc::clone(&fixture.provider)];
    Waterfall::with_shared_state(
        providers,
        Duration::from_mins(2),
        &clock,
        memory,
        Terms::default(),
        &credits,
    )
}

fn codes(enrichment: &Enrichment) -> Vec<&str> {
    enrichment.errors.iter().map(|error| error.failure.code.as_ref()).collect()
}

#[tokio::test]
async fn leads_of_one_company_share_one_request() {
    let fixture = ProviderFixture::of("apollo").await;
    let memory = SharedState::in_process();
    let processes = [waterfall(&fixture, &memory, None), waterfall(&fixture, &memory, None)];
    // Slow enough for all leads to arrive meanwhile.
    fixture.fake.add_fault(Fault::on("", Misbehaviour::DelayMs(500)).times(1));
    let leads: Vec<_> = (0..20).map(|n| lead(&format!("person{n}@example.com"))).collect();
    let asking = leads.iter().enumerate().map(|(n, lead)| processes[n % 2].enrich(lead));
    let outcomes = futures::future::join_all(asking).await;
    assert!(outcomes.iter().all(|outcome| outcome.status == EnrichmentStatus::Found), "{outcomes:?}");
    assert_eq!(fixture.fake.exchanges().len(), 1);
}

#[tokio::test]
async fn cached_answer_keeps_its_provenance_until_it_expires() {
    let fixture = ProviderFixture::of("apollo").await;
    let memory = SharedState::in_process();
    let process = waterfall(&fixture, &memory, None);
    let first = process.enrich(&lead("a@example.com")).await;
    fixture.clock.advance(Duration::from_hours(29 * 24));
    let later = waterfall(&fixture, &memory, None).enrich(&lead("b@example.com")).await;
    assert_eq!(later, first, "provenance is unchanged");
    assert_eq!(fixture.fake.exchanges().len(), 1);
    fixture.clock.advance(Duration::from_hours(24));
    let refetched = process.enrich(&lead("a@example.com")).await;
    assert_eq!(fixture.fake.exchanges().len(), 2);
    assert_eq!(refetched.provenance["name"].fetched_at, fixture.clock.now());
}

#[tokio::test]
async fn unknown_is_cached_for_a_day_and_pending_for_minutes() {
    let fixture = ProviderFixture::of("clearbit").await;
    let process = waterfall(&fixture, &SharedState::in_process(), None);
    for _ in 0..2 {
        let outcome = process.enrich(&lead("a@unknown.example")).await;
        assert_eq!((outcome.status, codes(&outcome).len()), (EnrichmentStatus::NotFound, 0));
        let outcome = process.enrich(&lead("a@queued.example")).await;
        assert_eq!(
            (outcome.status, codes(&outcome)),
            (EnrichmentStatus::Unavailable, vec!["enrichment_not_yet"])
        );
    }
    assert_eq!((fixture.request_count("unknown"), fixture.request_count("queued")), (1, 1));
    for expected in [EnrichmentStatus::Unavailable, EnrichmentStatus::Found] {
        fixture.clock.advance(Duration::from_mins(5));
        assert_eq!(process.enrich(&lead("a@queued.example")).await.status, expected);
    }
    assert_eq!((fixture.request_count("unknown"), fixture.request_count("queued")), (1, 3));
    fixture.clock.advance(Duration::from_hours(24));
    process.enrich(&lead("a@unknown.example")).await;
    assert_eq!(fixture.request_count("unknown"), 2);
}

#[tokio::test]
async fn daily_credits_are_enforced_and_only_records_cost() {
    let fixture = ProviderFixture::of("apollo").await;
    let memory = SharedState::in_process();
    let process = || waterfall(&fixture, &memory, Some(2));
    for domain in ["example.com", "unknown.example", "stripe.com"] {
        assert!(process().enrich(&lead(&format!("a@{domain}"))).await.errors.is_empty(), "{domain}");
    }
    let outcome = process().enrich(&lead("a@plaid.com")).await;
    assert_eq!((outcome.status, codes(&outcome)), (EnrichmentStatus::Unavailable, vec!["budget_spent"]));
    assert_eq!(fixture.credits().await, 998);
    let cached = process().enrich(&lead("b@stripe.com")).await;
    assert_eq!(cached.status, EnrichmentStatus::Found, "a cached answer costs nothing");
    fixture.clock.advance(Duration::from_hours(24));
    assert_eq!(process().enrich(&lead("a@plaid.com")).await.status, EnrichmentStatus::Found);
}

#[tokio::test]
async fn open_breaker_stops_all_processes_until_the_wait_is_over() {
    for (name, key, change, wait) in [
        ("apollo", None, no_credits(), Duration::from_hours(1)),
        ("hunter", Some("wrong"), json!({}), Duration::from_mins(5)),
    ] {
        let fixture = match key {
            Some(key) => ProviderFixture::with_key(name, key).await,
            None => ProviderFixture::of(name).await,
        };
        fixture.set_account(change).await;
        let memory = SharedState::in_process();
        let first = waterfall(&fixture, &memory, None).enrich(&lead("a@example.com")).await;
        assert!(first.errors[0].failure.code.starts_with(name), "{first:?}");
        let before = fixture.request_count("/v");
        for domain in ["example.com", "stripe.com"] {
            let process = waterfall(&fixture, &memory, None);
            let outcome = process.enrich(&lead(&format!("a@{domain}"))).await;
            assert_eq!(codes(&outcome), ["breaker_open"]);
            assert!(outcome.errors[0].failure.message.contains(name), "the message names the provider");
            assert!(process.states().await[0].left_alone.is_some());
        }
        assert_eq!(
            fixture.request_count("companies/find") + fixture.request_count("organizations"),
            1,
            "{name}: {before}"
        );
        fixture.clock.advance(wait);
        waterfall(&fixture, &memory, None).enrich(&lead("a@example.com")).await;
        assert_eq!(
            fixture.request_count("companies/find") + fixture.request_count("organizations"),
            2,
            "{name}"
        );
    }
}

#[tokio::test]
async fn breaker_opens_after_five_failed_lookups() {
    let fixture = ProviderFixture::of("pdl").await;
    fixture.fake.add_fault(Fault::on("", Misbehaviour::Refuse));
    let process = waterfall(&fixture, &SharedState::in_process(), None);
    for n in 0..10 {
        let outcome = process.enrich(&lead(&format!("a@company{n}.example"))).await;
        assert_eq!(codes(&outcome), [if n < 5 { "http_reply_lost" } else { "breaker_open" }]);
    }
    fixture.fake.clear_faults();
    fixture.clock.advance(Duration::from_secs(60));
    assert_eq!(process.enrich(&lead("a@example.com")).await.status, EnrichmentStatus::Found);
    assert!(process.states().await[0].left_alone.is_none());
}

#[tokio::test]
async fn refused_domain_does_not_open_the_breaker() {
    let fixture = ProviderFixture::of("apollo").await;
    fixture.fake.add_fault(Fault::on("", Misbehaviour::answer(400, json!({ "error": "odd" }))).times(6));
    let process = waterfall(&fixture, &SharedState::in_process(), None);
    for _ in 0..6 {
        assert_eq!(codes(&process.enrich(&lead("a@odd.example")).await), ["apollo_request_refused"]);
    }
    assert_eq!(process.enrich(&lead("a@example.com")).await.status, EnrichmentStatus::Found);
}

#[tokio::test]
async fn claim_of_a_dead_process_expires() {
    let fixture = ProviderFixture::of("apollo").await;
    let memory = SharedState::in_process();
    let now = fixture.clock.now();
    assert!(memory.cache.claim("apollo", "example.com", now, now + Duration::from_secs(60)).await.unwrap());
    fixture.clock.advance(Duration::from_secs(60));
    let outcome = waterfall(&fixture, &memory, None).enrich(&lead("a@example.com")).await;
    assert_eq!(outcome.status, EnrichmentStatus::Found);
}

/// A cache and a ledger of spending that can be read but not written.
#[derive(Default)]
struct ReadOnly(MemoryCache);

fn no_space() -> Failure {
    Failure::transient("database", "no space is left")
}

#[async_trait]
impl Cache for ReadOnly {
    async fn load(&self, provider: &str, domain: &str) -> Result<Option<Kept>, Failure> {
        self.0.load(provider, domain).await
    }

    async fn claim(
        &self,
        provider: &str,
        domain: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Failure> {
        self.0.claim(provider, domain, now, until).await
    }

    async fn keep(&self, _provider: &str, _domain: &str, _kept: &Kept) -> Result<(), Failure> {
        Err(no_space())
    }

    async fn release(&self, _provider: &str, _domain: &str) -> Result<(), Failure> {
        Err(no_space())
    }
}

#[async_trait]
impl Spending for ReadOnly {
    async fn hold(&self, _: &Dependency, _: Day, _: u64, _: u64) -> Result<Taken, Failure> {
        Ok(Taken::Held)
    }

    async fn settle(&self, _: &Dependency, _: Day, _: u64, _: u64) -> Result<(), Failure> {
        Err(no_space())
    }
}

#[tokio::test]
async fn paid_answer_is_used_even_if_it_cannot_be_cached() {
    let fixture = ProviderFixture::of("apollo").await;
    let memory = SharedState {
        cache: Arc::new(ReadOnly::default()),
        spending: Arc::new(ReadOnly::default()),
        ..SharedState::in_process()
    };
    let outcome = waterfall(&fixture, &memory, Some(10)).enrich(&lead("a@example.com")).await;
    assert_eq!((outcome.status, codes(&outcome)), (EnrichmentStatus::Found, vec![]));
    // A failure keeps its own code.
    fixture.set_account(no_credits()).await;
    let outcome = waterfall(&fixture, &memory, Some(10)).enrich(&lead("a@stripe.com")).await;
    assert!(codes(&outcome)[0].starts_with("apollo"), "{outcome:?}");
}

#[tokio::test]
async fn unused_half_open_probe_passes_to_the_next_caller() {
    let fixture = ProviderFixture::of("pdl").await;
    let memory = SharedState::in_process();
    fixture.fake.add_fault(Fault::on("", Misbehaviour::Refuse));
    for n in 0..5 {
        waterfall(&fixture, &memory, None).enrich(&lead(&format!("a@company{n}.example"))).await;
    }
    fixture.fake.clear_faults();
    fixture.clock.advance(Duration::from_secs(60));
    let spent = waterfall(&fixture, &memory, Some(0)).enrich(&lead("a@example.com")).await;
    assert_eq!(codes(&spent), ["budget_spent"]);
    let outcome = waterfall(&fixture, &memory, None).enrich(&lead("a@example.com")).await;
    assert_eq!(outcome.status, EnrichmentStatus::Found, "{:?}", codes(&outcome));
}

/// A provider that takes three seconds.
struct Slow;

#[async_trait]
impl EnrichmentProvider for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(Some(Firmographics { name: Some("Slow".to_owned()), ..Firmographics::of(domain) }))
    }
}

#[tokio::test(start_paused = true)]
async fn provider_can_have_its_own_timeout() {
    let within = async |seconds| {
        let clock = Arc::new(lead::SystemClock);
        let waterfall = Waterfall::new(vec![Arc::new(Slow)], Duration::from_secs(10), clock);
        let timeouts = HashMap::from([("slow", Duration::from_secs(seconds))]);
        waterfall.with_timeouts(&timeouts).enrich(&lead("a@example.com")).await
    };
    assert_eq!(codes(&within(2).await), ["enrichment_timeout"]);
    assert_eq!(within(4).await.status, EnrichmentStatus::Found);
}
