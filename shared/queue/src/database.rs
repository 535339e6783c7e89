//! A queue in tables of the database, on SQLite and PostgreSQL.
//!
//! The unit of scheduling is the group. Its row holds the number of its first message, the time from which
//! that message may be received, and the current lease. A worker leases groups with one `UPDATE`, so that no
//! two workers ever hold the same group. When a worker dies, its groups become visible again at `visible_at`.
//! A message is written once and deleted once.
//!
//! The clocks of all processes that share a queue must agree to within a small part of the visibility
//! timeout.

mod arrivals;
mod statements;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use database::{
    Backend, Connection, Database, DatabaseError, Group, GroupWrite, IdOfLead, LeadRows, Rows, announce,
    from_millis, to_millis,
};
use jiff::Timestamp;
use lead::{Clock, Dependency, LeadEvent, LeadId};
use sqlx::Row;

use self::arrivals::Arrivals;
use crate::{Depth, LeadQueue, Message, Pause, QueueError, Receipt, Removed, Sent, Settlement};

/// The rows of a lead in the tables of this crate.
pub const LEAD_ROWS: [LeadRows; 3] = [
    LeadRows { table: "sqs_try", column: "message_key", holds: IdOfLead::Delivery },
    LeadRows::by_lead("queue_message", "group_id"),
    LeadRows::by_lead("queue_group", "group_id"),
];

/// A hundred years in milliseconds: longer than any delay, and the lead of a prioritized group over the
/// others.
const CENTURY: i64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// The channel on which senders announce messages on PostgreSQL.
const CHANNEL: &str = "revenueflow_queue";

/// The longest wait of an idle worker between two receives.
const LONGEST_IDLE_WAIT: Duration = Duration::from_secs(1);

/// The acknowledgement of messages that are settled at the same time.
struct Acknowledgements {
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl GroupWrite for Acknowledgements {
    type Call = Receipt;
    type Reply = bool;

    async fn write(
        &self,
        connection: &mut Connection,
        receipts: &[Receipt],
    ) -> Result<Vec<bool>, DatabaseError> {
        DatabaseQueue::acknowledge_in(connection, receipts, self.clock.now()).await
    }
}

/// A [`LeadQueue`] in the product's own database.
pub struct DatabaseQueue {
    database: Database,
    clock: Arc<dyn Clock>,
    visibility: Duration,
    /// Distinguishes the leases of this handle from those of every other handle, in this process or another.
    holder: String,
    claims: AtomicU64,
    arrivals: Arrivals,
    acknowledgements: Group<Acknowledgements>,
}

impl DatabaseQueue {
    /// Creates a queue whose received messages stay invisible for `visibility`. The schema must exist
    /// already.
    pub fn new(database: Database, clock: Arc<dyn Clock>, visibility: Duration) -> Self {
        // The standard library seeds this state from the operating system's randomness.
        let holder = RandomState::new().hash_one((std::process::id(), SystemTime::now()));
        let holder = format!("{}-{holder:016x}", std::process::id());
        let acknowledgements = Group::new(database.clone(), Acknowledgements { clock: Arc::clone(&clock) });
        Self {
            database,
            clock,
            visibility,
            holder,
            claims: AtomicU64::new(0),
            arrivals: Arrivals::default(),
            acknowledgements,
        }
    }

    /// Stores an event as [`LeadQueue::send`] does, within the caller's transaction: the event is in the
    /// queue once that commits, together with the rows that the caller writes. A duplicate changes nothing.
    pub async fn send_in(
        connection: &mut Connection,
        event: &LeadEvent,
        now: Timestamp,
    ) -> Result<Sent, DatabaseError> {
        let body = body_of(event)?;
        let group = event.lead_id.as_str();
        let seq: i64 = sqlx::query_scalar(statements::RESERVE_SEQ)
            .bind(group)
            .bind(to_millis(now))
            .fetch_one(&mut *connection)
            .await?;
        let stored = sqlx::query(statements::STORE)
            .bind(group)
            .bind(seq)
            .bind(event.delivery_id().as_str())
            .bind(body)
            .bind(to_millis(now))
            .execute(&mut *connection)
            .await?;
        if stored.rows_affected() == 1 {
            announce(connection, CHANNEL).await?;
            return Ok(Sent::Accepted);
        }
        sqlx::query(statements::RELEASE_SEQ).bind(group).execute(connection).await?;
        Ok(Sent::Duplicate)
    }

    /// Stores events of different leads, as [`send_in`](Self::send_in) does for one, with a few statements
    /// for all of them.
    pub async fn send_all_in(
        connection: &mut Connection,
        events: &[&LeadEvent],
        now: Timestamp,
    ) -> Result<(), DatabaseError> {
        let mut groups = Rows::new(["group_id", "visible_at"]);
        let mut events: BTreeMap<_, _> =
            events.iter().map(|event| (event.lead_id.as_str(), *event)).collect();
        for group in events.keys() {
            groups.push([(*group).into(), to_millis(now).into()]);
        }
        let mut messages = Rows::new(["group_id", "seq", "message_id", "body", "sent_at"]);
        for row in groups.fetch_all(connection, statements::RESERVE_SEQS).await? {
            let (group, seq): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            let Some(event) = events.remove(group.as_str()) else { continue };
            messages.push([
                group.into(),
                seq.into(),
                event.delivery_id().as_str().into(),
                body_of(event)?.into(),
                to_millis(now).into(),
            ]);
        }
        let sent = messages.len();
        if sent > 0 {
            announce(connection, CHANNEL).await?;
        }
        let stored = messages.clone().fetch_all(connection, statements::STORE_ALL).await?;
        if stored.len() < sent {
            let stored = stored.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<String>, _>>()?;
            for group in messages.keys().filter(|group| !stored.contains(*group)) {
                sqlx::query(statements::RELEASE_SEQ).bind(group).execute(&mut *connection).await?;
            }
        }
        Ok(())
    }

    /// Leases up to `max` groups and reads the first message of each.
    async fn claim(&self, max: usize) -> Result<Vec<Message>, DatabaseError> {
        let now = self.clock.now();
        let claim = self.claims.fetch_add(1, Ordering::Relaxed);
        let token = format!("{}-{claim}", self.holder);
        let mut transaction = self.database.begin().await?;
        let claim = match self.database.backend() {
            Backend::Sqlite => statements::CLAIM,
            Backend::Postgres => statements::CLAIM_ON_POSTGRES,
        };
        let groups = sqlx::query(claim)
            .bind(to_millis(now) + millis(self.visibility))
            .bind(token.as_str())
            .bind(to_millis(now))
            .bind(i64::try_from(max).unwrap_or(i64::MAX))
            .fetch_all(&mut *transaction)
            .await?;
        let mut leases = HashMap::new();
        let mut firsts = Rows::new(["group_id", "seq"]);
        for row in groups {
            let (group, seq): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            firsts.push([group.as_str().into(), seq.into()]);
            leases.insert(group, (seq, row.try_get(2)?, row.try_get(3)?));
        }
        let mut messages = Vec::with_capacity(leases.len());
        for message in firsts.fetch_all(&mut transaction, statements::READ).await? {
            let group: String = message.try_get(3)?;
            let Some((_, attempts, losses)) = leases.remove(&group) else { continue };
            messages.push(Message {
                id: message.try_get(0)?,
                body: message.try_get(1)?,
                sent_at: from_millis(message.try_get(2)?),
                redriven: false,
                removed: Removed::default(),
                attempt: count(attempts).saturating_add(1),
                losses: count(losses),
                receipt: Receipt { key: group.clone(), token: token.clone() },
                group,
            });
        }
        for (group, (seq, ..)) in leases {
            // Rows were deleted by hand. The other groups continue.
            tracing::error!(lead_id = group, seq, "queued message is missing: its lead is blocked");
        }
        transaction.commit().await?;
        Ok(messages)
    }

    /// Removes leased messages within the caller's transaction, and makes the next ones of their groups
    /// visible. The groups differ. Returns for each, in their order, whether its lease was still held.
    pub async fn acknowledge_in(
        connection: &mut Connection,
        receipts: &[Receipt],
        now: Timestamp,
    ) -> Result<Vec<bool>, DatabaseError> {
        let mut leases = Rows::new(["group_id", "lease"]);
        for receipt in receipts {
            leases.push([receipt.key.as_str().into(), receipt.token.as_str().into()]);
        }
        // Most groups have one message.
        let removed = leases.fetch_all(connection, statements::REMOVE_LAST).await?;
        let removed = removed.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<String>, _>>()?;
        let mut groups = Rows::new(["group_id"]);
        for group in &removed {
            groups.push([group.as_str().into()]);
        }
        groups.execute(connection, statements::REMOVE_MESSAGES).await?;
        let mut held = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            held.push(removed.contains(&receipt.key) || advance(connection, receipt, now).await?);
        }
        Ok(held)
    }

    /// Makes the leased message visible at a time, in milliseconds since 1970. False if the lease is lost.
    async fn make_visible(
        &self,
        receipt: &Receipt,
        visible_at: i64,
        failed_attempts: i64,
        keeps_losses: bool,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let released = sqlx::query(statements::RELEASE)
            .bind(visible_at)
            .bind(failed_attempts)
            .bind(i64::from(keeps_losses))
            .bind(receipt.key.as_str())
            .bind(receipt.token.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(released.rows_affected() == 1)
    }
}

#[async_trait]
impl LeadQueue for DatabaseQueue {
    fn backend(&self) -> &'static str {
        "database"
    }

    async fn send(&self, event: &LeadEvent) -> Result<Sent, QueueError> {
        let mut transaction = self.database.begin().await?;
        let sent = Self::send_in(&mut transaction, event, self.clock.now()).await?;
        match sent {
            Sent::Accepted => {
                transaction.commit().await?;
                self.arrivals.note();
            }
            // Workers skip the group while it is locked.
            Sent::Duplicate => transaction.rollback().await?,
        }
        Ok(sent)
    }

    async fn receive(&self, max: usize) -> Result<Vec<Message>, QueueError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        Ok(self.claim(max).await?)
    }

    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let mut transaction = self.database.begin().await?;
        let extended = sqlx::query(statements::EXTEND)
            .bind(to_millis(self.clock.now()) + millis(self.visibility))
            .bind(receipt.key.as_str())
            .bind(receipt.token.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        held(extended.rows_affected() == 1)
    }

    async fn settle(&self, receipt: &Receipt, settlement: &Settlement) -> Result<(), QueueError> {
        let after_wait = |wait| to_millis(self.clock.now()) + millis(wait);
        held(match settlement {
            Settlement::Done | Settlement::DeadLetter { .. } => {
                self.acknowledgements.call(&receipt.key, receipt.clone()).await?
            }
            Settlement::Retry { after, .. } => {
                self.make_visible(receipt, after_wait(*after), 1, true).await?
            }
            Settlement::Defer { after, .. } => {
                self.make_visible(receipt, after_wait(*after), 0, false).await?
            }
        })
    }

    async fn release(&self, receipt: &Receipt) -> Result<(), QueueError> {
        // Ahead of all others, except those that are prioritized.
        let front = to_millis(self.clock.now()) - CENTURY / 4;
        held(self.make_visible(receipt, front, 0, true).await?)
    }

    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(statements::PAUSE)
            .bind(dependency.as_str())
            .bind(reason)
            .bind(to_millis(self.clock.now()))
            .bind(to_millis(until))
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(statements::RESUME).bind(dependency.as_str()).execute(&mut *transaction).await?;
        announce(&mut transaction, CHANNEL).await?;
        transaction.commit().await?;
        self.arrivals.note();
        Ok(())
    }

    async fn prioritize(&self, lead: &LeadId) -> Result<bool, QueueError> {
        let mut transaction = self.database.begin().await?;
        let moved = sqlx::query(statements::PRIORITIZE)
            .bind(CENTURY)
            .bind(lead.as_str())
            .bind(to_millis(self.clock.now()) - CENTURY / 2)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(moved.rows_affected() == 1)
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        let rows = sqlx::query(statements::PAUSES).fetch_all(self.database.pool()).await?;
        rows.into_iter()
            .map(|row| {
                Ok(Pause {
                    dependency: Dependency::named(row.try_get::<String, _>(0)?),
                    reason: row.try_get(1)?,
                    since: from_millis(row.try_get(2)?),
                    until: from_millis(row.try_get(3)?),
                })
            })
            .collect()
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let now = to_millis(self.clock.now());
        let row = sqlx::query(statements::DEPTH).bind(now).fetch_one(self.database.pool()).await?;
        let (messages, in_flight): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let oldest: Option<i64> = row.try_get(2)?;
        let age = oldest.map_or(0, |sent_at| now.saturating_sub(sent_at));
        Ok(Depth {
            messages: messages.unsigned_abs(),
            in_flight: in_flight.unsigned_abs(),
            oldest_age: Duration::from_millis(u64::try_from(age).unwrap_or(0)),
        })
    }

    fn visibility_timeout(&self) -> Duration {
        self.visibility
    }

    /// Another process announces its messages on PostgreSQL; on SQLite they are found by this.
    fn longest_idle_wait(&self) -> Duration {
        LONGEST_IDLE_WAIT
    }

    async fn work_available(&self) {
        self.arrivals.wait(&self.database).await;
    }
}

/// Moves a group past its leased message. False if the lease is lost.
async fn advance(
    connection: &mut Connection,
    receipt: &Receipt,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let advanced: Option<i64> = sqlx::query_scalar(statements::ADVANCE)
        .bind(to_millis(now))
        .bind(receipt.key.as_str())
        .bind(receipt.token.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(next) = advanced else { return Ok(false) };
    sqlx::query(statements::REMOVE).bind(receipt.key.as_str()).bind(next - 1).execute(connection).await?;
    Ok(true)
}

impl From<DatabaseError> for QueueError {
    fn from(error: DatabaseError) -> Self {
        Self::unavailable(error)
    }
}

impl From<sqlx::Error> for QueueError {
    fn from(error: sqlx::Error) -> Self {
        DatabaseError::from(error).into()
    }
}

fn body_of(event: &LeadEvent) -> Result<String, DatabaseError> {
    let not_json = |_| DatabaseError::Corrupt { what: "event", why: "it is not JSON".into() };
    serde_json::to_string(event).map_err(not_json)
}

fn held(ours: bool) -> Result<(), QueueError> {
    if ours { Ok(()) } else { Err(QueueError::LeaseLost) }
}

/// A wait in milliseconds, at most a hundred years: a longer one would overflow the calendar.
fn millis(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis()).map_or(CENTURY, |millis| millis.min(CENTURY))
}

/// A stored counter. Negative values count as 0; larger ones than fit saturate.
fn count(stored: i64) -> u32 {
    u32::try_from(stored.max(0)).unwrap_or(u32::MAX)
}
