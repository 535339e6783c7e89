//! A CRM outage of three hours while leads arrive: no lead and no attempt is lost, and afterwards the backlog
//! is written at the rate of the limits, hot leads first. Covers the database queue and Redis; SQS has its
//! own test in the enrich function.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crm::LimitSettings;
use lead::{LeadEvent, LeadStatus};
use queue::{RedisOptions, RedisQueue};

use crate::faulty_crm::{Fault, FaultyCrm};
use crate::simulation::{CONCURRENCY, Simulation};
use crate::support::{Fixture, event, no_limits};

/// The number of waiting leads, unless `OUTAGE_LEADS` overrides it.
const LEADS: usize = 300;
/// One lead in this many is hot.
const HOT: usize = 10;
/// The limit on all actions in a window. It is the default limit of a minute in a shorter window, because the
/// delays of Redis are real.
const LIMIT: usize = 160;
const WINDOW: u64 = 10;

fn is_hot(event: &LeadEvent) -> bool {
    event.lead.email.expose().starts_with("hot")
}

fn leads(fixture: &Fixture) -> Vec<LeadEvent> {
    let leads = std::env::var("OUTAGE_LEADS").ok().and_then(|leads| leads.parse().ok()).unwrap_or(LEADS);
    let name = |n: usize| if n % HOT == HOT - 1 { format!("hot{n}") } else { format!("p{n}") };
    (0..leads).map(|n| event(fixture, &name(n))).collect()
}

async fn run_three_hour_outage(fixture: &Fixture, leads: &[LeadEvent]) {
    let crm = FaultyCrm::new(fixture);
    crm.is(Fault::Down);
    let limits = LimitSettings {
        global: u32::try_from(LIMIT).unwrap(),
        window: Duration::from_secs(WINDOW),
        ..no_limits()
    };
    let began = Instant::now();
    let simulation = Simulation::start(fixture, &crm, limits, Some(Arc::new(is_hot))).await;
    // At first as often as in a deployment, then seldom, because a round also runs the other chores.
    simulation.live(600, 30).await;
    simulation.live(3 * 3_600 - 600, 300).await;
    assert!(crm.tries() <= 5 + CONCURRENCY, "the breaker limits the tries: {}", crm.tries());
    assert!(crm.done().is_empty());
    println!("{} leads waited three hours: {:?}", leads.len(), began.elapsed());

    crm.is(Fault::None);
    let synced = async || {
        let counts: BTreeMap<_, _> = fixture.store.count_leads().await.unwrap().into_iter().collect();
        usize::try_from(counts.get(&LeadStatus::Synced).copied().unwrap_or(0)).unwrap()
    };
    let mut seconds = 0;
    while synced().await < leads.len() {
        simulation.live(WINDOW, 1).await;
        seconds += WINDOW;
        let late = began.elapsed() > Duration::from_mins(15);
        assert!(!late, "{} synced after {seconds} seconds", synced().await);
    }
    println!("and were written in {seconds} seconds: {:?}", began.elapsed());
    simulation.finish_without_used_attempts().await;
    crm.has_each_record_once();
    assert_rate_within_limit(&crm);
    assert_hot_leads_first(&crm, leads);
}

fn assert_rate_within_limit(crm: &FaultyCrm) {
    let done = crm.done();
    for (place, (_, from, _)) in done.iter().enumerate() {
        let to = *from + Duration::from_secs(WINDOW);
        let actions: usize = done[place..].iter().take_while(|(_, at, _)| *at < to).map(|done| done.2).sum();
        assert!(actions <= LIMIT, "{actions} actions in {WINDOW} seconds");
    }
}

/// Except for leads that a worker held when the CRM went down or the limit was reached.
fn assert_hot_leads_first(crm: &FaultyCrm, leads: &[LeadEvent]) {
    let hot: Vec<_> = leads.iter().filter(|lead| is_hot(lead)).map(|lead| &lead.lead_id).collect();
    let done = crm.done();
    let early = done[..hot.len()].iter().filter(|(lead, ..)| hot.contains(&lead)).count();
    assert!(early + 2 * CONCURRENCY >= hot.len(), "{early} of {} hot leads were first", hot.len());
    let last = done.iter().rposition(|(lead, ..)| hot.contains(&lead)).unwrap();
    assert!(last < done.len() / 2, "the last hot lead was number {last} of {}", done.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_queue_survives_three_hours_of_crm_outage() {
    let fixture = Fixture::sqlite().await;
    let leads = leads(&fixture);
    for some in leads.chunks(500) {
        fixture.post(some, &[]).await;
    }
    run_three_hour_outage(&fixture, &leads).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_queue_survives_three_hours_of_crm_outage() {
    let url = std::env::var("TEST_REDIS_URL")
        .expect("TEST_REDIS_URL names a Redis server to test on: run `make test`");
    let prefix = format!("outage-{}", std::process::id());
    let queue = RedisQueue::new(&url, RedisOptions { prefix, ..RedisOptions::default() }).unwrap();
    let mut fixture = Fixture::sqlite().await;
    fixture.queue = Arc::new(queue);
    let leads = leads(&fixture);
    let all: Vec<_> = (0..leads.len()).collect();
    fixture.post(&leads, &all).await;
    for lead in &leads {
        fixture.queue.send(lead).await.unwrap();
    }
    run_three_hour_outage(&fixture, &leads).await;
}
