//! Erasure of a person: personal data is removed, and the history remains as hashes.

mod bodies;
mod export;
mod lead;
mod mentions;

use std::collections::BTreeSet;

use ::lead::{Actor, DeliveryId, EmailAddress, LeadId};
use database::{Connection, LeadRows, Traces};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use self::bodies::BODIES;
pub use self::export::{LeadExport, PersonExport};
use self::lead::{Tally, erase_lead, records};
use crate::acts::{self, ActKind};
use crate::codec::Columns as _;
use crate::person::Person;
use crate::{Result, Store};

/// The period before an erasure whose bodies are searched once more inside the transaction, in milliseconds.
/// The first search runs outside it and may miss bodies dated shortly before, because the clocks of two
/// processes differ.
const OVERLAP: i64 = 60_000;

/// The rows of a lead in the tables of this crate. An erasure treats the other tables separately: it deletes
/// `lead` and `lead_assignment`, reduces `crm_action` and `audit_event` to hashes, and searches `dead_letter`
/// and `quarantine` for the person.
pub const LEAD_ROWS: [LeadRows; 5] = [
    LeadRows::by_lead("analysis", "lead_id"),
    LeadRows::by_lead("dead_letter", "lead_id"),
    LeadRows::by_lead("delivery", "lead_id"),
    LeadRows::by_lead("review_decision", "lead_id"),
    LeadRows::by_lead("webhook_receipt", "lead_id"),
];

/// The findings of an erasure, and their treatment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Erasure {
    /// The SHA-256 of the address.
    pub email_sha256: String,
    /// When it took place.
    pub at: Timestamp,
    /// False for a dry run.
    pub applied: bool,
    /// The person's leads, of this and of earlier erasures.
    pub leads: Vec<LeadId>,
    /// The findings. Places without a finding are left out.
    pub found: Vec<Found>,
    /// Leads that a worker was processing at that moment: its further results are dropped, but its earlier
    /// writes remain in the CRM. Repeat the erasure in a minute.
    pub in_work: u64,
    /// Records that only an administrator of the CRM can remove.
    pub by_hand: Vec<ByHand>,
    /// Whether the person is on the suppression list, which keeps the hash of their address.
    pub on_suppression_list: bool,
    /// Places in which the database may still hold bytes of the removed rows. Not serialised: the certificate
    /// describes them in words.
    #[serde(skip)]
    pub traces: Traces,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Found {
    /// The place, such as the name of a table.
    pub place: String,
    /// The number of rows, messages or lines.
    pub count: u64,
    /// `removed`, or `reduced to hashes`.
    pub becomes: &'static str,
}

impl Found {
    /// The treatment of most findings.
    pub const REMOVED: &str = "removed";
}

/// A record in a CRM that has to be removed there by hand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
pub struct ByHand {
    /// The CRM.
    pub provider: String,
    /// The kind of action that wrote it, such as `upsert_lead`.
    pub written_by: String,
    /// The record's id in the CRM.
    pub record_id: String,
}

const REMOVED: &str = Found::REMOVED;
const REDUCED: &str = "reduced to hashes";

impl Store {
    /// Removes a person, or with `apply` off reports the findings and changes nothing.
    ///
    /// Removes all rows of the person's leads, and the dead letters and quarantined bodies that mention the
    /// address in any spelling. The ledger and the audit trail keep the history, with hashes in place of the
    /// content. Events received before the erasure that turn up later in any queue are dropped.
    ///
    /// `rows` are the rows of a lead in the tables of all crates, [`LEAD_ROWS`] last: they map the other ids
    /// to the lead.
    ///
    /// An address without a tag (`ann@x.io`) also covers the address with any tag (`ann+news@x.io`).
    ///
    /// Bodies are searched before the transaction, so that intake does not wait. Repeating an erasure removes
    /// data that arrived since, and returns the same records to be removed by hand.
    pub async fn erase(
        &self,
        actor: &Actor,
        email: &EmailAddress,
        rows: &[LeadRows],
        apply: bool,
    ) -> Result<Erasure> {
        let (now, person) = (self.now_millis(), Person::of(email));
        let mut reader = self.database.pool().acquire().await?;
        let mut bodies = Vec::with_capacity(BODIES.len());
        for kind in &BODIES {
            bodies.push(kind.mentioning(&mut reader, &person, i64::MIN).await?);
        }
        if !apply {
            let mut erasure = self.erase_in(&mut reader, &person, rows, None, now).await?;
            let mut found = Tally(std::mem::take(&mut erasure.found));
            for (kind, ids) in BODIES.iter().zip(&bodies) {
                found.add(kind.table, ids.len() as u64, REMOVED);
            }
            return Ok(Erasure { found: found.0, traces: self.database.traces(), ..erasure });
        }
        drop(reader);
        let mut transaction = self.database.begin().await?;
        // First, so that events that arrive meanwhile are dropped.
        let query = sqlx::query(
            "INSERT INTO erased_person (email_hash, erased_at) VALUES ($1, $2) \
             ON CONFLICT (email_hash) DO UPDATE SET erased_at = excluded.erased_at",
        );
        query.bind(person.hash()).bind(now).execute(&mut *transaction).await?;
        let mut erasure = self.erase_in(&mut transaction, &person, rows, Some(actor), now).await?;
        let mut found = Tally(std::mem::take(&mut erasure.found));
        for (kind, mut ids) in BODIES.iter().zip(bodies) {
            ids.extend(kind.mentioning(&mut transaction, &person, now - OVERLAP).await?);
            found.add(kind.table, kind.remove(&mut transaction, &ids).await?, REMOVED);
        }
        let counts: Vec<_> = found.0.iter().map(|found| json!([found.place, found.count])).collect();
        let detail = json!({
            "email_sha256": erasure.email_sha256, "leads": erasure.leads.len(), "found": counts,
        });
        acts::append(&mut transaction, actor, now, ActKind::PersonErased, &detail).await?;
        transaction.commit().await?;
        Ok(Erasure { found: found.0, traces: self.database.remove_traces().await?, ..erasure })
    }

    /// An erasure without the search of bodies, or without an actor its dry run.
    async fn erase_in(
        &self,
        connection: &mut Connection,
        person: &Person,
        rows: &[LeadRows],
        actor: Option<&Actor>,
        now: i64,
    ) -> Result<Erasure> {
        let mut found = Tally::default();
        let (mut leads, mut in_work) = (Vec::new(), 0);
        for (lead, status) in leads_of(connection, person).await? {
            in_work += u64::from(status == "processing");
            erase_lead(connection, actor, &lead, rows, &person.hash(), now, &mut found).await?;
            leads.push(lead);
        }
        let [own, untagged, as_given] = person.hashes();
        let query = sqlx::query(
            "SELECT lead_id FROM erased_lead WHERE email_hash IN ($1, $2) ORDER BY erased_at, lead_id",
        );
        let earlier = query.bind(&own).bind(&as_given).fetch_all(&mut *connection).await?;
        for row in &earlier {
            let lead = row.id("lead_id")?;
            if !leads.contains(&lead) {
                leads.push(lead);
            }
        }
        let mut by_hand = BTreeSet::new();
        for lead in &leads {
            by_hand.extend(records(connection, lead).await?);
        }
        let query = sqlx::query_scalar("SELECT COUNT(*) FROM suppression WHERE entry IN ($1, $2, $3)");
        let listed: i64 = query.bind(&own).bind(untagged).bind(as_given).fetch_one(&mut *connection).await?;
        Ok(Erasure {
            email_sha256: own,
            at: database::from_millis(now),
            applied: actor.is_some(),
            leads,
            found: found.0,
            in_work,
            by_hand: by_hand.into_iter().collect(),
            on_suppression_list: listed > 0,
            traces: Traces::None,
        })
    }

    /// A person's leads, each with its known deliveries.
    pub async fn deliveries_of(&self, email: &EmailAddress) -> Result<Vec<(LeadId, Vec<DeliveryId>)>> {
        let mut connection = self.database.pool().acquire().await?;
        let mut leads = Vec::new();
        for (lead, _) in leads_of(&mut connection, &Person::of(email)).await? {
            let query = sqlx::query("SELECT delivery_id FROM delivery WHERE lead_id = $1 ORDER BY revision");
            let rows = query.bind(lead.as_str()).fetch_all(&mut connection).await?;
            let deliveries: Result<_> = rows.iter().map(|row| row.id("delivery_id")).collect();
            leads.push((lead, deliveries?));
        }
        Ok(leads)
    }
}

/// A person's leads and their statuses, for every spelling of the address and every tag.
async fn leads_of(connection: &mut Connection, person: &Person) -> Result<Vec<(LeadId, String)>> {
    const BY_ADDRESS: &str =
        "SELECT lead_id, email, status FROM lead WHERE email = $1 ORDER BY created_at, lead_id";
    // Reads every lead: the two databases have no common form of an index in byte order.
    const BY_PREFIX: &str =
        "SELECT lead_id, email, status FROM lead WHERE email LIKE $1 ESCAPE '!' ORDER BY created_at, lead_id";
    let mut rows = Vec::new();
    for spelling in person.spellings() {
        rows.extend(sqlx::query(BY_ADDRESS).bind(spelling).fetch_all(&mut *connection).await?);
    }
    if !person.has_tag() {
        let local = person.local().replace('!', "!!").replace('%', "!%").replace('_', "!_");
        let prefix = format!("{local}+%");
        rows.extend(sqlx::query(BY_PREFIX).bind(prefix).fetch_all(&mut *connection).await?);
    }
    let mut leads: Vec<(LeadId, String)> = Vec::new();
    for row in &rows {
        let email: EmailAddress = row.id("email")?;
        let lead = row.id("lead_id")?;
        if person.covers(&Person::of(&email)) && !leads.iter().any(|(known, _)| *known == lead) {
            leads.push((lead, row.text("status")?));
        }
    }
    Ok(leads)
}
