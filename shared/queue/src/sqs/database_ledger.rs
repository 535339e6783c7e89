//! The ledger in the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use database::{Database, from_millis, to_millis};
use jiff::Timestamp;
use lead::{Clock, Dependency};
use sqlx::{AssertSqlSafe, Row};

use crate::{DatabaseQueue, Ended, LeadQueue, Ledger, Pause, QueueError, Tries};

/// The longest retention of a message in SQS (14 days) plus a day; older rows are not needed.
const KEPT_FOR: Duration = Duration::from_hours(15 * 24);

/// A try that was begun and never ended counts as a loss.
const BEGIN: &str = "
    INSERT INTO sqs_try (message_key, lease, touched_at) VALUES ($1, $2, $3)
    ON CONFLICT (message_key) DO UPDATE
    SET losses = sqs_try.losses + CASE WHEN sqs_try.lease IS NULL THEN 0 ELSE 1 END,
        lease = excluded.lease, touched_at = excluded.touched_at
    RETURNING attempts, losses";

const END: &str = "
    UPDATE sqs_try SET attempts = attempts + $1, losses = losses * $2, lease = NULL, touched_at = $3
    WHERE message_key = $4 AND lease = $5";

const NOTE_SENT: &str = "
    INSERT INTO sqs_try (message_key, touched_at) VALUES ($1, $2)
    ON CONFLICT (message_key) DO UPDATE SET touched_at = excluded.touched_at";

/// A [`Ledger`] in the product's own database.
pub struct DatabaseLedger {
    database: Database,
    clock: Arc<dyn Clock>,
    /// The pauses of the database queue, which are in the same table.
    pauses: DatabaseQueue,
}

impl DatabaseLedger {
    /// Creates a ledger in a migrated database.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        let pauses = DatabaseQueue::new(database.clone(), Arc::clone(&clock), Duration::ZERO);
        Self { database, clock, pauses }
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

    fn now(&self) -> i64 {
        to_millis(self.clock.now())
    }
}

#[async_trait]
impl Ledger for DatabaseLedger {
    async fn look(&self, keys: &[&str]) -> Result<HashMap<String, Tries>, QueueError> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        // Placeholders only: `$1,$2,..`.
        let placeholders: Vec<_> = (1..=keys.len()).map(|n| format!("${n}")).collect();
        let statement = format!(
            "SELECT message_key, attempts, losses, CASE WHEN lease IS NULL THEN 0 ELSE 1 END \
             FROM sqs_try WHERE message_key IN ({})",
            placeholders.join(",")
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for key in keys {
            query = query.bind((*key).to_owned());
        }
        let rows = query.fetch_all(self.database.pool()).await?;
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
        let mut transaction = self.database.begin().await?;
        let row =
            sqlx::query(BEGIN).bind(key).bind(lease).bind(self.now()).fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Tries { attempts: count(row.try_get(0)?), losses: count(row.try_get(1)?), is_held: true })
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
        let mut transaction = self.database.begin().await?;
        let query = match ended {
            Ended::Settled => {
                sqlx::query("DELETE FROM sqs_try WHERE message_key = $1 AND lease = $2").bind(key).bind(lease)
            }
            Ended::Failed | Ended::Deferred | Ended::Released => sqlx::query(END)
                .bind(i64::from(ended == Ended::Failed))
                .bind(i64::from(ended != Ended::Deferred))
                .bind(self.now())
                .bind(key)
                .bind(lease),
        };
        let ended = query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(ended.rows_affected() == 1)
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
