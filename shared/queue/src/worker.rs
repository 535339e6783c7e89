//! The worker: receives messages from a queue and runs a handler on them, with lease renewal, panic
//! isolation, pauses and graceful shutdown.

mod delivery;
mod heartbeat;
mod idle;
mod outage;
mod rate_limit_pause;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lead::{Clock, Failure};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::delivery::Delivery;
pub use self::heartbeat::Heartbeat;
use self::idle::Idle;
use self::outage::Outage;
use self::rate_limit_pause::RateLimitPause;
use crate::{LeadQueue, Message, QueueError, Settlement};

/// The interval at which a worker checks whether its own pause has ended.
const PAUSE_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The default time that running work may take after a shutdown request.
const GRACE_PERIOD: Duration = Duration::from_secs(25);

/// The default time limit for the work on one message. It is independent of the lease, which is renewed while
/// the work runs.
const HANDLING_LIMIT: Duration = Duration::from_mins(10);

/// The longest time for which a worker starts nothing beside a suspect, or waits for running work before one.
/// Work that takes longer must not stop all other leads.
const ISOLATION_LIMIT: Duration = Duration::from_secs(30);

/// The time limit for one receive. It is far above the queue's own short poll.
const RECEIVE_LIMIT: Duration = Duration::from_secs(45);

/// Handles the messages that a worker receives.
#[async_trait]
pub trait LeadHandler: Send + Sync + 'static {
    /// Does the work of one message. It must be idempotent, because it runs again after a crash. It is
    /// dropped at any `await` when the lease is lost or a shutdown's grace period ends.
    async fn handle(&self, message: &Message) -> Result<(), Failure>;

    /// The number (from 1) of the attempt that just failed, at the stage of this failure. The default is the
    /// queue's own count, for handlers that do not count. An error here costs no attempt.
    async fn attempt(&self, message: &Message, failure: &Failure) -> Result<u32, Failure> {
        let _ = failure;
        Ok(message.attempt)
    }

    /// The failure to record when `handle` was dropped because its caller's time limit was reached. By
    /// default it counts as an attempt; a handler that knows which outside system took the time returns
    /// another failure.
    async fn interrupted(&self, message: &Message) -> Failure {
        let _ = message;
        Failure::transient("out_of_time", "the work took longer than its time limit")
    }

    /// Stores the outcome of a failed message, before it is settled in the queue. Never called for
    /// [`Settlement::Done`]. A message is dead-lettered only after this succeeded, so that no lead is lost.
    async fn record(&self, message: &Message, outcome: &Settlement) -> Result<(), Failure>;
}

/// Receives messages from a queue and handles several of them concurrently.
///
/// Leases are renewed at a third of the visibility timeout while the work runs. A failure is recorded and
/// then settled by [`settle_failed`](crate::settle_failed), with the attempts at the stage that failed; a
/// panic is a failure like any other. A message that a worker has died with is handled alone.
///
/// A deferral that names a dependency pauses the queue until that dependency is probed and consumption
/// resumes. A deferral that ends by itself, such as a rate limit, pauses only this worker, for the time that
/// it names. A failure that could not be stored pauses this worker as well: while the database is
/// unavailable, every other message would fail in the same way.
pub struct Worker {
    queue: Arc<dyn LeadQueue>,
    handler: Arc<dyn LeadHandler>,
    clock: Arc<dyn Clock>,
    concurrency: usize,
    grace_period: Duration,
    handling_limit: Duration,
    waker: Arc<Notify>,
    heartbeat: Heartbeat,
    rate_limit_pause: Arc<RateLimitPause>,
}

impl Worker {
    /// Creates a worker that handles up to `concurrency` messages (at least one) at a time.
    pub fn new(
        queue: Arc<dyn LeadQueue>,
        handler: Arc<dyn LeadHandler>,
        clock: Arc<dyn Clock>,
        concurrency: usize,
    ) -> Self {
        Self {
            queue,
            handler,
            clock,
            concurrency: concurrency.max(1),
            grace_period: GRACE_PERIOD,
            handling_limit: HANDLING_LIMIT,
            waker: Arc::default(),
            heartbeat: Heartbeat::default(),
            rate_limit_pause: Arc::default(),
        }
    }

    /// Sets the time that running work may take after a shutdown request. The default is 25 seconds.
    #[must_use]
    pub fn with_grace_period(mut self, grace_period: Duration) -> Self {
        self.grace_period = grace_period;
        self
    }

    /// Sets the time limit for the work on one message. The default is ten minutes. Longer work is dropped
    /// and counts as a failed attempt.
    #[must_use]
    pub fn with_handling_limit(mut self, handling_limit: Duration) -> Self {
        self.handling_limit = handling_limit;
        self
    }

    /// A handle that wakes the worker when notified: senders in the same process use it, so that their
    /// messages are received at once instead of at the next poll.
    pub fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.waker)
    }

    /// The heartbeat of this worker. It continues while the worker is idle and while all its messages take
    /// long.
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone()
    }

    /// Runs until `shutdown` is cancelled, then lets running work finish within the grace period. Unfinished
    /// work is dropped; its messages are received again once their leases have expired.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut running = JoinSet::new();
        let mut outage = Outage::default();
        let mut idle = Idle::new(self.queue.longest_idle_wait());
        let mut isolating_since: Option<Instant> = None;
        while !shutdown.is_cancelled() {
            self.heartbeat.beat();
            while let Some(finished) = running.try_join_next() {
                log_panic(&finished);
            }
            let isolates = isolating_since.is_some_and(|since| since.elapsed() < ISOLATION_LIMIT);
            let free = if isolates { 1 } else { self.concurrency - running.len() };
            if free == 0 || (isolates && !running.is_empty()) {
                tokio::select! {
                    Some(finished) = running.join_next() => log_panic(&finished),
                    () = sleep(heartbeat::INTERVAL) => {}
                    () = shutdown.cancelled() => {}
                }
                continue;
            }
            if self.rate_limit_pause.is_active(self.clock.now()) {
                tokio::select! {
                    () = sleep(PAUSE_POLL_INTERVAL) => {}
                    () = self.waker.notified() => {}
                    () = shutdown.cancelled() => {}
                }
                continue;
            }
            // A shutdown does not interrupt a receive, since the messages that it has leased would stay
            // invisible for the visibility timeout. Only a receive that hangs is interrupted.
            let received = tokio::select! {
                received = self.receive(free) => received,
                () = async { shutdown.cancelled().await; sleep(self.grace_period).await } => break,
            };
            let wait = match received {
                Ok(messages) => {
                    outage.recovered();
                    if !messages.is_empty() {
                        idle.reset();
                        let isolates = self.start(messages, &mut running).await;
                        isolating_since = isolates.then(Instant::now);
                        continue;
                    }
                    isolating_since = None;
                    idle.wait()
                }
                Err(error) => outage.wait_after(&error),
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = self.waker.notified() => idle.reset(),
                () = self.queue.work_available() => idle.reset(),
                // The group's next message may be ready now.
                Some(finished) = running.join_next() => log_panic(&finished),
                () = shutdown.cancelled() => {}
            }
        }
        self.finish(running).await;
    }

    /// Receives messages, within a time limit: a queue that hangs must not block the worker. Messages leased
    /// by such a receive are received again once their leases have expired.
    async fn receive(&self, max: usize) -> Result<Vec<Message>, QueueError> {
        let late = |_| Err(QueueError::unavailable("receive timed out"));
        tokio::time::timeout(RECEIVE_LIMIT, self.queue.receive(max)).await.unwrap_or_else(late)
    }

    /// Starts the delivery of messages. A suspect, which a worker has died with, runs alone: several messages
    /// were in flight at the death, and any of them may be the cause. It is leased only while it runs, so
    /// that it is not blamed for a further death.
    ///
    /// Returns true if a suspect runs, or waits at the front of the queue. Then nothing else is started
    /// before all running work has finished, and the next receive takes one message.
    async fn start(&self, messages: Vec<Message>, running: &mut JoinSet<()>) -> bool {
        let is_suspect = |message: &Message| message.losses > 0;
        let runs_alone = running.is_empty() && messages.first().is_some_and(is_suspect);
        let isolates = messages.iter().any(is_suspect);
        for (place, message) in messages.into_iter().enumerate() {
            let runs = if runs_alone { place == 0 } else { !is_suspect(&message) };
            if runs {
                running.spawn(self.delivery(message).run());
            } else if let Err(error) = self.queue.release(&message.receipt).await {
                tracing::warn!(%error, "message not released: it is received again after its lease expires");
            }
        }
        isolates
    }

    fn delivery(&self, message: Message) -> Delivery {
        Delivery {
            queue: Arc::clone(&self.queue),
            handler: Arc::clone(&self.handler),
            clock: Arc::clone(&self.clock),
            rate_limit_pause: Arc::clone(&self.rate_limit_pause),
            handling_limit: self.handling_limit,
            message,
        }
    }

    async fn finish(&self, mut running: JoinSet<()>) {
        let all_done = async {
            while let Some(finished) = running.join_next().await {
                log_panic(&finished);
            }
        };
        if tokio::time::timeout(self.grace_period, all_done).await.is_err() {
            tracing::warn!(
                unfinished = running.len(),
                "grace period ended with unfinished work: it is received again after its lease expires"
            );
            running.shutdown().await;
        }
    }
}

/// Logs the panic of a delivery task. Handler panics are caught in `delivery`, so this one comes from a queue
/// backend.
fn log_panic(finished: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = finished
        && error.is_panic()
    {
        tracing::error!("queue backend panicked: its message is received again after its lease expires");
    }
}

#[cfg(test)]
mod tests;
