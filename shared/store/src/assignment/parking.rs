use database::Connection;
use lead::LeadId;

use super::Assignment;
use super::owner_load::change_load;
use super::record::{deadline, load};
use crate::Result;

/// Parks a lead that is withheld from the CRM in its present status: stops its timer, and takes it off its
/// owner's open leads. Does nothing for a lead that has no assignment, was responded to or is parked already.
pub(crate) async fn park(connection: &mut Connection, lead: &LeadId, now: i64) -> Result<()> {
    let Some(kept) = load(connection, lead).await? else { return Ok(()) };
    if !kept.is_open() {
        return Ok(());
    }
    let query = sqlx::query("UPDATE lead_assignment SET parked = 1, due_at = NULL WHERE lead_id = $1");
    query.bind(lead.as_str()).execute(&mut *connection).await?;
    change_load(connection, kept.owner.as_ref(), now, 0, -1).await
}

/// Ends the parking of a lead: counts it among its owner's open leads again, and restarts its timer with the
/// full response time. Does nothing for a lead that is not parked.
pub(super) async fn unpark(
    connection: &mut Connection,
    mut assignment: Assignment,
    now: i64,
) -> Result<Assignment> {
    if assignment.parked {
        assignment.parked = false;
        assignment.due_at = deadline(assignment.routed.timer, now);
        change_load(connection, assignment.owner.as_ref(), now, 0, 1).await?;
    }
    Ok(assignment)
}
