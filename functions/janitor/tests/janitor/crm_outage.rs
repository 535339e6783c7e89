//! A CRM that is down for hours: leads wait, lose nothing, and the hot ones go first when it is back.

use std::sync::Arc;

use lead::{Failure, LeadEvent};
use queue::{LeadHandler as _, Settlement, settle_failed};

use crate::support::{CRM, House, event};

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

on_both!(
    nothing_is_lost_no_attempt_is_burned_and_hot_leads_go_first,
    a_lead_that_is_moved_keeps_the_order_of_its_own_messages,
);
