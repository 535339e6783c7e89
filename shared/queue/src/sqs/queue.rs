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

/// A delivery that was neither sent nor tried for so long is not in SQS any more, where the queue says that it is empty.
/// Longer than its count may be behind (Amazon SQS developer guide: about a minute).
const LOST_FROM_EMPTY: Duration = Duration::from_mins(15);

/// A delivery that was neither sent nor tried for so long is taken for lost although the queue is not empty.
const LOST_AFTER: Duration = Duration::from_hours(6);

/// An event is sent for the first time within so long; what is older is sent again, and that is noted.
const FIRST_SENT_WITHIN: Duration = Duration::from_mins(5);

/// The longest wait of an idle worker between two receives, each of which Amazon charges for: about 520,000 a month.
///
/// Not a long poll: SQS does not notice that a client has closed its connection, and hands the next message to it, which
/// then stays hidden for its visibility timeout (github.com/aws/aws-sdk-js issue 2350, github.com/aws/aws-sdk-net issue 1680).
const LONGEST_IDLE_WAIT: Duration = Duration::from_secs(5);

/// How many messages more than it is asked for a receive may put back.
const MAX_PUTS: usize = 10;

/// How long an answer to how much waits is used, and how long an empty queue is not asked again.
const DEPTH_KEPT: Duration = Duration::from_mins(1);

/// The [`LeadQueue`] on SQS: how the functions beside the batch processor use it, and a worker on one machine.
pub struct SqsQueue {
    sqs: Sqs,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    visibility: Duration,
    resend_after: Option<Duration>,
    /// After how many receives the queue takes a message away, once it was asked.
    max_receive_count: OnceCell<Option<u32>>,
    /// What this handle has received and not settled, by receipt.
    held: Mutex<HashMap<String, Received>>,
    /// Whether anything waited, and when that was asked.
    waiting: Mutex<Option<(Timestamp, bool)>>,
    /// Notified when this handle has sent something, or ended a pause.
    has_news: Notify,
}

impl SqsQueue {
    /// A queue whose received messages stay hidden for `visibility`.
    pub fn new(sqs: Sqs, ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, visibility: Duration) -> Self {
        Self {
            sqs,
            ledger,
            clock,
            visibility,
            resend_after: None,
            max_receive_count: OnceCell::new(),
            held: Mutex::default(),
            waiting: Mutex::default(),
            has_news: Notify::new(),
        }
    }

    /// For senders of deliveries that were sent before: a redrive, a replay, a janitor. Once in each such span of time (at
    /// least a millisecond) the same delivery is sent although SQS has seen it within five minutes. Its copies are
    /// harmless: they find nothing to do.
    #[must_use]
    pub fn resending_after(mut self, span: Duration) -> Self {
        self.resend_after = Some(span.max(Duration::from_millis(1)));
        self
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Received>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a delivery that was last seen so long ago cannot be in SQS any more. While consumption is paused nothing is
    /// tried, and so nothing can be told.
    async fn is_lost(&self, unseen_for: Duration) -> Result<bool, QueueError> {
        if unseen_for < LOST_FROM_EMPTY || !self.ledger.pauses().await?.is_empty() {
            return Ok(false);
        }
        Ok(unseen_for >= LOST_AFTER || !self.has_waiting().await?)
    }

    async fn has_waiting(&self) -> Result<bool, QueueError> {
        let now = self.clock.now();
        let known = *self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, waiting)) = known
            && now.duration_since(at).unsigned_abs() < DEPTH_KEPT
        {
            return Ok(waiting);
        }
        let waiting = self.sqs.depth().await?.messages > 0;
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, waiting));
        Ok(waiting)
    }

    async fn send_again(&self, event: &LeadEvent) -> Result<Restored, QueueError> {
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
        self.has_news.notify_one();
        Ok(())
    }

    /// The next message that may be tried; none where nothing waits. Others are put back on the way, `puts` at most.
    async fn receive_one(&self, puts: &mut usize) -> Result<Option<Message>, QueueError> {
        while *puts > 0 {
            let Some(received) = self.sqs.receive(self.visibility).await? else { return Ok(None) };
            if let Some(left) = received.wait_left(self.clock.now()) {
                *puts -= 1;
                self.sqs.hide_one(&received.receipt, left).await?;
                continue;
            }
            if self.needs_copy(&received).await? {
                *puts -= 1;
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

    /// Whether the redrive policy would soon take a message for its receives although it did not fail so often: each deferral
    /// is a receive as well. It is then replaced by a fresh copy before it is tried, so that its wait is over by then.
    async fn needs_copy(&self, message: &Received) -> Result<bool, QueueError> {
        if message.receive_count < 2 {
            return Ok(false); // the first receive is that of its first try
        }
        let max = *self.max_receive_count.get_or_try_init(|| self.sqs.max_receive_count()).await?;
        if max.is_none_or(|max| message.receive_count < copy_at_receive(max)) {
            return Ok(false);
        }
        let tries = self.ledger.look(&[&message.key]).await?.get(&message.key).copied().unwrap_or_default();
        let spent = tries.attempts.saturating_add(tries.losses).saturating_add(u32::from(tries.is_held));
        Ok(spent + 1 < message.receive_count)
    }

    /// Says to SQS what became of a message; the ledger is told later.
    async fn tell(&self, message: &Received, settlement: &Settlement) -> Result<Ended, QueueError> {
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

    /// Always [`Sent::Accepted`]: SQS does not say whether it has swallowed a duplicate.
    async fn send(&self, event: &LeadEvent) -> Result<Sent, QueueError> {
        self.post(event).await?;
        if self.clock.now().duration_since(event.received_at).unsigned_abs() > FIRST_SENT_WITHIN {
            self.ledger.note_sent(event.delivery_id().as_str()).await?;
        }
        Ok(Sent::Accepted)
    }

    /// Sends a delivery again that SQS cannot hold any more, as far as that can be told: SQS cannot be asked for one.
    async fn restore(&self, event: &LeadEvent) -> Result<Restored, QueueError> {
        let now = self.clock.now();
        let unseen = |since: Timestamp| Duration::try_from(now.duration_since(since)).unwrap_or_default();
        if unseen(event.received_at) < LOST_FROM_EMPTY {
            return Ok(Restored::Waiting);
        }
        let seen = self.ledger.last_seen(event.delivery_id().as_str()).await?;
        let seen = seen.map_or(event.received_at, |seen| seen.max(event.received_at));
        if self.is_lost(unseen(seen)).await? { self.send_again(event).await } else { Ok(Restored::Waiting) }
    }

    async fn restore_lost(&self, event: &LeadEvent) -> Result<Restored, QueueError> {
        self.send_again(event).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.sqs.depth().await.map(drop)
    }

    async fn receive(&self, max: usize) -> Result<Vec<Message>, QueueError> {
        if max == 0 || !self.ledger.pauses().await?.is_empty() {
            return Ok(Vec::new());
        }
        let mut messages = Vec::new();
        let mut puts = max + MAX_PUTS;
        // One by one: of several, SQS would hand out more than one of a group.
        while messages.len() < max {
            match self.receive_one(&mut puts).await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) if messages.is_empty() => return Err(error),
                // Those received before are held: without an answer they would count as lost.
                Err(error) => {
                    tracing::warn!(%error, "a receive ends early");
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

    /// The ledger comes last: until then the lease is held, so that this can be done again.
    async fn settle(&self, receipt: &Receipt, settlement: &Settlement) -> Result<(), QueueError> {
        let Some(message) = self.held().get(&receipt.token).cloned() else {
            return Err(QueueError::LeaseLost);
        };
        if !self.ledger.holds(&receipt.key, &receipt.token).await? {
            self.held().remove(&receipt.token);
            return Err(QueueError::LeaseLost);
        }
        let told = self.tell(&message, settlement).await;
        if let Err(error @ (QueueError::Unavailable(_) | QueueError::Refused(_) | QueueError::TooLarge(_))) =
            told
        {
            return Err(error);
        }
        // A receipt that SQS has forgotten: told before, or taken by somebody else who will begin a try of their own.
        let ended = told.as_ref().copied().unwrap_or(Ended::Settled);
        let held = self.ledger.end(&receipt.key, &receipt.token, ended).await?;
        self.held().remove(&receipt.token);
        if held { told.map(drop) } else { Err(QueueError::LeaseLost) }
    }

    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError> {
        self.ledger.pause(dependency, reason, until).await
    }

    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError> {
        self.ledger.resume(dependency).await?;
        self.has_news.notify_one();
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

    async fn has_news(&self) {
        self.has_news.notified().await;
    }
}
