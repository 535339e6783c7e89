use jiff::Timestamp;

use crate::codec::Columns as _;
use crate::{Cursor, Result, Store};

/// The progress of the present or of the last pass over the leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPass {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none while it is under way.
    pub ended_at: Option<Timestamp>,
    /// The position of its next batch; none at the beginning.
    pub after: Option<Cursor>,
}

impl RetentionPass {
    /// A pass that begins.
    pub fn beginning(at: Timestamp) -> Self {
        Self { started_at: at, ended_at: None, after: None }
    }
}

impl Store {
    /// The present pass, or the last one; none if none has begun.
    pub async fn retention_pass(&self) -> Result<Option<RetentionPass>> {
        let query = sqlx::query(
            "SELECT started_at, ended_at, created_at, lead_id FROM retention_pass WHERE pass = 'leads'",
        );
        let Some(row) = self.row(query).await? else { return Ok(None) };
        let after = row.optional_time("created_at")?.zip(row.optional_text("lead_id")?);
        Ok(Some(RetentionPass {
            started_at: row.time("started_at")?,
            ended_at: row.optional_time("ended_at")?,
            after: after.map(|(at, lead)| Cursor::at(at, lead)),
        }))
    }

    /// Saves the progress of a pass, so that any process can continue it.
    pub async fn save_retention_pass(&self, pass: &RetentionPass) -> Result<()> {
        let position = pass.after.as_ref().map(Cursor::position);
        let query = sqlx::query(
            "INSERT INTO retention_pass (pass, started_at, ended_at, created_at, lead_id) VALUES ('leads', $1, $2, $3, $4) \
             ON CONFLICT (pass) DO UPDATE SET started_at = excluded.started_at, ended_at = excluded.ended_at, \
             created_at = excluded.created_at, lead_id = excluded.lead_id",
        );
        let query = query
            .bind(database::to_millis(pass.started_at))
            .bind(pass.ended_at.map(database::to_millis))
            .bind(position.map(|(at, _)| at))
            .bind(position.map(|(_, lead)| lead.to_owned()));
        self.execute(query).await?;
        Ok(())
    }
}
