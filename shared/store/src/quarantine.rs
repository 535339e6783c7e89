use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use lead::Actor;
use serde::Serialize;
use serde_json::json;

use crate::acts::{self, ActKind};
use crate::codec::{Columns as _, parsed, without_nul};
use crate::leads::upper_bound_of_prefix;
use crate::{Cursor, Result, Store};

/// A body that could not be accepted, to be quarantined.
pub struct QuarantineItem<'a> {
    /// Identifies the body: the same body again only increases a counter.
    pub id: &'a str,
    /// The name of the source that sent it.
    pub sender: &'a str,
    /// The error code.
    pub error: &'a str,
    /// The invalid field, if a single field was.
    pub field: Option<&'a str>,
    /// The reason in plain text.
    pub message: &'a str,
    /// The `Content-Type` header of the request.
    pub content_type: Option<&'a str>,
    /// The bytes as received; the caller bounds their number.
    pub body: &'a [u8],
    /// When it was received.
    pub received_at: Timestamp,
}

/// A body in quarantine.
// Serialises without the body.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct Quarantined {
    /// Identifies the body.
    pub id: String,
    /// The name of the source that sent it first.
    pub sender: String,
    /// The error code.
    pub error: String,
    /// The invalid field, if a single field was.
    #[schema(required)]
    pub field: Option<String>,
    /// The reason in plain text.
    pub message: String,
    /// The `Content-Type` header of the request.
    #[schema(required)]
    pub content_type: Option<String>,
    /// How often it was received.
    pub times: i64,
    /// When it was first received.
    pub first_at: Timestamp,
    /// When it was last received.
    pub last_at: Timestamp,
    /// The bytes as received.
    #[serde(skip)]
    pub body: Vec<u8>,
}

impl Store {
    /// Quarantines a body that could not be accepted.
    pub async fn quarantine(&self, item: &QuarantineItem<'_>) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO quarantine \
             (quarantine_id, error, field, message, content_type, body, times, first_at, last_at, sender) \
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7, $8) ON CONFLICT (quarantine_id) DO UPDATE \
             SET times = quarantine.times + 1, last_at = excluded.last_at",
        )
        .bind(item.id)
        .bind(item.error)
        .bind(item.field.map(without_nul))
        .bind(without_nul(item.message))
        .bind(item.content_type.map(without_nul))
        .bind(STANDARD.encode(item.body))
        .bind(database::to_millis(item.received_at))
        .bind(item.sender);
        self.execute(query).await?;
        Ok(())
    }

    /// The newest `limit` bodies in quarantine before a cursor, newest first.
    pub async fn quarantined(&self, before: Option<&Cursor>, limit: u32) -> Result<Vec<Quarantined>> {
        let (at, id) = Cursor::before(before);
        let query = sqlx::query(
            "SELECT * FROM quarantine WHERE (last_at, quarantine_id) < ($1, $2) \
             ORDER BY last_at DESC, quarantine_id DESC LIMIT $3",
        );
        let rows = self.rows(query.bind(at).bind(id).bind(i64::from(limit))).await?;
        rows.iter().map(read).collect()
    }

    /// One body in quarantine, by its id or an unambiguous prefix of at least eight characters.
    pub async fn quarantined_body(&self, id: &str) -> Result<Option<Quarantined>> {
        let id = id.to_ascii_lowercase();
        if id.len() < 8 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let query =
            sqlx::query("SELECT * FROM quarantine WHERE quarantine_id >= $1 AND quarantine_id < $2 LIMIT 2");
        let rows = self.rows(query.bind(&id).bind(upper_bound_of_prefix(&id))).await?;
        if let [row] = rows.as_slice() { read(row).map(Some) } else { Ok(None) }
    }

    /// Removes one body from quarantine, by its full id. False if it is not in quarantine.
    pub async fn remove_quarantined(&self, actor: &Actor, id: &str) -> Result<bool> {
        let query = sqlx::query("DELETE FROM quarantine WHERE quarantine_id = $1");
        let mut transaction = self.database.begin().await?;
        let removed = query.bind(id).execute(&mut *transaction).await?.rows_affected() > 0;
        if removed {
            let (now, detail) = (self.now_millis(), json!({ "id": id }));
            acts::append(&mut transaction, actor, now, ActKind::QuarantinedRemoved, &detail).await?;
        }
        transaction.commit().await?;
        Ok(removed)
    }

    /// Removes the bodies last received before a time, and all but the newest `keep` of the others. Returns
    /// the number removed.
    ///
    /// The bounds keep senders from filling the disk with invalid bodies, and limit the retention of personal
    /// data in them.
    pub async fn prune_quarantine(&self, before: Timestamp, keep: u32) -> Result<u64> {
        let query = sqlx::query("DELETE FROM quarantine WHERE last_at < $1");
        let expired = self.execute(query.bind(database::to_millis(before))).await?;
        let query = sqlx::query(
            "SELECT last_at, quarantine_id FROM quarantine ORDER BY last_at DESC, quarantine_id DESC LIMIT 1 OFFSET $1",
        );
        let first_excess = self.row(query.bind(i64::from(keep))).await?;
        let Some(row) = first_excess else { return Ok(expired) };
        let query = sqlx::query("DELETE FROM quarantine WHERE (last_at, quarantine_id) <= ($1, $2)");
        let excess =
            self.execute(query.bind(row.number("last_at")?).bind(row.text("quarantine_id")?)).await?;
        Ok(expired + excess)
    }
}

fn read(row: &sqlx::any::AnyRow) -> Result<Quarantined> {
    Ok(Quarantined {
        id: row.text("quarantine_id")?,
        sender: row.text("sender")?,
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
