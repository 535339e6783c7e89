//! The processing of one batch, from its receive to the answer.

mod state;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{join, join_all};
use lead::{Clock, Failure, FailureKind, Scope, Until};
use queue::{
    COPY_AT_RECEIVE, Ended, Fifo, LeadHandler, Ledger, MAX_ATTEMPTS, Message, Received, Settlement,
    settle_counted,
};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::Instrument as _;

use self::state::{Batch, PAUSE_BOUNDS, Pause, groups};
use crate::backlog::{self, Limit};
use crate::panic::catch_panic;
use crate::release_trouble::Trouble;
use crate::timed_ledger::TimedLedger;
use crate::wait::{age, record_waits};

/// The wait of messages while the database or SQS is unavailable for settling them.
const AWAY_WAIT: Duration = Duration::from_secs(30);

/// The waits between tries to record the end of an attempt, where the database fails immediately.
const END_WAITS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Processes batches of a FIFO queue.
pub struct Processor {
    handler: Arc<dyn LeadHandler>,
    fifo: Arc<dyn Fifo>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
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

/// The result of one attempt for the rest of its group.
enum Tried {
    Settled,
    /// The message is released with the wait, after `spent` attempts.
    Again {
        wait: Duration,
        spent: u32,
    },
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
        Self { handler, fifo, ledger: Arc::new(TimedLedger(ledger)), clock, limit }
    }

    /// Processes a batch, and returns the SQS ids of the messages that were not settled, in the order of the
    /// batch.
    pub async fn process(&self, messages: Vec<Received>, times: Times) -> Vec<String> {
        let ids: Vec<_> = messages.iter().map(|message| message.message_id.clone()).collect();
        let mut batch = Batch::new(times);
        if timeout_at(times.answer_by, self.process_all(&mut batch, messages)).await.is_err() {
            tracing::error!("batch timed out; unsettled messages are received again");
        }
        let settled = batch.into_settled();
        ids.into_iter().filter(|id| !settled.contains(id)).collect()
    }

    async fn process_all(&self, batch: &mut Batch, messages: Vec<Received>) {
        if let Some(left) = self.limit.left(self.clock.now()) {
            // Without a call of the ledger, because the released messages have not been tried.
            for group in groups(messages) {
                self.release(batch, &group, None, self.wait_of(Pause::AtLimit(left), &group[0])).await;
            }
        } else {
            self.load_tries_and_work(batch, messages).await;
        }
        if let Err(error) = self.fifo.hide(&batch.take_hidden()).await {
            tracing::warn!(%error, "visibility timeouts not set; messages return after the queue's own timeout");
        }
    }

    async fn load_tries_and_work(&self, batch: &mut Batch, messages: Vec<Received>) {
        let keys: Vec<_> = messages.iter().map(|message| message.key.as_str()).collect();
        let (tries, pauses) = join(self.ledger.look(&keys), self.ledger.pauses()).await;
        let groups = groups(messages);
        match tries.and_then(|tries| Ok((tries, pauses?))) {
            Ok((tries, pauses)) => {
                batch.tries = tries;
                if let Some(until) = pauses.iter().map(|pause| pause.until).max() {
                    let left = until.duration_since(self.clock.now()).unsigned_abs();
                    let wait = if until > self.clock.now() { left } else { Duration::ZERO };
                    batch.pause(Pause::away(wait));
                }
                self.work(batch, groups).await;
            }
            Err(error) => {
                tracing::error!(%error, "database unavailable; whole batch released");
                for group in &groups {
                    self.release(batch, group, None, AWAY_WAIT).await;
                }
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
                record_waits(&group[first..], self.clock.now());
                let mut copied = 0;
                for message in &group[first..] {
                    if !self.copy(batch, message, Duration::ZERO).await {
                        break; // process it and those behind it after all
                    }
                    copied += 1;
                }
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
                .map(|pause| self.wait_of(pause, message))
                .or_else(|| message.wait_left(self.clock.now()))
                .or((Instant::now() > batch.begin_until).then_some(Duration::ZERO));
            if let Some(wait) = not_now {
                return self.release(batch, rest, None, wait).await;
            }
            let span = tracing::info_span!("message", lead_id = message.group, message_id = message.key);
            if let Tried::Again { wait, spent } = self.try_one(batch, message).instrument(span).await {
                return self.release(batch, rest, Some(spent), wait).await;
            }
        }
    }

    /// Makes one attempt at a message.
    async fn try_one(&self, batch: &Batch, received: &Received) -> Tried {
        let tries = match self.ledger.begin(&received.key, &received.receipt).await {
            Ok(tries) => tries,
            Err(error) => {
                tracing::error!(%error, "attempt not recorded in the ledger; message released untried");
                return Tried::Again { wait: AWAY_WAIT, spent: batch.spent(received) };
            }
        };
        let spent = tries.attempts.saturating_add(tries.losses);
        if spent >= MAX_ATTEMPTS {
            // The process died during the attempt, or the answer about the dead letter was lost.
            let reason =
                format!("{} attempts, {} of them ended by the death of the process", spent, tries.losses);
            return self
                .dead_letter(batch, received, spent, &Failure::permanent("worker_lost", reason))
                .await;
        }
        let attempt = spent + 1;
        let message = received.to_message(attempt, tries.losses);
        let worked = tokio::select! {
            worked = catch_panic(self.handler.handle(&message)) => Some(worked),
            () = sleep_until(batch.until) => None,
        };
        let worked = match worked {
            Some(worked) => worked,
            None => Err(self.handler.interrupted(&message).await),
        };
        let Err(failure) = worked else {
            batch.settle(received);
            if let Err(error) = self.ledger.end(&received.key, &received.receipt, Ended::Settled).await {
                tracing::warn!(%error, "end of attempt not recorded in the ledger");
            }
            count("done");
            return Tried::Settled;
        };
        tracing::warn!(code = %failure.code, class = ?failure.class(), reason = failure.message, attempt, "message failed");
        let settlement = settle_counted(self.handler.as_ref(), &message, failure).await;
        match &settlement {
            // The dead letter function records it: a message on the dead letter queue cannot be lost on the
            // way there.
            Settlement::DeadLetter { failure } => {
                return self.dead_letter(batch, received, attempt, failure).await;
            }
            Settlement::Defer { after, failure } => {
                self.record(&message, &settlement).await;
                self.pause(batch, *after, failure).await;
                self.end(received, Ended::Deferred).await;
                count("defer");
                let wait = if failure.is_limit_of_all() {
                    self.wait_of(Pause::AtLimit(*after), received)
                } else {
                    (*after).min(PAUSE_BOUNDS.1)
                };
                Tried::Again { wait, spent }
            }
            Settlement::Retry { after, failure } => {
                let ended = Ended::after(failure);
                self.record(&message, &settlement).await;
                self.end(received, ended).await;
                count("retry");
                Tried::Again { wait: *after, spent: if ended == Ended::Failed { attempt } else { spent } }
            }
            Settlement::Done => Tried::Settled,
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
        let moved = self.fifo.dead_letter(received, attempts, failure).await;
        if moved.is_ok() {
            batch.settle(received);
        }
        self.end(received, Ended::Failed).await;
        match moved {
            Ok(()) => {
                tracing::error!(code = %failure.code, attempts, "moved to the dead letter queue");
                count("dead_letter");
                Trouble::DeadLettered.count();
                Tried::Settled
            }
            Err(error) => {
                tracing::error!(%error, "message not moved to the dead letter queue; it stays on the lead queue");
                Tried::Again { wait: AWAY_WAIT, spent: attempts }
            }
        }
    }

    async fn record(&self, message: &Message, settlement: &Settlement) {
        if let Err(failure) = catch_panic(self.handler.record(message, settlement)).await {
            tracing::error!(code = %failure.code, reason = failure.message, "failed attempt not recorded in the store");
        }
    }

    /// Records the end of an attempt. If that fails, the attempt counts as one that ended with its process,
    /// or another process has the message by now. A database that fails immediately is retried, so that a
    /// short outage does not look like a dead process.
    async fn end(&self, received: &Received, ended: Ended) {
        let mut waits = END_WAITS.into_iter();
        loop {
            let began = Instant::now();
            match self.ledger.end(&received.key, &received.receipt, ended).await {
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
        let now = self.clock.now();
        if let Until::Elapsed(_) = until {
            self.limit.note_full(now, after);
            return batch.pause(Pause::AtLimit(after));
        }
        batch.pause(Pause::away(after));
        let until = now.saturating_add(after).unwrap_or(now);
        let reason = format!("{}: {}", failure.code, failure.message);
        match self.ledger.pause(dependency, &reason, until).await {
            Ok(()) => tracing::warn!(%dependency, %until, "consumption is paused"),
            Err(error) => tracing::error!(%dependency, %error, "consumption could not be paused"),
        }
    }

    /// The wait of a message in a paused batch, and of those behind it in its group.
    fn wait_of(&self, pause: Pause, message: &Received) -> Duration {
        match pause {
            Pause::Away(wait) => wait,
            Pause::AtLimit(left) => backlog::wait(age(message, self.clock.now()), left).min(PAUSE_BOUNDS.1),
        }
    }

    /// Releases the messages of one group in order, to be received again after `wait`. `first_spent`: the
    /// attempts of the first message, if they have just changed.
    ///
    /// From the first message with many receives for few attempts on, they are replaced by fresh copies.
    async fn release(&self, batch: &Batch, group: &[Received], first_spent: Option<u32>, wait: Duration) {
        let spent =
            |index: usize| first_spent.filter(|_| index == 0).unwrap_or_else(|| batch.spent(&group[index]));
        record_waits(group, self.clock.now());
        let mut copies = false;
        for (index, message) in group.iter().enumerate() {
            copies |= message.receive_count >= COPY_AT_RECEIVE && spent(index) < message.receive_count;
            if copies && self.copy(batch, message, wait).await {
                continue;
            }
            batch.hide(message, wait);
        }
    }

    /// Replaces a message with fewer failures than receives by a fresh copy that is received after `wait`.
    /// False if that failed.
    async fn copy(&self, batch: &Batch, message: &Received, wait: Duration) -> bool {
        let now = self.clock.now();
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
                count("copy");
            }
            Err(error) => tracing::error!(%error, "message not copied; released as it is"),
        }
        copied.is_ok()
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("revenueflow_messages_total", "outcome" => outcome).increment(1);
}
