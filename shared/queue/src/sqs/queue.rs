//! [`SqsQueue`], the [`LeadQueue`] on SQS.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Clock, Dependency, LeadEvent};
use tokio::sync::{Notify, OnceCell};

use super::copy_at_receive;
use crate::{
    Depth, Ended, Fifo as _, LeadQueue, Ledger, Message, Pause, QueueError, Receipt, Received, Restored,
    Sent, Settlement, Sqs,
};

/// A delivery that was neither sent nor tried for this time is lost if the queue reports that it is empty.
/// Longer than the lag of SQS's count (Amazon SQS developer guide: about a minute).
const LOST_FROM_EMPTY: Duration = Duration::from_mins(15);

/// A delivery that was neither sent nor tried for this time counts as lost even if the queue is not empty.
const LOST_AFTER: Duration = Duration::from_hours(6);

/// An event is sent for the first time within this time of its receipt; a later send is a repeat and is
/// recorded.
const FIRST_SENT_WITHIN: Duration = Duration::from_mins(5);

/// The longest wait of an idle worker between two receives, each of which Amazon charges for: about 520,000 a
/// month.
///
/// Not a long poll: SQS does not notice that a client has closed its connection, and hands the next message
/// to it. That message then stays hidden for its visibility timeout (github.com/aws/aws-sdk-js issue 2350,
/// github.com/aws/aws-sdk-net issue 1680).
const LONGEST_IDLE_WAIT: Duration = Duration::from_secs(5);

/// The messages that a receive may put back beyond the number that it was asked for.
const MAX_REQUEUES: usize = 10;

/// The time for which the last reading of the queue's depth is reused.
const DEPTH_CACHE_TTL: Duration = Duration::from_mins(1);

/// The [`LeadQueue`] on SQS, for the functions other than the batch processor and for a worker on one
/// machine.
pub struct SqsQueue {
    sqs: Sqs,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    visibility: Duration,
    resend_after: Option<Duration>,
    /// The maximum receive count of the queue, once read.
    max_receive_count: OnceCell<Option<u32>>,
    /// The messages that this handle has received and not settled, by receipt.
    held: Mutex<HashMap<String, Received>>,
    /// The time of the last depth reading, and whether any message was waiting.
    waiting_cache: Mutex<Option<(Timestamp, bool)>>,
    /// Notified when this handle has sent a message or ended a pause.
    work_available: Notify,
}

impl SqsQueue {
    /// Creates a queue whose received messages stay hidden for `visibility`.
    pub fn new(sqs: Sqs, ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, visibility: Duration) -> Self {
        Self {
            sqs,
            ledger,
            clock,
            visibility,
            resend_after: None,
            max_receive_count: OnceCell::new(),
            held: Mutex::default(),
            waiting_cache: Mutex::default(),
            work_available: Notify::new(),
        }
    }

    /// Sends deliveries again that SQS has seen within five minutes, at most once in each `span` (at least a
    /// millisecond). For a redrive, a replay or the janitor. The extra copies are harmless: they find nothing
    /// to do.
    #[must_use]
    pub fn resending_after(mut self, span: Duration) -> Self {
        self.resend_after = Some(span.max(Duration::from_millis(1)));
        self
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Received>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a delivery that was last seen this long ago cannot be in SQS any more. While consumption is
    /// paused no message is tried, so nothing counts as lost.
    async fn is_lost(&self, unseen_for: Duration) -> Result<bool, QueueError> {
        if unseen_for < LOST_FROM_EMPTY || !self.ledger.pauses().await?.is_empty() {
            return Ok(false);
        }
        Ok(unseen_for >= LOST_AFTER || !self.has_waiting().await?)
    }

    async fn has_waiting(&self) -> Result<bool, QueueError> {
        let now = self.clock.now();
        let known = *self.waiting_cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, waiting)) = known
            && now.duration_since(at).unsigned_abs() < DEPTH_CACHE_TTL
        {
            return Ok(waiting);
        }
        let waiting = self.sqs.depth().await?.messages > 0;
        *self.waiting_cache.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, waiting));
        Ok(waiting)
    }

    async fn resend(&self, event: &LeadEvent) -> Result<Restored, QueueError> {
        self.post(event).await?;
        self.ledger.note_sent(event.delivery_id().as_str()).await?;
        Ok(Restored::Sent)
    }

    async fn post(&self, event: &LeadEvent) -> Result<(), QueueError> {
        let delivery = event.delivery_id();
        let deduplication = match self.resend_after {
            None => delivery.as_str().to_owned(),
            Some(span) => {
                let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
                format!("{delivery}-{}", self.clock.now().as_millisecond() / span)
            }
        };
        self.sqs.send(event, &deduplication).await?;
        self.work_available.notify_one();
        Ok(())
    }

    /// Receives the next message that may be tried; `None` if none is ready. Other messages are put back, at
    /// most `requeues` of them.
    async fn receive_one(&self, requeues: &mut usize) -> Result<Option<Message>, QueueError> {
        while *requeues > 0 {
            let Some(received) = self.sqs.receive(self.visibility).await? else { return Ok(None) };
            if let Some(left) = received.wait_left(self.clock.now()) {
                *requeues -= 1;
                self.sqs.hide_one(&received.receipt, left).await?;
                continue;
            }
            if self.needs_copy(&received).await? {
                *requeues -= 1;
                self.sqs.copy(&received, None).await?;
                continue;
            }
            let tries = self.ledger.begin(&received.key, &received.receipt).await?;
            let message = received.to_message(tries.attempts.saturating_add(1), tries.losses);
            self.held().insert(received.receipt.clone(), received);
            return Ok(Some(message));
        }
        Ok(None)
    }

    /// Whether the redrive policy would soon dead-letter a message for its receive count although it did not
    /// fail that often: each deferral is a receive as well. The message is then replaced by a fresh copy
    /// before it is tried, so that its wait is already over.
    async fn needs_copy(&self, message: &Received) -> Result<bool, QueueError> {
        if message.receive_count < 2 {
            return Ok(false); // the first receive precedes the first try
        }
        let max = *self.max_receive_count.get_or_try_init(|| self.sqs.max_receive_count()).await?;
        if max.is_none_or(|max| message.receive_count < copy_at_receive(max)) {
            return Ok(false);
        }
        let tries = self.ledger.look(&[&message.key]).await?.get(&message.key).copied().unwrap_or_default();
        let spent = tries.attempts.saturating_add(tries.losses).saturating_add(u32::from(tries.is_held));
        Ok(spent + 1 < message.receive_count)
    }

    /// Settles a message in SQS. The ledger is updated afterwards.
    async fn settle_in_sqs(&self, message: &Received, settlement: &Settlement) -> Result<Ended, QueueError> {
        match settlement {
            Settlement::Done => self.sqs.delete(&message.receipt).await.map(|()| Ended::Settled),
            Settlement::Retry { after, failure } => {
                self.sqs.hide_one(&message.receipt, *after).await.map(|()| Ended::after(failure))
            }
            Settlement::Defer { after, .. } => {
                self.sqs.hide_one(&message.receipt, *after).await.map(|()| Ended::Deferred)
            }
            Settlement::DeadLetter { failure } => {
                let tries = self.ledger.look(&[&message.key]).await?;
                let tries = tries.get(&message.key).copied().unwrap_or_default();
                let spent = tries.attempts.saturating_add(tries.losses);
                self.sqs.dead_letter(message, spent + 1, failure).await.map(|()| Ended::Settled)
            }
        }
    }
}

#[async_trait]
impl LeadQueue for SqsQueue {
    fn backend(&self) -> &'static str {
        "sqs"
    }

    /// Always [`Sent::Accepted`]: SQS does not report that it has dropped a duplicate.
    async fn send(&self, event: &LeadEvent) -> Result<Sent, QueueError> {
        self.post(event).await?;
        if self.clock.now().duration_since(event.received_at).unsigned_abs() > FIRST_SENT_WITHIN {
            self.ledger.note_sent(event.delivery_id().as_str()).await?;
        }
        Ok(Sent::Accepted)
    }

    /// Sends a delivery again if SQS is likely to have lost it: SQS cannot look up a single delivery.
    async fn restore(&self, event: &LeadEvent) -> Result<Restored, QueueError> {
        let now = self.clock.now();
        let unseen = |since: Timestamp| Duration::try_from(now.duration_since(since)).unwrap_or_default();
        if unseen(event.received_at) < LOST_FROM_EMPTY {
            return Ok(Restored::Waiting);
        }
        let seen = self.ledger.last_seen(event.delivery_id().as_str()).await?;
        let seen = seen.map_or(event.received_at, |seen| seen.max(event.received_at));
        if self.is_lost(unseen(seen)).await? { self.resend(event).await } else { Ok(Restored::Waiting) }
    }

    async fn restore_lost(&self, event: &LeadEvent) -> Result<Restored, QueueError> {
        self.resend(event).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.sqs.depth().await.map(drop)
    }

    async fn receive(&self, max: usize) -> Result<Vec<Message>, QueueError> {
        if max == 0 || !self.ledger.pauses().await?.is_empty() {
            return Ok(Vec::new());
        }
        let mut messages = Vec::new();
        let mut requeues = max + MAX_REQUEUES;
        // One at a time: in a batch, SQS would return more than one message of a group.
        while messages.len() < max {
            match self.receive_one(&mut requeues).await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) if messages.is_empty() => return Err(error),
                // The messages received before this one are leased: if they were dropped here, they would
                // count as lost.
                Err(error) => {
                    tracing::warn!(%error, "receive stopped early: it returns the messages received so far");
                    break;
                }
            }
        }
        Ok(messages)
    }

    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError> {
        if !self.ledger.holds(&receipt.key, &receipt.token).await? {
            self.held().remove(&receipt.token);
            return Err(QueueError::LeaseLost);
        }
        self.sqs.hide_one(&receipt.token, self.visibility).await
    }

    /// The ledger is updated last: until then the lease is held, so that this call can be repeated.
    async fn settle(&self, receipt: &Receipt, settlement: &Settlement) -> Result<(), QueueError> {
        let Some(message) = self.held().get(&receipt.token).cloned() else {
            return Err(QueueError::LeaseLost);
        };
        if !self.ledger.holds(&receipt.key, &receipt.token).await? {
            self.held().remove(&receipt.token);
            return Err(QueueError::LeaseLost);
        }
        let settled = self.settle_in_sqs(&message, settlement).await;
        if let Err(error @ (QueueError::Unavailable(_) | QueueError::Refused(_) | QueueError::TooLarge(_))) =
            settled
        {
            return Err(error);
        }
        // If SQS rejects the receipt, the message was settled by an earlier call, or another worker has
        // received it and begins its own try.
        let ended = settled.as_ref().copied().unwrap_or(Ended::Settled);
        let held = self.ledger.end(&receipt.key, &receipt.token, ended).await?;
        self.held().remove(&receipt.token);
        if held { settled.map(drop) } else { Err(QueueError::LeaseLost) }
    }

    async fn release(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.held().remove(&receipt.token);
        if !self.ledger.end(&receipt.key, &receipt.token, Ended::Released).await? {
            return Err(QueueError::LeaseLost);
        }
        self.sqs.hide_one(&receipt.token, Duration::ZERO).await
    }

    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError> {
        self.ledger.pause(dependency, reason, until).await
    }

    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError> {
        self.ledger.resume(dependency).await?;
        self.work_available.notify_one();
        Ok(())
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        self.ledger.pauses().await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.sqs.depth().await
    }

    fn visibility_timeout(&self) -> Duration {
        self.visibility
    }

    fn longest_idle_wait(&self) -> Duration {
        LONGEST_IDLE_WAIT
    }

    async fn work_available(&self) {
        self.work_available.notified().await;
    }
}
