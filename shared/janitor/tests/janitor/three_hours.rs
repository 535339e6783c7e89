//! The CRM is down for three hours while leads come in: none is lost, none loses an attempt, and what waited then flows at
//! the rate that the limits allow, the hot leads first. On the queue in the database and on the one in Redis; the one on SQS
//! has a test of its own beside the function that works on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crm::LimitSettings;
use lead::{LeadEvent, LeadStatus};
use queue::{RedisOptions, RedisQueue};

use crate::sick_crm::{Illness, SickCrm};
use crate::simulation::{CONCURRENCY, Simulation};
use crate::support::{House, event, no_limits};

/// How many leads wait, unless `OUTAGE_LEADS` says otherwise.
const LEADS: usize = 300;
/// Every so manieth lead is hot.
const HOT: usize = 10;
/// Actions in all in a window. The default limit is as many a minute, in a shorter window: the delays of Redis are real.
const LIMIT: usize = 160;
const WINDOW: u64 = 10;

fn is_hot(event: &LeadEvent) -> bool {
    event.lead.email.expose().starts_with("hot")
}

fn leads(house: &House) -> Vec<LeadEvent> {
    let leads = std::env::var("OUTAGE_LEADS").ok().and_then(|leads| leads.parse().ok()).unwrap_or(LEADS);
    let name = |n: usize| if n % HOT == HOT - 1 { format!("hot{n}") } else { format!("p{n}") };
    (0..leads).map(|n| event(house, &name(n))).collect()
}

async fn three_hours_without_the_crm(house: &House, leads: &[LeadEvent]) {
    let crm = SickCrm::new(house);
    crm.is(Illness::Down);
    let limits = LimitSettings {
        global: u32::try_from(LIMIT).unwrap(),
        window: Duration::from_secs(WINDOW),
        ..no_limits()
    };
    let began = Instant::now();
    let simulation = Simulation::start(house, &crm, limits, Some(Arc::new(is_hot))).await;
    // As often as in a deployment at first, and then seldom: a round also looks after what else waits.
    simulation.live(600, 30).await;
    simulation.live(3 * 3_600 - 600, 300).await;
    assert!(crm.tries() <= 5 + CONCURRENCY, "it was left alone: {}", crm.tries());
    assert!(crm.done().is_empty());
    println!("{} leads waited three hours: {:?}", leads.len(), began.elapsed());

    crm.is(Illness::None);
    let synced = async || {
        let counts: BTreeMap<_, _> = house.store.count_leads().await.unwrap().into_iter().collect();
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
    simulation.end_with_no_attempt_burned().await;
    crm.has_each_record_once();
    the_rate_is_within_the_limit(&crm);
    hot_leads_went_first(&crm, leads);
}

fn the_rate_is_within_the_limit(crm: &SickCrm) {
    let done = crm.done();
    for (place, (_, from, _)) in done.iter().enumerate() {
        let to = *from + Duration::from_secs(WINDOW);
        let actions: usize = done[place..].iter().take_while(|(_, at, _)| *at < to).map(|done| done.2).sum();
        assert!(actions <= LIMIT, "{actions} actions in {WINDOW} seconds");
    }
}

/// But for those that were in a worker's hands when the CRM went away or the limit was reached.
fn hot_leads_went_first(crm: &SickCrm, leads: &[LeadEvent]) {
    let hot: Vec<_> = leads.iter().filter(|lead| is_hot(lead)).map(|lead| &lead.lead_id).collect();
    let done = crm.done();
    let early = done[..hot.len()].iter().filter(|(lead, ..)| hot.contains(&lead)).count();
    assert!(early + 2 * CONCURRENCY >= hot.len(), "{early} of {} hot leads were first", hot.len());
    let last = done.iter().rposition(|(lead, ..)| hot.contains(&lead)).unwrap();
    assert!(last < done.len() / 2, "the last hot lead was number {last} of {}", done.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_database_queue_nothing_is_lost_in_three_hours_and_hot_leads_go_first() {
    let house = House::sqlite().await;
    let leads = leads(&house);
    for some in leads.chunks(500) {
        house.post(some, &[]).await;
    }
    three_hours_without_the_crm(&house, &leads).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_nothing_is_lost_in_three_hours_and_hot_leads_go_first() {
    let url = std::env::var("TEST_REDIS_URL")
        .expect("TEST_REDIS_URL names a Redis server to test on: run `make test`");
    let prefix = format!("outage-{}", std::process::id());
    let queue = RedisQueue::new(&url, RedisOptions { prefix, ..RedisOptions::default() }).unwrap();
    let mut house = House::sqlite().await;
    house.queue = Arc::new(queue);
    let leads = leads(&house);
    let all: Vec<_> = (0..leads.len()).collect();
    house.post(&leads, &all).await;
    for lead in &leads {
        house.queue.send(lead).await.unwrap();
    }
    three_hours_without_the_crm(&house, &leads).await;
}
