use database::{Connection, Rows, from_millis, to_millis};
use jiff::Timestamp;
use lead::{DeliveryId, LeadId};
use routing::{OwnerId, Routed, Timer};
use serde_json::{Value, json};
use sqlx::any::AnyRow;

use super::CrmSync;
use super::counters::lock_counters;
use super::owner_load::change_load;
use crate::codec::{Columns as _, to_json};
use crate::{Result, Store};

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

impl Assignment {
    /// The detail of the audit event; none for a lead that the rules leave to the CRM.
    pub(crate) fn audited(&self) -> Option<Value> {
        let routed = &self.routed;
        (self.owner.is_some() || self.due_at.is_some()).then(|| {
            json!({
                "owner": self.owner, "rule": routed.rule, "pool": routed.pool, "because": routed.because,
                "routing_version": routed.version, "respond_by": self.due_at,
            })
        })
    }

    /// Whether the lead counts among its owner's open leads.
    pub(super) fn is_open(&self) -> bool {
        self.responded_at.is_none() && !self.parked
    }
}

impl Store {
    /// The assignment of a lead; none if it has not been routed.
    pub async fn assignment(&self, lead: &LeadId) -> Result<Option<Assignment>> {
        let query = sqlx::query("SELECT * FROM lead_assignment WHERE lead_id = $1");
        let row = self.row(query.bind(lead.as_str())).await?;
        row.as_ref().map(read).transpose()
    }
}

/// The end of a full response time that begins now; none without a timer.
pub(super) fn deadline(timer: Option<Timer>, now: i64) -> Option<Timestamp> {
    timer.map(|timer| from_millis(now + 1_000 * i64::from(timer.respond_within_s)))
}

pub(super) async fn load(connection: &mut Connection, lead: &LeadId) -> Result<Option<Assignment>> {
    let query = sqlx::query("SELECT * FROM lead_assignment WHERE lead_id = $1");
    let row = query.bind(lead.as_str()).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

/// Deletes the assignment of a lead, and takes the lead off its owner's open leads.
pub(crate) async fn forget(connection: &mut Connection, lead: &LeadId, now: i64) -> Result<()> {
    if let Some(kept) = load(connection, lead).await? {
        if kept.is_open() {
            change_load(connection, kept.owner.as_ref(), now, 0, -1).await?;
        }
        let query = sqlx::query("DELETE FROM lead_assignment WHERE lead_id = $1");
        query.bind(lead.as_str()).execute(connection).await?;
    }
    Ok(())
}

/// Deletes the assignments of several leads, and takes the leads off their owners' open leads; `leads` has
/// one column, `lead_id`.
pub(crate) async fn forget_all(connection: &mut Connection, leads: &Rows<1>, now: i64) -> Result<()> {
    let open = "SELECT s.owner, COUNT(*) AS leads FROM given JOIN lead_assignment s ON s.lead_id = given.lead_id \
         WHERE s.owner IS NOT NULL AND s.responded_at IS NULL AND s.parked = 0 GROUP BY s.owner ORDER BY s.owner";
    let open = leads.clone().fetch_all(connection, open).await?;
    if !open.is_empty() {
        // Assignments may change the counts of several owners too, in another order, under this lock.
        lock_counters(connection, now).await?;
    }
    for row in &open {
        change_load(connection, Some(&row.id("owner")?), now, 0, -row.number("leads")?).await?;
    }
    let statement = "DELETE FROM lead_assignment WHERE lead_id IN (SELECT lead_id FROM given)";
    leads.clone().execute(connection, statement).await?;
    Ok(())
}

/// Assignments that are saved with one statement.
pub(crate) struct AssignmentRows(Rows<14>);

impl Default for AssignmentRows {
    fn default() -> Self {
        Self(Rows::new([
            "lead_id",
            "delivery_id",
            "round",
            "owner",
            "routed",
            "had_it",
            "assigned_at",
            "due_at",
            "responded_at",
            "responded_by",
            "breached_at",
            "reassignments",
            "crm_sync",
            "parked",
        ]))
    }
}

impl AssignmentRows {
    pub(crate) fn push(&mut self, assignment: &Assignment) {
        let millis = |time: Option<Timestamp>| time.map(to_millis);
        self.0.push([
            assignment.lead_id.as_str().into(),
            assignment.delivery_id.as_str().into(),
            assignment.round.into(),
            assignment.owner.as_ref().map(|owner| owner.as_str().to_owned()).into(),
            to_json(&assignment.routed).into(),
            to_json(&assignment.had_it).into(),
            to_millis(assignment.assigned_at).into(),
            millis(assignment.due_at).into(),
            millis(assignment.responded_at).into(),
            assignment.responded_by.clone().into(),
            millis(assignment.breached_at).into(),
            assignment.reassignments.into(),
            assignment.crm_sync.as_str().into(),
            i64::from(assignment.parked).into(),
        ]);
    }

    pub(crate) async fn save(self, connection: &mut Connection) -> Result<()> {
        self.0
            .execute(
                connection,
                "INSERT INTO lead_assignment (lead_id, delivery_id, round, owner, routed, had_it, assigned_at, due_at, \
                 responded_at, responded_by, breached_at, reassignments, crm_sync, parked) \
                 SELECT * FROM given WHERE true \
                 ON CONFLICT (lead_id) DO UPDATE SET delivery_id = excluded.delivery_id, round = excluded.round, \
                 owner = excluded.owner, routed = excluded.routed, had_it = excluded.had_it, \
                 assigned_at = excluded.assigned_at, due_at = excluded.due_at, responded_at = excluded.responded_at, \
                 responded_by = excluded.responded_by, breached_at = excluded.breached_at, \
                 reassignments = excluded.reassignments, crm_sync = excluded.crm_sync, parked = excluded.parked",
            )
            .await?;
        Ok(())
    }
}

pub(super) async fn save(connection: &mut Connection, assignment: &Assignment) -> Result<()> {
    let mut rows = AssignmentRows::default();
    rows.push(assignment);
    rows.save(connection).await
}

pub(super) fn read(row: &AnyRow) -> Result<Assignment> {
    Ok(Assignment {
        lead_id: row.id("lead_id")?,
        delivery_id: row.id("delivery_id")?,
        round: row.number("round")?,
        owner: row.optional_word("owner", OwnerId::parse)?,
        routed: row.json("routed")?,
        had_it: row.json("had_it")?,
        assigned_at: row.time("assigned_at")?,
        due_at: row.optional_time("due_at")?,
        responded_at: row.optional_time("responded_at")?,
        responded_by: row.optional_text("responded_by")?,
        breached_at: row.optional_time("breached_at")?,
        reassignments: row.number("reassignments")?,
        crm_sync: row.word("crm_sync", CrmSync::parse)?,
        parked: row.flag("parked")?,
    })
}
