//! The queue on Redis, in the format of BullMQ, so that workers and producers of Node's `bullmq` can share
//! it.
//!
//! Jobs live under BullMQ's keys and move through BullMQ's states, so that its dashboards and tools show
//! them. Lua scripts of this crate send, lease and settle them. The `bullmq-official` crate contains BullMQ's
//! own scripts, but when jobs are processed manually, it counts no failed attempts, drops the error of a
//! retried job, keeps all completed jobs forever, and leases one job per call. It is used only to finish the
//! jobs that only BullMQ's scripts can finish (`bullmq.rs`). The scripts here add:
//!
//! - **Order per lead.** Only the first job of a lead is ever waiting or active. Later jobs are *delayed*,
//!   and become ready when the job before them is settled; a list for each lead keeps their order. Node's
//!   workers do not maintain this order: when they finish a lead's first job, the next one becomes ready when
//!   its delay has passed ([`ORDER_RECHECK`]), and a Node worker may then process it while a worker of this
//!   crate has its predecessor. The store decides what a late revision may change. A job of another producer
//!   enters the order when it is first received.
//! - **Batches.** One call sends, leases or completes many messages.
//! - **Atomic settlement.** A settlement checks the lease, moves the job and makes the next job of
//!   its lead ready, or changes nothing.
//!
//! A pause, from either side, is BullMQ's own pause. Pauses of this crate are marked, so that their end does
//! not end the pauses of others. A resume by another application ends all pauses of this crate: a worker that
//! finds the dependency still unavailable pauses again.
//!
//! A failed attempt counts in BullMQ's `atm` and a lost worker in its `stc`, so that a job can move between
//! Node's workers and those of this crate at any time. All processes must use the same stalled interval
//! ([`RedisOptions::stalled_interval`]). Node's workers do not report the jobs that they finish, and Node's
//! producers assign their own job ids: [`LeadQueue::restore`] detects the former, and an alias key for each
//! such job resolves the latter (`alias.lua`).
//!
//! It needs one Redis server (6.2 or newer), with or without replicas. Redis Cluster is not supported.

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

use self::bullmq::BullMq;
use self::connection::Connection;
use self::jobs::{Addition, Calls, JOB, KEEP_COMPLETED, additions, completions, job_options};
pub use self::options::{RedisOptions, RedisUrlError};
use self::scripts::{Keys, Scripts};
use self::timer::Timer;
use crate::{Depth, LeadQueue, Message, Pause, QueueError, Receipt, Restored, Sent, Settlement};

/// The name of the queue.
const QUEUE: &str = "lead-processing";

/// The name of the dead letter queue.
const DEAD_LETTERS: &str = "lead-processing-dlq";

/// The delay of a job that is not the first of its lead. It is checked again after this time, unless its
/// predecessor's settlement makes it ready earlier.
const ORDER_RECHECK: Duration = Duration::from_secs(10);

/// The time that BullMQ's own script has to finish a job that was handed over to it.
const HANDOVER_LOCK: Duration = Duration::from_secs(10);

/// The longest list that is searched for a lead to prioritize: the server is blocked during the search.
const MAX_SEARCHED_LIST: usize = 200_000;

/// The maximum number of messages in one receive.
const MAX_BATCH: usize = 1000;

/// A [`LeadQueue`] on Redis.
pub struct RedisQueue {
    connection: Arc<Connection>,
    scripts: Arc<Scripts>,
    keys: Keys,
    options: RedisOptions,
    additions: Calls<Addition>,
    completions: Calls<Receipt>,
    /// Distinguishes the leases of this handle from those of every other handle, in this process or another.
    holder: String,
    claims: AtomicU64,
    bullmq: BullMq,
    recovery_timer: Timer,
    redrive_timer: Timer,
}

impl RedisQueue {
    /// Creates a queue on the server at `url` (`redis://` or `rediss://`). It connects on first use.
    pub fn new(url: &str, options: RedisOptions) -> Result<Self, RedisUrlError> {
        // Installs the cryptography provider of this workspace, unless the process has one already: without a
        // provider, TLS would panic.
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
            recovery_timer: Timer::default(),
            redrive_timer: Timer::default(),
        })
    }

    /// Makes the leased message visible after a wait. `outcome` and `error` as in `release.lua`. Returns 0 if
    /// the lease was lost.
    async fn make_visible(
        &self,
        receipt: &Receipt,
        after: Duration,
        outcome: &str,
        error: &str,
    ) -> Result<i64, QueueError> {
        let mut release = self.scripts.release();
        release.arg(&receipt.key).arg(&receipt.token).arg(millis(after)).arg(outcome).arg(error);
        self.connection.run(&release).await
    }

    async fn dead_letter(&self, receipt: &Receipt, failure: &Failure) -> Result<i64, QueueError> {
        let reason = failure.to_string();
        let mut script = self.scripts.dead_letter();
        script.arg(&receipt.key).arg(&receipt.token).arg(&reason).arg(Timestamp::now().to_string());
        script.arg(&self.keys.dead_letters).arg(json!({"attempts": 1, "jobId": receipt.key}).to_string());
        script.arg(millis(HANDOVER_LOCK));
        let moved = self.connection.run(&script).await?;
        self.finish(receipt, moved, Some(&reason)).await
    }

    async fn complete(&self, receipt: &Receipt) -> Result<i64, QueueError> {
        let completed = self.completions.call(receipt.key.clone(), receipt.clone()).await;
        let completed = completed.map_err(QueueError::unavailable)??;
        self.finish(receipt, completed, None).await
    }

    /// Finishes a job with BullMQ's own scripts if a negative `finished` says that only they can. Returns 0
    /// if the lease was lost.
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
        let mut rest = self.scripts.after_handover();
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
        let added = self.additions.call(lead.clone(), Addition { id, data, lead, content }).await;
        let added = added.map_err(QueueError::unavailable)??;
        Ok(if added == 1 { Sent::Accepted } else { Sent::Duplicate })
    }

    async fn restore(&self, event: &LeadEvent) -> Result<Restored, QueueError> {
        let data = serde_json::to_string(event).map_err(QueueError::unavailable)?;
        let id = String::from(event.delivery_id());
        let mut restore = self.scripts.restore();
        restore.arg(JOB).arg(millis(ORDER_RECHECK)).arg(&self.keys.dead_letters);
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
        // A failure to read the dead letters must not stop the processing of other messages.
        if let Err(error) = self.redrive().await {
            tracing::warn!(%error, "dead letters could not be read");
        }
        let claim = self.claims.fetch_add(1, Ordering::Relaxed);
        let (jobs, per) = self.options.rate_limit.unwrap_or_default();
        let mut receive = self.scripts.receive();
        receive.arg(max.min(MAX_BATCH)).arg(format!("{}-{claim}", self.holder));
        receive.arg(millis(self.options.visibility)).arg(millis(ORDER_RECHECK)).arg(&self.holder);
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
                self.make_visible(receipt, *after, "failed", &failure.to_string()).await?
            }
            Settlement::Defer { after, .. } => self.make_visible(receipt, *after, "deferred", "").await?,
            Settlement::DeadLetter { failure } => self.dead_letter(receipt, failure).await?,
        })
    }

    async fn release(&self, receipt: &Receipt) -> Result<(), QueueError> {
        held(self.make_visible(receipt, Duration::ZERO, "untried", "").await?)
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

    async fn remove_dead_letters(&self, ids: &[&str]) -> Result<u64, QueueError> {
        let mut remove = self.scripts.remove_dead_letters();
        remove.arg(&self.keys.dead_letters);
        for id in ids {
            remove.arg(*id);
        }
        self.connection.run(&remove).await
    }

    async fn prioritize(&self, lead: &LeadId) -> Result<bool, QueueError> {
        let mut prioritize = self.scripts.prioritize();
        prioritize.arg(lead.as_str()).arg(MAX_SEARCHED_LIST);
        self.connection.run(&prioritize).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        let rows: Vec<(String, String)> = self.connection.run(&self.scripts.pauses()).await?;
        let mut pauses = rows
            .into_iter()
            .map(|(dependency, stored)| {
                let stored: StoredPause = serde_json::from_str(&stored).map_err(QueueError::unavailable)?;
                let time = |millis| Timestamp::from_millisecond(millis).map_err(QueueError::unavailable);
                Ok(Pause {
                    dependency: Dependency::named(dependency),
                    reason: stored.reason,
                    since: time(stored.since)?,
                    until: time(stored.until)?,
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

/// A pause as it is stored.
#[derive(serde::Deserialize)]
struct StoredPause {
    reason: String,
    since: i64,
    until: i64,
}

fn held(moved: i64) -> Result<(), QueueError> {
    if moved == 0 { Err(QueueError::LeaseLost) } else { Ok(()) }
}

/// A wait in milliseconds, at most a hundred years: a longer one would overflow BullMQ's scores.
fn millis(wait: Duration) -> i64 {
    const CENTURY: i64 = 100 * 365 * 24 * 60 * 60 * 1000;
    i64::try_from(wait.as_millis()).map_or(CENTURY, |millis| millis.min(CENTURY))
}
