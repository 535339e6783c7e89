use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Clock, Dependency, LeadEvent};

use super::COPY_AT_RECEIVE;
use crate::{
    Depth, Ended, Fifo as _, LeadQueue, Ledger, Message, Pause, QueueError, Receipt, Received, Sent,
    Settlement, Sqs,
};

/// The [`LeadQueue`] on SQS: how the functions beside the batch processor use it, and a worker on one machine.
pub struct SqsQueue {
    sqs: Sqs,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    visibility: Duration,
    resend_after: Option<Duration>,
    has_redrive: bool,
    /// What this handle has received and not settled, by receipt.
    held: Mutex<HashMap<String, Received>>,
}

impl SqsQueue {
    /// A queue whose received messages stay hidden for `visibility`.
    pub fn new(sqs: Sqs, ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, visibility: Duration) -> Self {
        Self { sqs, ledger, clock, visibility, resend_after: None, has_redrive: true, held: Mutex::default() }
    }

    /// For who sends deliveries again: a redrive, a replay, a janitor. Once in each such span of time the same delivery
    /// is sent although SQS has seen it within five minutes. Its copies are harmless: they find nothing to do.
    #[must_use]
    pub fn resending_after(mut self, span: Duration) -> Self {
        self.resend_after = Some(span.max(Duration::from_secs(1)));
        self
    }

    /// For a queue without a redrive policy, which takes nothing away: nothing has to be copied, and all stays in order.
    #[must_use]
    pub fn without_redrive(mut self) -> Self {
        self.has_redrive = false;
        self
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Received>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message back that has been tried so often. Where the redrive policy would take its receives for failures,
    /// that is a copy.
    async fn put_back(&self, message: &Received, after: Duration, spent: u32) -> Result<(), QueueError> {
        let count = message.receive_count;
        if self.has_redrive && count >= COPY_AT_RECEIVE && spent < count {
            return self.sqs.copy(message).await;
        }
        self.sqs.hide_one(&message.receipt, after).await
    }

    /// Says to SQS what became of a message; the ledger is told later.
    async fn tell(&self, message: &Received, settlement: &Settlement) -> Result<Ended, QueueError> {
        let tries = self.ledger.look(&[&message.key]).await?.get(&message.key).copied().unwrap_or_default();
        let spent = tries.attempts.saturating_add(tries.losses);
        match settlement {
            Settlement::Done => self.sqs.delete(&message.receipt).await.map(|()| Ended::Settled),
            Settlement::Retry { after, .. } => {
                self.put_back(message, *after, spent + 1).await.map(|()| Ended::Failed)
            }
            Settlement::Defer { after, .. } => {
                self.put_back(message, *after, spent).await.map(|()| Ended::Deferred)
            }
            Settlement::DeadLetter { failure } => {
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
        let delivery = event.delivery_id();
        let deduplication = match self.resend_after {
            None => delivery.as_str().to_owned(),
            Some(span) => {
                let span = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
                format!("{delivery}-{}", self.clock.now().as_second() / span)
            }
        };
        self.sqs.send(event, &deduplication).await?;
        Ok(Sent::Accepted)
    }

    async fn receive(&self, max: usize) -> Result<Vec<Message>, QueueError> {
        if max == 0 || !self.ledger.pauses().await?.is_empty() {
            return Ok(Vec::new());
        }
        let mut messages = Vec::new();
        // One by one: of several, SQS would hand out more than one of a group.
        while messages.len() < max {
            let Some(received) = self.sqs.receive(self.visibility).await? else { break };
            let tries = self.ledger.begin(&received.key, &received.receipt).await?;
            messages.push(Message {
                id: received.key.clone(),
                group: received.group.clone(),
                body: received.body.clone(),
                attempt: tries.attempts.saturating_add(1),
                losses: tries.losses,
                sent_at: received.sent_at,
                redriven: false,
                receipt: Receipt { key: received.key.clone(), token: received.receipt.clone() },
            });
            self.held().insert(received.receipt.clone(), received);
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
        if let Err(QueueError::Unavailable(error)) = told {
            return Err(QueueError::Unavailable(error));
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
        self.ledger.resume(dependency).await
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
}
