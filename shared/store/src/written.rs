use crm::{ActionId, FieldChange};
use jiff::Timestamp;
use lead::LeadId;
use serde::Serialize;
use sqlx::any::AnyRow;

use crate::changes::RecordChanges;
use crate::codec::Columns as _;
use crate::{Result, Store};

/// An effect on the CRM that took place, with the field changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WrittenAction {
    /// Identifies the effect.
    pub action_id: ActionId,
    /// The kind of action.
    pub kind: String,
    /// The record it wrote.
    pub record_id: String,
    /// The field changes with the earlier values; empty if those were not saved, or were removed.
    pub changes: Vec<FieldChange>,
    /// When retention removed the field changes: the earlier values cannot be restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes_removed_at: Option<Timestamp>,
    /// When it was written.
    pub updated_at: Timestamp,
}

impl Store {
    /// The effects of a lead's plans on a CRM that were not undone, newest first; at most 1,000.
    pub async fn written(&self, provider: &str, lead: &LeadId) -> Result<Vec<WrittenAction>> {
        let query = sqlx::query(
            "SELECT action_id, position, kind, record_id, changes, changes_removed_at, updated_at FROM crm_action \
             WHERE lead_id = $1 AND provider = $2 AND state = 'done' ORDER BY created_at DESC, position DESC LIMIT 1000",
        );
        let rows = self.rows(query.bind(lead.as_str()).bind(provider)).await?;
        rows.iter().map(read).collect()
    }

    /// Up to `limit` leads with effects on a CRM that were not undone, in the order of their ids, starting
    /// after `after`.
    pub async fn written_leads(
        &self,
        provider: &str,
        after: Option<&LeadId>,
        limit: u32,
    ) -> Result<Vec<LeadId>> {
        let query = sqlx::query(
            "SELECT DISTINCT lead_id FROM crm_action WHERE provider = $1 AND state = 'done' AND lead_id > $2 \
             ORDER BY lead_id LIMIT $3",
        );
        let rows = self
            .rows(query.bind(provider).bind(after.map_or("", LeadId::as_str)).bind(i64::from(limit)))
            .await?;
        rows.iter().map(|row| row.id("lead_id")).collect()
    }
}

fn read(row: &AnyRow) -> Result<WrittenAction> {
    let (kind, position) = (row.text("kind")?, row.number("position")?);
    let position = u32::try_from(position).unwrap_or(u32::MAX);
    let records: Vec<RecordChanges> = row.optional_json("changes")?.unwrap_or_default();
    Ok(WrittenAction {
        action_id: row.id("action_id")?,
        record_id: row.optional_text("record_id")?.unwrap_or_default(),
        changes: records.into_iter().flat_map(|record| record.into_changes(position, &kind)).collect(),
        changes_removed_at: row.optional_time("changes_removed_at")?,
        updated_at: row.time("updated_at")?,
        kind,
    })
}
