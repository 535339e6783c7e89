use database::{Connection, from_millis, to_millis};
use jiff::Timestamp;
use lead::{DeliveryId, LeadId};
use routing::{Counters, LeadFacts, Routing};

use super::counters::{lock_counters, save_credits};
use super::owner_load::change_load;
use super::parking::unpark;
use super::record::{deadline, load, save};
use super::{Assignment, CrmSync};
use crate::audit::{AuditEntries, AuditKind};
use crate::{Result, Store, Work};

impl Store {
    /// The assignment that [`Steps::assign`](crate::Steps::assign) would make now. Saves nothing: no turn of
    /// a pool is used up, no owner's load changes, no timer starts.
    pub async fn preview_assignment(
        &self,
        work: &Work,
        routing: &Routing,
        facts: &LeadFacts,
    ) -> Result<Assignment> {
        let mut transaction = self.begin_on(&work.lead_id).await?;
        let now = self.now_millis();
        // Dropping the transaction rolls its counts back.
        Ok(decide_owner(&mut transaction, &Routed::of(work), routing, facts, now).await?.0)
    }
}

/// A delivery that is routed.
#[derive(Clone, Debug)]
pub(crate) struct Routed {
    lead_id: LeadId,
    delivery_id: DeliveryId,
    round: i64,
    promoted_at: Option<Timestamp>,
}

impl Routed {
    pub(crate) fn of(work: &Work) -> Self {
        Self {
            lead_id: work.lead_id.clone(),
            delivery_id: work.delivery_id.clone(),
            round: work.round,
            promoted_at: work.promoted_at,
        }
    }
}

/// Assigns an owner inside the caller's transaction, which holds the lock of the lead.
pub(crate) async fn assign(
    connection: &mut Connection,
    work: &Routed,
    routing: &Routing,
    facts: &LeadFacts,
    now: i64,
    audit: &mut AuditEntries,
) -> Result<Assignment> {
    let (assignment, is_new) = decide_owner(connection, work, routing, facts, now).await?;
    if is_new {
        save(connection, &assignment).await?;
        if let Some(detail) = assignment.audited() {
            audit.push(&work.lead_id, &work.delivery_id, AuditKind::Routed, &detail);
        }
    }
    Ok(assignment)
}

/// The assignment of the delivery, and whether it must be saved.
async fn decide_owner(
    connection: &mut Connection,
    work: &Routed,
    routing: &Routing,
    facts: &LeadFacts,
    now: i64,
) -> Result<(Assignment, bool)> {
    let before = load(connection, &work.lead_id).await?;
    Ok(match before {
        Some(kept) if kept.delivery_id == work.delivery_id && kept.round == work.round => {
            if kept.parked {
                let again = Assignment { assigned_at: from_millis(now), ..kept };
                return Ok((unpark(connection, again, now).await?, true));
            }
            let waits = kept.responded_at.is_none() && kept.due_at.is_some();
            let was_promoted = work.promoted_at.is_some_and(|promoted| kept.assigned_at < promoted);
            match deadline(kept.routed.timer, now).filter(|_| waits && was_promoted) {
                None => (kept, false),
                due_at => (Assignment { assigned_at: from_millis(now), due_at, ..kept }, true),
            }
        }
        Some(kept) if kept.owner.as_ref().is_some_and(|owner| facts.unavailable.contains_key(owner)) => {
            (replace_owner(connection, kept, work, routing, facts, now).await?, true)
        }
        Some(kept) if kept.owner.is_some() => {
            let next = keep_owner(connection, kept, work, routing, facts, now).await?;
            (unpark(connection, next, now).await?, true)
        }
        _ => (assign_new_owner(connection, work, routing, facts, now).await?, true),
    })
}

/// Keeps the owner and applies the timer for the lead's present facts. New content of a lead that was
/// already responded to requires a new response; another judgement of the same content does not.
async fn keep_owner(
    connection: &mut Connection,
    kept: Assignment,
    work: &Routed,
    routing: &Routing,
    facts: &LeadFacts,
    now: i64,
) -> Result<Assignment> {
    let mut next = kept.clone();
    if let Some(owner) = &kept.owner {
        next.routed = routing.keep(owner, kept.routed.rule.as_deref(), facts);
    }
    (next.delivery_id, next.round) = (work.delivery_id.clone(), work.round);
    let never_timed = kept.routed.timer.is_none();
    let is_new_content = kept.delivery_id != work.delivery_id;
    match next.routed.timer {
        None => next.due_at = None,
        Some(_) if kept.due_at.is_none() && (is_new_content || never_timed) => {
            next.due_at = deadline(next.routed.timer, now);
            if kept.responded_at.is_some() {
                (next.responded_at, next.responded_by) = (None, None);
                change_load(connection, kept.owner.as_ref(), now, 0, 1).await?;
            }
        }
        Some(_) => {}
    }
    Ok(next)
}

/// Routes a lead without an owner.
async fn assign_new_owner(
    connection: &mut Connection,
    work: &Routed,
    routing: &Routing,
    facts: &LeadFacts,
    now: i64,
) -> Result<Assignment> {
    let counters = if routing.counts() { lock_counters(connection, now).await? } else { Counters::default() };
    let routed = routing.route(facts, &counters);
    save_credits(connection, &routed.credits).await?;
    change_load(connection, routed.owner.as_ref(), now, 1, 1).await?;
    Ok(Assignment::new(work, routed, now))
}

impl Assignment {
    /// The first assignment of a lead that the rules leave to the CRM; none if they may give it to an owner.
    pub(crate) fn without_owner(
        work: &Work,
        routing: &Routing,
        facts: &LeadFacts,
        now: Timestamp,
    ) -> Option<Self> {
        if routing.counts() {
            return None;
        }
        let routed = routing.route(facts, &Counters::default());
        let is_left_to_crm = routed.owner.is_none() && routed.credits.is_empty();
        is_left_to_crm.then(|| Self::new(&Routed::of(work), routed, to_millis(now)))
    }

    fn new(work: &Routed, routed: routing::Routed, now: i64) -> Self {
        Self {
            lead_id: work.lead_id.clone(),
            delivery_id: work.delivery_id.clone(),
            round: work.round,
            owner: routed.owner.clone(),
            had_it: routed.owner.iter().cloned().collect(),
            due_at: deadline(routed.timer, now),
            routed,
            assigned_at: from_millis(now),
            responded_at: None,
            responded_by: None,
            breached_at: None,
            reassignments: 0,
            crm_sync: CrmSync::Yes,
            parked: false,
        }
    }
}

/// Routes a lead again because its owner is unavailable.
async fn replace_owner(
    connection: &mut Connection,
    kept: Assignment,
    work: &Routed,
    routing: &Routing,
    facts: &LeadFacts,
    now: i64,
) -> Result<Assignment> {
    // A parked lead no longer counts among its owner's open leads.
    let open = if kept.is_open() { -1 } else { 0 };
    change_load(connection, kept.owner.as_ref(), now, 0, open).await?;
    let mut next = assign_new_owner(connection, work, routing, facts, now).await?;
    let mut had_it = kept.had_it;
    had_it.append(&mut next.had_it);
    Ok(Assignment { had_it, reassignments: kept.reassignments, ..next })
}
