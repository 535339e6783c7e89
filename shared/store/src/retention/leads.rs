use database::{Connection, LeadRows, Rows};
use lead::{Actor, LeadId};

use super::scan::{Seen, lock};
use crate::codec::Columns as _;
use crate::{Result, Store, assignment, audit};

/// How long the tombstone of a removed lead is kept, in milliseconds. Copies of its deliveries are older
/// than the lead was kept. A message stays in SQS for 14 days at most, and as long in its dead letter queue.
const TOMBSTONE_MS: i64 = 90 * 24 * 60 * 60 * 1_000;

impl Store {
    /// Removes leads that are still as they were seen, with everything that belongs to them, in one
    /// transaction. Returns the removed ones.
    ///
    /// A tombstone stays of each: the lead's id and the time of its newest delivery. A later copy of one of
    /// its deliveries is dropped, so that it makes no second CRM record. A newer delivery is a new lead,
    /// whose record in the CRM has the same external id.
    pub(super) async fn remove_leads<'a>(
        &self,
        actor: &Actor,
        leads: &[&'a Seen],
        rows: &[LeadRows],
        now: i64,
    ) -> Result<Vec<&'a Seen>> {
        let mut transaction = self.database.begin().await?;
        let leads = lock(&mut transaction, leads).await?;
        let mut ids = Rows::new(["lead_id"]);
        for lead in &leads {
            ids.push([lead.lead_id.as_str().into()]);
        }
        if ids.is_empty() {
            return Ok(leads);
        }
        assignment::forget_all(&mut transaction, &ids, now).await?;
        for table in rows {
            table.delete(&mut transaction, &ids).await?;
        }
        // Rows of an earlier erasure of the same lead stay: they name the records that it left in the CRM.
        let actions =
            "DELETE FROM crm_action WHERE lead_id IN (SELECT lead_id FROM given) AND state <> 'erased'";
        ids.clone().execute(&mut transaction, actions).await?;
        leave_tombstones(&mut transaction, &ids, now).await?;
        let lead = "DELETE FROM lead WHERE lead_id IN (SELECT lead_id FROM given)";
        ids.execute(&mut transaction, lead).await?;
        let removed: Vec<LeadId> = leads.iter().filter_map(|lead| lead.lead_id.parse().ok()).collect();
        audit::remove_chains(&mut transaction, actor, &removed, now).await?;
        transaction.commit().await?;
        Ok(leads)
    }

    /// Removes the oldest of the tombstones that no copy of a delivery needs any more, at most 200. With the
    /// number as a parameter PostgreSQL would expect a tenth of the table and read all of it.
    pub async fn remove_expired_tombstones(&self) -> Result<u64> {
        let query = sqlx::query(
            "DELETE FROM expired_lead WHERE lead_id IN \
             (SELECT lead_id FROM expired_lead WHERE expired_at < $1 ORDER BY expired_at LIMIT 200)",
        );
        self.execute(query.bind(self.now_millis() - TOMBSTONE_MS)).await
    }

    /// Whether the lead was removed by retention in the last months, and not posted again since.
    pub async fn is_expired(&self, lead: &lead::LeadId) -> Result<bool> {
        let query = sqlx::query("SELECT expired_at FROM expired_lead WHERE lead_id = $1");
        let row = self.row(query.bind(lead.as_str())).await?;
        row.map_or(Ok(false), |row| row.number("expired_at").map(|_| true))
    }
}

/// Writes the tombstones of leads that are about to be removed.
async fn leave_tombstones(connection: &mut Connection, leads: &Rows<1>, now: i64) -> Result<()> {
    let mut rows = Rows::new(["lead_id", "now"]);
    for lead in leads.keys() {
        rows.push([lead.into(), now.into()]);
    }
    rows.execute(
        connection,
        "INSERT INTO expired_lead (lead_id, received_at, expired_at) \
         SELECT l.lead_id, l.received_at, given.now FROM given JOIN lead l ON l.lead_id = given.lead_id WHERE true \
         ON CONFLICT (lead_id) DO UPDATE SET received_at = excluded.received_at, expired_at = excluded.expired_at",
    )
    .await?;
    Ok(())
}
