//! Cancelled calls.

use std::pin::pin;
use std::task::Poll;

use super::{Harness, assert_nothing_to_receive, content, done, event, receive, receive_one, send};
use crate::{QueueError, Sent, Settlement};

/// More polls than any call needs.
const POLLS: u32 = 24;

/// Begins a call and drops it after some polls, with its request sent and its answer unread.
async fn dropped_after<T>(polls: u32, call: impl Future<Output = T>) {
    let mut call = pin!(call);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 || call.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        left -= 1;
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A cancelled send, as of a request whose client disconnects, loses and duplicates nothing: the message is
/// in the queue or not, and can be sent again.
pub async fn cancelled_send_is_atomic(harness: &impl Harness) {
    let queue = harness.open().await;
    for n in 1..=POLLS {
        dropped_after(n, queue.send(&event(1, n))).await;
        queue.send(&event(1, n)).await.expect("sending works");
        assert_eq!(queue.send(&event(1, n)).await.expect("sending works"), Sent::Duplicate);
    }
    for n in 1..=POLLS {
        done(&queue, &receive_one(&queue, &event(1, n)).await).await;
    }
    assert_nothing_to_receive(&queue).await;
}

/// Messages leased by a cancelled receive are received again once the lease has expired.
pub async fn cancelled_receive_loses_nothing(harness: &impl Harness) {
    let queue = harness.open().await;
    for lead in 1..=POLLS {
        send(&queue, lead, 1).await;
    }
    for polls in 1..=POLLS {
        dropped_after(polls, queue.receive(1)).await;
    }
    harness.advance(queue.visibility_timeout()).await;
    let mut received = Vec::new();
    while received.len() < POLLS as usize {
        for message in receive(&queue, 10).await {
            assert_eq!(message.attempt, 1);
            received.push(content(&message).lead_id);
            done(&queue, &message).await;
        }
    }
    received.sort();
    received.dedup();
    assert_eq!(received.len(), POLLS as usize, "each is received once");
    assert_nothing_to_receive(&queue).await;
}

/// A settlement whose caller is gone takes effect once or not at all.
pub async fn cancelled_settlement_is_atomic(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, POLLS).await;
    for n in 1..=POLLS {
        let message = receive_one(&queue, &event(1, n)).await;
        dropped_after(n, queue.extend(&message.receipt)).await;
        dropped_after(n, queue.settle(&message.receipt, &Settlement::Done)).await;
        match queue.settle(&message.receipt, &Settlement::Done).await {
            Ok(()) | Err(QueueError::LeaseLost) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_nothing_to_receive(&queue).await;
}
