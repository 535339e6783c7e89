use database::Connection;
use lead::{Arrival, DeliveryId, EVENT_VERSION, LeadEvent, LeadId, LeadStatus};
use sqlx::any::AnyRow;

use crate::codec::Columns as _;
use crate::{DeliveryState, Result};

/// The state of a delivery's row.
pub(crate) fn state_of(row: &AnyRow) -> Result<DeliveryState> {
    row.word("state", DeliveryState::parse)
}

/// The newest delivery of a lead, and the lead's status; none if there is no such lead.
pub(super) async fn newest(
    connection: &mut Connection,
    lead: &LeadId,
) -> Result<Option<(DeliveryId, LeadStatus)>> {
    let query = sqlx::query("SELECT delivery_id, status FROM lead WHERE lead_id = $1");
    let row = query.bind(lead.as_str()).fetch_optional(connection).await?;
    row.map(|row| Ok((row.id("delivery_id")?, row.word("status", LeadStatus::parse)?))).transpose()
}

/// The event of a stored delivery.
pub(super) async fn event_of_delivery(
    connection: &mut Connection,
    delivery: &DeliveryId,
) -> Result<LeadEvent> {
    let query = sqlx::query(
        "SELECT lead_id, content_hash, received_at, arrival, sender, content FROM delivery WHERE delivery_id = $1",
    );
    let row = query.bind(delivery.as_str()).fetch_one(connection).await?;
    event_of(&row)
}

/// The event of a delivery's row.
pub(super) fn event_of(row: &AnyRow) -> Result<LeadEvent> {
    Ok(LeadEvent {
        version: EVENT_VERSION,
        lead_id: row.id("lead_id")?,
        content_hash: row.id("content_hash")?,
        received_at: row.time("received_at")?,
        arrival: arrival_of(row)?,
        lead: row.json("content")?,
        sender: row.optional_json("sender")?.unwrap_or_default(),
        notes: Vec::new(), // in the audit trail since the delivery was accepted
        traceparent: None, // not stored: reopened work is a new trace
    })
}

/// The arrival of a delivery; rows of versions before that column are identified by their content.
fn arrival_of(row: &AnyRow) -> Result<Arrival> {
    Ok(row.optional_id("arrival")?.unwrap_or(Arrival::Content))
}
