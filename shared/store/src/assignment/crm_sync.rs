use lead::vocabulary;
use serde_json::json;

use super::Assignment;
use super::record::read;
use crate::audit::{self, AuditKind};
use crate::{Result, Store};

vocabulary! {
    /// Whether the CRM knows the current owner of a lead.
    CrmSync {
        /// The CRM knows: the lead's plan named the owner, or a separate write did.
        Yes = "yes",
        /// The lead was reassigned, and the owner is still to be written to the CRM.
        NotYet = "not_yet",
        /// The CRM refused the owner.
        Refused = "refused",
    }
}

impl Store {
    /// Leads in the CRM whose reassignment is still to be written there, oldest first. A lead that is being
    /// worked on or held is not among them: its next plan names the owner.
    pub async fn pending_crm_syncs(&self, limit: u32) -> Result<Vec<Assignment>> {
        let query = sqlx::query(
            "SELECT a.* FROM lead_assignment a WHERE a.crm_sync = 'not_yet' \
             AND (SELECT l.status FROM lead l WHERE l.lead_id = a.lead_id) = 'synced' \
             ORDER BY a.breached_at, a.lead_id LIMIT $1",
        );
        let rows = self.rows(query.bind(i64::from(limit))).await?;
        rows.iter().map(read).collect()
    }

    /// Records the outcome of writing an owner to the CRM: written, or refused because of `failure`.
    pub async fn record_crm_sync(&self, given: &Assignment, failure: Option<&lead::Failure>) -> Result<()> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&given.lead_id).await?;
        let updated = sqlx::query(
            "UPDATE lead_assignment SET crm_sync = $3 WHERE lead_id = $1 AND reassignments = $2 AND crm_sync = 'not_yet'",
        )
        .bind(given.lead_id.as_str())
        .bind(given.reassignments)
        .bind(if failure.is_some() { CrmSync::Refused } else { CrmSync::Yes }.as_str())
        .execute(&mut *transaction)
        .await?;
        if updated.rows_affected() == 1 {
            let detail = json!({ "owner": given.owner, "failure": failure });
            let delivery = Some(&given.delivery_id);
            audit::append(&mut transaction, &given.lead_id, delivery, now, AuditKind::OwnerWritten, &detail)
                .await?;
        }
        transaction.commit().await
    }
}
