//! The waterfall with a memory: asked once, within its credits, and not while it cannot answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use enrichment::{Enrichment, EnrichmentStatus, Memory, NOT_YET, Terms, Waterfall};
use lead::{CampaignId, Clock, EmailAddress, Lead};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{World, no_credits};

fn lead(email: &str) -> Lead {
    Lead::new(EmailAddress::parse(email).unwrap(), CampaignId::parse("c").unwrap())
}

/// A waterfall as another process with the same memory would have.
fn waterfall(world: &World, memory: &Memory, credits: Option<u32>) -> Waterfall {
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
