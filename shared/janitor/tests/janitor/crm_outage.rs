//! A CRM that is down: leads wait, lose nothing, and the hot ones go first when it is back.

use std::sync::Arc;

use lead::{Failure, LeadEvent, LeadStatus};
use queue::{LeadHandler as _, MAX_ATTEMPTS, Settlement, settle_failed};

use crate::sick_crm::{Illness, SickCrm};
use crate::simulation::Simulation;
use crate::support::{CRM, House, event, no_limits};

const LEADS: usize = 60;

fn is_hot(event: &LeadEvent) -> bool {
    event.lead.email.expose().starts_with("hot")
}

/// Every tenth lead is hot; the first one was already being worked on when the CRM went away.
async fn down_for_three_hours(house: &House) -> Vec<LeadEvent> {
    let mut events = Vec::new();
    for n in 0..LEADS {
        events.push(event(house, &if n % 10 == 9 { format!("hot{n}") } else { format!("p{n}") }));
        house.post(&events[n..], &[]).await;
        house.advance(1);
    }
    let message = house.queue.receive(1).await.unwrap().pop().unwrap();
    let down = Failure::deferral(CRM, "breaker_open", "it still fails", None);
    let settlement = settle_failed(message.attempt, down);
    house.pipeline(Arc::clone(&house.ai) as _).record(&message, &settlement).await.unwrap();
    house.queue.pause(&CRM, "breaker_open", house.in_seconds(30)).await.unwrap();
    house.queue.settle(&message.receipt, &settlement).await.unwrap();

    let still_down = Failure::transient("crm_timeout", "no answer");
    house.crm.will_fail(std::iter::repeat_n(still_down, 180));
    let janitor = house.janitor().hot_first(Arc::new(is_hot));
    for _ in 0..180 {
        house.advance(60);
        assert_eq!(janitor.round().await.unwrap().still_down, 1);
        assert!(house.queue.receive(10).await.unwrap().is_empty(), "nothing flows");
    }
    house.advance(60);
    assert_eq!(janitor.round().await.unwrap().resumed, 1);
    events
}

async fn nothing_is_lost_no_attempt_is_burned_and_hot_leads_go_first(house: House) {
    let events = down_for_three_hours(&house).await;
    let pipeline = house.pipeline(Arc::clone(&house.ai) as _);
    let mut order = Vec::new();
    while let Some(message) = house.queue.receive(1).await.unwrap().pop() {
        assert_eq!((message.attempt, message.losses), (1, 0));
        pipeline.handle(&message).await.unwrap();
        house.queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        order.push(message.group);
    }
    let ids = |hot: bool| {
        events.iter().filter(move |event| is_hot(event) == hot).map(|event| event.lead_id.to_string())
    };
    assert_eq!(order[..LEADS / 10], ids(true).collect::<Vec<_>>(), "the hot ones, oldest first");
    let (mut others, mut expected): (Vec<_>, Vec<_>) = (order[LEADS / 10..].to_vec(), ids(false).collect());
    others.sort();
    expected.sort();
    assert_eq!(others, expected, "and then every other, each once");
    assert_eq!(house.store.count_dead_letters().await.unwrap(), 0);
}

async fn a_lead_that_is_moved_keeps_the_order_of_its_own_messages(house: House) {
    let first = event(&house, "hot1");
    house.post(&[event(&house, "p1"), first.clone()], &[]).await;
    let mut newer = first.lead.clone();
    newer.title = Some("CEO".into());
    house.advance(1);
    let second = LeadEvent::new(newer, house.in_seconds(0));
    house.post(std::slice::from_ref(&second), &[]).await;
    house.queue.pause(&CRM, "down", house.in_seconds(30)).await.unwrap();
    house.janitor().hot_first(Arc::new(is_hot)).round().await.unwrap();
    assert!(!house.queue.hasten(&first.lead_id).await.unwrap(), "it is before the others already");
    house.queue.resume(&CRM).await.unwrap();
    for expected in [&first, &second] {
        let message = house.queue.receive(1).await.unwrap().pop().unwrap();
        assert_eq!(message.id, expected.delivery_id().to_string());
        house.queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        house.queue.hasten(&first.lead_id).await.unwrap();
    }
    assert_eq!(house.queue.receive(2).await.unwrap().len(), 1, "the other lead");
}

async fn a_lone_lead_waits_out_ten_minutes_and_is_then_written_once(house: House) {
    let (lead, crm) = (event(&house, "ann"), SickCrm::new(&house));
    house.post(std::slice::from_ref(&lead), &[]).await;
    crm.is(Illness::Down);
    let simulation = Simulation::start(&house, &crm, no_limits(), None).await;
    simulation.live(600, 1).await;
    assert_eq!(house.store.lead(&lead.lead_id).await.unwrap().unwrap().status, LeadStatus::Retrying);
    assert!(crm.tries() < 20, "it is left alone meanwhile: {}", crm.tries());
    crm.is(Illness::None);
    simulation.live(90, 1).await;
    assert_eq!(house.store.lead(&lead.lead_id).await.unwrap().unwrap().status, LeadStatus::Synced);
    simulation.end_with_no_attempt_burned().await;
    crm.has_each_record_once();
}

async fn a_crm_that_can_be_read_and_not_written_for_an_hour_costs_no_lead(house: House) {
    let leads: Vec<_> = (0..20).map(|n| event(&house, &format!("p{n}"))).collect();
    let crm = SickCrm::new(&house);
    house.post(&leads, &[]).await;
    crm.is(Illness::TakesNothing);
    let simulation = Simulation::start(&house, &crm, no_limits(), None).await;
    simulation.live(3_600, 5).await;
    let tries = crm.tries();
    assert!(tries <= 5 + 2 * 8 + 3_600 / 30, "one lead tries it every half minute: {tries}");
    crm.is(Illness::None);
    simulation.live(120, 1).await;
    let counts = house.store.count_leads().await.unwrap();
    assert_eq!(counts, [(LeadStatus::Synced, 20)]);
    simulation.end_with_no_attempt_burned().await;
    crm.has_each_record_once();
}

async fn a_record_that_the_crm_cannot_swallow_is_given_up_and_holds_up_nobody(house: House) {
    let (poison, crm) = (event(&house, "poison"), SickCrm::new(&house));
    house.post(std::slice::from_ref(&poison), &[]).await;
    crm.is(Illness::Chokes(poison.lead_id.clone()));
    let simulation = Simulation::start(&house, &crm, no_limits(), None).await;
    for n in 0..60 {
        house.post(&[event(&house, &format!("p{n}"))], &[]).await;
        simulation.live(2, 1).await;
    }
    simulation.live(60, 1).await; // its last attempt comes half a minute after its first
    let mut counts = house.store.count_leads().await.unwrap();
    counts.sort_by_key(|(_, leads)| *leads);
    assert_eq!(counts, [(LeadStatus::PermanentlyFailed, 1), (LeadStatus::Synced, 60)]);
    let lead = house.store.lead(&poison.lead_id).await.unwrap().unwrap();
    assert_eq!(lead.failure.unwrap().code, "crm_unavailable", "the CRM's own words");
    assert_eq!(simulation.pauses(), 0, "nobody waited for it");
    assert!(crm.tries_of(&poison.lead_id) > MAX_ATTEMPTS as usize, "its first failure may be the CRM's");
}

async fn a_lone_poison_record_leaves_the_probe_to_a_lead_that_comes_later(house: House) {
    let (poison, crm) = (event(&house, "poison"), SickCrm::new(&house));
    house.post(std::slice::from_ref(&poison), &[]).await;
    crm.is(Illness::Chokes(poison.lead_id.clone()));
    let simulation = Simulation::start(&house, &crm, no_limits(), None).await;
    simulation.live(90, 1).await;
    let later = event(&house, "later");
    house.post(std::slice::from_ref(&later), &[]).await;
    simulation.live(61, 1).await; // the breaker is open for 30 s, and the janitor comes every 30 s
    let lead = house.store.lead(&later.lead_id).await.unwrap().unwrap();
    assert_eq!(lead.status, LeadStatus::Synced);
}

on_both!(
    a_lone_poison_record_leaves_the_probe_to_a_lead_that_comes_later,
    a_lone_lead_waits_out_ten_minutes_and_is_then_written_once,
    a_record_that_the_crm_cannot_swallow_is_given_up_and_holds_up_nobody,
    a_crm_that_can_be_read_and_not_written_for_an_hour_costs_no_lead,
    nothing_is_lost_no_attempt_is_burned_and_hot_leads_go_first,
    a_lead_that_is_moved_keeps_the_order_of_its_own_messages,
);
