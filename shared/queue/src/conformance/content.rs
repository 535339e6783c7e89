//! Duplicates, message bodies and the depth.

use std::time::Duration;

use lead::TraceContext;

use super::{
    Harness, SECOND, assert_nothing_to_receive, done, event, receive, receive_one, retry, send, settle,
    until_available,
};
use crate::{Depth, Sent};

/// A delivery sent again stores nothing while the first is waiting, leased or due for a retry.
pub async fn queued_delivery_is_a_duplicate(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 2).await;
    let again = async |n| queue.send(&event(1, n)).await.expect("sending works");
    assert_eq!(again(1).await, Sent::Duplicate);
    let message = receive_one(&queue, &event(1, 1)).await;
    assert_eq!((again(1).await, again(2).await), (Sent::Duplicate, Sent::Duplicate));
    settle(&queue, &message, &retry(SECOND)).await;
    assert_eq!(again(1).await, Sent::Duplicate);
    assert_eq!(queue.depth().await.expect("the depth is known").messages, 2);
    harness.advance(SECOND).await;
    // Each is received once, and a new one follows them.
    assert_eq!(again(3).await, Sent::Accepted);
    for n in 1..=3 {
        done(&queue, &receive_one(&queue, &event(1, n)).await).await;
    }
    assert_nothing_to_receive(&queue).await;
}

/// Concurrent senders of one delivery store one message.
pub async fn concurrent_sends_of_a_delivery_store_it_once(harness: &impl Harness) {
    let handles = [harness.open().await, harness.open().await];
    let senders: Vec<_> = (0..16)
        .map(|i| {
            let (queue, event) = (handles[i % 2].clone(), event(1, 1));
            tokio::spawn(async move { until_available(|| queue.send(&event)).await })
        })
        .collect();
    let mut accepted = 0;
    for sender in senders {
        accepted += u32::from(sender.await.expect("sending does not panic") == Sent::Accepted);
    }
    assert_eq!(accepted, 1);
    done(&handles[0], &receive_one(&handles[0], &event(1, 1)).await).await;
    assert_nothing_to_receive(&handles[0]).await;
}

/// The queue does not remember completed deliveries; the store does.
pub async fn completed_delivery_can_be_sent_again(harness: &impl Harness) {
    let queue = harness.open().await;
    for _ in 0..2 {
        send(&queue, 1, 1).await;
        done(&queue, &receive_one(&queue, &event(1, 1)).await).await;
        assert_nothing_to_receive(&queue).await;
    }
}

/// No text that a person can type is changed in transit or breaks the queue.
pub async fn body_is_received_unchanged(harness: &impl Harness) {
    let queue = harness.open().await;
    let hostile = [
        "'; DROP TABLE queue_message; --",
        "\"quoted\" \\ back\\slash \\u0000 \\n",
        "line\r\nbreak\ttab \u{1} \u{7f} \u{2028}",
        "Zoë 😀 👩‍👩‍👧 \u{202e}right to left",
        "$1 ? :name %s {{template}} <script>&amp;</script>",
        "\u{feff}\u{fffd}\u{10ffff}",
    ];
    let mut event = event(1, 1);
    event.lead.company = Some(hostile.join("|"));
    event.lead.attributes = hostile.iter().map(|text| ((*text).to_owned(), (*text).into())).collect();
    event.lead.attributes.insert("long".into(), "ä".repeat(60_000).into());
    event.content_hash = event.lead.content_hash();
    event.traceparent = TraceContext::new(u128::MAX, 1, true);
    queue.send(&event).await.expect("sending works");
    done(&queue, &receive_one(&queue, &event).await).await;
}

/// The depth counts messages and leases, and gives the age of the oldest message.
pub async fn depth_counts_waiting_and_leased_messages(harness: &impl Harness) {
    let queue = harness.open().await;
    let depth = async || queue.depth().await.expect("the depth is known");
    let counts = |depth: Depth| (depth.messages, depth.in_flight);
    assert_eq!(depth().await, Depth::default());
    send(&queue, 1, 2).await;
    send(&queue, 2, 1).await;
    harness.advance(SECOND).await;
    let before = depth().await;
    assert_eq!(counts(before), (3, 0));
    assert!(before.oldest_age >= SECOND, "{before:?}");
    let messages = receive(&queue, 1).await;
    assert_eq!(counts(depth().await), (3, 1));
    settle(&queue, &messages[0], &retry(Duration::ZERO)).await;
    assert_eq!(counts(depth().await), (3, 0));
    for _ in 0..3 {
        done(&queue, &receive(&queue, 1).await[0]).await;
    }
    assert_eq!(depth().await, Depth::default());
}
