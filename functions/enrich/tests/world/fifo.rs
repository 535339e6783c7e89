//! A FIFO queue with a redrive policy, and Lambda's poller in front of it.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::Failure;
use queue::{Fifo, MAX_RECEIVE_COUNT, QueueError, Received};
use rand::RngExt as _;
use tokio::time::Instant;

use super::{VISIBILITY, World};

/// A message in the queue.
pub(crate) struct Stored {
    pub(crate) key: usize,
    group: u32,
    /// A copy has another one.
    id: u64,
    sent: Instant,
    pub(crate) visible_at: Instant,
    receive_count: u32,
    receipt: Option<String>,
    copied_from: Option<u64>,
    not_before: Option<Timestamp>,
    /// On the dead letter queue, where it did not fall.
    pub(crate) reason: Option<Failure>,
}

impl Stored {
    pub(crate) fn new(key: usize, group: u32, now: Instant) -> Self {
        Self {
            key,
            group,
            id: key as u64,
            sent: now,
            visible_at: now,
            receive_count: 0,
            receipt: None,
            copied_from: None,
            not_before: None,
            reason: None,
        }
    }
}

impl World {
    /// The next batch: up to ten messages, several of a group where they stand one behind the other, and none of a group
    /// of which one is in flight.
    pub(crate) fn receive(&self) -> Option<Vec<Received>> {
        let now = Instant::now();
        let mut state = self.state();
        let state = &mut *state;
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut state.queue)
            .into_iter()
            .partition(|m| m.receive_count >= MAX_RECEIVE_COUNT && m.visible_at <= now);
        state.queue = kept;
        for message in &gone {
            state.sent[message.key].was_parked = true;
        }
        state.dlq.extend(gone);
        let busy: HashSet<_> = state.queue.iter().filter(|m| m.visible_at > now).map(|m| m.group).collect();
        let max = state.random.random_range(1..=10);
        let mut batch = Vec::new();
        for message in state.queue.iter_mut().filter(|m| !busy.contains(&m.group)).take(max) {
            state.receives += 1;
            message.receive_count += 1;
            message.visible_at = now + VISIBILITY;
            message.receipt = Some(format!("r{}", state.receives));
            batch.push(Received {
                key: message.key.to_string(),
                message_id: message.id.to_string(),
                group: message.group.to_string(),
                body: String::new(),
                receive_count: message.receive_count,
                sent_at: Timestamp::UNIX_EPOCH + (message.sent - self.began),
                not_before: message.not_before,
                receipt: format!("r{}", state.receives),
            });
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// What Lambda does with an answer.
    pub(crate) fn delete_all_but(&self, batch: &[Received], failed: &HashSet<String>) {
        let mut state = self.state();
        for message in batch.iter().filter(|m| !failed.contains(&m.message_id)) {
            state.queue.retain(|stored| stored.receipt.as_ref() != Some(&message.receipt));
        }
    }

    fn remove(&self, message: &Received) {
        if self.send_may_fail().is_ok() {
            self.state().queue.retain(|stored| stored.receipt.as_ref() != Some(&message.receipt));
        }
    }

    fn send_may_fail(&self) -> Result<(), QueueError> {
        let mut state = self.state();
        let p = if state.mishaps { self.settings.failing_sends } else { 0.0 };
        if state.random.random_bool(p) { Err(QueueError::unavailable("throttled")) } else { Ok(()) }
    }
}

#[async_trait]
impl Fifo for World {
    async fn copy(&self, message: &Received, not_before: Option<Timestamp>) -> Result<(), QueueError> {
        self.send_may_fail()?;
        let mut state = self.state();
        let from: u64 = message.message_id.parse().unwrap();
        state.copies += 1;
        let key: usize = message.key.parse().unwrap();
        state.sent[key].was_copied = true;
        if !state.queue.iter().any(|stored| stored.copied_from == Some(from)) {
            let group = state.sent[key].group;
            let mut copy = Stored::new(key, group, Instant::now());
            copy.id = 1_000_000 + state.copies as u64;
            copy.copied_from = Some(from);
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
        state.sent[key].was_parked = true;
        drop(state);
        self.remove(message);
        Ok(())
    }

    async fn hide(&self, receipts: &[String], wait: Duration) -> Result<(), QueueError> {
        self.send_may_fail()?;
        let mut state = self.state();
        for stored in &mut state.queue {
            if stored.receipt.as_ref().is_some_and(|receipt| receipts.contains(receipt)) {
                stored.visible_at = Instant::now() + wait;
            }
        }
        Ok(())
    }
}
