//! Messages that go back to the queue: hidden for a while, or replaced by fresh copies.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lead::Clock;

use super::age::{age, record_waits};
use super::limit;
use super::state::{Batch, PAUSE_BOUNDS, Pause};
use crate::{COPY_AT_RECEIVE, Fifo, Received};

/// Puts messages back.
pub(super) struct Releases {
    pub(super) fifo: Arc<dyn Fifo>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Releases {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The wait of a message in a paused batch, and of those behind it in its group.
    pub(super) fn wait_of(&self, pause: Pause, message: &Received) -> Duration {
        match pause {
            Pause::Away(wait) => wait,
            Pause::AtLimit(left) => limit::wait(age(message, self.now()), left).min(PAUSE_BOUNDS.1),
        }
    }

    /// Releases whole groups, each with the wait for its first message.
    pub(super) async fn release_groups(
        &self,
        batch: &Batch,
        groups: &[Vec<Received>],
        wait: impl Fn(&Received) -> Duration,
    ) {
        for group in groups {
            self.release(batch, group, None, wait(&group[0])).await;
        }
    }

    /// Releases the messages of one group in order, to be received again after `wait`. `first_spent`: the
    /// tries of the first message, if they have just changed.
    ///
    /// From the first message with many receives for few tries on, they are replaced by fresh copies.
    pub(super) async fn release(
        &self,
        batch: &Batch,
        group: &[Received],
        first_spent: Option<u32>,
        wait: Duration,
    ) {
        let spent =
            |index: usize| first_spent.filter(|_| index == 0).unwrap_or_else(|| batch.spent(&group[index]));
        record_waits(group, self.now());
        let mut copies = false;
        for (index, message) in group.iter().enumerate() {
            copies |= message.receive_count >= COPY_AT_RECEIVE && spent(index) < message.receive_count;
            if copies && self.copy(batch, message, wait).await {
                continue;
            }
            batch.hide(message, wait);
        }
    }

    /// Replaces a group's messages from `first` on by fresh copies, until one cannot be copied. Returns the
    /// number of copies.
    pub(super) async fn copy_all(&self, batch: &Batch, messages: &[Received]) -> usize {
        record_waits(messages, self.now());
        for (copied, message) in messages.iter().enumerate() {
            if !self.copy(batch, message, Duration::ZERO).await {
                return copied;
            }
        }
        messages.len()
    }

    /// Replaces a message with fewer failures than receives by a fresh copy that is received after `wait`.
    /// False if that failed.
    async fn copy(&self, batch: &Batch, message: &Received, wait: Duration) -> bool {
        let now = self.now();
        let wait = wait.max(message.wait_left(now).unwrap_or_default());
        let not_before = if wait.is_zero() { None } else { now.saturating_add(wait).ok() };
        let copied = self.fifo.copy(message, not_before).await;
        match &copied {
            Ok(()) => {
                batch.settle(message);
                let (lead_id, message_id) = (&message.group, &message.key);
                tracing::info!(
                    lead_id,
                    message_id,
                    receives = message.receive_count,
                    "message replaced by a fresh copy"
                );
                super::count("copy");
            }
            Err(error) => tracing::error!(%error, "message not copied; released as it is"),
        }
        copied.is_ok()
    }

    /// Hides the released messages of the batch for their waits.
    pub(super) async fn hide(&self, batch: &Batch) {
        if let Err(error) = self.fifo.hide(&batch.take_hidden()).await {
            tracing::warn!(%error, "visibility timeouts not set; messages return after the queue's own timeout");
        }
    }
}
