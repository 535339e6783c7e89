use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;

use crate::codec::{Columns as _, parsed, without_nul};
use crate::leads::after_all_beginning_with;
use crate::{Cursor, Result, Store};

/// A body to keep although it could not be accepted.
pub struct QuarantineItem<'a> {
    /// Identifies the body: the same one again only counts up.
    pub id: &'a str,
    /// The reason, machine-readable.
    pub error: &'a str,
    /// The field that was wrong, where it was one.
    pub field: Option<&'a str>,
    /// The reason for a person.
    pub message: &'a str,
    /// What the sender said it was.
    pub content_type: Option<&'a str>,
    /// The bytes as they came, bounded by the caller.
    pub body: &'a [u8],
    /// When it came.
    pub received_at: Timestamp,
}

/// A body in quarantine. Serialises without the body.
#[derive(Clone, Serialize)]
pub struct Quarantined {
    /// Identifies the body.
    pub id: String,
    /// The reason, machine-readable.
    pub error: String,
    /// The field that was wrong, where it was one.
    pub field: Option<String>,
    /// The reason for a person.
    pub message: String,
    /// What the sender said it was.
    pub content_type: Option<String>,
    /// How often it came.
    pub times: i64,
    /// When it came first.
    pub first_at: Timestamp,
    /// When it came last.
    pub last_at: Timestamp,
    /// The bytes as they came.
    #[serde(skip)]
    pub body: Vec<u8>,
}

impl Store {
    /// Keeps a body that could not be accepted.
    pub async fn quarantine(&self, item: &QuarantineItem<'_>) -> Result<()> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO quarantine (quarantine_id, error, field, message, content_type, body, times, first_at, last_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7) ON CONFLICT (quarantine_id) DO UPDATE \
             SET times = quarantine.times + 1, last_at = excluded.last_at",
        )
        .bind(item.id)
        .bind(item.error)
        .bind(item.field.map(without_nul))
        .bind(without_nul(item.message))
        .bind(item.content_type.map(without_nul))
        .bind(STANDARD.encode(item.body))
        .bind(database::to_millis(item.received_at))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// The newest `limit` bodies in quarantine before a cursor, newest first.
    pub async fn quarantined(&self, before: Option<&Cursor>, limit: u32) -> Result<Vec<Quarantined>> {
        let (at, id) = Cursor::before(before);
        let rows = sqlx::query(
            "SELECT * FROM quarantine WHERE (last_at, quarantine_id) < ($1, $2) \
             ORDER BY last_at DESC, quarantine_id DESC LIMIT $3",
        )
        .bind(at)
        .bind(id)
        .bind(i64::from(limit))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(read).collect()
    }

    /// One body in quarantine, by its id or an unambiguous beginning of it of at least eight characters.
    pub async fn quarantined_body(&self, id: &str) -> Result<Option<Quarantined>> {
        let id = id.to_ascii_lowercase();
        if id.len() < 8 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let rows =
            sqlx::query("SELECT * FROM quarantine WHERE quarantine_id >= $1 AND quarantine_id < $2 LIMIT 2")
                .bind(&id)
                .bind(after_all_beginning_with(&id))
                .fetch_all(self.database.pool())
                .await?;
        if let [row] = rows.as_slice() { read(row).map(Some) } else { Ok(None) }
    }

    /// Removes one body from quarantine, by its whole id. False where it was not there.
    pub async fn remove_quarantined(&self, id: &str) -> Result<bool> {
        let gone = sqlx::query("DELETE FROM quarantine WHERE quarantine_id = $1")
            .bind(id)
            .execute(self.database.pool())
            .await?;
        Ok(gone.rows_affected() > 0)
    }

    /// Removes the bodies that last came before a time, and of the others all but the newest `keep`. Says how many.
    ///
    /// Nobody may be able to fill the disk with bodies that are no leads, and what is in them may be personal.
    pub async fn prune_quarantine(&self, before: Timestamp, keep: u32) -> Result<u64> {
        let old = sqlx::query("DELETE FROM quarantine WHERE last_at < $1")
            .bind(database::to_millis(before))
            .execute(self.database.pool())
            .await?
            .rows_affected();
        let first_too_many = sqlx::query(
            "SELECT last_at, quarantine_id FROM quarantine ORDER BY last_at DESC, quarantine_id DESC LIMIT 1 OFFSET $1",
        )
        .bind(i64::from(keep))
        .fetch_optional(self.database.pool())
        .await?;
        let Some(row) = first_too_many else { return Ok(old) };
        let too_many = sqlx::query("DELETE FROM quarantine WHERE (last_at, quarantine_id) <= ($1, $2)")
            .bind(row.number("last_at")?)
            .bind(row.text("quarantine_id")?)
            .execute(self.database.pool())
            .await?
            .rows_affected();
        Ok(old + too_many)
    }
}

fn read(row: &sqlx::any::AnyRow) -> Result<Quarantined> {
    Ok(Quarantined {
        id: row.text("quarantine_id")?,
        error: row.text("error")?,
        field: row.optional_text("field")?,
        message: row.text("message")?,
        content_type: row.optional_text("content_type")?,
        times: row.number("times")?,
        first_at: row.time("first_at")?,
        last_at: row.time("last_at")?,
        body: parsed("body", STANDARD.decode(row.text("body")?).ok())?,
    })
}
