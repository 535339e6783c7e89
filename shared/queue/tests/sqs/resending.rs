//! Repeated sends of unfinished deliveries: one message in the queue, however often the janitor runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lead::{Clock as _, LeadEvent, ManualClock};
use queue::{LeadQueue as _, QueueError, Restored, Settlement};

use crate::support::{Fixture, event};

const LEADS: u32 = 5;

/// Deliveries that were just received and sent.
async fn waiting(queue: &queue::SqsQueue, clock: &ManualClock) -> Vec<LeadEvent> {
    let mut events = Vec::new();
    for lead in 0..LEADS {
        let event = LeadEvent { received_at: clock.now(), ..event(lead, 1) };
        queue.send(&event).await.unwrap();
        events.push(event);
    }
    events
}

#[tokio::test]
async fn waiting_deliveries_are_not_resent_by_every_round() {
    let (fixture, clock) = (Fixture::start().await, ManualClock::default());
    let queue = fixture.queue_at(Arc::new(clock.clone())).resending_after(Duration::from_secs(10));
    let events = waiting(&queue, &clock).await;
    // Four hours of a CRM outage, with a janitor run every two minutes.
    for _ in 0..120 {
        clock.advance(Duration::from_secs(120));
        for event in &events {
            assert_eq!(queue.restore(event).await.unwrap(), Restored::Waiting);
        }
    }
    assert_eq!(queue.depth().await.unwrap().messages, u64::from(LEADS));
}

#[tokio::test]
async fn delivery_lost_from_an_empty_queue_is_resent_once() {
    let (fixture, clock) = (Fixture::start().await, ManualClock::default());
    let queue = fixture.queue_at(Arc::new(clock.clone())).resending_after(Duration::from_secs(10));
    let events = waiting(&queue, &clock).await;
    for message in queue.receive(10).await.unwrap() {
        queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    }
    assert_eq!(queue.depth().await.unwrap().messages, 0);
    clock.advance(Duration::from_mins(14));
    assert_eq!(queue.restore(&events[0]).await.unwrap(), Restored::Waiting, "it may be in flight");
    clock.advance(Duration::from_mins(2));
    assert_eq!(queue.restore(&events[0]).await.unwrap(), Restored::Sent);
    for _ in 0..10 {
        clock.advance(Duration::from_mins(2));
        assert_eq!(
            queue.restore(&events[0]).await.unwrap(),
            Restored::Waiting,
            "its message is in the queue"
        );
    }
    assert_eq!(queue.depth().await.unwrap().messages, 1);
}

#[tokio::test]
async fn restore_lost_resends_at_once() {
    let (fixture, clock) = (Fixture::start().await, ManualClock::default());
    let queue = fixture.queue_at(Arc::new(clock.clone())).resending_after(Duration::from_secs(10));
    let young = LeadEvent { received_at: clock.now(), ..event(1, 1) };
    assert_eq!(queue.restore_lost(&young).await.unwrap(), Restored::Sent);
    assert_eq!(queue.depth().await.unwrap().messages, 1);
}

#[tokio::test]
async fn nothing_counts_as_lost_while_consumption_is_paused() {
    let (fixture, clock) = (Fixture::start().await, ManualClock::default());
    let queue = fixture.queue_at(Arc::new(clock.clone())).resending_after(Duration::from_secs(10));
    let old = LeadEvent { received_at: clock.now(), ..event(1, 1) };
    let crm = lead::Dependency::new("crm.test");
    queue.pause(&crm, "down", clock.now()).await.unwrap();
    clock.advance(Duration::from_hours(24));
    assert_eq!(queue.restore(&old).await.unwrap(), Restored::Waiting);
    queue.resume(&crm).await.unwrap();
    assert_eq!(queue.restore(&old).await.unwrap(), Restored::Sent);
}

#[tokio::test]
async fn message_above_the_queues_size_limit_is_refused() {
    let fixture = Fixture::taking(65_536).await;
    let queue = fixture.queue();
    let mut large = event(1, 1);
    large.lead.attributes.insert("long".into(), "x".repeat(100_000).into());
    large.content_hash = large.lead.content_hash();
    let error = queue.send(&large).await.unwrap_err();
    assert!(matches!(error, QueueError::Refused(_)), "{error}");
    queue.send(&event(2, 1)).await.unwrap();
}

#[tokio::test]
async fn ping_fails_if_the_queue_is_unreachable() {
    let fixture = Fixture::start().await;
    fixture.queue().ping().await.unwrap();
    assert!(fixture.unreachable_queue().ping().await.is_err());
}

#[tokio::test]
async fn repeatedly_deferred_message_keeps_its_wait() {
    let fixture = Fixture::with_redrive().await;
    let queue = fixture.queue();
    queue.send(&event(1, 1)).await.unwrap();
    let failure = lead::Failure::transient("away", "no answer");
    let wait = Duration::from_secs(1);
    let mut deferred_at = None;
    for round in 0..8 {
        let asked_at = Instant::now();
        let message = loop {
            if let Some(message) = queue.receive(1).await.unwrap().pop() {
                break message;
            }
            assert!(asked_at.elapsed() < Duration::from_mins(1), "lost in round {round}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let waited = deferred_at.map_or(wait, |at: Instant| at.elapsed());
        assert!(waited >= wait, "round {round}: it waits");
        assert_eq!(message.attempt, 1);
        let defer = Settlement::Defer { after: wait, failure: failure.clone() };
        deferred_at = Some(Instant::now());
        queue.settle(&message.receipt, &defer).await.unwrap();
    }
    assert!(fixture.dead_letters().await.is_empty());
}
