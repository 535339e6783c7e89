//! Lists of the work that is due: deliveries that are still open, and leads to be judged again.

use std::time::Duration;

use database::to_millis;
use jiff::Timestamp;
use lead::{LeadEvent, LeadId};

use super::rows::event_of;
use crate::codec::Columns as _;
use crate::{Cursor, Result, Store};

impl Store {
    /// Leads that were judged without an AI and are due for rescoring, oldest first. The wait grows with each
    /// judgement that the AI could not make: `rest` after the first, four times as long after the second,
    /// nine times after the third, and so on.
    pub async fn leads_to_rescore(&self, now: Timestamp, rest: Duration, limit: u32) -> Result<Vec<LeadId>> {
        let rest = i64::try_from(rest.as_millis()).unwrap_or(i64::MAX);
        // The statuses are excluded rather than listed: otherwise SQLite would search all synced leads for
        // the few that are flagged, instead of the index of flagged leads.
        let query = sqlx::query(
            "SELECT lead_id FROM lead WHERE fallback = 1 AND updated_at < $1 - $2 \
             AND status NOT IN ('queued', 'processing', 'retrying', 'permanently_failed', 'dismissed', \
             'suppressed') \
             AND updated_at < $1 - $2 * (SELECT d.round * d.round FROM delivery d \
                 WHERE d.delivery_id = lead.delivery_id) \
             ORDER BY updated_at LIMIT $3",
        );
        let rows = self.rows(query.bind(to_millis(now)).bind(rest).bind(i64::from(limit))).await?;
        rows.iter().map(|row| row.id("lead_id")).collect()
    }

    /// Up to `limit` deliveries received before a time that are still open, oldest first, starting after
    /// `after`. Sending one again keeps it from being lost if the queue lost its message, and is a duplicate
    /// otherwise.
    pub async fn open_deliveries(
        &self,
        after: Option<&Cursor>,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<LeadEvent>> {
        let (at, id) = after.map_or((i64::MIN, ""), Cursor::position);
        let query = sqlx::query(
            "SELECT lead_id, content_hash, received_at, arrival, sender, content FROM delivery \
             WHERE state = 'open' AND (received_at, delivery_id) > ($1, $2) AND received_at < $3 \
             ORDER BY received_at, delivery_id LIMIT $4",
        );
        let rows = self.rows(query.bind(at).bind(id).bind(to_millis(before)).bind(i64::from(limit))).await?;
        rows.iter().map(event_of).collect()
    }
}
