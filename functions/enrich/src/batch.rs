//! One batch, from its receive to the answer.

mod state;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{join, join_all};
use lead::{Clock, Failure, FailureClass};
use queue::{
    COPY_AT_RECEIVE, Ended, Fifo, LeadHandler, Ledger, MAX_ATTEMPTS, Message, Received, Settlement,
    settle_counted,
};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::Instrument as _;

use self::state::{Batch, PAUSE_BOUNDS, Pause, groups};
use crate::backlog::{self, Limit};
use crate::in_time::InTime;
use crate::panic::caught;
use crate::trouble::Trouble;
use crate::wait::{age, record_waits};

/// How long messages wait while what they need to be settled (the database, SQS) is away.
const AWAY_WAIT: Duration = Duration::from_secs(30);

/// The waits before the end of a try is noted again, where the database refused at once.
const END_WAITS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Works on batches of a FIFO queue.
pub struct Processor {
    handler: Arc<dyn LeadHandler>,
    fifo: Arc<dyn Fifo>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    limit: Limit,
}

/// Until when a batch may take. Whatever was done before, such as making connections, has already taken from it.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// No work goes on after this; what happened is still recorded.
    pub work_until: Instant,
    /// Whatever still hangs then is let go, and the answer given.
    pub answer_by: Instant,
}

/// How one try went, for the rest of its group.
enum Tried {
    Settled,
    /// The message comes again after the wait, having been tried so often.
    Again {
        wait: Duration,
        spent: u32,
    },
}

impl Processor {
    /// A processor that has messages of `fifo` handled by `handler`. All processors of a process share the `limit`.
    pub fn new(
        handler: Arc<dyn LeadHandler>,
        fifo: Arc<dyn Fifo>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        limit: Limit,
    ) -> Self {
        Self { handler, fifo, ledger: Arc::new(InTime(ledger)), clock, limit }
    }

    /// Works on a batch, and returns the SQS ids of the messages that are to come again, in the order of the batch:
    /// of all that are not settled by then.
    pub async fn process(&self, messages: Vec<Received>, times: Times) -> Vec<String> {
        let ids: Vec<_> = messages.iter().map(|message| message.message_id.clone()).collect();
        let mut batch = Batch::new(times);
        if timeout_at(times.answer_by, self.process_all(&mut batch, messages)).await.is_err() {
            tracing::error!("the time is over: whatever is not settled comes again");
        }
        let settled = batch.into_settled();
        ids.into_iter().filter(|id| !settled.contains(id)).collect()
    }

    async fn process_all(&self, batch: &mut Batch, messages: Vec<Received>) {
        if let Some(left) = self.limit.left(self.clock.now()) {
            // Not even the ledger is asked: what comes again has not been tried.
            for group in groups(messages) {
                self.give_back(batch, &group, None, self.wait_of(Pause::AtLimit(left), &group[0])).await;
            }
        } else {
            self.look_and_work(batch, messages).await;
        }
        if let Err(error) = self.fifo.hide(&batch.take_hidden()).await {
            tracing::warn!(%error, "messages come again after the queue's visibility timeout, not their own wait");
        }
    }

    async fn look_and_work(&self, batch: &mut Batch, messages: Vec<Received>) {
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
                tracing::error!(%error, "the database cannot be asked: the whole batch comes again");
                for group in &groups {
                    self.give_back(batch, group, None, AWAY_WAIT).await;
                }
            }
        }
    }

    async fn work(&self, batch: &Batch, groups: Vec<Vec<Received>>) {
        let is_suspect = |m: &Received| batch.tries.get(&m.key).is_some_and(|t| t.is_held || t.losses > 0);
        let may_die = groups.iter().flatten().any(is_suspect);
        // A receive that is not a try brings a message nearer to the redrive policy; where the process may well die,
        // this one may be such a receive for everybody.
        let is_close = |m: &Received| {
            let wasted = batch.spent(m) + 1 < m.receive_count;
            (may_die && m.receive_count >= COPY_AT_RECEIVE) || (wasted && m.receive_count > COPY_AT_RECEIVE)
        };
        let mut together = Vec::new();
        let mut alone = Vec::new();
        for mut group in groups {
            // Before any work, since that may end the process.
            if let Some(first) = group.iter().position(is_close) {
                record_waits(&group[first..], self.clock.now());
                let mut copied = 0;
                for message in &group[first..] {
                    if !self.copy(batch, message, Duration::ZERO).await {
                        break; // it is worked on after all, with those behind it
                    }
                    copied += 1;
                }
                group.drain(first..first + copied);
            }
            if group.iter().any(is_suspect) { &mut alone } else { &mut together }.push(group);
        }
        join_all(together.iter().map(|group| self.work_on_group(batch, group))).await;
        for group in &alone {
            self.work_on_group(batch, group).await;
        }
    }

    async fn work_on_group(&self, batch: &Batch, group: &[Received]) {
        for (index, message) in group.iter().enumerate() {
            let rest = &group[index..];
            // What the first waits for, the rest of its group does.
            let not_now = batch
                .is_paused()
                .map(|pause| self.wait_of(pause, message))
                .or_else(|| message.wait_left(self.clock.now()))
                .or((Instant::now() > batch.begin_until).then_some(Duration::ZERO));
            if let Some(wait) = not_now {
                return self.give_back(batch, rest, None, wait).await;
            }
            let span = tracing::info_span!("message", lead_id = message.group, message_id = message.key);
            if let Tried::Again { wait, spent } = self.try_one(batch, message).instrument(span).await {
                return self.give_back(batch, rest, Some(spent), wait).await;
            }
        }
    }

    /// Tries one message, and says what becomes of it.
    async fn try_one(&self, batch: &Batch, received: &Received) -> Tried {
        let tries = match self.ledger.begin(&received.key, &received.receipt).await {
            Ok(tries) => tries,
            Err(error) => {
                tracing::error!(%error, "a try could not be noted, and so it is not made");
                return Tried::Again { wait: AWAY_WAIT, spent: batch.spent(received) };
            }
        };
        let spent = tries.attempts.saturating_add(tries.losses);
        if spent >= MAX_ATTEMPTS {
            // The process died with it, or the answer that it was given up was lost.
            let reason = format!("tried {} times, of which the process died {}", spent, tries.losses);
            return self.give_up(batch, received, spent, &Failure::permanent("worker_lost", reason)).await;
        }
        let attempt = spent + 1;
        let message = received.to_message(attempt, tries.losses);
        let worked = tokio::select! {
            worked = caught(self.handler.handle(&message)) => Some(worked),
            () = sleep_until(batch.until) => None,
        };
        let worked = match worked {
            Some(worked) => worked,
            None => Err(self.handler.interrupted(&message).await),
        };
        let Err(failure) = worked else {
            batch.settle(received);
            if let Err(error) = self.ledger.end(&received.key, &received.receipt, Ended::Settled).await {
                tracing::warn!(%error, "the end of a try could not be noted");
            }
            count("done");
            return Tried::Settled;
        };
        tracing::warn!(code = %failure.code, class = ?failure.class, reason = failure.message, attempt, "not done");
        let settlement = settle_counted(self.handler.as_ref(), &message, failure).await;
        match &settlement {
            // The dead letter function records it: what is on the dead letter queue cannot be lost on the way there.
            Settlement::DeadLetter { failure } => {
                return self.give_up(batch, received, attempt, failure).await;
            }
            Settlement::Defer { after, failure } => {
                self.record(&message, &settlement).await;
                if failure.class == FailureClass::Deferral {
                    self.pause(batch, *after, failure).await;
                }
                self.end(received, Ended::Deferred).await;
                count("defer");
                let wait = if failure.ends_by_itself {
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

    /// Moves a message to the dead letter queue. Its try stays noted, for the answer may be lost; the dead letter
    /// function forgets it.
    async fn give_up(&self, batch: &Batch, received: &Received, attempts: u32, failure: &Failure) -> Tried {
        let moved = self.fifo.dead_letter(received, attempts, failure).await;
        if moved.is_ok() {
            batch.settle(received);
        }
        self.end(received, Ended::Failed).await;
        match moved {
            Ok(()) => {
                tracing::error!(code = %failure.code, attempts, "given up: on the dead letter queue");
                count("dead_letter");
                Trouble::GivenUp.count();
                Tried::Settled
            }
            Err(error) => {
                tracing::error!(%error, "a message could not be moved to the dead letter queue: it stays");
                Tried::Again { wait: AWAY_WAIT, spent: attempts }
            }
        }
    }

    async fn record(&self, message: &Message, settlement: &Settlement) {
        if let Err(failure) = caught(self.handler.record(message, settlement)).await {
            tracing::error!(code = %failure.code, reason = failure.message, "a failed try could not be stored");
        }
    }

    /// Where this fails, the try counts as one that ended without a word, or somebody else has the message by now. A database
    /// that refuses at once is asked again, since a short outage must not look like the death of a process.
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
                        return tracing::error!(%error, "the end of a try could not be noted");
                    };
                    sleep(wait).await;
                }
            }
        }
    }

    /// Has no more work begin, of this batch and of others, where every other lead would find out the same. What ends by itself
    /// needs nobody to end it, and stops only this process.
    async fn pause(&self, batch: &Batch, after: Duration, failure: &Failure) {
        let Some(dependency) = &failure.dependency else { return };
        let now = self.clock.now();
        if failure.ends_by_itself {
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

    /// How long a message of a paused batch waits, and with it those behind it in its group.
    fn wait_of(&self, pause: Pause, message: &Received) -> Duration {
        match pause {
            Pause::Away(wait) => wait,
            Pause::AtLimit(left) => backlog::wait(age(message, self.clock.now()), left).min(PAUSE_BOUNDS.1),
        }
    }

    /// Has messages of one group come again after a wait, in their order. `first_spent`: how often the first of them
    /// has been tried, where that has just changed.
    ///
    /// From the first on that was received often for so few tries, they are put back as fresh copies.
    async fn give_back(&self, batch: &Batch, group: &[Received], first_spent: Option<u32>, wait: Duration) {
        let spent =
            |index: usize| first_spent.filter(|_| index == 0).unwrap_or_else(|| batch.spent(&group[index]));
        record_waits(group, self.clock.now());
        let mut copies = false;
        for (index, message) in group.iter().enumerate() {
            copies |= message.receive_count >= COPY_AT_RECEIVE && spent(index) < message.receive_count;
            if copies && self.copy(batch, message, wait).await {
                continue;
            }
            batch.comes_again(message, wait);
        }
    }

    /// Puts a message back that did not fail so often as it was received, to be tried after `wait`. False where that did not
    /// work.
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
                    "put back as a fresh copy"
                );
                count("copy");
            }
            Err(error) => tracing::error!(%error, "a message could not be copied: it comes again as it is"),
        }
        copied.is_ok()
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("revenueflow_messages_total", "outcome" => outcome).increment(1);
}
