//! The waterfall with a memory: asked once, within its credits, and not while it cannot answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use breaker::{Day, Spending, Taken};
use enrichment::testing::MemoryCache;
use enrichment::{
    Cache, Enrichment, EnrichmentProvider, EnrichmentStatus, Firmographics, Kept, Memory, NOT_YET, Terms,
    Waterfall,
};
use jiff::Timestamp;
use lead::{CampaignId, Clock, Dependency, EmailAddress, Failure, Lead};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{World, no_credits};

pub(crate) fn lead(email: &str) -> Lead {
    Lead::new(EmailAddress::parse(email).unwrap(), CampaignId::parse("c").unwrap())
}

/// A waterfall as another process with the same memory would have.
pub(crate) fn waterfall(world: &World, memory: &Memory, credits: Option<u32>) -> Waterfall {
    let clock: Arc<dyn Clock> = Arc::new(world.clock.clone());
    let credits: HashMap<_, _> =
        credits.map(|credits| (world.provider.name(), credits)).into_iter().collect();
    let providers = vec![Arc::clone(&world.provider)];
    Waterfall::remembering(providers, Duration::from_mins(2), &clock, memory, Terms::default(), &credits)
}

fn codes(enrichment: &Enrichment) -> Vec<&str> {
    enrichment.errors.iter().map(|error| error.failure.code.as_ref()).collect()
}

#[tokio::test]
async fn leads_of_one_company_ask_once_in_one_process_and_in_several() {
    let world = World::of("apollo").await;
    let memory = Memory::in_process();
    let processes = [waterfall(&world, &memory, None), waterfall(&world, &memory, None)];
    // Slow enough for everyone to come meanwhile.
    world.fake.add_fault(Fault::on("", Misbehaviour::DelayMs(500)).times(1));
    let leads: Vec<_> = (0..20).map(|n| lead(&format!("person{n}@example.com"))).collect();
    let asking = leads.iter().enumerate().map(|(n, lead)| processes[n % 2].enrich(lead));
    let outcomes = futures::future::join_all(asking).await;
    assert!(outcomes.iter().all(|outcome| outcome.status == EnrichmentStatus::Found), "{outcomes:?}");
    assert_eq!(world.fake.exchanges().len(), 1);
}

#[tokio::test]
async fn an_answer_is_remembered_with_its_time_until_it_is_too_old() {
    let world = World::of("apollo").await;
    let memory = Memory::in_process();
    let process = waterfall(&world, &memory, None);
    let first = process.enrich(&lead("a@example.com")).await;
    world.clock.advance(Duration::from_hours(29 * 24));
    let later = waterfall(&world, &memory, None).enrich(&lead("b@example.com")).await;
    assert_eq!(later, first, "who said it and when is as it was");
    assert_eq!(world.fake.exchanges().len(), 1);
    world.clock.advance(Duration::from_hours(24));
    let anew = process.enrich(&lead("a@example.com")).await;
    assert_eq!(world.fake.exchanges().len(), 2);
    assert_eq!(anew.provenance["name"].fetched_at, world.clock.now());
}

#[tokio::test]
async fn not_known_is_remembered_for_a_day_and_not_yet_for_minutes() {
    let world = World::of("clearbit").await;
    let process = waterfall(&world, &Memory::in_process(), None);
    for _ in 0..2 {
        let outcome = process.enrich(&lead("a@unknown.example")).await;
        assert_eq!((outcome.status, codes(&outcome).len()), (EnrichmentStatus::NotFound, 0));
        let outcome = process.enrich(&lead("a@queued.example")).await;
        assert_eq!((outcome.status, codes(&outcome)), (EnrichmentStatus::Unavailable, vec![NOT_YET]));
    }
    assert_eq!((world.asked("unknown"), world.asked("queued")), (1, 1));
    for expected in [EnrichmentStatus::Unavailable, EnrichmentStatus::Found] {
        world.clock.advance(Duration::from_mins(5));
        assert_eq!(process.enrich(&lead("a@queued.example")).await.status, expected);
    }
    assert_eq!((world.asked("unknown"), world.asked("queued")), (1, 3));
    world.clock.advance(Duration::from_hours(24));
    process.enrich(&lead("a@unknown.example")).await;
    assert_eq!(world.asked("unknown"), 2);
}

#[tokio::test]
async fn credits_a_day_are_kept_to_and_only_records_cost() {
    let world = World::of("apollo").await;
    let memory = Memory::in_process();
    let process = || waterfall(&world, &memory, Some(2));
    for domain in ["example.com", "unknown.example", "stripe.com"] {
        assert!(process().enrich(&lead(&format!("a@{domain}"))).await.errors.is_empty(), "{domain}");
    }
    let outcome = process().enrich(&lead("a@plaid.com")).await;
    assert_eq!((outcome.status, codes(&outcome)), (EnrichmentStatus::Unavailable, vec!["budget_spent"]));
    assert_eq!(world.credits().await, 998);
    let remembered = process().enrich(&lead("b@stripe.com")).await;
    assert_eq!(remembered.status, EnrichmentStatus::Found, "what is known costs nothing");
    world.clock.advance(Duration::from_hours(24));
    assert_eq!(process().enrich(&lead("a@plaid.com")).await.status, EnrichmentStatus::Found);
}

#[tokio::test]
async fn one_that_cannot_answer_is_left_alone_by_every_process_and_asked_again_in_time() {
    for (name, key, change, wait) in [
        ("apollo", None, no_credits(), Duration::from_hours(1)),
        ("hunter", Some("wrong"), json!({}), Duration::from_mins(5)),
    ] {
        let world = match key {
            Some(key) => World::with_key(name, key).await,
            None => World::of(name).await,
        };
        world.set_account(change).await;
        let memory = Memory::in_process();
        let first = waterfall(&world, &memory, None).enrich(&lead("a@example.com")).await;
        assert!(first.errors[0].failure.code.starts_with(name), "{first:?}");
        let before = world.asked("/v");
        for domain in ["example.com", "stripe.com"] {
            let process = waterfall(&world, &memory, None);
            let outcome = process.enrich(&lead(&format!("a@{domain}"))).await;
            assert_eq!(codes(&outcome), ["breaker_open"]);
            assert!(outcome.errors[0].failure.message.contains(name), "it says why");
            assert!(process.states().await[0].left_alone.is_some());
        }
        assert_eq!(world.asked("companies/find") + world.asked("organizations"), 1, "{name}: {before}");
        world.clock.advance(wait);
        waterfall(&world, &memory, None).enrich(&lead("a@example.com")).await;
        assert_eq!(world.asked("companies/find") + world.asked("organizations"), 2, "{name}");
    }
}

#[tokio::test]
async fn one_that_is_down_costs_five_leads_their_time_and_no_more() {
    let world = World::of("pdl").await;
    world.fake.add_fault(Fault::on("", Misbehaviour::Refuse));
    let process = waterfall(&world, &Memory::in_process(), None);
    for n in 0..10 {
        let outcome = process.enrich(&lead(&format!("a@company{n}.example"))).await;
        assert_eq!(codes(&outcome), [if n < 5 { "http_reply_lost" } else { "breaker_open" }]);
    }
    world.fake.clear_faults();
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(process.enrich(&lead("a@example.com")).await.status, EnrichmentStatus::Found);
    assert!(process.states().await[0].left_alone.is_none());
}

#[tokio::test]
async fn a_company_that_nothing_can_be_made_of_keeps_no_other_from_being_found() {
    let world = World::of("apollo").await;
    world.fake.add_fault(Fault::on("", Misbehaviour::answer(400, json!({ "error": "odd" }))).times(6));
    let process = waterfall(&world, &Memory::in_process(), None);
    for _ in 0..6 {
        assert_eq!(codes(&process.enrich(&lead("a@odd.example")).await), ["apollo_request_refused"]);
    }
    assert_eq!(process.enrich(&lead("a@example.com")).await.status, EnrichmentStatus::Found);
}

#[tokio::test]
async fn a_process_that_died_while_asking_is_waited_for_no_longer_than_it_may_take() {
    let world = World::of("apollo").await;
    let memory = Memory::in_process();
    let now = world.clock.now();
    assert!(memory.cache.claim("apollo", "example.com", now, now + Duration::from_secs(60)).await.unwrap());
    world.clock.advance(Duration::from_secs(60));
    let outcome = waterfall(&world, &memory, None).enrich(&lead("a@example.com")).await;
    assert_eq!(outcome.status, EnrichmentStatus::Found);
}

/// A memory that can be asked, and in which nothing can be written down any more once it was asked.
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
async fn an_answer_that_is_paid_for_is_used_even_where_it_cannot_be_written_down() {
    let world = World::of("apollo").await;
    let memory = Memory {
        cache: Arc::new(ReadOnly::default()),
        spending: Arc::new(ReadOnly::default()),
        ..Memory::in_process()
    };
    let outcome = waterfall(&world, &memory, Some(10)).enrich(&lead("a@example.com")).await;
    assert_eq!((outcome.status, codes(&outcome)), (EnrichmentStatus::Found, vec![]));
    // And a failure is told as what it is.
    world.set_account(no_credits()).await;
    let outcome = waterfall(&world, &memory, Some(10)).enrich(&lead("a@stripe.com")).await;
    assert!(codes(&outcome)[0].starts_with("apollo"), "{outcome:?}");
}

#[tokio::test]
async fn a_trial_that_another_process_or_the_budget_stops_is_left_to_the_next_one() {
    let world = World::of("pdl").await;
    let memory = Memory::in_process();
    world.fake.add_fault(Fault::on("", Misbehaviour::Refuse));
    for n in 0..5 {
        waterfall(&world, &memory, None).enrich(&lead(&format!("a@company{n}.example"))).await;
    }
    world.fake.clear_faults();
    world.clock.advance(Duration::from_secs(60));
    let spent = waterfall(&world, &memory, Some(0)).enrich(&lead("a@example.com")).await;
    assert_eq!(codes(&spent), ["budget_spent"]);
    let outcome = waterfall(&world, &memory, None).enrich(&lead("a@example.com")).await;
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
async fn one_provider_may_be_given_another_time_than_the_rest() {
    let within = async |seconds| {
        let clock = Arc::new(lead::SystemClock);
        let waterfall = Waterfall::new(vec![Arc::new(Slow)], Duration::from_secs(10), clock);
        let timeouts = HashMap::from([("slow", Duration::from_secs(seconds))]);
        waterfall.with_timeouts(&timeouts).enrich(&lead("a@example.com")).await
    };
    assert_eq!(codes(&within(2).await), ["enrichment_timeout"]);
    assert_eq!(within(4).await.status, EnrichmentStatus::Found);
}
