use database::{Connection, from_millis};
use lead::LeadId;

use crate::assignment::load;
use crate::owner_load::change_load;
use crate::{Assignment, Result};

/// Parks a lead that is withheld from the CRM in its present status: stops its timer, and takes it off its
/// owner's open leads. Does nothing for a lead that has no assignment, was responded to or is parked already.
pub(crate) async fn park(connection: &mut Connection, lead: &LeadId, now: i64) -> Result<()> {
    let Some(kept) = load(connection, lead).await? else { return Ok(()) };
    if kept.parked || kept.responded_at.is_some() {
        return Ok(());
    }
    sqlx::query("UPDATE lead_assignment SET parked = 1, due_at = NULL WHERE lead_id = $1")
        .bind(lead.as_str())
        .execute(&mut *connection)
        .await?;
    change_load(connection, kept.owner.as_ref(), now, 0, -1).await
}

/// Ends the parking of a lead: counts it among its owner's open leads again, and restarts its timer with the
/// full response time. Does nothing for a lead that is not parked.
pub(crate) async fn unpark(
    connection: &mut Connection,
    mut assignment: Assignment,
    now: i64,
) -> Result<Assignment> {
    if assignment.parked {
        assignment.parked = false;
        assignment.due_at =
            assignment.routed.timer.map(|timer| from_millis(now + 1_000 * i64::from(timer.respond_within_s)));
        change_load(connection, assignment.owner.as_ref(), now, 0, 1).await?;
    }
    Ok(assignment)
}
