//! Leases: expiry, renewal and loss.

use std::time::Duration;

use super::{
    Harness, assert_nothing_to_receive, dead_letter, defer, done, event, receive_one, retry, send, settle,
};
use crate::{QueueError, Settlement};

/// The message of a dead worker is received again, first of its group. The loss is counted apart from
/// failures.
pub async fn expired_lease_counts_as_a_loss_not_an_attempt(harness: &impl Harness) {
    let queue = harness.open().await;
    let visibility = queue.visibility_timeout();
    send(&queue, 1, 2).await;
    receive_one(&queue, &event(1, 1)).await;
    harness.advance(visibility / 2).await;
    assert_nothing_to_receive(&queue).await;
    harness.advance(visibility / 2).await;
    let again = receive_one(&queue, &event(1, 1)).await;
    assert_eq!((again.attempt, again.losses), (1, 1));
    settle(&queue, &again, &retry(Duration::ZERO)).await;
    let again = receive_one(&queue, &event(1, 1)).await;
    assert_eq!((again.attempt, again.losses), (2, 1), "a settled lease is no loss");
    settle(&queue, &again, &defer(Duration::ZERO)).await;
    let again = receive_one(&queue, &event(1, 1)).await;
    assert_eq!((again.attempt, again.losses), (2, 0), "losses count in a row");
    done(&queue, &again).await;
    let next = receive_one(&queue, &event(1, 2)).await;
    assert_eq!((next.attempt, next.losses), (1, 0), "the counters are a message's own");
}

/// Work may take longer than the visibility timeout while its worker renews the lease.
pub async fn a_renewed_lease_does_not_run_out(harness: &impl Harness) {
    let queue = harness.open().await;
    let visibility = queue.visibility_timeout();
    send(&queue, 1, 1).await;
    let message = receive_one(&queue, &event(1, 1)).await;
    for _ in 0..4 {
        harness.advance(visibility / 2).await;
        assert_nothing_to_receive(&queue).await;
        queue.extend(&message.receipt).await.expect("the lease is ours");
    }
    done(&queue, &message).await;
    assert_nothing_to_receive(&queue).await;
}

/// A worker that lost its lease cannot undo the work of its successor.
pub async fn lost_lease_settles_nothing(harness: &impl Harness) {
    let queue = harness.open().await;
    let successor = harness.open().await;
    send(&queue, 1, 2).await;
    let lost = receive_one(&queue, &event(1, 1)).await;
    harness.advance(queue.visibility_timeout()).await;
    let message = receive_one(&successor, &event(1, 1)).await;
    assert_ne!(lost.receipt, message.receipt);
    for settlement in [Settlement::Done, retry(Duration::ZERO), defer(Duration::ZERO), dead_letter()] {
        let settled = queue.settle(&lost.receipt, &settlement).await;
        assert!(matches!(settled, Err(QueueError::LeaseLost)), "{settled:?}");
        assert_nothing_to_receive(&queue).await;
    }
    let released = queue.release(&lost.receipt).await;
    assert!(matches!(released, Err(QueueError::LeaseLost)), "{released:?}");
    assert_nothing_to_receive(&queue).await;
    let extended = queue.extend(&lost.receipt).await;
    assert!(matches!(extended, Err(QueueError::LeaseLost)), "{extended:?}");
    settle(&successor, &message, &retry(Duration::ZERO)).await;
    let message = receive_one(&successor, &event(1, 1)).await;
    assert_eq!((message.attempt, message.losses), (2, 1));
    done(&successor, &message).await;
    done(&successor, &receive_one(&successor, &event(1, 2)).await).await;
}

/// A message that is released untried is ready at once. Its attempts and losses stay as they are.
pub async fn released_message_is_ready_with_its_counts(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 2).await;
    let message = receive_one(&queue, &event(1, 1)).await;
    settle(&queue, &message, &retry(Duration::ZERO)).await;
    receive_one(&queue, &event(1, 1)).await;
    harness.advance(queue.visibility_timeout()).await;
    let message = receive_one(&queue, &event(1, 1)).await;
    assert_eq!((message.attempt, message.losses), (2, 1));
    queue.release(&message.receipt).await.expect("the lease is ours");
    let again = receive_one(&queue, &event(1, 1)).await;
    assert_eq!((again.attempt, again.losses), (2, 1));
    done(&queue, &again).await;
    done(&queue, &receive_one(&queue, &event(1, 2)).await).await;
}

/// A receipt is valid for one settlement. A second one does not affect the message that is first now.
pub async fn message_is_settled_once(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 2).await;
    let first = receive_one(&queue, &event(1, 1)).await;
    done(&queue, &first).await;
    for settlement in [Settlement::Done, retry(Duration::ZERO)] {
        let settled = queue.settle(&first.receipt, &settlement).await;
        assert!(matches!(settled, Err(QueueError::LeaseLost)), "{settled:?}");
    }
    let second = receive_one(&queue, &event(1, 2)).await;
    assert!(matches!(queue.settle(&first.receipt, &Settlement::Done).await, Err(QueueError::LeaseLost)));
    assert_eq!(second.attempt, 1);
    done(&queue, &second).await;
    let settled = queue.settle(&second.receipt, &Settlement::Done).await;
    assert!(matches!(settled, Err(QueueError::LeaseLost)), "the group is gone: {settled:?}");
}
