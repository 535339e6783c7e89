//! The history of the synthetic lead ([`LeadId::is_synthetic`]). It is posted every few minutes without end,
//! so only its newest delivery is kept.

use database::Connection;
use lead::{DeliveryId, LeadId};
use sqlx::AssertSqlSafe;

use crate::Result;

/// The tables with rows of single deliveries. Those of the CRM are not among them, because the guard refuses
/// every plan of the synthetic lead.
const TABLES: [&str; 5] = ["analysis", "audit_event", "webhook_receipt", "review_decision", "delivery"];

/// Deletes the rows of the lead's other deliveries, in any state: the newest one replaces them.
pub(crate) async fn keep_only(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: &DeliveryId,
) -> Result<()> {
    for table in TABLES {
        let sql =
            format!("DELETE FROM {table} WHERE lead_id = $1 AND (delivery_id IS NULL OR delivery_id <> $2)");
        sqlx::query(AssertSqlSafe(sql)) // safe: constants
            .bind(lead.as_str())
            .bind(delivery.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
