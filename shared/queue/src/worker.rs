//! What stands between a queue and the work: leases, attempts, panics, pauses and shutdown.

mod delivery;
mod hold;
mod idle;
mod outage;
mod pulse;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lead::{Clock, Failure};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::delivery::Delivery;
use self::hold::Hold;
use self::idle::Idle;
use self::outage::Outage;
pub use self::pulse::Pulse;
use crate::{LeadQueue, Message, QueueError, Settlement};

/// How often a worker that takes nothing for a while looks whether that is over.
const HOLD_INTERVAL: Duration = Duration::from_millis(100);

/// How long running work may take after a shutdown was asked for, where nobody says otherwise.
const GRACE_PERIOD: Duration = Duration::from_secs(25);

/// How long the work on one message may take, where nobody says otherwise. Independent of the lease, which is renewed for as
/// long as the work goes on.
const HANDLING_LIMIT: Duration = Duration::from_mins(10);

/// How long a queue may take to hand out messages. Its own short poll is far below.
const RECEIVE_LIMIT: Duration = Duration::from_secs(45);

/// The work that a message stands for.
#[async_trait]
pub trait LeadHandler: Send + Sync + 'static {
    /// Does the work. It may be done again after a crash, so it has to bear that. It is dropped at any `await`
    /// when the lease is lost or a shutdown's grace period ends.
    async fn handle(&self, message: &Message) -> Result<(), Failure>;

    /// Which attempt (from 1) at the stage of this failure has just failed. The queue's own count, for a handler that counts
    /// none itself. A failure to count costs no attempt.
    async fn attempt(&self, message: &Message, failure: &Failure) -> Result<u32, Failure> {
        let _ = failure;
        Ok(message.attempt)
    }

    /// What it means that `handle` was dropped half way because the time of its caller was over. An attempt, for a handler that
    /// cannot say which outside system took the time.
    async fn interrupted(&self, message: &Message) -> Failure {
        let _ = message;
        Failure::transient("out_of_time", "the work took longer than the function may")
    }

    /// Stores what became of a message that failed, before the queue is told. Never called for
    /// [`Settlement::Done`]. A message is not dead-lettered unless this worked, so that no lead is lost.
    async fn record(&self, message: &Message, outcome: &Settlement) -> Result<(), Failure>;
}

/// Takes messages off a queue and has them handled, several at a time.
///
/// Leases are renewed at a third of the visibility timeout while the work goes on. What fails is recorded and then
/// settled by [`settle_failed`](crate::settle_failed), by the attempts at the stage that failed; a panic is a failure like any
/// other. A deferral that names a dependency pauses the queue until that dependency is probed and consumption resumed; one
/// that ends by itself keeps only this worker from taking more, for as long as it says. So does a failure that could not be
/// stored: while the database is away, every other message would meet the same.
pub struct Worker {
    queue: Arc<dyn LeadQueue>,
    handler: Arc<dyn LeadHandler>,
    clock: Arc<dyn Clock>,
    concurrency: usize,
    grace_period: Duration,
    handling_limit: Duration,
    waker: Arc<Notify>,
    pulse: Pulse,
    hold: Arc<Hold>,
}

impl Worker {
    /// A worker that handles up to `concurrency` messages (at least one) at a time.
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
            pulse: Pulse::default(),
            hold: Arc::default(),
        }
    }

    /// Lets running work go on for this long after a shutdown was asked for (25 seconds, unless set here).
    #[must_use]
    pub fn with_grace_period(mut self, grace_period: Duration) -> Self {
        self.grace_period = grace_period;
        self
    }

    /// Lets the work on one message take so long (ten minutes, unless set here). Longer work is dropped, as a failed attempt.
    #[must_use]
    pub fn with_handling_limit(mut self, handling_limit: Duration) -> Self {
        self.handling_limit = handling_limit;
        self
    }

    /// Wakes the worker when notified: for senders in the same process, whose messages are then received at once
    /// rather than at the next poll.
    pub fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.waker)
    }

    /// Beats while the worker is at work, also where there is none to do or all of it takes long.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Works until `shutdown` is cancelled, then lets what is running finish within the grace period. What does not
    /// finish is dropped, and received again once its lease has run out.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut running = JoinSet::new();
        let mut outage = Outage::default();
        let mut idle = Idle::new(self.queue.longest_idle_wait());
        while !shutdown.is_cancelled() {
            self.pulse.beat();
            while let Some(finished) = running.try_join_next() {
                note(&finished);
            }
            let free = self.concurrency - running.len();
            if free == 0 {
                tokio::select! {
                    Some(finished) = running.join_next() => note(&finished),
                    () = sleep(pulse::INTERVAL) => {}
                    () = shutdown.cancelled() => {}
                }
                continue;
            }
            if self.hold.is_on(self.clock.now()) {
                tokio::select! {
                    () = sleep(HOLD_INTERVAL) => {}
                    () = self.waker.notified() => {}
                    () = shutdown.cancelled() => {}
                }
                continue;
            }
            // A receive is not interrupted by a shutdown, as what it has leased would be lost for a while. Only one
            // that hangs is.
            let received = tokio::select! {
                received = self.receive(free) => received,
                () = async { shutdown.cancelled().await; sleep(self.grace_period).await } => break,
            };
            let wait = match received {
                Ok(messages) => {
                    outage.is_over();
                    if !messages.is_empty() {
                        idle.ends();
                        for message in messages {
                            running.spawn(self.delivery(message).run());
                        }
                        continue;
                    }
                    idle.wait()
                }
                Err(error) => outage.wait_after(&error),
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = self.waker.notified() => idle.ends(),
                () = self.queue.has_news() => idle.ends(),
                // The group's next message may be ready now.
                Some(finished) = running.join_next() => note(&finished),
                () = shutdown.cancelled() => {}
            }
        }
        self.finish(running).await;
    }

    /// What the queue hands out. One that hangs must not take the worker with it: what it has leased comes again.
    async fn receive(&self, max: usize) -> Result<Vec<Message>, QueueError> {
        let late = |_| Err(QueueError::unavailable("no answer to a receive in time"));
        tokio::time::timeout(RECEIVE_LIMIT, self.queue.receive(max)).await.unwrap_or_else(late)
    }

    fn delivery(&self, message: Message) -> Delivery {
        Delivery {
            queue: Arc::clone(&self.queue),
            handler: Arc::clone(&self.handler),
            clock: Arc::clone(&self.clock),
            hold: Arc::clone(&self.hold),
            handling_limit: self.handling_limit,
            message,
        }
    }

    async fn finish(&self, mut running: JoinSet<()>) {
        let all_done = async {
            while let Some(finished) = running.join_next().await {
                note(&finished);
            }
        };
        if tokio::time::timeout(self.grace_period, all_done).await.is_err() {
            tracing::warn!(
                unfinished = running.len(),
                "stopping with work unfinished: it is received again when its lease has run out"
            );
            running.shutdown().await;
        }
    }
}

/// Handlers' panics are caught where the message is known. What is left to see here is one of our own.
fn note(finished: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = finished
        && error.is_panic()
    {
        tracing::error!("a queue backend panicked: its message is received again when its lease has run out");
    }
}

#[cfg(test)]
mod tests;
