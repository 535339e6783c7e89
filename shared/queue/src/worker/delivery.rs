//! One message, from its lease to its settlement.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use lead::{Clock, Failure, FailureClass};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::Instrument;

use super::LeadHandler;
use super::hold::Hold;
use crate::{LeadQueue, MAX_LOSSES, Message, QueueError, Settlement, settle_counted};

/// How often the queue is told of a settlement before it is left to the lease to run out.
const SETTLE_TRIES: u32 = 6;

/// The wait before the second try; each further one is twice as long.
const SETTLE_WAIT: Duration = Duration::from_millis(50);

/// How long it may take to store what became of a message.
const RECORD_LIMIT: Duration = Duration::from_mins(2);

/// A worker takes nothing more for this long after the end of a message could not be stored.
const STORAGE_AWAY_WAIT: Duration = Duration::from_secs(2);

/// A message waits this long where its dead letter could not be stored.
const UNRECORDED_WAIT: Duration = Duration::from_secs(30);

pub(super) struct Delivery {
    pub(super) queue: Arc<dyn LeadQueue>,
    pub(super) handler: Arc<dyn LeadHandler>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) hold: Arc<Hold>,
    pub(super) handling_limit: Duration,
    pub(super) message: Message,
}

impl Delivery {
    pub(super) async fn run(self) {
        let Message { id, group, attempt, .. } = &self.message;
        let span = tracing::info_span!("message", lead_id = group, message_id = id, attempt);
        let _in_flight = InFlight::start(self.queue.backend());
        self.deliver().instrument(span).await;
    }

    async fn deliver(&self) {
        let backend = self.queue.backend();
        let started = Instant::now();
        // Nothing that is ready may be thrown away because a renewal came to its end at the same moment.
        let settlement = tokio::select! {
            biased;
            settlement = self.decide() => settlement,
            () = self.renew_until_lost() => {
                tracing::warn!("the lease was lost: the work is stopped, somebody else has the message");
                metrics::counter!("revenueflow_messages_total", "backend" => backend, "outcome" => "lost")
                    .increment(1);
                return;
            }
        };
        let settled = self.settle(&settlement).await;
        let outcome = if settled { outcome(&settlement) } else { "lost" };
        metrics::counter!("revenueflow_messages_total", "backend" => backend, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("revenueflow_message_seconds", "backend" => backend)
            .record(started.elapsed().as_secs_f64());
    }

    /// Does the work, and records it where it failed. Says what to tell the queue.
    async fn decide(&self) -> Settlement {
        let worked = if self.message.losses > MAX_LOSSES {
            let message = format!("workers died {} times while they had this message", self.message.losses);
            Err(Failure::permanent("worker_lost", message))
        } else {
            in_time(self.handling_limit, self.handler.handle(&self.message)).await
        };
        let Err(failure) = worked else { return Settlement::Done };
        tracing::warn!(code = %failure.code, class = ?failure.class, reason = failure.message, "not done");
        let settlement = settle_counted(self.handler.as_ref(), &self.message, failure).await;
        let recorded = in_time(RECORD_LIMIT, self.handler.record(&self.message, &settlement)).await;
        if let Settlement::Defer { after, failure } = &settlement
            && failure.class == FailureClass::Deferral
        {
            self.pause(*after, failure).await;
        }
        if recorded.is_err() {
            let now = self.clock.now();
            self.hold.until(now.saturating_add(STORAGE_AWAY_WAIT).unwrap_or(now));
        }
        match (recorded, settlement) {
            (Ok(()), settlement) => settlement,
            (Err(unrecorded), Settlement::DeadLetter { .. }) => {
                tracing::error!(
                    code = %unrecorded.code,
                    reason = unrecorded.message,
                    "a dead letter could not be stored: its message stays in the queue"
                );
                Settlement::Defer { after: UNRECORDED_WAIT, failure: unrecorded }
            }
            (Err(unrecorded), settlement) => {
                tracing::error!(
                    code = %unrecorded.code,
                    reason = unrecorded.message,
                    "what became of a message could not be stored"
                );
                settlement
            }
        }
    }

    /// Stops consumption for everybody while a dependency cannot be used: every other lead would find out the same.
    async fn pause(&self, after: Duration, failure: &Failure) {
        let Some(dependency) = &failure.dependency else { return };
        let now = self.clock.now();
        let until = now.saturating_add(after).unwrap_or(now);
        if failure.ends_by_itself {
            tracing::info!(%dependency, %until, "nothing more is taken for a while");
            return self.hold.until(until);
        }
        let reason = format!("{}: {}", failure.code, failure.message);
        match self.queue.pause(dependency, &reason, until).await {
            Ok(()) => tracing::warn!(%dependency, %until, "consumption is paused"),
            Err(error) => tracing::error!(%dependency, %error, "consumption could not be paused"),
        }
    }

    /// Returns once the lease is not ours any more, or shortly before it ends where it could not be renewed: afterwards
    /// somebody else may have the message.
    async fn renew_until_lost(&self) {
        let visibility = self.queue.visibility_timeout();
        let (mut renewed, mut wait) = (Instant::now(), visibility / 3);
        loop {
            let ends_soon = renewed + visibility - visibility / 10;
            let asked = (Instant::now() + wait).min(ends_soon);
            sleep_until(asked).await;
            if asked == ends_soon {
                return;
            }
            match timeout_at(ends_soon, self.queue.extend(&self.message.receipt)).await {
                Ok(Ok(())) => (renewed, wait) = (asked, visibility / 3),
                Ok(Err(QueueError::LeaseLost)) => return,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the lease could not be renewed");
                    wait = visibility / 10;
                }
                Err(_) => {
                    tracing::warn!("the lease could not be renewed: no answer in time");
                    return;
                }
            }
        }
    }

    /// False where the queue could not be told: the message is then received again.
    async fn settle(&self, settlement: &Settlement) -> bool {
        let mut wait = SETTLE_WAIT;
        for attempt in 1..=SETTLE_TRIES {
            match self.queue.settle(&self.message.receipt, settlement).await {
                Ok(()) => return true,
                Err(QueueError::LeaseLost) => {
                    tracing::warn!("the lease was lost before the message could be settled");
                    return false;
                }
                Err(error) => {
                    tracing::warn!(%error, attempt, "the message could not be settled");
                    sleep(wait).await;
                    wait *= 2;
                }
            }
        }
        false
    }
}

fn outcome(settlement: &Settlement) -> &'static str {
    match settlement {
        Settlement::Done => "done",
        Settlement::Retry { .. } => "retry",
        Settlement::Defer { .. } => "defer",
        Settlement::DeadLetter { .. } => "dead_letter",
    }
}

/// Work that ends in time. Longer work is dropped: what it waits for may never answer, while the lease is renewed.
async fn in_time(limit: Duration, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let late = |_| {
        let problem = format!("the work took longer than {} s", limit.as_secs());
        Err(Failure::transient("handling_timeout", problem))
    };
    timeout(limit, caught(work)).await.unwrap_or_else(late)
}

/// Makes a panic a failure of this one message. What it says stays out of the failure, for it may quote the lead: Rust's
/// own panics over slices and numbers repeat the text they were about.
async fn caught(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Failure::transient("panic", "the work panicked; the log says where")))
}

/// Counts a message as in flight, also when its work is dropped half way.
struct InFlight(&'static str);

impl InFlight {
    fn start(backend: &'static str) -> Self {
        metrics::gauge!("revenueflow_messages_in_flight", "backend" => backend).increment(1);
        Self(backend)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!("revenueflow_messages_in_flight", "backend" => self.0).decrement(1);
    }
}
