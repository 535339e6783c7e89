//! CRM outages: leads wait, none is lost, and hot leads are written first afterwards.

use std::sync::Arc;

use lead::{Failure, LeadEvent, LeadStatus};
use on_both::on_both;
use queue::{LeadHandler as _, MAX_ATTEMPTS, Settlement, settle_failed};

use crate::faulty_crm::{Fault, FaultyCrm};
use crate::simulation::Simulation;
use crate::support::{CRM, Fixture, event, no_limits};

const LEADS: usize = 60;

fn is_hot(event: &LeadEvent) -> bool {
    event.lead.email.expose().starts_with("hot")
}

/// Every tenth lead is hot. The first lead is in progress when the CRM goes down.
async fn down_for_three_hours(fixture: &Fixture) -> Vec<LeadEvent> {
    let mut events = Vec::new();
    for n in 0..LEADS {
        events.push(event(fixture, &if n % 10 == 9 { format!("hot{n}") } else { format!("p{n}") }));
        fixture.post(&events[n..], &[]).await;
        fixture.advance(1);
    }
    let message = fixture.queue.receive(1).await.unwrap().pop().unwrap();
    let down = Failure::deferral(CRM, "breaker_open", "it still fails", None);
    let settlement = settle_failed(message.attempt, down);
    fixture.pipeline(Arc::clone(&fixture.ai) as _).record(&message, &settlement).await.unwrap();
    fixture.queue.pause(&CRM, "breaker_open", fixture.in_seconds(30)).await.unwrap();
    fixture.queue.settle(&message.receipt, &settlement).await.unwrap();

    let still_down = Failure::transient("crm_timeout", "no answer");
    fixture.crm.will_fail(std::iter::repeat_n(still_down, 180));
    let janitor = fixture.janitor().with_hot_leads_first(Arc::new(is_hot));
    for _ in 0..180 {
        fixture.advance(60);
        assert_eq!(janitor.round().await.unwrap().still_down, 1);
        assert!(fixture.queue.receive(10).await.unwrap().is_empty(), "nothing flows");
    }
    fixture.advance(60);
    assert_eq!(janitor.round().await.unwrap().resumed, 1);
    events
}

#[on_both]
async fn outage_loses_no_lead_and_no_attempt_and_hot_leads_go_first(fixture: Fixture) {
    let events = down_for_three_hours(&fixture).await;
    let pipeline = fixture.pipeline(Arc::clone(&fixture.ai) as _);
    let mut order = Vec::new();
    while let Some(message) = fixture.queue.receive(1).await.unwrap().pop() {
        assert_eq!((message.attempt, message.losses), (1, 0));
        pipeline.handle(&message).await.unwrap();
        fixture.queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        order.push(message.group);
    }
    let ids = |hot: bool| {
        events.iter().filter(move |event| is_hot(event) == hot).map(|event| event.lead_id.to_string())
    };
    assert_eq!(order[..LEADS / 10], ids(true).collect::<Vec<_>>(), "hot leads, oldest first");
    let (mut others, mut expected): (Vec<_>, Vec<_>) = (order[LEADS / 10..].to_vec(), ids(false).collect());
    others.sort();
    expected.sort();
    assert_eq!(others, expected, "then every other lead, each once");
    assert_eq!(fixture.store.count_dead_letters().await.unwrap(), 0);
}

#[on_both]
async fn prioritized_lead_keeps_the_order_of_its_messages(fixture: Fixture) {
    let first = event(&fixture, "hot1");
    fixture.post(&[event(&fixture, "p1"), first.clone()], &[]).await;
    let mut newer = first.lead.clone();
    newer.title = Some("CEO".into());
    fixture.advance(1);
    let second = LeadEvent::new(newer, fixture.in_seconds(0));
    fixture.post(std::slice::from_ref(&second), &[]).await;
    fixture.queue.pause(&CRM, "down", fixture.in_seconds(30)).await.unwrap();
    fixture.janitor().with_hot_leads_first(Arc::new(is_hot)).round().await.unwrap();
    assert!(!fixture.queue.prioritize(&first.lead_id).await.unwrap(), "already at the front");
    fixture.queue.resume(&CRM).await.unwrap();
    for expected in [&first, &second] {
        let message = fixture.queue.receive(1).await.unwrap().pop().unwrap();
        assert_eq!(message.id, expected.delivery_id().to_string());
        fixture.queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        fixture.queue.prioritize(&first.lead_id).await.unwrap();
    }
    assert_eq!(fixture.queue.receive(2).await.unwrap().len(), 1, "the other lead");
}

#[on_both]
async fn single_lead_waits_ten_minutes_and_is_written_once(fixture: Fixture) {
    let (lead, crm) = (event(&fixture, "ann"), FaultyCrm::new(&fixture));
    fixture.post(std::slice::from_ref(&lead), &[]).await;
    crm.is(Fault::Down);
    let simulation = Simulation::start(&fixture, &crm, no_limits(), None).await;
    simulation.live(600, 1).await;
    assert_eq!(fixture.store.lead(&lead.lead_id).await.unwrap().unwrap().status, LeadStatus::Retrying);
    assert!(crm.tries() < 20, "the breaker limits the tries: {}", crm.tries());
    crm.is(Fault::None);
    simulation.live(90, 1).await;
    assert_eq!(fixture.store.lead(&lead.lead_id).await.unwrap().unwrap().status, LeadStatus::Synced);
    simulation.finish_without_used_attempts().await;
    crm.has_each_record_once();
}

#[on_both]
async fn read_only_crm_for_an_hour_costs_no_lead(fixture: Fixture) {
    let leads: Vec<_> = (0..20).map(|n| event(&fixture, &format!("p{n}"))).collect();
    let crm = FaultyCrm::new(&fixture);
    fixture.post(&leads, &[]).await;
    crm.is(Fault::ReadOnly);
    let simulation = Simulation::start(&fixture, &crm, no_limits(), None).await;
    simulation.live(3_600, 5).await;
    let tries = crm.tries();
    assert!(tries <= 5 + 2 * 8 + 3_600 / 30, "one half-open probe every 30 s: {tries}");
    crm.is(Fault::None);
    simulation.live(120, 1).await;
    let counts = fixture.store.count_leads().await.unwrap();
    assert_eq!(counts, [(LeadStatus::Synced, 20)]);
    simulation.finish_without_used_attempts().await;
    crm.has_each_record_once();
}

#[on_both]
async fn poison_record_is_dead_lettered_without_delaying_others(fixture: Fixture) {
    let (poison, crm) = (event(&fixture, "poison"), FaultyCrm::new(&fixture));
    fixture.post(std::slice::from_ref(&poison), &[]).await;
    crm.is(Fault::RejectsLead(poison.lead_id.clone()));
    let simulation = Simulation::start(&fixture, &crm, no_limits(), None).await;
    for n in 0..60 {
        fixture.post(&[event(&fixture, &format!("p{n}"))], &[]).await;
        simulation.live(2, 1).await;
    }
    simulation.live(60, 1).await; // the last attempt follows 30 s after the first
    let mut counts = fixture.store.count_leads().await.unwrap();
    counts.sort_by_key(|(_, leads)| *leads);
    assert_eq!(counts, [(LeadStatus::PermanentlyFailed, 1), (LeadStatus::Synced, 60)]);
    let lead = fixture.store.lead(&poison.lead_id).await.unwrap().unwrap();
    assert_eq!(lead.failure.unwrap().code, "crm_unavailable", "the CRM's own error code");
    assert_eq!(simulation.pauses(), 0, "consumption was not paused");
    assert!(
        crm.tries_of(&poison.lead_id) > MAX_ATTEMPTS as usize,
        "the first failure counts towards the breaker"
    );
}

#[on_both]
async fn poison_record_leaves_the_probe_to_a_later_lead(fixture: Fixture) {
    let (poison, crm) = (event(&fixture, "poison"), FaultyCrm::new(&fixture));
    fixture.post(std::slice::from_ref(&poison), &[]).await;
    crm.is(Fault::RejectsLead(poison.lead_id.clone()));
    let simulation = Simulation::start(&fixture, &crm, no_limits(), None).await;
    simulation.live(90, 1).await;
    let later = event(&fixture, "later");
    fixture.post(std::slice::from_ref(&later), &[]).await;
    simulation.live(61, 1).await; // the breaker is open for 30 s, and the janitor runs every 30 s
    let lead = fixture.store.lead(&later.lead_id).await.unwrap().unwrap();
    assert_eq!(lead.status, LeadStatus::Synced);
}
