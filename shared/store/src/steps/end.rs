//! The successful end of deliveries.

use std::collections::HashSet;

use database::{Connection, Rows};
use serde_json::Value;

use super::save::{Call, Reply};
use super::{Acknowledge, Acknowledgement};
use crate::assignment::park;
use crate::audit::AuditEntries;
use crate::delivery::{close_all, schedule_enrichment};
use crate::{DeliveryState, Finish, Result};

/// A delivery that ends.
pub(super) struct End<'a> {
    /// The place of its lead in the group.
    pub(super) place: usize,
    pub(super) call: &'a Call,
    pub(super) finish: &'a Finish,
    pub(super) effects: &'a Value,
    pub(super) message: Option<&'a Acknowledgement>,
}

/// Ends deliveries that are still open, removes their messages from a queue in this database, and sets the
/// reply of each.
pub(super) async fn finish(
    connection: &mut Connection,
    queue: Option<&dyn Acknowledge>,
    ends: Vec<End<'_>>,
    now: i64,
    audit: &mut AuditEntries,
    replies: &mut [Reply],
) -> Result<()> {
    let deliveries = ends.iter().map(|end| &end.call.delivery);
    let closed = close_all(connection, deliveries, DeliveryState::Done, now).await?;
    let mut leads = Rows::new(["lead_id", "delivery_id", "status", "crm_provider", "crm_record_id", "now"]);
    for End { call, finish, effects, .. } in &ends {
        if !closed.contains(call.delivery.as_str()) {
            continue;
        }
        let (provider, record) = match finish {
            Finish::Synced { provider, record_id } => (Some((*provider).to_owned()), Some(record_id.clone())),
            _ => (None, None),
        };
        leads.push([
            call.lead.as_str().into(),
            call.delivery.as_str().into(),
            finish.status().as_str().into(),
            provider.into(),
            record.into(),
            now.into(),
        ]);
        let (kind, detail) = finish.audited(effects);
        audit.push(&call.lead, &call.delivery, kind, &detail);
    }
    leads
        .execute(
            connection,
            "UPDATE lead SET \
             status = CASE WHEN lead.delivery_id = given.delivery_id THEN given.status ELSE lead.status END, \
             failure = CASE WHEN lead.delivery_id = given.delivery_id THEN NULL ELSE lead.failure END, \
             crm_provider = COALESCE(given.crm_provider, lead.crm_provider), \
             crm_record_id = COALESCE(given.crm_record_id, lead.crm_record_id), \
             updated_at = CASE WHEN lead.delivery_id = given.delivery_id THEN given.now ELSE lead.updated_at END \
             FROM given WHERE lead.lead_id = given.lead_id",
        )
        .await?;
    for End { call, finish, .. } in &ends {
        if closed.contains(call.delivery.as_str()) {
            if call.may_lack_enrichment && !matches!(finish, Finish::Suppressed { .. }) {
                schedule_enrichment(connection, &call.delivery, now).await?;
            }
            if call.may_have_assignment && !matches!(finish, Finish::Synced { .. }) {
                park(connection, &call.lead, now).await?;
            }
        }
    }
    acknowledge(connection, queue, &ends, replies).await
}

/// Removes the messages of the deliveries from their queue, whether or not another worker has ended them.
async fn acknowledge(
    connection: &mut Connection,
    queue: Option<&dyn Acknowledge>,
    ends: &[End<'_>],
    replies: &mut [Reply],
) -> Result<()> {
    let messages: Vec<_> = ends.iter().filter_map(|end| Some((end.place, end.message?))).collect();
    let acknowledged = match queue {
        Some(queue) if !messages.is_empty() => {
            let messages: Vec<_> = messages.iter().map(|(_, message)| *message).collect();
            queue.acknowledge(connection, &messages).await?
        }
        _ => Vec::new(),
    };
    let places: HashSet<usize> = (messages.iter().zip(acknowledged))
        .filter(|(_, acknowledged)| *acknowledged)
        .map(|((place, _), _)| *place)
        .collect();
    for End { place, .. } in ends {
        if let Some(reply) = replies.get_mut(*place) {
            *reply = Reply::Finished { acknowledged: places.contains(place) };
        }
    }
    Ok(())
}
