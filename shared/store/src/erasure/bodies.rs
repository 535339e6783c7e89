use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use database::Connection;
use sqlx::Row as _;

use super::mentions::mentions;
use crate::Result;
use crate::codec::Columns as _;
use crate::person::Person;

/// Bodies read at a time. A body has at most 256 KiB, a third more in base64.
const BATCH: i64 = 20;

/// A table of bodies whose only link to a person is their text.
pub(super) struct Bodies {
    pub(super) table: &'static str,
    /// The column of the ids.
    pub(super) key: &'static str,
    page: &'static str,
    delete: &'static str,
    pub(super) is_base64: bool,
}

pub(super) const BODIES: [Bodies; 2] = [
    Bodies {
        table: "dead_letter",
        key: "message_id",
        page: "SELECT message_id AS id, body FROM dead_letter \
               WHERE lead_id IS NULL AND failed_at >= $1 AND message_id > $2 ORDER BY message_id LIMIT $3",
        delete: "DELETE FROM dead_letter WHERE message_id = $1",
        is_base64: false,
    },
    Bodies {
        table: "quarantine",
        key: "quarantine_id",
        page: "SELECT quarantine_id AS id, body FROM quarantine \
               WHERE first_at >= $1 AND quarantine_id > $2 ORDER BY quarantine_id LIMIT $3",
        delete: "DELETE FROM quarantine WHERE quarantine_id = $1",
        is_base64: true,
    },
];

impl Bodies {
    /// The ids of the bodies received at `since` or later that mention a person. Reads every body: not for a
    /// transaction that blocks others, unless `since` is recent.
    pub(super) async fn mentioning(
        &self,
        connection: &mut Connection,
        person: &Person,
        since: i64,
    ) -> Result<Vec<String>> {
        let (mut ids, mut after) = (Vec::new(), String::new());
        loop {
            let page = sqlx::query(self.page).bind(since).bind(after.clone()).bind(BATCH);
            let rows = page.fetch_all(&mut *connection).await?;
            for row in &rows {
                after = row.try_get("id")?;
                let body = row.text("body")?;
                let body = if self.is_base64 {
                    STANDARD.decode(&body).unwrap_or_default()
                } else {
                    body.into_bytes()
                };
                if mentions(&body, person) {
                    ids.push(after.clone());
                }
            }
            if rows.len() < usize::try_from(BATCH).unwrap_or(usize::MAX) {
                return Ok(ids);
            }
        }
    }

    /// Removes bodies, and returns the number removed.
    pub(super) async fn remove(&self, connection: &mut Connection, ids: &[String]) -> Result<u64> {
        let mut removed = 0;
        for id in ids {
            removed += sqlx::query(self.delete).bind(id).execute(&mut *connection).await?.rows_affected();
        }
        Ok(removed)
    }
}
