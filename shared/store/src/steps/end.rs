//! The successful end of deliveries.

use std::collections::HashSet;

use database::Connection;
use serde_json::Value;

use super::save::{Call, Present, Reply};
use super::{Acknowledge, Acknowledgement};
use crate::assignment::park;
use crate::audit::AuditEntries;
use crate::delivery::{close_all, schedule_enrichment};
use crate::lead_changes::{LeadChange, LeadChanges};
use crate::{DeliveryState, Finish, Result};

/// A delivery that ends.
pub(super) struct End<'a> {
    /// The place of its lead in the group.
    pub(super) place: usize,
    pub(super) call: &'a Call,
    pub(super) present: &'a Present,
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
    let mut leads = LeadChanges::at(now);
    for End { call, present, finish, effects, .. } in &ends {
        if !closed.contains(call.delivery.as_str()) {
            continue;
        }
        let (kind, detail) = finish.audited(effects);
        audit.push(&call.lead, &call.delivery, kind, &detail);
        leads.push(&LeadChange {
            lead: &call.lead,
            status: present.is_newest.then(|| finish.status()),
            analysis: call.analysis.as_deref().filter(|_| present.is_newest),
            written: match finish {
                Finish::Synced { provider, record_id } => Some((provider, record_id)),
                _ => None,
            },
            audit: audit.head(&call.lead),
        });
    }
    leads.write(connection).await?;
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
