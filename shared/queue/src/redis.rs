//! The queue in Redis, in BullMQ's own format: workers and producers of Node's `bullmq` share it.
//!
//! Jobs live in BullMQ's keys and go through BullMQ's states, so that its dashboards and tools show them. What sends,
//! leases and settles them are scripts of our own. The crate by BullMQ's makers has the official ones, but working a job
//! by hand it counts no failed attempt, keeps no error of one that is retried and all completed jobs for ever, and it
//! takes one job a call. It finishes those jobs that only the official scripts can finish (`bullmq.rs`). Ours bring:
//!
//! - **Order per lead.** Only the first job of a lead is ever waiting or active. The later ones are *delayed*, and
//!   come when the one before them is settled; a list a lead keeps their order. Node's workers do not keep it: where
//!   they finish a lead's first job, the next one comes when its delay has passed ([`LOOK_AGAIN`]), and one of theirs
//!   may then work it although ours has its predecessor. What a late revision may change is for the store to say.
//!   A job of another producer finds its place when it is first received.
//! - **Many messages in one call**, when they are sent, leased and completed.
//! - **One step for one decision.** A settlement checks the lease, moves the job and lets the next one of its lead
//!   come, or does nothing.
//!
//! Pauses of ours and of anybody else's are BullMQ's own; ours are told from others, so that the end of ours does not end
//! theirs. A resume by somebody else ends all of ours: whoever finds the dependency still out of order pauses again.
//!
//! A failed attempt counts in BullMQ's `atm` and a lost worker in its `stc`, so that a job can change hands between
//! Node and us at any time. All processes must agree on the stalled interval ([`RedisOptions::stalled_interval`]).
//! What the other side finishes it tells nobody, and what it adds has ids of its own; [`LeadQueue::restore`] finds out about
//! the one, and a key for each such job about the other (`alias.lua`).
//!
//! It works on one Redis server (6.2 or newer), with replicas or without, not on a cluster.

mod batch;
mod bullmq;
mod connection;
mod dead_letter;
mod identity;
mod jobs;
mod options;
mod receiving;
mod scripts;
mod timer;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{DeliveryId, Dependency, Failure, LeadEvent, LeadId};
use serde_json::json;

use self::batch::Batch;
use self::bullmq::BullMq;
use self::connection::Connection;
use self::jobs::{Addition, JOB, KEEP_COMPLETED, additions, completions, job_options};
pub use self::options::{RedisOptions, RedisUrlError};
use self::scripts::{Keys, Scripts};
use self::timer::Timer;
use crate::{Depth, LeadQueue, Message, Pause, QueueError, Receipt, Restored, Sent, Settlement};

/// The queue's name.
const QUEUE: &str = "lead-processing";

/// The name of the queue that dead letters are moved to.
const DEAD_LETTERS: &str = "lead-processing-dlq";

/// When a job that is not its lead's first is looked at again, where nobody let it come before.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How long BullMQ's own script has to finish a job that ours left to it.
const SURRENDER: Duration = Duration::from_secs(10);

/// The longest list that a lead is looked for in to put it first: the server does nothing else meanwhile.
const SEARCHABLE: usize = 200_000;

/// How many messages are leased at once at most.
const MAX_BATCH: usize = 1000;

/// A [`LeadQueue`] on Redis.
pub struct RedisQueue {
    connection: Arc<Connection>,
    scripts: Arc<Scripts>,
    keys: Keys,
    options: RedisOptions,
    additions: Batch<Addition>,
    completions: Batch<Receipt>,
    /// Tells this queue's leases from those of every other one, in this process or another.
    holder: String,
    claims: AtomicU64,
    bullmq: BullMq,
    looked_for_lost: Timer,
    looked_for_retried: Timer,
}

impl RedisQueue {
    /// A queue on the server at `url` (`redis://` or `rediss://`). Does not connect before it is used.
    pub fn new(url: &str, options: RedisOptions) -> Result<Self, RedisUrlError> {
        // The one cryptography of the house, unless somebody has chosen before us: without one, TLS would panic.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = ::redis::Client::open(url).map_err(|_| RedisUrlError)?;
        let keys = Keys::new(&options.prefix);
        let bullmq = BullMq::new(url, &options.prefix);
        // The standard library seeds this state from the operating system's randomness.
        let holder = RandomState::new().hash_one((std::process::id(), SystemTime::now()));
        let connection = Arc::new(Connection::new(client));
        let scripts = Arc::new(Scripts::new(keys.clone()));
        Ok(Self {
            additions: additions(&connection, &scripts, &keys),
            completions: completions(&connection, &scripts),
            connection,
            scripts,
            keys,
            options,
            holder: format!("revenueflow-{}-{holder:016x}", std::process::id()),
            claims: AtomicU64::new(0),
            bullmq,
            looked_for_lost: Timer::default(),
            looked_for_retried: Timer::default(),
        })
    }

    async fn give_back(&self, receipt: &Receipt, after: Duration, error: &str) -> Result<i64, QueueError> {
        let mut again = self.scripts.again();
        again.arg(&receipt.key).arg(&receipt.token).arg(millis(after)).arg(error);
        self.connection.run(&again).await
    }

    async fn bury(&self, receipt: &Receipt, failure: &Failure) -> Result<i64, QueueError> {
        let reason = failure.to_string();
        let mut bury = self.scripts.bury();
        bury.arg(&receipt.key).arg(&receipt.token).arg(&reason).arg(Timestamp::now().to_string());
        bury.arg(&self.keys.dead_letters).arg(json!({"attempts": 1, "jobId": receipt.key}).to_string());
        bury.arg(millis(SURRENDER));
        let buried = self.connection.run(&bury).await?;
        self.finish(receipt, buried, Some(&reason)).await
    }

    async fn complete(&self, receipt: &Receipt) -> Result<i64, QueueError> {
        let done = self.completions.call(receipt.clone()).await?;
        self.finish(receipt, done, None).await
    }

    /// Leaves to BullMQ's own scripts what ours could not do. Says whether the lease was ours.
    async fn finish(
        &self,
        receipt: &Receipt,
        finished: i64,
        failed: Option<&str>,
    ) -> Result<i64, QueueError> {
        if finished >= 0 {
            return Ok(finished);
        }
        self.bullmq.finish(&receipt.key, failed).await?;
        let mut rest = self.scripts.finished();
        rest.arg(&receipt.key).arg(KEEP_COMPLETED.0).arg(KEEP_COMPLETED.1);
        rest.arg(&self.keys.dead_letters);
        self.connection.run(&rest).await
    }
}

#[async_trait]
impl LeadQueue for RedisQueue {
    fn backend(&self) -> &'static str {
        "redis"
    }

    async fn send(&self, event: &LeadEvent) -> Result<Sent, QueueError> {
        let data = serde_json::to_string(event).map_err(QueueError::unavailable)?;
        let (id, lead) = (event.delivery_id().into(), event.lead_id.as_str().to_owned());
        let content = event.content_hash.as_str().to_owned();
        let added = self.additions.call(Addition { id, data, lead, content }).await?;
        Ok(if added == 1 { Sent::Accepted } else { Sent::Duplicate })
    }

    async fn restore(&self, event: &LeadEvent) -> Result<Restored, QueueError> {
        let data = serde_json::to_string(event).map_err(QueueError::unavailable)?;
        let id = String::from(event.delivery_id());
        let mut restore = self.scripts.restore();
        restore.arg(JOB).arg(millis(LOOK_AGAIN)).arg(&self.keys.dead_letters);
        restore.arg(&id).arg(data).arg(job_options(&id)).arg(event.lead_id.as_str());
        let (found, attempts): (i64, u32) = self.connection.run(&restore).await?;
        Ok(match found {
            0 => Restored::Waiting,
            2 => Restored::WorkedElsewhere,
            3 => Restored::FailedElsewhere { attempts },
            _ => Restored::Sent,
        })
    }

    async fn receive(&self, max: usize) -> Result<Vec<Message>, QueueError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        self.recover().await?;
        // What is wrong with the dead letters is no reason to leave the living alone.
        if let Err(error) = self.redrive().await {
            tracing::warn!(%error, "dead letters could not be looked at");
        }
        let claim = self.claims.fetch_add(1, Ordering::Relaxed);
        let (jobs, per) = self.options.rate_limit.unwrap_or_default();
        let mut receive = self.scripts.receive();
        receive.arg(max.min(MAX_BATCH)).arg(format!("{}-{claim}", self.holder));
        receive.arg(millis(self.options.visibility)).arg(millis(LOOK_AGAIN)).arg(&self.holder);
        receive.arg(jobs).arg(millis(per));
        let leased = self.connection.run(&receive).await?;
        Ok(self.messages(leased).await)
    }

    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let mut extend = self.scripts.extend();
        extend.arg(&receipt.key).arg(&receipt.token).arg(millis(self.options.visibility));
        held(self.connection.run(&extend).await?)
    }

    async fn settle(&self, receipt: &Receipt, settlement: &Settlement) -> Result<(), QueueError> {
        held(match settlement {
            Settlement::Done => self.complete(receipt).await?,
            Settlement::Retry { after, failure } => {
                self.give_back(receipt, *after, &failure.to_string()).await?
            }
            Settlement::Defer { after, .. } => self.give_back(receipt, *after, "").await?,
            Settlement::DeadLetter { failure } => self.bury(receipt, failure).await?,
        })
    }

    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError> {
        let mut pause = self.scripts.pause();
        pause.arg(dependency.as_str()).arg(reason).arg(until.as_millisecond());
        self.connection.run(&pause).await
    }

    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError> {
        let mut resume = self.scripts.resume();
        resume.arg(dependency.as_str());
        self.connection.run(&resume).await
    }

    async fn forget(&self, lead: &LeadId, deliveries: &[DeliveryId], apply: bool) -> Result<u64, QueueError> {
        let mut forget = self.scripts.forget();
        forget.arg(lead.as_str()).arg(&self.keys.dead_letters).arg(u8::from(apply));
        for delivery in deliveries {
            forget.arg(delivery.as_str());
        }
        self.connection.run(&forget).await
    }

    async fn hasten(&self, lead: &LeadId) -> Result<bool, QueueError> {
        let mut hasten = self.scripts.hasten();
        hasten.arg(lead.as_str()).arg(SEARCHABLE);
        self.connection.run(&hasten).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        let stored: Vec<(String, String)> = self.connection.run(&self.scripts.pauses()).await?;
        let mut pauses = stored
            .into_iter()
            .map(|(dependency, known)| {
                let known: KnownPause = serde_json::from_str(&known).map_err(QueueError::unavailable)?;
                let time = |millis| Timestamp::from_millisecond(millis).map_err(QueueError::unavailable);
                Ok(Pause {
                    dependency: Dependency::named(dependency),
                    reason: known.reason,
                    since: time(known.since)?,
                    until: time(known.until)?,
                })
            })
            .collect::<Result<Vec<_>, QueueError>>()?;
        pauses.sort_by(|a, b| (a.since, &a.dependency).cmp(&(b.since, &b.dependency)));
        Ok(pauses)
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let (messages, in_flight, age) = self.connection.run(&self.scripts.depth()).await?;
        Ok(Depth { messages, in_flight, oldest_age: Duration::from_millis(age) })
    }

    fn visibility_timeout(&self) -> Duration {
        self.options.visibility
    }
}

/// What is stored of a pause.
#[derive(serde::Deserialize)]
struct KnownPause {
    reason: String,
    since: i64,
    until: i64,
}

fn held(moved: i64) -> Result<(), QueueError> {
    if moved == 0 { Err(QueueError::LeaseLost) } else { Ok(()) }
}

/// A wait as BullMQ counts it, at most a hundred years: what is longer would overflow its scores.
fn millis(wait: Duration) -> i64 {
    const CENTURY: i64 = 100 * 365 * 24 * 60 * 60 * 1000;
    i64::try_from(wait.as_millis()).map_or(CENTURY, |millis| millis.min(CENTURY))
}
