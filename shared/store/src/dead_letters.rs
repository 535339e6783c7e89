use database::{Connection, Rows};
use jiff::Timestamp;
use lead::{Failure, LeadId};
use serde::Serialize;

use crate::codec::{Columns as _, to_json, without_nul};
use crate::{Cursor, Expired, ExpiredKind, Result, Store};

/// A dead-lettered message.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct DeadLetter {
    /// The delivery id; the queue's own message id if the message could not be read.
    pub id: String,
    /// The lead, if the message could be read.
    #[schema(required)]
    pub lead_id: Option<LeadId>,
    /// The failure that dead-lettered it.
    pub failure: Failure,
    /// The number of attempts made.
    pub attempts: i64,
    /// When it was dead-lettered.
    pub failed_at: Timestamp,
}

/// The message of a dead letter.
pub struct DeadLetterBody {
    /// The id of the dead letter.
    pub id: String,
    /// The message, unchanged.
    pub body: String,
    /// The number of attempts made.
    pub attempts: i64,
}

impl Store {
    /// The newest `limit` dead letters that failed before (`before`, id), newest first.
    pub async fn dead_letters(&self, before: Option<&Cursor>, limit: u32) -> Result<Vec<DeadLetter>> {
        let (at, id) = Cursor::before(before);
        let query = sqlx::query(
            "SELECT message_id, lead_id, failure, attempts, failed_at FROM dead_letter \
             WHERE (failed_at, message_id) < ($1, $2) ORDER BY failed_at DESC, message_id DESC LIMIT $3",
        );
        let rows = self.rows(query.bind(at).bind(id).bind(i64::from(limit))).await?;
        rows.iter()
            .map(|row| {
                Ok(DeadLetter {
                    id: row.text("message_id")?,
                    lead_id: row.optional_id("lead_id")?,
                    failure: row.json("failure")?,
                    attempts: row.number("attempts")?,
                    failed_at: row.time("failed_at")?,
                })
            })
            .collect()
    }

    /// The number of dead letters, counted up to 100,000.
    pub async fn count_dead_letters(&self) -> Result<i64> {
        Ok(sqlx::query_scalar(
            "SELECT COUNT(*) FROM (SELECT failed_at FROM dead_letter LIMIT 100000) AS counted",
        )
        .fetch_one(self.database.pool())
        .await?)
    }

    /// One dead letter with its message, by its own id or its lead's. A lead has at most one: that of its
    /// newest delivery.
    pub async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetterBody>> {
        let query = sqlx::query(
            "SELECT message_id, body, attempts FROM dead_letter WHERE message_id = $1 OR lead_id = $1 LIMIT 1",
        );
        let row = self.row(query.bind(without_nul(id))).await?;
        row.map(|row| {
            Ok(DeadLetterBody {
                id: row.text("message_id")?,
                body: row.text("body")?,
                attempts: row.number("attempts")?,
            })
        })
        .transpose()
    }

    /// Deletes a dead letter after its message was sent again. Keeps it if the delivery has failed again by
    /// then.
    pub async fn remove_dead_letter(&self, id: &str) -> Result<()> {
        let query = sqlx::query(
            "DELETE FROM dead_letter WHERE message_id = $1 AND NOT EXISTS \
             (SELECT 1 FROM delivery WHERE delivery_id = $1 AND state = 'failed')",
        );
        self.execute(query.bind(without_nul(id))).await?;
        Ok(())
    }
}

impl Store {
    /// The oldest dead letters that failed before a time, with the times, at most `limit`.
    pub async fn expired_dead_letters(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(String, Timestamp)>> {
        let query = sqlx::query(
            "SELECT message_id, failed_at FROM dead_letter WHERE failed_at < $1 ORDER BY failed_at, message_id LIMIT $2",
        );
        let rows = self.rows(query.bind(database::to_millis(before)).bind(i64::from(limit))).await?;
        rows.iter().map(|row| Ok((row.text("message_id")?, row.time("failed_at")?))).collect()
    }

    /// Removes dead letters that failed before a time. One that has failed again since stays.
    pub async fn remove_expired_dead_letters(&self, ids: &[&str], before: Timestamp) -> Result<u64> {
        let mut rows = Rows::new(["id", "before"]);
        for id in ids {
            rows.push([(*id).into(), database::to_millis(before).into()]);
        }
        let mut transaction = self.database.begin().await?;
        let statement = "DELETE FROM dead_letter WHERE message_id IN (SELECT id FROM given) \
             AND failed_at < (SELECT MAX(given.before) FROM given)";
        let removed = rows.execute(&mut transaction, statement).await?;
        transaction.commit().await?;
        Ok(removed)
    }

    /// The number of dead letters that failed before a time, and the time of the oldest.
    pub async fn count_expired_dead_letters(&self, before: Timestamp) -> Result<Expired> {
        let query = sqlx::query(
            "SELECT COUNT(*) AS letters, MIN(failed_at) AS oldest FROM dead_letter WHERE failed_at < $1",
        );
        let query = query.bind(database::to_millis(before));
        let row = query.fetch_one(self.database.pool()).await?;
        let count = u64::try_from(row.number("letters")?).unwrap_or(0);
        Ok(Expired::found(ExpiredKind::DeadLetters, count, row.optional_time("oldest")?))
    }
}

/// Saves a dead letter, or the new failure of a known one.
pub(crate) async fn insert(connection: &mut Connection, letter: &DeadLetter, body: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO dead_letter (message_id, lead_id, body, failure, attempts, failed_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (message_id) DO UPDATE \
         SET failure = excluded.failure, attempts = excluded.attempts, failed_at = excluded.failed_at",
    )
    .bind(&letter.id)
    .bind(letter.lead_id.as_ref().map(|id| id.as_str().to_owned()))
    .bind(without_nul(body))
    .bind(to_json(&letter.failure))
    .bind(letter.attempts)
    .bind(database::to_millis(letter.failed_at))
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the dead letter of a delivery, if there is one.
pub(crate) async fn forget(connection: &mut Connection, delivery: &str) -> Result<()> {
    let query = sqlx::query("DELETE FROM dead_letter WHERE message_id = $1");
    query.bind(delivery.to_owned()).execute(connection).await?;
    Ok(())
}
