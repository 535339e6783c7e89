//! Retries, deferrals and dead letters.

use std::time::Duration;

use super::{
    Harness, SECOND, assert_nothing_to_receive, dead_letter, defer, done, event, receive_one, retry, send,
    settle,
};
use crate::MAX_ATTEMPTS;

/// A failed message stays the first of its group: neither it nor a later message is received before the delay
/// has passed.
pub async fn retry_is_received_after_its_delay_and_before_its_group(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 2).await;
    let first = receive_one(&queue, &event(1, 1)).await;
    assert_eq!((first.attempt, first.losses), (1, 0));
    // Long enough for a slow machine.
    settle(&queue, &first, &retry(8 * SECOND)).await;
    assert_nothing_to_receive(&queue).await;
    harness.advance(SECOND).await;
    assert_nothing_to_receive(&queue).await;
    harness.advance(7 * SECOND).await;
    let again = receive_one(&queue, &event(1, 1)).await;
    assert_eq!((again.attempt, again.losses), (2, 0));
    done(&queue, &again).await;
    let next = receive_one(&queue, &event(1, 2)).await;
    assert_eq!((next.attempt, next.losses), (1, 0), "the counters are a message's own");
}

/// A backend counts attempts without a limit; the policy decides when to dead-letter.
pub async fn message_can_fail_five_times(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 2).await;
    for attempt in 1..=MAX_ATTEMPTS {
        let message = receive_one(&queue, &event(1, 1)).await;
        assert_eq!((message.attempt, message.losses), (attempt, 0));
        if attempt == MAX_ATTEMPTS {
            settle(&queue, &message, &dead_letter()).await;
        } else {
            settle(&queue, &message, &retry(SECOND)).await;
            harness.advance(SECOND).await;
        }
    }
    receive_one(&queue, &event(1, 2)).await;
}

/// A deferred message keeps all its attempts, however often it is deferred.
pub async fn deferral_counts_no_attempt(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 2).await;
    for _ in 0..50 {
        let message = receive_one(&queue, &event(1, 1)).await;
        assert_eq!((message.attempt, message.losses), (1, 0));
        settle(&queue, &message, &defer(Duration::ZERO)).await;
    }
    settle(&queue, &receive_one(&queue, &event(1, 1)).await, &retry(Duration::ZERO)).await;
    let message = receive_one(&queue, &event(1, 1)).await;
    assert_eq!(message.attempt, 2);
    settle(&queue, &message, &defer(8 * SECOND)).await;
    assert_nothing_to_receive(&queue).await;
    harness.advance(8 * SECOND).await;
    let message = receive_one(&queue, &event(1, 1)).await;
    assert_eq!((message.attempt, message.losses), (2, 0), "used attempts still count");
}

/// A dead-lettered message does not block later messages of its group.
pub async fn dead_letter_unblocks_its_group(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 2).await;
    settle(&queue, &receive_one(&queue, &event(1, 1)).await, &dead_letter()).await;
    done(&queue, &receive_one(&queue, &event(1, 2)).await).await;
    assert_nothing_to_receive(&queue).await;
    // A redrive sends it again.
    send(&queue, 1, 1).await;
    receive_one(&queue, &event(1, 1)).await;
}
