//! The delivery of one message, from its lease to its settlement.

use std::sync::Arc;
use std::time::Duration;

use lead::{Clock, Failure, FailureKind, Scope, Until};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::Instrument;

use super::LeadHandler;
use super::rate_limit_pause::RateLimitPause;
use crate::attempt::{attempt, log_pause, record};
use crate::{LeadQueue, Message, QueueError, Settlement};

/// The attempts to settle a message. After the last one, the lease is left to expire.
const SETTLE_ATTEMPTS: u32 = 6;

/// The wait before the second attempt to settle; each further wait is twice as long.
const SETTLE_WAIT: Duration = Duration::from_millis(50);

/// The pause of a worker after the outcome of a message could not be stored.
const STORAGE_OUTAGE_PAUSE: Duration = Duration::from_secs(2);

/// The wait of a message whose dead letter could not be stored.
const UNRECORDED_WAIT: Duration = Duration::from_secs(30);

pub(super) struct Delivery {
    pub(super) queue: Arc<dyn LeadQueue>,
    pub(super) handler: Arc<dyn LeadHandler>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rate_limit_pause: Arc<RateLimitPause>,
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
        // `biased`: a finished settlement is not discarded if the lease is lost at the same moment.
        let settlement = tokio::select! {
            biased;
            settlement = self.decide() => settlement,
            () = self.renew_until_lost() => {
                tracing::warn!("lease lost: the work is stopped, and another worker may have the message");
                metrics::counter!("revenueflow_messages_total", "backend" => backend, "outcome" => "lost")
                    .increment(1);
                return;
            }
        };
        let settled = self.settle(&settlement).await;
        let outcome = if settled { settlement.name() } else { "lost" };
        metrics::counter!("revenueflow_messages_total", "backend" => backend, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("revenueflow_message_seconds", "backend" => backend)
            .record(started.elapsed().as_secs_f64());
    }

    /// Runs the handler, stores the outcome of a failure, and returns the settlement for the queue.
    async fn decide(&self) -> Settlement {
        let handler = self.handler.as_ref();
        let settlement = attempt(handler, &self.message, sleep(self.handling_limit)).await;
        if settlement == Settlement::Done {
            return settlement;
        }
        let recorded = record(handler, &self.message, &settlement).await;
        if let Settlement::Defer { after, failure } = &settlement {
            self.pause(*after, failure).await;
        }
        if recorded.is_err() {
            let now = self.clock.now();
            self.rate_limit_pause.extend_to(now.saturating_add(STORAGE_OUTAGE_PAUSE).unwrap_or(now));
        }
        match (recorded, settlement) {
            // A dead letter leaves the queue only once it is stored.
            (Err(unrecorded), Settlement::DeadLetter { .. }) => {
                Settlement::Defer { after: UNRECORDED_WAIT, failure: unrecorded }
            }
            (_, settlement) => settlement,
        }
    }

    /// Pauses consumption for all workers while a dependency is unavailable: every other lead would fail in
    /// the same way.
    async fn pause(&self, after: Duration, failure: &Failure) {
        let FailureKind::Deferral { scope: Scope::All(dependency), until: end } = &failure.kind else {
            return;
        };
        let now = self.clock.now();
        let until = now.saturating_add(after).unwrap_or(now);
        if let Until::Elapsed(_) = end {
            tracing::info!(%dependency, %until, "this worker receives nothing until the limit ends");
            return self.rate_limit_pause.extend_to(until);
        }
        let paused = self.queue.pause(dependency, &failure.to_string(), until).await;
        log_pause(dependency, until, paused);
    }

    /// Renews the lease until it is lost. Returns when the lease is lost, or shortly before it expires if it
    /// could not be renewed: after that, another worker may have the message.
    async fn renew_until_lost(&self) {
        let visibility = self.queue.visibility_timeout();
        let (mut renewed, mut wait) = (Instant::now(), visibility / 3);
        loop {
            let ends_soon = renewed + visibility - visibility / 10;
            let renew_at = (Instant::now() + wait).min(ends_soon);
            sleep_until(renew_at).await;
            if renew_at == ends_soon {
                return;
            }
            match timeout_at(ends_soon, self.queue.extend(&self.message.receipt)).await {
                Ok(Ok(())) => (renewed, wait) = (renew_at, visibility / 3),
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

    /// Settles the message in the queue. Returns false if that failed: the message is then received again.
    async fn settle(&self, settlement: &Settlement) -> bool {
        if *settlement == Settlement::Done && self.message.removed.is_set() {
            return true;
        }
        let mut wait = SETTLE_WAIT;
        for attempt in 1..=SETTLE_ATTEMPTS {
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

/// Counts a message as in flight, even if its work is dropped before it finishes.
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
