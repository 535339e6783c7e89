use std::collections::BTreeMap;

use database::{Connection, from_millis, to_millis};
use jiff::Timestamp;
use lead::{DeliveryId, LeadId};
use routing::{Counters, LeadFacts, Load, OnBreach, OwnerId, Routed, Routing};
use serde_json::json;
use sqlx::any::AnyRow;

use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, parsed, to_json};
use crate::owner_load::{change_load, day};
use crate::{Result, Store, Work, erasure, parking};

/// Who has a lead, why, and until when somebody is to respond.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Which lead.
    pub lead_id: LeadId,
    /// The delivery that was routed last.
    pub delivery_id: DeliveryId,
    /// Its round.
    pub round: i64,
    /// Who has it, as the CRM calls them; none where it is left to the CRM.
    pub owner: Option<OwnerId>,
    /// The decision and its reasons.
    pub routed: Routed,
    /// Everybody it was given to.
    pub had_it: Vec<OwnerId>,
    /// When its owner was given it.
    pub assigned_at: Timestamp,
    /// When somebody is to have responded; none where nobody is waited for any more.
    pub due_at: Option<Timestamp>,
    /// When somebody did.
    pub responded_at: Option<Timestamp>,
    /// Who said so.
    pub responded_by: Option<String>,
    /// When nobody had responded in time, the last time.
    pub breached_at: Option<Timestamp>,
    /// How often it was given to somebody else.
    pub reassignments: i64,
    /// Whether the CRM knows who has it.
    pub told: Told,
    /// Whether the lead is kept from the CRM as it stands (dead-lettered, held, planned): its timer rests, and it is not
    /// among its owner's open leads.
    pub parked: bool,
}

/// Whether the CRM knows who a lead was given to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The plan of the lead, or a write of its own, has told it.
    Yes,
    /// It was given to somebody else, and the CRM is still to be told.
    NotYet,
    /// The CRM has refused the one it was given to.
    Refused,
}

impl Told {
    /// As it is in the column `unwritten`.
    fn as_number(self) -> i64 {
        match self {
            Self::Yes => 0,
            Self::NotYet => 1,
            Self::Refused => 2,
        }
    }

    fn of_number(number: i64) -> Option<Self> {
        [Self::Yes, Self::NotYet, Self::Refused].into_iter().find(|told| told.as_number() == number)
    }
}

/// What came of a time that ran out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// Somebody has responded, or another process was here first.
    Nothing,
    /// Nobody else is to have it, or nobody else may.
    Alert {
        /// Who has it.
        owner: Option<OwnerId>,
    },
    /// It was given to somebody else, whom the CRM does not know of yet.
    Reassigned {
        /// Who had it.
        from: Option<OwnerId>,
        /// Who has it now.
        to: OwnerId,
    },
}

impl Store {
    /// Gives the delivery being worked on to somebody, once for each round: asking again gives the same answer. A lead that
    /// has an owner keeps them, unless they are unavailable; what its rules say of the time to respond holds for its newest content.
    ///
    /// A lead that was routed and then kept from the CRM has its whole time from when it is written after all.
    pub async fn assign(&self, work: &Work, routing: &Routing, facts: &LeadFacts) -> Result<Assignment> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&work.lead_id).await?;
        let (assignment, is_new) = self.decide(&mut transaction, work, routing, facts, now).await?;
        // The transaction ends without a commit: an erased person takes no turn.
        if !is_new || erasure::is_work_erased(&mut transaction, &work.lead_id, &work.delivery_id).await? {
            return Ok(assignment);
        }
        save(&mut transaction, &assignment).await?;
        let routed = &assignment.routed;
        // Leads that the rules leave to the CRM are worth no line each.
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

    /// Who would be given the delivery now. Nothing is kept: no turn is taken, nobody has more leads than before, no time
    /// begins to run.
    pub async fn preview_assignment(
        &self,
        work: &Work,
        routing: &Routing,
        facts: &LeadFacts,
    ) -> Result<Assignment> {
        let mut transaction = self.begin_on(&work.lead_id).await?;
        let now = self.now_millis();
        // The transaction ends without a commit, and with it all that it has counted.
        Ok(self.decide(&mut transaction, work, routing, facts, now).await?.0)
    }

    /// Who has the delivery, and whether that is to be kept.
    async fn decide(
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
                (replace(connection, kept, work, routing, facts, now).await?, true)
            }
            Some(kept) if kept.owner.is_some() => {
                let next = self.keep(connection, kept, work, routing, facts, now).await?;
                (parking::unpark(connection, next, now).await?, true)
            }
            _ => (give(connection, work, routing, facts, now).await?, true),
        })
    }

    /// The same owner, with the timer of what is now known of the lead. New content of a lead that was responded to asks for a
    /// new response; another judgement of the same content does not.
    async fn keep(
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

    /// Who has a lead; none where it has not been routed.
    pub async fn assignment(&self, lead: &LeadId) -> Result<Option<Assignment>> {
        let row = sqlx::query("SELECT * FROM lead_assignment WHERE lead_id = $1")
            .bind(lead.as_str())
            .fetch_optional(self.database.pool())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Leads in the CRM whose time to respond is over, the longest waiting first.
    pub async fn overdue(&self, limit: u32) -> Result<Vec<Assignment>> {
        // As a subquery: with a join, SQLite begins at the synced leads, which are nearly all.
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

    /// Leads in the CRM that were given to somebody else whom it has not been told of, oldest first. Of a lead that is being
    /// worked on, or held, the next plan tells it.
    pub async fn unwritten_assignments(&self, limit: u32) -> Result<Vec<Assignment>> {
        let rows = sqlx::query(
            "SELECT a.* FROM lead_assignment a WHERE a.unwritten = 1 \
             AND (SELECT l.status FROM lead l WHERE l.lead_id = a.lead_id) = 'synced' \
             ORDER BY a.breached_at, a.lead_id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Keeps that the CRM knows who a lead was given to, or never will. `failure` is why not.
    pub async fn assignment_written(
        &self,
        given: &Assignment,
        failure: Option<&lead::Failure>,
    ) -> Result<()> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&given.lead_id).await?;
        let told = sqlx::query(
            "UPDATE lead_assignment SET unwritten = $3 WHERE lead_id = $1 AND reassignments = $2 AND unwritten = 1",
        )
        .bind(given.lead_id.as_str())
        .bind(given.reassignments)
        .bind(if failure.is_some() { Told::Refused } else { Told::Yes }.as_number())
        .execute(&mut *transaction)
        .await?;
        if told.rows_affected() == 1 {
            let detail = json!({ "owner": given.owner, "failure": failure });
            let delivery = Some(&given.delivery_id);
            audit::append(&mut transaction, &given.lead_id, delivery, now, AuditKind::OwnerWritten, &detail)
                .await?;
        }
        transaction.commit().await
    }

    /// Keeps that somebody has responded to a lead. False where somebody had before; none where it was never routed.
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

    /// Keeps that nobody has responded in time, and gives the lead to somebody else where its rule says so and somebody may
    /// have it. Owners in `unavailable`, who are given no leads by the CRM, are passed over. Of several processes one does.
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
                kept.told = Told::NotYet;
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

/// Routes a lead that nobody has.
async fn give(
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
        told: Told::Yes,
        parked: false,
    })
}

/// Routes a lead anew whose owner has left.
async fn replace(
    connection: &mut Connection,
    kept: Assignment,
    work: &Work,
    routing: &Routing,
    facts: &LeadFacts,
    now: i64,
) -> Result<Assignment> {
    // A parked lead has given its place back already.
    let open = if kept.responded_at.is_none() && !kept.parked { -1 } else { 0 };
    change_load(connection, kept.owner.as_ref(), now, 0, open).await?;
    let mut next = give(connection, work, routing, facts, now).await?;
    let mut had_it = kept.had_it;
    had_it.append(&mut next.had_it);
    Ok(Assignment { had_it, reassignments: kept.reassignments, ..next })
}

/// Reads the counters, and keeps every other process from reading them until the end of the transaction. Taken after the
/// lead's row, by everybody.
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

/// Forgets who has a lead, and that it is open.
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
         responded_at, responded_by, breached_at, reassignments, unwritten, parked) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         ON CONFLICT (lead_id) DO UPDATE SET delivery_id = excluded.delivery_id, round = excluded.round, \
         owner = excluded.owner, routed = excluded.routed, had_it = excluded.had_it, \
         assigned_at = excluded.assigned_at, due_at = excluded.due_at, responded_at = excluded.responded_at, \
         responded_by = excluded.responded_by, breached_at = excluded.breached_at, \
         reassignments = excluded.reassignments, unwritten = excluded.unwritten, parked = excluded.parked",
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
    .bind(assignment.told.as_number())
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
        told: parsed("unwritten", Told::of_number(row.number("unwritten")?))?,
        parked: row.number("parked")? == 1,
    })
}
