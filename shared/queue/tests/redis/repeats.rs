//! Repeated contents of a lead, and a return to an earlier content.

use std::time::Duration;

use lead::LeadEvent;
use queue::{LeadQueue, Sent, Settlement};

use crate::support::{Fixture, event};

/// The content `n`, received `millis` milliseconds after the first.
fn received(n: u32, millis: u64) -> LeadEvent {
    let event = event(1, n);
    LeadEvent { received_at: event.received_at + Duration::from_millis(millis), ..event }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_content_is_a_duplicate_but_a_return_is_not() {
    let (_, queue) = Fixture::with_queue().await;
    let sent = async |n, millis| queue.send(&received(n, millis)).await.unwrap();
    assert_eq!([sent(1, 0).await, sent(1, 1).await], [Sent::Accepted, Sent::Duplicate]);
    assert_eq!([sent(2, 2).await, sent(1, 3).await], [Sent::Accepted, Sent::Accepted]);
    assert_eq!(sent(1, 4).await, Sent::Duplicate);
    for expected in [received(1, 0), received(2, 2), received(1, 3)] {
        let message = queue.receive(1).await.unwrap().remove(0);
        assert_eq!(message.id, expected.delivery_id().as_str());
        assert_eq!(sent(1, 5).await, Sent::Duplicate, "the last one is still in the queue");
        queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    }
    assert!(queue.receive(1).await.unwrap().is_empty());
    assert_eq!(sent(1, 6).await, Sent::Accepted, "the queue does not remember completed jobs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completed_repeats_are_forgotten_with_their_lead() {
    let (_, queue) = Fixture::with_queue().await;
    for millis in 0..2 {
        queue.send(&received(1, millis)).await.unwrap();
        let message = queue.receive(1).await.unwrap().remove(0);
        queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    }
    // The store knows one delivery.
    let known = [received(1, 0).delivery_id()];
    assert_eq!(queue.forget(&event(1, 1).lead_id, &known, true).await.unwrap(), 2);
    assert_eq!(queue.forget(&event(1, 1).lead_id, &known, true).await.unwrap(), 0);
}
