use crm::Restored;
use lead::{Actor, LeadId, LeadStatus};
use serde_json::json;

use super::rows::newest;
use super::transitions::set_status;
use crate::assignment::park;
use crate::audit::{self, AuditKind};
use crate::{Result, Store, WrittenAction};

impl Store {
    /// Records that an operator has a lead's record converted, before the conversion. Nothing for a lead that
    /// does not exist any more.
    pub async fn record_conversion(&self, actor: &Actor, lead: &LeadId) -> Result<()> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        if let Some((delivery, _)) = newest(&mut transaction, lead).await? {
            let (delivery, kind) = (Some(&delivery), AuditKind::Converted);
            audit::append_by(&mut transaction, Some(actor), lead, delivery, now, kind, &json!({})).await?;
        }
        transaction.commit().await
    }

    /// Records that the old values of an action are restored, if at least one field is. The action may then
    /// be repeated, and a synced lead counts as planned again, so that promoting it repeats the action.
    pub async fn record_restored(
        &self,
        actor: &Actor,
        lead: &LeadId,
        action: &WrittenAction,
        results: &[Restored],
    ) -> Result<()> {
        let count = |which| results.iter().filter(|result| **result == which).count();
        let (put_back, back_already) = (count(Restored::PutBack), count(Restored::BackAlready));
        if put_back + back_already == 0 {
            return Ok(());
        }
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        let query = sqlx::query(
            "UPDATE crm_action SET state = 'restored', updated_at = $2 WHERE action_id = $1 AND state = 'done'",
        );
        let restored = query.bind(action.action_id.as_str()).bind(now).execute(&mut *transaction).await?;
        let newest = newest(&mut transaction, lead).await?;
        if let Some((delivery, status)) = newest.filter(|_| restored.rows_affected() == 1) {
            if status == LeadStatus::Synced {
                set_status(&mut transaction, lead, &delivery, LeadStatus::Planned, None, now).await?;
                park(&mut transaction, lead, now).await?;
            }
            let detail = json!({
                "action": action.kind, "fields_put_back": put_back, "fields_back_already": back_already,
                "fields_changed_since": count(Restored::ChangedSince),
            });
            let (delivery, kind) = (Some(&delivery), AuditKind::Restored);
            audit::append_by(&mut transaction, Some(actor), lead, delivery, now, kind, &detail).await?;
        }
        transaction.commit().await
    }
}
