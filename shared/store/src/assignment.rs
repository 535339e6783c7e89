use std::collections::BTreeMap;

use database::{Connection, from_millis, to_millis};
use jiff::Timestamp;
use lead::{DeliveryId, LeadId, vocabulary};
use routing::{Counters, LeadFacts, Load, OnBreach, OwnerId, Routed, Routing};
use serde_json::json;
use sqlx::any::AnyRow;

use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, parsed, to_json};
use crate::owner_load::{change_load, day};
use crate::{Result, Store, Work, erasure, parking};

/// The owner of a lead, the routing decision, and the deadline for a response.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The lead.
    pub lead_id: LeadId,
    /// The delivery that was routed last.
    pub delivery_id: DeliveryId,
    /// Its round.
    pub round: i64,
    /// The owner's id in the CRM; none if the rules leave the lead to the CRM.
    pub owner: Option<OwnerId>,
    /// The routing decision and its reasons.
    pub routed: Routed,
    /// All owners so far, the current one included.
    pub had_it: Vec<OwnerId>,
    /// When the current owner was assigned.
    pub assigned_at: Timestamp,
    /// The response deadline; none if no response is awaited any more.
    pub due_at: Option<Timestamp>,
    /// When a response was recorded.
    pub responded_at: Option<Timestamp>,
    /// The person who recorded the response.
    pub responded_by: Option<String>,
    /// When a response deadline was last missed.
    pub breached_at: Option<Timestamp>,
    /// How often the lead was reassigned after a missed deadline.
    pub reassignments: i64,
    /// Whether the CRM knows the owner.
    pub crm_sync: CrmSync,
    /// Whether the lead is withheld from the CRM in its present status (dead-lettered, held, planned): its
    /// timer is stopped, and it does not count among its owner's open leads.
    pub parked: bool,
}

vocabulary! {
    /// Whether the CRM knows the current owner of a lead.
    CrmSync {
        /// The CRM knows: the lead's plan named the owner, or a separate write did.
        Yes = "yes",
        /// The lead was reassigned, and the owner is still to be written to the CRM.
        NotYet = "not_yet",
        /// The CRM refused the owner.
        Refused = "refused",
    }
}

/// The outcome of a missed response deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// Nothing to do: a response was recorded, or another process handled the deadline first.
    Nothing,
    /// The rule does not reassign, or no other owner is eligible.
    Alert {
        /// The current owner.
        owner: Option<OwnerId>,
    },
    /// The lead was reassigned, and the CRM does not know the new owner yet.
    Reassigned {
        /// The previous owner.
        from: Option<OwnerId>,
        /// The new owner.
        to: OwnerId,
    },
}

impl Store {
    /// Assigns an owner to the delivery being worked on, once for each round: repeated calls return the same
    /// assignment.
    ///
    /// A lead that has an owner keeps them, unless they are unavailable; the response deadline follows the
    /// rules for its newest content. For a lead that was routed but withheld from the CRM, the response time
    /// starts when it is written after all.
    pub async fn assign(&self, work: &Work, routing: &Routing, facts: &LeadFacts) -> Result<Assignment> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&work.lead_id).await?;
        let (assignment, is_new) = self.decide_owner(&mut transaction, work, routing, facts, now).await?;
        // Dropping the transaction rolls it back: an erased person uses up no turn of a pool.
        if !is_new || erasure::is_work_erased(&mut transaction, &work.lead_id, &work.delivery_id).await? {
            return Ok(assignment);
        }
        save(&mut transaction, &assignment).await?;
        let routed = &assignment.routed;
        // No audit event for leads that the rules leave to the CRM.
        let is_given = assignment.owner.is_some() || assignment.due_at.is_some();
        let detail = json!({
            "owner": assignment.owner, "rule": routed.rule, "pool": routed.pool, "because": routed.because,
            "routing_version": routed.version, "respond_by": assignment.due_at,
        });
        let (lead, delivery) = (&work.lead_id, Some(&work.delivery_id));
        if is_given {
            audit::append(&mut transaction, lead, delivery, now, AuditKind::Routed, &detail).await?;
        }
        transaction.commit().await?;
        Ok(assignment)
    }

    /// The assignment that [`assign`](Self::assign) would make now. Saves nothing: no turn of a pool is used
    /// up, no owner's load changes, no timer starts.
    pub async fn preview_assignment(
        &self,
        work: &Work,
        routing: &Routing,
        facts: &LeadFacts,
    ) -> Result<Assignment> {
        let mut transaction = self.begin_on(&work.lead_id).await?;
        let now = self.now_millis();
        // Dropping the transaction rolls its counts back.
        Ok(self.decide_owner(&mut transaction, work, routing, facts, now).await?.0)
    }

    /// The assignment of the delivery, and whether it must be saved.
    async fn decide_owner(
        &self,
        connection: &mut Connection,
        work: &Work,
        routing: &Routing,
        facts: &LeadFacts,
        now: i64,
    ) -> Result<(Assignment, bool)> {
        let before = load(connection, &work.lead_id).await?;
        Ok(match before {
            Some(kept) if kept.delivery_id == work.delivery_id && kept.round == work.round => {
                if kept.parked {
                    let again = Assignment { assigned_at: from_millis(now), ..kept };
                    return Ok((parking::unpark(connection, again, now).await?, true));
                }
                let waits = kept.responded_at.is_none() && kept.due_at.is_some();
                match (kept.routed.timer, work.promoted_at) {
                    (Some(timer), Some(promoted)) if waits && kept.assigned_at < promoted => {
                        let due_at = Some(from_millis(now + 1_000 * i64::from(timer.respond_within_s)));
                        (Assignment { assigned_at: from_millis(now), due_at, ..kept }, true)
                    }
                    _ => (kept, false),
                }
            }
            Some(kept) if kept.owner.as_ref().is_some_and(|owner| facts.unavailable.contains_key(owner)) => {
                (replace_owner(connection, kept, work, routing, facts, now).await?, true)
            }
            Some(kept) if kept.owner.is_some() => {
                let next = self.keep_owner(connection, kept, work, routing, facts, now).await?;
                (parking::unpark(connection, next, now).await?, true)
            }
            _ => (assign_new_owner(connection, work, routing, facts, now).await?, true),
        })
    }

    /// Keeps the owner and applies the timer for the lead's present facts. New content of a lead that was
    /// already responded to requires a new response; another judgement of the same content does not.
    async fn keep_owner(
        &self,
        connection: &mut Connection,
        kept: Assignment,
        work: &Work,
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
            Some(timer) if kept.due_at.is_none() && (is_new_content || never_timed) => {
                next.due_at = Some(from_millis(now + 1_000 * i64::from(timer.respond_within_s)));
                if kept.responded_at.is_some() {
                    (next.responded_at, next.responded_by) = (None, None);
                    change_load(connection, kept.owner.as_ref(), now, 0, 1).await?;
                }
            }
            Some(_) => {}
        }
        Ok(next)
    }

    /// The assignment of a lead; none if it has not been routed.
    pub async fn assignment(&self, lead: &LeadId) -> Result<Option<Assignment>> {
        let row = sqlx::query("SELECT * FROM lead_assignment WHERE lead_id = $1")
            .bind(lead.as_str())
            .fetch_optional(self.database.pool())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Leads in the CRM with a missed response deadline, the longest overdue first.
    pub async fn overdue(&self, limit: u32) -> Result<Vec<Assignment>> {
        // A subquery: with a join, SQLite starts from the synced leads, which are nearly all leads.
        let rows = sqlx::query(
            "SELECT a.* FROM lead_assignment a WHERE a.due_at IS NOT NULL AND a.due_at <= $1 \
             AND (SELECT l.status FROM lead l WHERE l.lead_id = a.lead_id) = 'synced' ORDER BY a.due_at LIMIT $2",
        )
        .bind(self.now_millis())
        .bind(i64::from(limit))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Leads in the CRM whose reassignment is still to be written there, oldest first. A lead that is being
    /// worked on or held is not among them: its next plan names the owner.
    pub async fn pending_crm_syncs(&self, limit: u32) -> Result<Vec<Assignment>> {
        let rows = sqlx::query(
            "SELECT a.* FROM lead_assignment a WHERE a.crm_sync = 'not_yet' \
             AND (SELECT l.status FROM lead l WHERE l.lead_id = a.lead_id) = 'synced' \
             ORDER BY a.breached_at, a.lead_id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Records the outcome of writing an owner to the CRM: written, or refused because of `failure`.
    pub async fn record_crm_sync(&self, given: &Assignment, failure: Option<&lead::Failure>) -> Result<()> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&given.lead_id).await?;
        let updated = sqlx::query(
            "UPDATE lead_assignment SET crm_sync = $3 WHERE lead_id = $1 AND reassignments = $2 AND crm_sync = 'not_yet'",
        )
        .bind(given.lead_id.as_str())
        .bind(given.reassignments)
        .bind(if failure.is_some() { CrmSync::Refused } else { CrmSync::Yes }.as_str())
        .execute(&mut *transaction)
        .await?;
        if updated.rows_affected() == 1 {
            let detail = json!({ "owner": given.owner, "failure": failure });
            let delivery = Some(&given.delivery_id);
            audit::append(&mut transaction, &given.lead_id, delivery, now, AuditKind::OwnerWritten, &detail)
                .await?;
        }
        transaction.commit().await
    }

    /// Records a response to a lead. False if one was already recorded; none if the lead was never routed.
    pub async fn record_response(&self, lead: &LeadId, by: &str) -> Result<Option<bool>> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        let Some(kept) = load(&mut transaction, lead).await? else { return Ok(None) };
        if kept.responded_at.is_some() {
            return Ok(Some(false));
        }
        sqlx::query(
            "UPDATE lead_assignment SET responded_at = $2, responded_by = $3, due_at = NULL, parked = 0 WHERE lead_id = $1",
        )
        .bind(lead.as_str())
        .bind(now)
        .bind(by)
        .execute(&mut *transaction)
        .await?;
        let waited_ms = now - to_millis(kept.assigned_at);
        let detail = json!({ "by": by, "owner": kept.owner, "waited_ms": waited_ms });
        let delivery = Some(&kept.delivery_id);
        audit::append(&mut transaction, lead, delivery, now, AuditKind::Responded, &detail).await?;
        if !kept.parked {
            change_load(&mut transaction, kept.owner.as_ref(), now, 0, -1).await?;
        }
        transaction.commit().await?;
        Ok(Some(true))
    }

    /// Records a missed response deadline, and reassigns the lead if its rule says so and another owner is
    /// eligible. Skips the owners in `unavailable`, to whom the CRM assigns no leads. If several processes
    /// call this, only one has an effect.
    pub async fn record_breach(
        &self,
        lead: &LeadId,
        routing: &Routing,
        unavailable: &BTreeMap<OwnerId, String>,
    ) -> Result<Breach> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        let Some(mut kept) = load(&mut transaction, lead).await? else { return Ok(Breach::Nothing) };
        if kept.responded_at.is_some() || kept.due_at.is_none_or(|due| to_millis(due) > now) {
            return Ok(Breach::Nothing);
        }
        let (from, delivery) = (kept.owner.clone(), kept.delivery_id.clone());
        let detail = json!({ "owner": from, "due_at": kept.due_at, "rule": kept.routed.rule });
        audit::append(&mut transaction, lead, Some(&delivery), now, AuditKind::Overdue, &detail).await?;
        (kept.due_at, kept.breached_at) = (None, Some(from_millis(now)));
        let next = match (kept.routed.timer, &kept.routed.pool) {
            (Some(timer), Some(pool))
                if timer.on_breach == OnBreach::Reassign
                    && kept.reassignments < i64::from(timer.max_reassignments) =>
            {
                let counters = lock_counters(&mut transaction, now).await?;
                routing.reassign(pool, kept.routed.rule.as_deref(), &kept.had_it, unavailable, &counters)
            }
            _ => None,
        };
        let breach = match next.as_ref().and_then(|next| next.owner.clone()) {
            None => Breach::Alert { owner: from },
            Some(to) => {
                let next = next.unwrap_or_else(|| kept.routed.clone());
                save_credits(&mut transaction, &next.credits).await?;
                change_load(&mut transaction, from.as_ref(), now, 0, -1).await?;
                change_load(&mut transaction, Some(&to), now, 1, 1).await?;
                kept.due_at =
                    next.timer.map(|timer| from_millis(now + 1_000 * i64::from(timer.respond_within_s)));
                kept.reassignments += 1;
                kept.assigned_at = from_millis(now);
                kept.had_it.push(to.clone());
                kept.owner = Some(to.clone());
                kept.routed = next;
                kept.crm_sync = CrmSync::NotYet;
                let detail = json!({
                    "from": from, "owner": to, "because": kept.routed.because, "respond_by": kept.due_at,
                });
                audit::append(&mut transaction, lead, Some(&delivery), now, AuditKind::Reassigned, &detail)
                    .await?;
                Breach::Reassigned { from, to }
            }
        };
        save(&mut transaction, &kept).await?;
        transaction.commit().await?;
        Ok(breach)
    }
}

/// Routes a lead without an owner.
async fn assign_new_owner(
    connection: &mut Connection,
    work: &Work,
    routing: &Routing,
    facts: &LeadFacts,
    now: i64,
) -> Result<Assignment> {
    let counters = if routing.counts() { lock_counters(connection, now).await? } else { Counters::default() };
    let routed = routing.route(facts, &counters);
    save_credits(connection, &routed.credits).await?;
    change_load(connection, routed.owner.as_ref(), now, 1, 1).await?;
    let due_at = routed.timer.map(|timer| from_millis(now + 1_000 * i64::from(timer.respond_within_s)));
    Ok(Assignment {
        lead_id: work.lead_id.clone(),
        delivery_id: work.delivery_id.clone(),
        round: work.round,
        owner: routed.owner.clone(),
        had_it: routed.owner.iter().cloned().collect(),
        routed,
        assigned_at: from_millis(now),
        due_at,
        responded_at: None,
        responded_by: None,
        breached_at: None,
        reassignments: 0,
        crm_sync: CrmSync::Yes,
        parked: false,
    })
}

/// Routes a lead again because its owner is unavailable.
async fn replace_owner(
    connection: &mut Connection,
    kept: Assignment,
    work: &Work,
    routing: &Routing,
    facts: &LeadFacts,
    now: i64,
) -> Result<Assignment> {
    // A parked lead no longer counts among its owner's open leads.
    let open = if kept.responded_at.is_none() && !kept.parked { -1 } else { 0 };
    change_load(connection, kept.owner.as_ref(), now, 0, open).await?;
    let mut next = assign_new_owner(connection, work, routing, facts, now).await?;
    let mut had_it = kept.had_it;
    had_it.append(&mut next.had_it);
    Ok(Assignment { had_it, reassignments: kept.reassignments, ..next })
}

/// Reads the counters, and locks them against every other process until the transaction ends. Lock order:
/// always after the lead's row.
async fn lock_counters(connection: &mut Connection, now: i64) -> Result<Counters> {
    sqlx::query(
        "INSERT INTO routing_turn (pool, owner, credit) VALUES ('', '', 0) \
         ON CONFLICT (pool, owner) DO UPDATE SET credit = routing_turn.credit",
    )
    .execute(&mut *connection)
    .await?;
    let turns =
        sqlx::query("SELECT pool, owner, credit FROM routing_turn").fetch_all(&mut *connection).await?;
    let loads =
        sqlx::query("SELECT owner, day, today, open FROM owner_load").fetch_all(&mut *connection).await?;
    let mut counters = Counters::default();
    for row in &turns {
        counters.credits.insert((row.text("pool")?, row.text("owner")?), row.number("credit")?);
    }
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    for row in &loads {
        let today = if row.number("day")? == day(now) { count(row.number("today")?) } else { 0 };
        counters.loads.insert(row.id("owner")?, Load { today, open: count(row.number("open")?) });
    }
    Ok(counters)
}

async fn save_credits(connection: &mut Connection, credits: &BTreeMap<(String, String), i64>) -> Result<()> {
    for ((pool, owner), credit) in credits {
        sqlx::query(
            "INSERT INTO routing_turn (pool, owner, credit) VALUES ($1, $2, $3) \
             ON CONFLICT (pool, owner) DO UPDATE SET credit = excluded.credit",
        )
        .bind(pool)
        .bind(owner)
        .bind(*credit)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(crate) async fn load(connection: &mut Connection, lead: &LeadId) -> Result<Option<Assignment>> {
    let row = sqlx::query("SELECT * FROM lead_assignment WHERE lead_id = $1")
        .bind(lead.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Deletes the assignment of a lead, and takes the lead off its owner's open leads.
pub(crate) async fn forget(connection: &mut Connection, lead: &LeadId, now: i64) -> Result<()> {
    if let Some(kept) = load(connection, lead).await? {
        if kept.responded_at.is_none() && !kept.parked {
            change_load(connection, kept.owner.as_ref(), now, 0, -1).await?;
        }
        sqlx::query("DELETE FROM lead_assignment WHERE lead_id = $1")
            .bind(lead.as_str())
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn save(connection: &mut Connection, assignment: &Assignment) -> Result<()> {
    let millis = |time: Option<Timestamp>| time.map(to_millis);
    sqlx::query(
        "INSERT INTO lead_assignment (lead_id, delivery_id, round, owner, routed, had_it, assigned_at, due_at, \
         responded_at, responded_by, breached_at, reassignments, crm_sync, parked) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         ON CONFLICT (lead_id) DO UPDATE SET delivery_id = excluded.delivery_id, round = excluded.round, \
         owner = excluded.owner, routed = excluded.routed, had_it = excluded.had_it, \
         assigned_at = excluded.assigned_at, due_at = excluded.due_at, responded_at = excluded.responded_at, \
         responded_by = excluded.responded_by, breached_at = excluded.breached_at, \
         reassignments = excluded.reassignments, crm_sync = excluded.crm_sync, parked = excluded.parked",
    )
    .bind(assignment.lead_id.as_str())
    .bind(assignment.delivery_id.as_str())
    .bind(assignment.round)
    .bind(assignment.owner.as_ref().map(|owner| owner.as_str().to_owned()))
    .bind(to_json(&assignment.routed))
    .bind(to_json(&assignment.had_it))
    .bind(to_millis(assignment.assigned_at))
    .bind(millis(assignment.due_at))
    .bind(millis(assignment.responded_at))
    .bind(assignment.responded_by.clone())
    .bind(millis(assignment.breached_at))
    .bind(assignment.reassignments)
    .bind(assignment.crm_sync.as_str())
    .bind(i64::from(assignment.parked))
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Assignment> {
    let time = |column| Ok::<_, database::DatabaseError>(row.optional_number(column)?.map(from_millis));
    Ok(Assignment {
        lead_id: row.id("lead_id")?,
        delivery_id: row.id("delivery_id")?,
        round: row.number("round")?,
        owner: row.optional_word("owner", OwnerId::parse)?,
        routed: row.json("routed")?,
        had_it: row.json("had_it")?,
        assigned_at: row.time("assigned_at")?,
        due_at: time("due_at")?,
        responded_at: time("responded_at")?,
        responded_by: row.optional_text("responded_by")?,
        breached_at: time("breached_at")?,
        reassignments: row.number("reassignments")?,
        crm_sync: parsed("crm_sync", CrmSync::parse(&row.text("crm_sync")?))?,
        parked: row.number("parked")? == 1,
    })
}
