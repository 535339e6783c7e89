//! Removal of whole chains at the end of the retention of their leads.

use database::{Connection, Rows};
use lead::{Actor, LeadId};
use serde_json::json;

use super::sha256;
use crate::Result;
use crate::acts::{self, ActKind};
use crate::codec::Columns as _;

/// Removes the audit events of leads, whose rows the caller's transaction has deleted, and records that in
/// the chain of acts: the number of leads and events, and a hash over the ends of the removed chains. Without
/// leads it does nothing. Returns the number of events.
///
/// A chain that is missing without such an act was deleted by hand: the row of its lead still names its end.
/// The database refuses to delete the events of a lead that is there. Those of a lead that was erased once
/// stay. Call it last in a transaction: it locks the chain of acts.
pub async fn remove_chains(
    connection: &mut Connection,
    actor: &Actor,
    leads: &[LeadId],
    now: i64,
) -> Result<u64> {
    if leads.is_empty() {
        return Ok(0);
    }
    let given = || {
        let mut rows = Rows::new(["lead_id"]);
        for lead in leads {
            rows.push([lead.as_str().into()]);
        }
        rows
    };
    let ends = "SELECT e.lead_id, e.seq, e.hash FROM given JOIN audit_event e ON e.lead_id = given.lead_id \
                AND e.seq = (SELECT MAX(m.seq) FROM audit_event m WHERE m.lead_id = given.lead_id) \
                WHERE NOT EXISTS (SELECT 1 FROM erased_lead p WHERE p.lead_id = given.lead_id)";
    let mut lines = Vec::new();
    for row in given().fetch_all(connection, ends).await? {
        lines.push(format!("{} {} {}\n", row.text("lead_id")?, row.number("seq")?, row.text("hash")?));
    }
    lines.sort_unstable();
    let remove = "DELETE FROM audit_event WHERE lead_id IN (SELECT lead_id FROM given WHERE NOT EXISTS \
                  (SELECT 1 FROM erased_lead p WHERE p.lead_id = given.lead_id))";
    let events = given().execute(connection, remove).await?;
    let detail = json!({ "leads": leads.len(), "events": events, "ends_sha256": sha256(&lines.concat()) });
    acts::append(connection, actor, now, ActKind::LeadsRetired, &detail).await?;
    Ok(events)
}
