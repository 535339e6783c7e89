use crm::Omission;
use jiff::Timestamp;
use lead::LeadId;

use crate::codec::Columns as _;
use crate::{Result, Store};

/// The fields left out of one effect on the CRM.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectOmissions {
    /// The lead.
    pub lead_id: LeadId,
    /// The fields, with the reasons.
    pub left_out: Vec<Omission>,
    /// When it was written.
    pub written_at: Timestamp,
}

impl Store {
    /// Up to `limit` effects since a time that left out some of their fields, newest first.
    pub async fn left_out(
        &self,
        provider: &str,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<EffectOmissions>> {
        let query = sqlx::query(
            "SELECT lead_id, left_out, updated_at FROM crm_action \
             WHERE left_out IS NOT NULL AND created_at >= $1 AND provider = $2 AND state = 'done' \
             ORDER BY created_at DESC LIMIT $3",
        );
        let rows =
            self.rows(query.bind(database::to_millis(since)).bind(provider).bind(i64::from(limit))).await?;
        rows.iter()
            .map(|row| {
                Ok(EffectOmissions {
                    lead_id: row.id("lead_id")?,
                    left_out: row.json("left_out")?,
                    written_at: row.time("updated_at")?,
                })
            })
            .collect()
    }
}
