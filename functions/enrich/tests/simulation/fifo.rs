//! Models a FIFO queue with a redrive policy, and Lambda's poller.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::Failure;
use queue::{Fifo, MAX_RECEIVE_COUNT, QueueError, Received};
use rand::RngExt as _;
use tokio::time::Instant;

use super::{Simulation, VISIBILITY};

/// After about this many rounds through one queue, Lambda's loop detection drops a message unless it is
/// disabled (AWS Lambda developer guide, recursive loop detection).
const HOP_LIMIT: u32 = 16;

/// The longest total time for which a message can be hidden after a receive (SQS API reference,
/// `ChangeMessageVisibility`).
const LONGEST_HIDDEN: Duration = Duration::from_hours(12);

/// A message in the queue.
pub(crate) struct Stored {
    pub(crate) key: usize,
    group: u32,
    /// A copy has a new id.
    id: u64,
    sent: Instant,
    received: Instant,
    visible_at: Instant,
    receive_count: u32,
    receipt: Option<String>,
    copied_from: Option<u64>,
    /// The number of copies that precede this one.
    hops: u32,
    not_before: Option<Timestamp>,
    /// The reason on the dead letter queue; none for a message that the redrive policy moved.
    pub(crate) reason: Option<Failure>,
}

impl Stored {
    pub(crate) fn new(key: usize, group: u32, now: Instant) -> Self {
        Self {
            key,
            group,
            id: key as u64,
            sent: now,
            received: now,
            visible_at: now,
            receive_count: 0,
            receipt: None,
            copied_from: None,
            hops: 0,
            not_before: None,
            reason: None,
        }
    }
}

/// The messages by their position in the queue.
#[derive(Default)]
pub(crate) struct Queue {
    messages: BTreeMap<usize, Stored>,
    pushed: usize,
    visible: BTreeSet<usize>,
    in_flight: BTreeSet<(Instant, usize)>,
    /// The number of messages in flight of each group.
    busy: HashMap<u32, usize>,
    by_receipt: HashMap<String, usize>,
    /// The originals of the copies in the queue.
    copied: HashSet<u64>,
}

impl Queue {
    pub(crate) fn push(&mut self, message: Stored) {
        self.copied.extend(message.copied_from);
        self.visible.insert(self.pushed);
        self.messages.insert(self.pushed, message);
        self.pushed += 1;
    }

    /// The earliest time at which a receive may succeed.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let in_flight = self.in_flight.first().map(|(at, _)| *at);
        in_flight.or_else(|| self.messages.values().next().map(|message| message.visible_at))
    }

    /// Makes messages visible whose time in flight is over, and returns those that were received too often.
    fn expire(&mut self, now: Instant) -> Vec<Stored> {
        let mut exhausted = Vec::new();
        while let Some((_, place)) = self.in_flight.first().copied().filter(|(at, _)| *at <= now) {
            self.make_visible(place);
            if self.messages[&place].receive_count >= MAX_RECEIVE_COUNT {
                exhausted.extend(self.remove(place));
            }
        }
        exhausted
    }

    fn take_in_flight(&mut self, place: usize, until: Instant) {
        let message = self.messages.get_mut(&place).unwrap();
        message.visible_at = until;
        *self.busy.entry(message.group).or_default() += 1;
        self.visible.remove(&place);
        self.in_flight.insert((until, place));
    }

    /// Makes a message in flight visible.
    fn make_visible(&mut self, place: usize) {
        let message = &self.messages[&place];
        if self.in_flight.remove(&(message.visible_at, place)) {
            let busy = self.busy.get_mut(&message.group).unwrap();
            *busy -= 1;
            if *busy == 0 {
                self.busy.remove(&message.group);
            }
            self.visible.insert(place);
        }
    }

    fn remove(&mut self, place: usize) -> Option<Stored> {
        self.make_visible(place);
        self.visible.remove(&place);
        let message = self.messages.remove(&place)?;
        if let Some(receipt) = &message.receipt {
            self.by_receipt.remove(receipt);
        }
        if let Some(original) = message.copied_from {
            self.copied.remove(&original);
        }
        Some(message)
    }

    fn delete(&mut self, receipt: &str) {
        if let Some(place) = self.by_receipt.get(receipt).copied() {
            self.remove(place);
        }
    }
}

impl Simulation {
    /// The next batch: up to ten messages, several consecutive ones of a group, and none of a group with a
    /// message in flight.
    pub(crate) fn receive(&self) -> Option<Vec<Received>> {
        let now = Instant::now();
        let mut state = self.state();
        let state = &mut *state;
        let exhausted = state.queue.expire(now);
        for message in &exhausted {
            state.sent[message.key].was_dead_lettered = true;
        }
        state.dlq.extend(exhausted);
        let max = state.random.random_range(1..=10);
        let queue = &mut state.queue;
        let is_free = |place: &&usize| !queue.busy.contains_key(&queue.messages[place].group);
        let places: Vec<usize> = queue.visible.iter().filter(is_free).take(max).copied().collect();
        let mut batch = Vec::new();
        for place in places {
            queue.take_in_flight(place, now + VISIBILITY);
            state.receives += 1;
            let receipt = format!("r{}", state.receives);
            queue.by_receipt.insert(receipt.clone(), place);
            let message = queue.messages.get_mut(&place).unwrap();
            assert!(message.hops < HOP_LIMIT, "Lambda would drop {} as a loop", message.key);
            message.receive_count += 1;
            message.received = now;
            if let Some(old) = message.receipt.replace(receipt.clone()) {
                queue.by_receipt.remove(&old);
            }
            let accepted = Timestamp::UNIX_EPOCH + (state.sent[message.key].at - self.began);
            batch.push(Received {
                key: message.key.to_string(),
                message_id: message.id.to_string(),
                group: message.group.to_string(),
                body: format!(r#"{{"received_at":"{accepted}"}}"#),
                receive_count: message.receive_count,
                sent_at: Timestamp::UNIX_EPOCH + (message.sent - self.began),
                not_before: message.not_before,
                receipt,
            });
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Deletes the settled messages of a batch, as Lambda does with an answer.
    pub(crate) fn delete_all_but(&self, batch: &[Received], failed: &HashSet<String>) {
        let mut state = self.state();
        for message in batch.iter().filter(|m| !failed.contains(&m.message_id)) {
            state.queue.delete(&message.receipt);
        }
    }

    fn remove(&self, message: &Received) {
        if self.send_may_fail().is_ok() {
            self.state().queue.delete(&message.receipt);
        }
    }

    fn send_may_fail(&self) -> Result<(), QueueError> {
        let mut state = self.state();
        let p = if state.faults { self.settings.failing_sends } else { 0.0 };
        if state.random.random_bool(p) { Err(QueueError::unavailable("throttled")) } else { Ok(()) }
    }
}

#[async_trait]
impl Fifo for Simulation {
    async fn copy(&self, message: &Received, not_before: Option<Timestamp>) -> Result<(), QueueError> {
        self.send_may_fail()?;
        let mut state = self.state();
        let from: u64 = message.message_id.parse().unwrap();
        state.copies += 1;
        let key: usize = message.key.parse().unwrap();
        state.sent[key].was_copied = true;
        if !state.queue.copied.contains(&from) {
            let group = state.sent[key].group;
            let mut copy = Stored::new(key, group, Instant::now());
            copy.id = 1_000_000 + state.copies as u64;
            copy.copied_from = Some(from);
            let original = state.queue.by_receipt.get(&message.receipt);
            copy.hops = original.map_or(0, |place| state.queue.messages[place].hops) + 1;
            copy.not_before = not_before;
            state.queue.push(copy);
        }
        drop(state);
        self.remove(message);
        Ok(())
    }

    async fn dead_letter(
        &self,
        message: &Received,
        attempts: u32,
        failure: &Failure,
    ) -> Result<(), QueueError> {
        assert!(attempts >= 1);
        self.send_may_fail()?;
        let key: usize = message.key.parse().unwrap();
        let mut state = self.state();
        let group = state.sent[key].group;
        let mut dead = Stored::new(key, group, Instant::now());
        dead.reason = Some(failure.clone());
        state.dlq.push(dead);
        state.sent[key].was_dead_lettered = true;
        drop(state);
        self.remove(message);
        Ok(())
    }

    async fn hide(&self, waits: &[(String, Duration)]) -> Result<(), QueueError> {
        self.send_may_fail()?;
        let mut state = self.state();
        let queue = &mut state.queue;
        for (receipt, wait) in waits {
            let Some(place) = queue.by_receipt.get(receipt).copied() else { continue };
            let until = Instant::now() + *wait;
            let received = queue.messages[&place].received;
            assert!(until - received <= LONGEST_HIDDEN, "SQS refuses to hide a message for so long");
            queue.make_visible(place);
            queue.take_in_flight(place, until);
        }
        Ok(())
    }
}
