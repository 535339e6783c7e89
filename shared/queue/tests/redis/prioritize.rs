//! Prioritized leads are received before all others after a pause.

use jiff::Timestamp;
use lead::{Dependency, Failure, LeadEvent};
use queue::{LeadQueue, Settlement};
use std::time::Duration;

use crate::support::{Fixture, event};

const CRM: Dependency = Dependency::new("crm.test");

async fn order(queue: &dyn LeadQueue) -> Vec<String> {
    let mut order = Vec::new();
    while let Some(message) = queue.receive(1).await.unwrap().pop() {
        queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        order.push(message.id);
    }
    order
}

fn ids(events: &[LeadEvent], order: &[usize]) -> Vec<String> {
    order.iter().map(|index| events[*index].delivery_id().to_string()).collect()
}

#[tokio::test]
async fn prioritized_leads_are_received_first_in_order() {
    let (_, queue) = Fixture::with_queue().await;
    let events: Vec<_> = (0..6).map(|lead| event(lead, 0)).collect();
    for event in &events {
        queue.send(event).await.unwrap();
    }
    queue.pause(&CRM, "down", Timestamp::UNIX_EPOCH).await.unwrap();
    for hot in [3, 5] {
        assert!(queue.prioritize(&events[hot].lead_id).await.unwrap());
        assert!(!queue.prioritize(&events[hot].lead_id).await.unwrap(), "it is prioritized already");
    }
    assert!(!queue.prioritize(&event(9, 0).lead_id).await.unwrap(), "it is not in the queue");
    assert!(queue.receive(1).await.unwrap().is_empty());
    queue.resume(&CRM).await.unwrap();
    assert_eq!(order(queue.as_ref()).await, ids(&events, &[3, 5, 0, 1, 2, 4]));
    assert_eq!(queue.depth().await.unwrap().messages, 0);
}

#[tokio::test]
async fn prioritizing_ends_a_delay_and_can_be_repeated() {
    let (_, queue) = Fixture::with_queue().await;
    let events: Vec<_> = (0..3).map(|lead| event(lead, 0)).collect();
    for event in &events {
        queue.send(event).await.unwrap();
    }
    assert!(queue.prioritize(&events[2].lead_id).await.unwrap());
    let held = queue.receive(1).await.unwrap().pop().unwrap();
    assert_eq!(held.id, events[2].delivery_id().to_string());
    assert!(!queue.prioritize(&events[2].lead_id).await.unwrap(), "it is leased");
    let failure = Failure::deferral(CRM, "test_quota", "full", None);
    let defer = Settlement::Defer { after: Duration::from_hours(1), failure };
    queue.settle(&held.receipt, &defer).await.unwrap();
    assert!(queue.prioritize(&events[1].lead_id).await.unwrap());
    assert!(queue.prioritize(&events[2].lead_id).await.unwrap());
    assert_eq!(order(queue.as_ref()).await, ids(&events, &[1, 2, 0]));
}

#[tokio::test]
async fn prioritized_lead_keeps_the_order_of_its_messages() {
    let (_, queue) = Fixture::with_queue().await;
    let events = [event(0, 0), event(1, 0), event(1, 1)];
    for event in &events {
        queue.send(event).await.unwrap();
    }
    assert!(queue.prioritize(&events[1].lead_id).await.unwrap());
    assert_eq!(order(queue.as_ref()).await, ids(&events, &[1, 0, 2]));
}
