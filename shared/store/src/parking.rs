use database::{Connection, from_millis};
use lead::LeadId;

use crate::assignment::load;
use crate::owner_load::change_load;
use crate::{Assignment, Result};

/// Stops waiting for a response to a lead that is kept from the CRM as it stands, and gives its place back to its owner. A
/// lead without an owner, or one that was responded to, stays as it is; so does one that is parked already.
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

/// Takes a lead's place among its owner's open leads again, with the whole time to respond. One that is not parked stays as
/// it is.
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
