//! The ledger in the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use database::{Connection, Database, DatabaseError, Group, GroupWrite, Rows, from_millis, to_millis};
use jiff::Timestamp;
use lead::{Clock, Dependency};
use sqlx::Row as _;

use crate::{DatabaseQueue, Ended, LeadQueue, Ledger, Pause, QueueError, Tries};

/// The longest retention of a message in SQS (14 days) plus a day; older rows are not needed.
const KEPT_FOR: Duration = Duration::from_hours(15 * 24);

const LOOK: &str = "
    SELECT t.message_key, t.attempts, t.losses, CASE WHEN t.lease IS NULL THEN 0 ELSE 1 END
    FROM given JOIN sqs_try t ON t.message_key = given.message_key";

/// A try that was begun and never ended counts as a loss.
const BEGIN: &str = "
    INSERT INTO sqs_try (message_key, lease, touched_at) SELECT message_key, lease, now FROM given WHERE true
    ON CONFLICT (message_key) DO UPDATE
    SET losses = sqs_try.losses + CASE WHEN sqs_try.lease IS NULL THEN 0 ELSE 1 END,
        lease = excluded.lease, touched_at = excluded.touched_at
    RETURNING message_key, attempts, losses";

const END: &str = "
    UPDATE sqs_try SET attempts = attempts + failed, losses = losses * keeps_losses, lease = NULL, touched_at = now
    FROM given WHERE sqs_try.message_key = given.message_key AND sqs_try.lease = given.held
    RETURNING sqs_try.message_key";

const SETTLE: &str = "
    DELETE FROM sqs_try WHERE (message_key, lease) IN (SELECT message_key, held FROM given) RETURNING message_key";

const NOTE_SENT: &str = "
    INSERT INTO sqs_try (message_key, touched_at) VALUES ($1, $2)
    ON CONFLICT (message_key) DO UPDATE SET touched_at = excluded.touched_at";

/// The begins and ends of tries, of messages that are worked on at the same time.
struct Changes {
    clock: Arc<dyn Clock>,
}

/// A change of one message's try, under a lease.
struct Change {
    key: String,
    lease: String,
    /// None: it begins.
    ended: Option<Ended>,
}

#[async_trait]
impl GroupWrite for Changes {
    type Call = Change;
    /// The tries before a try that begins; none if the lease of one that ends was lost.
    type Reply = Option<Tries>;

    async fn write(
        &self,
        connection: &mut Connection,
        changes: &[Change],
    ) -> Result<Vec<Option<Tries>>, DatabaseError> {
        let now = to_millis(self.clock.now());
        let mut begun = Rows::new(["message_key", "lease", "now"]);
        let mut ended = Rows::new(["message_key", "held", "failed", "keeps_losses", "now"]);
        let mut settled = Rows::new(["message_key", "held"]);
        // Sorted, so that two processes with the same messages lock them in the same order.
        let mut sorted: Vec<_> = changes.iter().collect();
        sorted.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        for Change { key, lease, ended: end } in sorted {
            let (key, lease) = (key.as_str().into(), lease.as_str().into());
            match end {
                None => begun.push([key, lease, now.into()]),
                Some(Ended::Settled) => settled.push([key, lease]),
                Some(end) => {
                    let (failed, keeps_losses) = (*end == Ended::Failed, *end != Ended::Deferred);
                    ended.push([
                        key,
                        lease,
                        i64::from(failed).into(),
                        i64::from(keeps_losses).into(),
                        now.into(),
                    ]);
                }
            }
        }
        let mut replies = HashMap::new();
        for row in begun.fetch_all(connection, BEGIN).await? {
            let tries =
                Tries { attempts: count(row.try_get(1)?), losses: count(row.try_get(2)?), is_held: true };
            replies.insert(row.try_get::<String, _>(0)?, tries);
        }
        let mut rows = ended.fetch_all(connection, END).await?;
        rows.append(&mut settled.fetch_all(connection, SETTLE).await?);
        for row in rows {
            replies.insert(row.try_get(0)?, Tries::default());
        }
        Ok(changes.iter().map(|change| replies.get(&change.key).copied()).collect())
    }
}

/// A [`Ledger`] in the product's own database.
pub struct DatabaseLedger {
    database: Database,
    clock: Arc<dyn Clock>,
    changes: Group<Changes>,
    /// The pauses of the database queue, which are in the same table.
    pauses: DatabaseQueue,
}

impl DatabaseLedger {
    /// Creates a ledger in a migrated database.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        let pauses = DatabaseQueue::new(database.clone(), Arc::clone(&clock), Duration::ZERO);
        let changes = Group::new(database.clone(), Changes { clock: Arc::clone(&clock) });
        Self { database, clock, changes, pauses }
    }

    /// Deletes the rows of messages that cannot be in SQS any more. Returns their number. Called periodically
    /// by the janitor.
    pub async fn sweep(&self) -> Result<u64, QueueError> {
        let before = self.now() - i64::try_from(KEPT_FOR.as_millis()).unwrap_or(i64::MAX);
        let mut transaction = self.database.begin().await?;
        let swept = sqlx::query("DELETE FROM sqs_try WHERE touched_at < $1")
            .bind(before)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(swept.rows_affected())
    }

    async fn change(
        &self,
        key: &str,
        lease: &str,
        ended: Option<Ended>,
    ) -> Result<Option<Tries>, QueueError> {
        let change = Change { key: key.to_owned(), lease: lease.to_owned(), ended };
        Ok(self.changes.call(key, change).await?)
    }

    fn now(&self) -> i64 {
        to_millis(self.clock.now())
    }
}

#[async_trait]
impl Ledger for DatabaseLedger {
    async fn look(&self, keys: &[&str]) -> Result<HashMap<String, Tries>, QueueError> {
        let mut messages = Rows::new(["message_key"]);
        for key in keys {
            messages.push([(*key).into()]);
        }
        let mut connection = self.database.pool().acquire().await.map_err(DatabaseError::from)?;
        let rows = messages.fetch_all(&mut connection, LOOK).await?;
        rows.into_iter()
            .map(|row| {
                let tries = Tries {
                    attempts: count(row.try_get(1)?),
                    losses: count(row.try_get(2)?),
                    is_held: row.try_get::<i64, _>(3)? != 0,
                };
                Ok((row.try_get(0)?, tries))
            })
            .collect()
    }

    async fn begin(&self, key: &str, lease: &str) -> Result<Tries, QueueError> {
        // An insert with an update returns a row for each.
        Ok(self.change(key, lease, None).await?.unwrap_or_default())
    }

    async fn holds(&self, key: &str, lease: &str) -> Result<bool, QueueError> {
        let row = sqlx::query("SELECT message_key FROM sqs_try WHERE message_key = $1 AND lease = $2")
            .bind(key)
            .bind(lease)
            .fetch_optional(self.database.pool())
            .await?;
        Ok(row.is_some())
    }

    async fn end(&self, key: &str, lease: &str, ended: Ended) -> Result<bool, QueueError> {
        Ok(self.change(key, lease, Some(ended)).await?.is_some())
    }

    async fn last_seen(&self, key: &str) -> Result<Option<Timestamp>, QueueError> {
        let row = sqlx::query("SELECT touched_at FROM sqs_try WHERE message_key = $1")
            .bind(key)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| Ok(from_millis(row.try_get(0)?))).transpose()
    }

    async fn note_sent(&self, key: &str) -> Result<(), QueueError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(NOTE_SENT).bind(key).bind(self.now()).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    async fn forget(&self, key: &str) -> Result<(), QueueError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query("DELETE FROM sqs_try WHERE message_key = $1")
            .bind(key)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError> {
        self.pauses.pause(dependency, reason, until).await
    }

    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError> {
        self.pauses.resume(dependency).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        self.pauses.pauses().await
    }
}

/// A stored counter. Negative values count as 0; larger ones than fit saturate.
fn count(stored: i64) -> u32 {
    u32::try_from(stored.max(0)).unwrap_or(u32::MAX)
}
