//! Durability and order.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::{
    Harness, PATIENCE, POLL, assert_nothing_to_receive, content, done, event, receive, receive_one, send,
    until_available,
};
use crate::{LeadQueue, Settlement};

/// An accepted message survives the process that accepted it.
pub async fn messages_survive_a_restart(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 2).await;
    drop(queue);
    let queue = harness.open().await;
    done(&queue, &receive_one(&queue, &event(1, 1)).await).await;
    drop(queue);
    let queue = harness.open().await;
    done(&queue, &receive_one(&queue, &event(1, 2)).await).await;
    assert_nothing_to_receive(&queue).await;
}

/// A group keeps its order, and its next message is ready as soon as the one before it is settled.
pub async fn group_messages_are_received_in_send_order(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 12).await; // two digits, so that text order differs
    for n in 1..=12 {
        done(&queue, &receive_one(&queue, &event(1, n)).await).await;
    }
    assert_nothing_to_receive(&queue).await;
}

/// A lead whose message is leased does not block other leads.
pub async fn groups_do_not_block_each_other(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 2).await;
    let _held = receive_one(&queue, &event(1, 1)).await;
    send(&queue, 2, 2).await;
    for n in 1..=2 {
        done(&queue, &receive_one(&queue, &event(2, n)).await).await;
    }
}

/// While a message is leased, no handle receives a later one of its group.
pub async fn at_most_one_message_of_a_group_is_in_flight(harness: &impl Harness) {
    let queue = harness.open().await;
    let other = harness.open().await;
    send(&queue, 1, 3).await;
    let first = receive(&queue, 10).await;
    assert_eq!(first.len(), 1);
    assert_nothing_to_receive(&queue).await;
    assert_nothing_to_receive(&other).await;
    done(&queue, &first[0]).await;
    receive_one(&other, &event(1, 2)).await;
    assert_nothing_to_receive(&queue).await;
}

/// No group starves: the one that has been ready longest is next.
pub async fn longest_ready_groups_are_received_first(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 3).await;
    for lead in 2..=3 {
        harness.advance(super::SECOND).await;
        send(&queue, lead, 1).await;
    }
    harness.advance(super::SECOND).await;
    assert!(queue.receive(0).await.expect("receiving works").is_empty());
    done(&queue, &receive_one(&queue, &event(1, 1)).await).await;
    done(&queue, &receive_one(&queue, &event(2, 1)).await).await;
    done(&queue, &receive_one(&queue, &event(3, 1)).await).await;
    done(&queue, &receive_one(&queue, &event(1, 2)).await).await;
}

/// 200 messages of 20 groups, sent while two consumers run: each is received once, in its group's order, and
/// never concurrently with another one of its group.
pub async fn two_consumers_receive_each_message_once_in_order(harness: &impl Harness) {
    const GROUPS: u32 = 20;
    const EACH: u32 = 10;
    #[derive(Default)]
    struct Seen {
        in_flight: HashSet<String>,
        titles: HashMap<String, Vec<u32>>,
    }

    async fn consume(queue: Arc<dyn LeadQueue>, seen: Arc<Mutex<Seen>>) {
        let mut idle = 0;
        loop {
            let messages = until_available(|| queue.receive(4)).await;
            if messages.is_empty() {
                idle += 1;
                assert!(idle < PATIENCE, "messages went missing");
                tokio::time::sleep(POLL).await;
            }
            for message in &messages {
                idle = 0;
                let title = content(message).lead.title.and_then(|title| title.parse().ok());
                let mut seen = seen.lock().expect("no consumer panicked");
                assert!(seen.in_flight.insert(message.group.clone()), "two of a group at once");
                seen.titles.entry(message.group.clone()).or_default().push(title.expect("a number"));
            }
            for message in messages {
                tokio::task::yield_now().await;
                seen.lock().expect("no consumer panicked").in_flight.remove(&message.group);
                until_available(|| queue.settle(&message.receipt, &Settlement::Done)).await;
            }
            let total: usize = seen.lock().expect("no consumer panicked").titles.values().map(Vec::len).sum();
            if total >= (GROUPS * EACH) as usize {
                return;
            }
        }
    }

    let seen = Arc::<Mutex<Seen>>::default();
    let (one, two) = (harness.open().await, harness.open().await);
    let consumers = [Arc::clone(&one), two].map(|queue| tokio::spawn(consume(queue, Arc::clone(&seen))));
    for n in 1..=EACH {
        for lead in 1..=GROUPS {
            let event = event(lead, n);
            until_available(|| one.send(&event)).await;
        }
    }
    for consumer in consumers {
        consumer.await.expect("the consumer finds what it expects");
    }
    let seen = seen.lock().expect("no consumer panicked");
    assert_eq!(seen.titles.len(), GROUPS as usize);
    for titles in seen.titles.values() {
        assert_eq!(*titles, (1..=EACH).collect::<Vec<_>>());
    }
}
