//! A queue in tables of the database, on SQLite and PostgreSQL.
//!
//! The unit of scheduling is the group. Its row holds the number of its first message, the time from which
//! that message may be received, and the current lease. A worker leases groups with one `UPDATE`, so that no
//! two workers ever hold the same group. When a worker dies, its groups become visible again at `visible_at`.
//! A message is written once and deleted once.
//!
//! The clocks of all processes that share a queue must agree to within a small part of the visibility
//! timeout.

mod statements;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use database::{Connection, Database, DatabaseError, IdOfLead, LeadRows, from_millis, to_millis};
use jiff::Timestamp;
use lead::{Clock, Dependency, LeadEvent, LeadId};
use sqlx::Row;

use crate::{Depth, LeadQueue, Message, Pause, QueueError, Receipt, Sent, Settlement};

/// The rows of a lead in the tables of this crate.
pub const LEAD_ROWS: [LeadRows; 3] = [
    LeadRows { table: "sqs_try", column: "message_key", holds: IdOfLead::Delivery },
    LeadRows::by_lead("queue_message", "group_id"),
    LeadRows::by_lead("queue_group", "group_id"),
];

/// A hundred years in milliseconds: longer than any delay, and the lead of a prioritized group over the
/// others.
const CENTURY: i64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// A [`LeadQueue`] in the product's own database.
pub struct DatabaseQueue {
    database: Database,
    clock: Arc<dyn Clock>,
    visibility: Duration,
    /// Distinguishes the leases of this handle from those of every other handle, in this process or another.
    holder: String,
    claims: AtomicU64,
}

impl DatabaseQueue {
    /// Creates a queue whose received messages stay invisible for `visibility`. The schema must exist
    /// already.
    pub fn new(database: Database, clock: Arc<dyn Clock>, visibility: Duration) -> Self {
        // The standard library seeds this state from the operating system's randomness.
        let holder = RandomState::new().hash_one((std::process::id(), SystemTime::now()));
        let holder = format!("{}-{holder:016x}", std::process::id());
        Self { database, clock, visibility, holder, claims: AtomicU64::new(0) }
    }

    /// Stores an event as [`LeadQueue::send`] does, within the caller's transaction: the event is in the
    /// queue once that commits, together with the rows that the caller writes. A duplicate changes nothing.
    pub async fn send_in(
        connection: &mut Connection,
        event: &LeadEvent,
        now: Timestamp,
    ) -> Result<Sent, DatabaseError> {
        let body = serde_json::to_string(event)
            .map_err(|_| DatabaseError::Corrupt { what: "event", why: "it is not JSON".into() })?;
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
            return Ok(Sent::Accepted);
        }
        sqlx::query(statements::RELEASE_SEQ).bind(group).execute(connection).await?;
        Ok(Sent::Duplicate)
    }

    /// Leases up to `max` groups and reads the first message of each.
    async fn claim(&self, max: usize) -> Result<Vec<Message>, DatabaseError> {
        let now = self.clock.now();
        let claim = self.claims.fetch_add(1, Ordering::Relaxed);
        let token = format!("{}-{claim}", self.holder);
        let mut transaction = self.database.begin().await?;
        let groups = sqlx::query(statements::CLAIM)
            .bind(to_millis(now) + millis(self.visibility))
            .bind(token.as_str())
            .bind(to_millis(now))
            .bind(i64::try_from(max).unwrap_or(i64::MAX))
            .fetch_all(&mut *transaction)
            .await?;
        let mut messages = Vec::with_capacity(groups.len());
        for row in groups {
            let group: String = row.try_get(0)?;
            let (seq, attempts, losses): (i64, i64, i64) =
                (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            let Some(message) = sqlx::query(statements::READ)
                .bind(group.as_str())
                .bind(seq)
                .fetch_optional(&mut *transaction)
                .await?
            else {
                // Rows were deleted by hand. The other groups continue.
                tracing::error!(lead_id = group, seq, "queued message is missing: its lead is blocked");
                continue;
            };
            messages.push(Message {
                id: message.try_get(0)?,
                body: message.try_get(1)?,
                sent_at: from_millis(message.try_get(2)?),
                redriven: false,
                attempt: count(attempts).saturating_add(1),
                losses: count(losses),
                receipt: Receipt { key: group.clone(), token: token.clone() },
                group,
            });
        }
        transaction.commit().await?;
        Ok(messages)
    }

    /// Removes the leased message and makes the next one of its group visible. False if the lease is lost.
    async fn advance(&self, receipt: &Receipt) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let Some(row) = sqlx::query(statements::ADVANCE)
            .bind(to_millis(self.clock.now()))
            .bind(receipt.key.as_str())
            .bind(receipt.token.as_str())
            .fetch_optional(&mut *transaction)
            .await?
        else {
            return Ok(false);
        };
        let (first, next): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        sqlx::query(statements::REMOVE)
            .bind(receipt.key.as_str())
            .bind(first - 1)
            .execute(&mut *transaction)
            .await?;
        if first == next {
            sqlx::query(statements::REMOVE_GROUP)
                .bind(receipt.key.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(true)
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
        if sent == Sent::Accepted {
            transaction.commit().await?;
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
            Settlement::Done | Settlement::DeadLetter { .. } => self.advance(receipt).await?,
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
        Ok(transaction.commit().await?)
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
