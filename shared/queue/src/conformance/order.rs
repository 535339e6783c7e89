use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::{
    Harness, PATIENCE, POLL, assert_nothing_to_receive, content, done, event, receive, receive_one, send,
    until_available,
};
use crate::{LeadQueue, Settlement};

/// What was accepted is there after the process that accepted it has gone.
pub async fn messages_survive_a_reopening(harness: &impl Harness) {
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

/// Order per group, with the next message ready as soon as the one before it is done.
pub async fn messages_of_a_group_come_in_the_order_they_were_sent(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 12).await; // two digits: not the order of texts
    for n in 1..=12 {
        done(&queue, &receive_one(&queue, &event(1, n)).await).await;
    }
    assert_nothing_to_receive(&queue).await;
}

/// A lead whose message is being worked on or fails holds up nobody else.
pub async fn groups_do_not_wait_for_each_other(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 2).await;
    let _held = receive_one(&queue, &event(1, 1)).await;
    send(&queue, 2, 2).await;
    for n in 1..=2 {
        done(&queue, &receive_one(&queue, &event(2, n)).await).await;
    }
}

/// While a message is leased, no later one of its group is received, by any handle.
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

/// No group starves while others are busy: the one that has waited longest is next.
pub async fn the_groups_that_have_been_ready_longest_come_first(harness: &impl Harness) {
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

/// 200 messages of 20 groups, sent while two consumers work: each is received once, in its group's order, and never
/// beside another one of its group.
pub async fn two_consumers_share_the_work_without_doubles_and_in_order(harness: &impl Harness) {
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
