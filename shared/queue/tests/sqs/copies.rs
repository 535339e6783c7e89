//! Receives are not failures: a redrive policy of five receives must not dead-letter messages that never
//! failed.

use std::sync::Arc;
use std::time::Duration;

use lead::{Clock as _, Failure, ManualClock, Stage};
use queue::{Fifo as _, LeadQueue as _, MAX_ATTEMPTS, Settlement};

use crate::support::{Fixture, VISIBILITY, event};

#[tokio::test]
async fn endless_deferrals_never_reach_the_dead_letter_queue() {
    let fixture = Fixture::with_redrive().await;
    let queue = fixture.queue();
    queue.send(&event(1, 1)).await.unwrap();
    let failure = Failure::transient("away", "no answer");
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
    assert_eq!(queue.depth().await.unwrap().messages, 1, "exactly one message");
}

/// Each stage has five attempts, which are counted in the lead's row. Together they exceed the redrive
/// policy's limit.
#[tokio::test]
async fn attempts_at_several_stages_do_not_exhaust_receives() {
    let fixture = Fixture::with_redrive().await;
    let queue = fixture.queue();
    queue.send(&event(1, 1)).await.unwrap();
    for stage in [Stage::CrmRead, Stage::Analysis, Stage::CrmWrite] {
        for attempt in 1..MAX_ATTEMPTS {
            let message = queue
                .receive(1)
                .await
                .unwrap()
                .pop()
                .unwrap_or_else(|| panic!("lost at {stage:?} {attempt}"));
            assert_eq!((message.attempt, message.losses), (1, 0));
            let failure = Failure::transient("timeout", "no answer").at(stage);
            let retry = Settlement::Retry { after: Duration::ZERO, failure };
            queue.settle(&message.receipt, &retry).await.unwrap();
        }
    }
    assert_eq!(queue.receive(1).await.unwrap().len(), 1);
    assert!(fixture.dead_letters().await.is_empty());
}

#[tokio::test]
async fn copy_is_not_received_before_its_wait_ends() {
    let (fixture, clock) = (Fixture::with_redrive().await, ManualClock::default());
    let (queue, sqs) = (fixture.queue_at(Arc::new(clock.clone())), fixture.sqs());
    queue.send(&event(1, 1)).await.unwrap();
    let received = sqs.receive(VISIBILITY).await.unwrap().unwrap();
    let until = clock.now() + Duration::from_secs(1);
    sqs.copy(&received, Some(until)).await.unwrap();
    let copy = sqs.receive(VISIBILITY).await.unwrap().unwrap();
    assert_eq!((copy.not_before, copy.receive_count, &copy.key), (Some(until), 1, &received.key));
    sqs.hide_one(&copy.receipt, Duration::ZERO).await.unwrap();

    assert!(queue.receive(1).await.unwrap().is_empty(), "every consumer hides it");
    clock.advance(Duration::from_secs(1));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let message = loop {
        assert!(tokio::time::Instant::now() < deadline, "the copy is lost");
        if let Some(message) = queue.receive(1).await.unwrap().pop() {
            break message;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!((message.id.as_str(), message.attempt), (event(1, 1).delivery_id().as_str(), 1));
    assert!(fixture.dead_letters().await.is_empty());
}

/// A message of maximum size has no room for the attribute that carries the wait.
#[tokio::test]
async fn copy_of_a_full_size_message_drops_its_wait() {
    let fixture = Fixture::taking(1 << 20).await;
    let (queue, sqs) = (fixture.queue(), fixture.sqs());
    let sized = |filler: usize| {
        let mut event = event(1, 1);
        event.lead.attributes.insert("long".into(), "x".repeat(filler).into());
        event.content_hash = event.lead.content_hash();
        event
    };
    // The size of the body and the attribute `key`, as SQS counts it.
    let fixed = serde_json::to_string(&sized(0)).unwrap().len()
        + "key".len()
        + "String".len()
        + sized(0).delivery_id().as_str().len();
    queue.send(&sized((1 << 20) - fixed)).await.unwrap();
    let received = sqs.receive(VISIBILITY).await.unwrap().unwrap();
    let in_an_hour = lead::SystemClock.now() + Duration::from_secs(3_600);
    sqs.copy(&received, Some(in_an_hour)).await.unwrap();
    let copy = sqs.receive(VISIBILITY).await.unwrap().unwrap();
    assert_eq!((copy.not_before, copy.key), (None, received.key));
}
