//! Accepting deliveries of several leads in one transaction, with a few statements for all of them.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use database::{Connection, GroupWrite, Rows, to_millis};
use lead::LeadEvent;

use super::accept::{Accept, accepted_detail, stored_sender};
use crate::audit::{AuditEntries, AuditKind};
use crate::codec::{Columns as _, to_json};
use crate::person::Person;
use crate::{Result, Store};

impl Store {
    /// Accepts deliveries of different leads directly from their senders, as
    /// [`accept_arrival`](Self::accept_arrival) does for one. Returns a result for each, in their order.
    pub async fn accept_arrivals(
        &self,
        connection: &mut Connection,
        events: &[LeadEvent],
    ) -> Result<Vec<(Accept, LeadEvent)>> {
        let new = self.accept_new_leads(connection, events).await?;
        let mut results: Vec<_> = events.iter().map(|event| (Accept::New, event.clone())).collect();
        for (event, result) in others(events, &new, &mut results) {
            *result = self.accept_arrival(connection, event).await?;
        }
        Ok(results)
    }

    /// Accepts the deliveries whose leads are not known, except those of a lead or a person with a tombstone.
    /// Returns the ids of the accepted leads.
    async fn accept_new_leads(
        &self,
        connection: &mut Connection,
        events: &[LeadEvent],
    ) -> Result<HashSet<String>> {
        let now = self.now_millis();
        let marked = with_tombstone(connection, events).await?;
        let mut candidates: Vec<_> = (events.iter())
            .filter(|event| !marked.contains(event.lead_id.as_str()))
            .map(|event| (event, event.delivery_id(), to_json(&event.lead)))
            .collect();
        // Concurrent transactions lock leads in the order of their ids, so that none blocks another for ever.
        candidates.sort_by_key(|(event, ..)| event.lead_id.as_str());
        let mut leads = Rows::new([
            "lead_id",
            "email",
            "campaign_id",
            "content",
            "delivery_id",
            "received_at",
            "now",
            "audit_seq",
            "audit_hash",
        ]);
        // The heads of the chains are in the rows of the leads, which are inserted first.
        let mut expected = AuditEntries::at(now);
        for (event, delivery, content) in &candidates {
            expected.push(&event.lead_id, delivery, AuditKind::Accepted, &accepted_detail(event, 1));
            let head = expected.head(&event.lead_id);
            leads.push([
                event.lead_id.as_str().into(),
                event.lead.email.expose().into(),
                event.lead.campaign_id.as_str().into(),
                content.as_str().into(),
                delivery.as_str().into(),
                to_millis(event.received_at).into(),
                now.into(),
                head.map(|head| head.seq).into(),
                head.map(|head| head.hash.clone()).into(),
            ]);
        }
        let inserted = leads
            .fetch_all(
                connection,
                "INSERT INTO lead (lead_id, email, campaign_id, content, status, revision, delivery_id, received_at, \
                                   created_at, updated_at, audit_seq, audit_hash) \
                 SELECT lead_id, email, campaign_id, content, 'queued', 1, delivery_id, received_at, now, now, \
                        audit_seq, audit_hash \
                 FROM given WHERE NOT EXISTS (SELECT 1 FROM audit_event e WHERE e.lead_id = given.lead_id) \
                 ON CONFLICT (lead_id) DO NOTHING RETURNING lead_id",
            )
            .await?;
        let new: HashSet<_> = inserted.iter().map(|row| row.text("lead_id")).collect::<Result<_>>()?;
        candidates.retain(|(event, ..)| new.contains(event.lead_id.as_str()));
        let mut deliveries = Rows::new([
            "delivery_id",
            "lead_id",
            "content_hash",
            "content",
            "received_at",
            "arrival",
            "sender",
            "now",
        ]);
        let mut audit = AuditEntries::at(now);
        for (event, delivery, content) in candidates {
            deliveries.push([
                delivery.as_str().into(),
                event.lead_id.as_str().into(),
                event.content_hash.as_str().into(),
                content.into(),
                to_millis(event.received_at).into(),
                (!event.arrival.is_content()).then(|| event.arrival.to_string()).into(),
                stored_sender(event).into(),
                now.into(),
            ]);
            audit.push(&event.lead_id, &delivery, AuditKind::Accepted, &accepted_detail(event, 1));
        }
        deliveries
            .execute(
                connection,
                "INSERT INTO delivery (delivery_id, lead_id, revision, content_hash, content, received_at, state, \
                                       created_at, arrival, sender) \
                 SELECT delivery_id, lead_id, 1, content_hash, content, received_at, 'open', now, arrival, \
                        sender FROM given",
            )
            .await?;
        audit.append(connection).await?;
        Ok(new)
    }
}

/// Notes deliveries that are already in a queue, so that they are visible before a worker receives them. A
/// delivery that is already known, because a worker was faster, stays unchanged and does not count as a
/// duplicate.
pub struct Notes(pub Store);

#[async_trait]
impl GroupWrite for Notes {
    type Call = LeadEvent;
    type Reply = ();

    async fn write(&self, connection: &mut Connection, events: &[LeadEvent]) -> Result<Vec<()>> {
        let new = self.0.accept_new_leads(connection, events).await?;
        let mut replies = vec![(); events.len()];
        for (event, ()) in others(events, &new, &mut replies) {
            self.0.note_in(connection, event).await?;
        }
        Ok(replies)
    }
}

/// The events of leads that are not in `new`, each with its result, in the order of the leads' ids.
fn others<'a, R>(
    events: &'a [LeadEvent],
    new: &HashSet<String>,
    results: &'a mut [R],
) -> Vec<(&'a LeadEvent, &'a mut R)> {
    let mut others: Vec<_> =
        events.iter().zip(results).filter(|(event, _)| !new.contains(event.lead_id.as_str())).collect();
    others.sort_by_key(|(event, _)| event.lead_id.as_str());
    others
}

/// The ids of the leads that have a tombstone, of their own or of their person.
async fn with_tombstone(connection: &mut Connection, events: &[LeadEvent]) -> Result<HashSet<String>> {
    let mut leads_of: HashMap<String, Vec<String>> = HashMap::new();
    let mut ids = Rows::new(["id"]);
    for event in events {
        let lead = event.lead_id.as_str().to_owned();
        for id in Person::of(&event.lead.email).hashes().into_iter().chain([lead.clone()]) {
            ids.push([id.as_str().into()]);
            leads_of.entry(id).or_default().push(lead.clone());
        }
    }
    let found = "SELECT id FROM given JOIN erased_person ON email_hash = id \
                 UNION ALL SELECT id FROM given JOIN expired_lead ON lead_id = id";
    let found = ids.fetch_all(connection, found).await?;
    let mut marked = HashSet::new();
    for row in &found {
        marked.extend(leads_of.remove(&row.text("id")?).into_iter().flatten());
    }
    Ok(marked)
}
