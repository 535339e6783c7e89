//! The processing of one batch that Lambda has received from a FIFO queue.
//!
//! A batch holds messages of several groups; a group is one lead. [`Processor::process`] works on the groups
//! concurrently and within a group in order, and returns the messages that SQS is to deliver again:
//!
//! - The first message of a group that fails, and those behind it. Other groups are unaffected. The failed
//!   message and its followers stay hidden for its backoff.
//! - Messages that could not be tried: a dependency is down, a limit on all leads is full, the time is up, or
//!   the database is unavailable.
//!
//! A [`Ledger`] counts the attempts of each message, because SQS counts receives, and a failure in a batch
//! causes further receives of its neighbours. A message that is given up moves to the dead letter queue with
//! its reason, and its group continues. The queue's redrive policy is only a safety net. A message that nears
//! it without failures of its own is replaced by a fresh copy.
//!
//! If the process dies, the next attempt finds an unfinished one in the ledger. The message may not be the
//! cause, because others ran beside it. From then on it runs in isolation, after all others, until it is
//! settled.
//!
//! If the answer is lost, or two processes receive the same batch, the messages are tried again. The handler
//! recognises finished work and does not repeat it.

mod age;
mod limit;
mod release;
mod state;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{join, join_all};
use lead::{Clock, Failure, FailureKind, Scope, Until};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::Instrument as _;

pub use self::limit::Limit;
use self::release::Releases;
use self::state::{Batch, PAUSE_BOUNDS, Pause, groups};
use crate::attempt::{attempt, log_pause, record};
use crate::{
    COPY_AT_RECEIVE, Ended, Fifo, LeadHandler, Ledger, MAX_ATTEMPTS, QueueError, Received, Settlement,
};

/// The wait of messages while the database or SQS is unavailable for settling them.
const AWAY_WAIT: Duration = Duration::from_secs(30);

/// The time limit for each call of the ledger. A database that hangs counts as unavailable, so that it does
/// not use up the function's time.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(10);

/// The waits between tries to record the end of an attempt, where the database fails immediately.
const END_WAITS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Processes batches of a FIFO queue.
pub struct Processor {
    handler: Arc<dyn LeadHandler>,
    ledger: Arc<dyn Ledger>,
    releases: Releases,
    limit: Limit,
}

/// The time limits of a batch. Earlier steps, such as making connections, have already used their part.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// All work stops at this time; outcomes are still recorded.
    pub work_until: Instant,
    /// Calls that still hang are dropped at this time, and the answer is returned.
    pub answer_by: Instant,
}

/// The result of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processed {
    /// The SQS ids of the messages that were not settled, in the order of the batch.
    pub unsettled: Vec<String>,
    /// The number of messages that moved to the dead letter queue.
    pub dead_lettered: usize,
}

/// The result of one attempt for the rest of its group.
enum Tried {
    Settled,
    /// The message is released with the wait, after `spent` tries.
    Again {
        wait: Duration,
        spent: u32,
    },
}

/// Releases a batch whose messages cannot be tried, because there is no connection to the database.
pub async fn release_all(
    fifo: Arc<dyn Fifo>,
    clock: Arc<dyn Clock>,
    messages: Vec<Received>,
    times: Times,
) -> Processed {
    let (batch, ids) = (Batch::new(times), ids(&messages));
    let releases = Releases { fifo, clock };
    let release = async {
        releases.release_groups(&batch, &groups(messages), |_| AWAY_WAIT).await;
        releases.hide(&batch).await;
    };
    in_time(times, release).await;
    batch.into_processed(ids)
}

impl Processor {
    /// A processor that passes messages of `fifo` to `handler`. All processors of a process share the
    /// `limit`.
    pub fn new(
        handler: Arc<dyn LeadHandler>,
        fifo: Arc<dyn Fifo>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        limit: Limit,
    ) -> Self {
        Self { handler, ledger, releases: Releases { fifo, clock }, limit }
    }

    /// Processes a batch.
    pub async fn process(&self, messages: Vec<Received>, times: Times) -> Processed {
        let (mut batch, ids) = (Batch::new(times), ids(&messages));
        in_time(times, self.process_all(&mut batch, messages)).await;
        batch.into_processed(ids)
    }

    async fn process_all(&self, batch: &mut Batch, messages: Vec<Received>) {
        if let Some(left) = self.limit.left(self.releases.now()) {
            // Without a call of the ledger, because the released messages have not been tried.
            let wait = |first: &Received| self.releases.wait_of(Pause::AtLimit(left), first);
            self.releases.release_groups(batch, &groups(messages), wait).await;
        } else {
            self.load_tries_and_work(batch, messages).await;
        }
        self.releases.hide(batch).await;
    }

    async fn load_tries_and_work(&self, batch: &mut Batch, messages: Vec<Received>) {
        let keys: Vec<_> = messages.iter().map(|message| message.key.as_str()).collect();
        let (tries, pauses) = join(in_ledger(self.ledger.look(&keys)), in_ledger(self.ledger.pauses())).await;
        let groups = groups(messages);
        match tries.and_then(|tries| Ok((tries, pauses?))) {
            Ok((tries, pauses)) => {
                batch.tries = tries;
                if let Some(until) = pauses.iter().map(|pause| pause.until).max() {
                    let left = until.duration_since(self.releases.now());
                    batch.pause(Pause::away(left.try_into().unwrap_or_default()));
                }
                self.work(batch, groups).await;
            }
            Err(error) => {
                tracing::error!(%error, "database unavailable; whole batch released");
                self.releases.release_groups(batch, &groups, |_| AWAY_WAIT).await;
            }
        }
    }

    async fn work(&self, batch: &Batch, groups: Vec<Vec<Received>>) {
        let is_suspect = |m: &Received| batch.tries.get(&m.key).is_some_and(|t| t.is_held || t.losses > 0);
        let crash_likely = groups.iter().flatten().any(is_suspect);
        // A receive without an attempt moves a message nearer to the redrive policy. If the process is likely
        // to die, this may be such a receive for every message.
        let nears_redrive = |m: &Received| {
            let wasted = batch.spent(m) + 1 < m.receive_count;
            (crash_likely && m.receive_count >= COPY_AT_RECEIVE)
                || (wasted && m.receive_count > COPY_AT_RECEIVE)
        };
        let mut concurrent = Vec::new();
        let mut isolated = Vec::new();
        for mut group in groups {
            // Before any work, because work may end the process.
            if let Some(first) = group.iter().position(nears_redrive) {
                // A message that cannot be copied is processed after all, with those behind it.
                let copied = self.releases.copy_all(batch, &group[first..]).await;
                group.drain(first..first + copied);
            }
            if group.iter().any(is_suspect) { &mut isolated } else { &mut concurrent }.push(group);
        }
        join_all(concurrent.iter().map(|group| self.work_on_group(batch, group))).await;
        for group in &isolated {
            self.work_on_group(batch, group).await;
        }
    }

    async fn work_on_group(&self, batch: &Batch, group: &[Received]) {
        for (index, message) in group.iter().enumerate() {
            let rest = &group[index..];
            // The rest of a group waits as long as its first message.
            let not_now = batch
                .is_paused()
                .map(|pause| self.releases.wait_of(pause, message))
                .or_else(|| message.wait_left(self.releases.now()))
                .or((Instant::now() > batch.begin_until).then_some(Duration::ZERO));
            if let Some(wait) = not_now {
                return self.releases.release(batch, rest, None, wait).await;
            }
            let span = tracing::info_span!("message", lead_id = message.group, message_id = message.key);
            if let Tried::Again { wait, spent } = self.try_one(batch, message).instrument(span).await {
                return self.releases.release(batch, rest, Some(spent), wait).await;
            }
        }
    }

    /// Makes one attempt at a message.
    async fn try_one(&self, batch: &Batch, received: &Received) -> Tried {
        let tries = match in_ledger(self.ledger.begin(&received.key, &received.receipt)).await {
            Ok(tries) => tries,
            Err(error) => {
                tracing::error!(%error, "attempt not recorded in the ledger; message released untried");
                return Tried::Again { wait: AWAY_WAIT, spent: batch.spent(received) };
            }
        };
        let before = tries.attempts.saturating_add(tries.losses);
        let message = received.to_message(tries.attempts.saturating_add(1), tries.losses);
        let settlement = if tries.attempts >= MAX_ATTEMPTS {
            let reason = "all attempts have failed, and the move to the dead letter queue was interrupted";
            Settlement::DeadLetter { failure: Failure::permanent("given_up", reason) }
        } else {
            attempt(self.handler.as_ref(), &message, sleep_until(batch.until)).await
        };
        if !matches!(settlement, Settlement::DeadLetter { .. }) {
            count(settlement.name());
        }
        match &settlement {
            Settlement::Done => {
                batch.settle(received);
                self.end(received, Ended::Settled).await;
                Tried::Settled
            }
            // The dead letter function records it: a message on the dead letter queue cannot be lost on the
            // way there.
            Settlement::DeadLetter { failure } => {
                self.dead_letter(batch, received, before + 1, failure).await
            }
            Settlement::Defer { after, failure } => {
                let _ = record(self.handler.as_ref(), &message, &settlement).await;
                self.pause(batch, *after, failure).await;
                self.end(received, Ended::Deferred).await;
                let wait = if failure.is_limit_of_all() {
                    self.releases.wait_of(Pause::AtLimit(*after), received)
                } else {
                    (*after).min(PAUSE_BOUNDS.1)
                };
                Tried::Again { wait, spent: before }
            }
            Settlement::Retry { after, failure } => {
                let ended = Ended::after(failure);
                let _ = record(self.handler.as_ref(), &message, &settlement).await;
                self.end(received, ended).await;
                Tried::Again { wait: *after, spent: before + u32::from(ended == Ended::Failed) }
            }
        }
    }

    /// Moves a message to the dead letter queue. The attempt stays in the ledger, because the answer may be
    /// lost; the dead letter function removes it.
    async fn dead_letter(
        &self,
        batch: &Batch,
        received: &Received,
        attempts: u32,
        failure: &Failure,
    ) -> Tried {
        let moved = self.releases.fifo.dead_letter(received, attempts, failure).await;
        if moved.is_ok() {
            batch.settle_dead(received);
        }
        self.end(received, Ended::Failed).await;
        match moved {
            Ok(()) => {
                tracing::error!(code = %failure.code, attempts, "moved to the dead letter queue");
                count("dead_letter");
                Tried::Settled
            }
            Err(error) => {
                tracing::error!(%error, "message not moved to the dead letter queue; it stays on the lead queue");
                Tried::Again { wait: AWAY_WAIT, spent: attempts }
            }
        }
    }

    /// Records the end of an attempt. If that fails, the attempt counts as one that ended with its process,
    /// or another process has the message by now. A database that fails immediately is retried, so that a
    /// short outage does not look like a dead process. A message that is settled needs no retry: without its
    /// message, its entry in the ledger has no effect.
    async fn end(&self, received: &Received, ended: Ended) {
        let mut waits = END_WAITS.into_iter().filter(|_| ended != Ended::Settled);
        loop {
            let began = Instant::now();
            match in_ledger(self.ledger.end(&received.key, &received.receipt, ended)).await {
                Ok(true) => return,
                Ok(false) => {
                    return tracing::warn!("another process has tried the same message at the same time");
                }
                Err(error) => {
                    let again = waits.next().filter(|wait| began.elapsed() < *wait);
                    let Some(wait) = again else {
                        return tracing::error!(%error, "end of attempt not recorded in the ledger");
                    };
                    sleep(wait).await;
                }
            }
        }
    }

    /// Stops further work of this batch and of others, because every other lead would fail in the same way. A
    /// condition that ends by itself needs no probe, and stops only this process.
    async fn pause(&self, batch: &Batch, after: Duration, failure: &Failure) {
        let FailureKind::Deferral { scope: Scope::All(dependency), until } = &failure.kind else { return };
        let now = self.releases.now();
        if let Until::Elapsed(_) = until {
            self.limit.note_full(now, after);
            return batch.pause(Pause::AtLimit(after));
        }
        batch.pause(Pause::away(after));
        let until = now.saturating_add(after).unwrap_or(now);
        let paused = in_ledger(self.ledger.pause(dependency, &failure.to_string(), until)).await;
        log_pause(dependency, until, paused);
    }
}

fn ids(messages: &[Received]) -> Vec<String> {
    messages.iter().map(|message| message.message_id.clone()).collect()
}

/// Does the work on a batch until it must be answered.
async fn in_time(times: Times, work: impl Future<Output = ()>) {
    if timeout_at(times.answer_by, work).await.is_err() {
        tracing::error!("batch timed out; unsettled messages are received again");
    }
}

/// Awaits a call of the ledger, at most for its time limit.
async fn in_ledger<T>(answer: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
    let late = |_| Err(QueueError::unavailable("the database did not answer in time"));
    timeout(LEDGER_TIMEOUT, answer).await.unwrap_or_else(late)
}

fn count(outcome: &'static str) {
    metrics::counter!("revenueflow_messages_total", "outcome" => outcome).increment(1);
}
