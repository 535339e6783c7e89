use database::to_millis;
use lead::{Actor, LeadId};
use serde_json::json;

use super::owner_load::change_load;
use super::record::load;
use crate::audit::{self, AuditKind};
use crate::{Result, Store};

impl Store {
    /// Records a response to a lead, by a person with this name if it is known. False if one was already
    /// recorded; none if the lead was never routed.
    pub async fn record_response(
        &self,
        actor: &Actor,
        lead: &LeadId,
        by: Option<&str>,
    ) -> Result<Option<bool>> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        let Some(kept) = load(&mut transaction, lead).await? else { return Ok(None) };
        if kept.responded_at.is_some() {
            return Ok(Some(false));
        }
        let query = sqlx::query(
            "UPDATE lead_assignment SET responded_at = $2, responded_by = $3, due_at = NULL, parked = 0 WHERE lead_id = $1",
        );
        query
            .bind(lead.as_str())
            .bind(now)
            .bind(by.unwrap_or(actor.as_str()))
            .execute(&mut *transaction)
            .await?;
        let waited_ms = now - to_millis(kept.assigned_at);
        let detail = json!({ "by": by, "owner": kept.owner, "waited_ms": waited_ms });
        let (delivery, kind) = (Some(&kept.delivery_id), AuditKind::Responded);
        audit::append_by(&mut transaction, Some(actor), lead, delivery, now, kind, &detail).await?;
        if !kept.parked {
            change_load(&mut transaction, kept.owner.as_ref(), now, 0, -1).await?;
        }
        transaction.commit().await?;
        Ok(Some(true))
    }
}
