//! Receives are not failures: a queue that takes messages away after five of them must not get those that never failed.

use std::time::Duration;

use lead::Failure;
use queue::{LeadQueue as _, Settlement};

use crate::support::{Fixture, event};

#[tokio::test]
async fn a_message_that_is_deferred_for_ever_never_reaches_the_dead_letter_queue_and_keeps_its_attempts() {
    let fixture = Fixture::with_redrive().await;
    let queue = fixture.queue();
    queue.send(&event(1, 1)).await.unwrap();
    let failure = Failure::transient("away", "nobody answers");
    let first = queue.receive(1).await.unwrap().remove(0);
    queue
        .settle(&first.receipt, &Settlement::Retry { after: Duration::ZERO, failure: failure.clone() })
        .await
        .unwrap();
    for round in 0..20 {
        let message =
            queue.receive(1).await.unwrap().pop().unwrap_or_else(|| panic!("lost in round {round}"));
        assert_eq!((message.attempt, message.losses), (2, 0));
        assert_eq!(message.id, event(1, 1).delivery_id().as_str());
        let defer = Settlement::Defer { after: Duration::ZERO, failure: failure.clone() };
        queue.settle(&message.receipt, &defer).await.unwrap();
    }
    assert!(fixture.dead_letters().await.is_empty());
    assert_eq!(queue.depth().await.unwrap().messages, 1, "and there is one of it");
}
