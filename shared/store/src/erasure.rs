//! Removing a person: what identifies them goes, what happened stays as hashes.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use database::{Backend, Connection, to_millis};
use jiff::Timestamp;
use lead::{DeliveryId, EmailAddress, LeadEvent, LeadId};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Row as _};

use crate::audit::{self, AuditKind};
use crate::codec::Columns as _;
use crate::{Result, Store, assignment, email_hash};

/// Rows of bodies that nothing but their text ties to a person, read at a time.
const BATCH: i64 = 200;

/// Tables that an erasure treats by themselves. Every other one with a column `lead_id` loses the lead's rows.
const KNOWN: &[&str] = &["crm_action", "audit_event", "lead_assignment", "erased_lead", "lead"];

/// What an erasure found, and what it did with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// The SHA-256 of the address.
    pub email_sha256: String,
    /// When.
    pub at: Timestamp,
    /// False: it was only looked at.
    pub applied: bool,
    /// The person's leads, of this and of earlier erasures.
    pub leads: Vec<LeadId>,
    /// What was found, and what becomes of it. Nothing that was not found.
    pub found: Vec<Found>,
    /// Leads that a worker had at that moment: what it does next is dropped, but what it had sent to the CRM is there.
    pub in_work: u64,
    /// Records that nobody but an administrator of the CRM can remove.
    pub by_hand: Vec<ByHand>,
    /// Whether the person is on the suppression list, which keeps the hash of their address.
    pub on_suppression_list: bool,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Where, such as the name of a table.
    pub place: String,
    /// How many rows, messages or lines.
    pub count: u64,
    /// `removed`, or `reduced to hashes`.
    pub becomes: &'static str,
}

impl Found {
    /// What becomes of most things.
    pub const REMOVED: &str = "removed";
}

/// A record in a CRM that has to be removed there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ByHand {
    /// Which CRM.
    pub provider: String,
    /// What wrote it, such as `upsert_lead`.
    pub written_by: String,
    /// The record there.
    pub record_id: String,
}

const REMOVED: &str = Found::REMOVED;
const REDUCED: &str = "reduced to hashes";

impl Store {
    /// Removes a person, or with `apply` off says what there is to remove: everything of their leads, and the bodies among
    /// the dead letters and in quarantine that hold their address. The ledger and the audit trail keep what happened, with
    /// hashes in place of what it was about. What was received until now and turns up later, from whatever queue, is dropped.
    ///
    /// Doing it again removes what has come since, and gives the same records to be removed by hand.
    pub async fn erase(&self, email: &EmailAddress, apply: bool) -> Result<Erasure> {
        let now = self.now_millis();
        let hash = email_hash(email);
        let mut transaction = self.database.begin().await?;
        if apply {
            // First, so that what arrives meanwhile is dropped.
            sqlx::query(
                "INSERT INTO erased_person (email_hash, erased_at) VALUES ($1, $2) \
                 ON CONFLICT (email_hash) DO UPDATE SET erased_at = excluded.erased_at",
            )
            .bind(&hash)
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        }
        let rows =
            sqlx::query("SELECT lead_id, status FROM lead WHERE email = $1 ORDER BY created_at, lead_id")
                .bind(email.expose())
                .fetch_all(&mut *transaction)
                .await?;
        let mut present = Vec::new();
        let mut in_work = 0;
        for row in &rows {
            present.push(row.id::<LeadId>("lead_id")?);
            in_work += u64::from(row.text("status")? == "processing");
        }
        let mut found = Tally::default();
        let tables = self.tables_of_leads(&mut transaction).await?;
        for lead in &present {
            erase_lead(&mut transaction, lead, &tables, &hash, apply, now, &mut found).await?;
        }
        let needles = Needles::of(email);
        bodies(&mut transaction, &needles, Bodies::DEAD_LETTERS, apply, &mut found).await?;
        bodies(&mut transaction, &needles, Bodies::QUARANTINE, apply, &mut found).await?;

        let mut leads = present;
        let earlier =
            sqlx::query("SELECT lead_id FROM erased_lead WHERE email_hash = $1 ORDER BY erased_at, lead_id")
                .bind(&hash)
                .fetch_all(&mut *transaction)
                .await?;
        for row in &earlier {
            let lead = row.id("lead_id")?;
            if !leads.contains(&lead) {
                leads.push(lead);
            }
        }
        let mut by_hand = BTreeSet::new();
        for lead in &leads {
            by_hand.extend(records(&mut transaction, lead).await?);
        }
        let listed: Option<i64> = sqlx::query_scalar("SELECT added_at FROM suppression WHERE entry = $1")
            .bind(&hash)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Erasure {
            email_sha256: hash,
            at: database::from_millis(now),
            applied: apply,
            leads,
            found: found.0,
            in_work,
            by_hand: by_hand.into_iter().collect(),
            on_suppression_list: listed.is_some(),
        })
    }

    /// A person's leads, each with the deliveries that are known of it.
    pub async fn deliveries_of(&self, email: &EmailAddress) -> Result<Vec<(LeadId, Vec<DeliveryId>)>> {
        let rows = sqlx::query(
            "SELECT l.lead_id, d.delivery_id FROM lead l JOIN delivery d ON d.lead_id = l.lead_id \
             WHERE l.email = $1 ORDER BY l.lead_id, d.revision",
        )
        .bind(email.expose())
        .fetch_all(self.database.pool())
        .await?;
        let mut leads: Vec<(LeadId, Vec<DeliveryId>)> = Vec::new();
        for row in &rows {
            let (lead, delivery): (LeadId, DeliveryId) = (row.id("lead_id")?, row.id("delivery_id")?);
            match leads.last_mut() {
                Some((last, deliveries)) if *last == lead => deliveries.push(delivery),
                _ => leads.push((lead, vec![delivery])),
            }
        }
        Ok(leads)
    }

    /// Whether a person was erased after this event was received: nothing of it is to be kept or written.
    pub async fn is_erased(&self, event: &LeadEvent) -> Result<bool> {
        let mut connection = self.database.pool().acquire().await?;
        is_erased(&mut connection, event).await
    }

    /// The other tables that hold rows of a lead, whichever crate they belong to.
    async fn tables_of_leads(&self, connection: &mut Connection) -> Result<Vec<String>> {
        let sql = match self.database.backend() {
            Backend::Sqlite => {
                "SELECT m.name AS name FROM sqlite_master m, pragma_table_info(m.name) c \
                 WHERE m.type = 'table' AND c.name = 'lead_id' ORDER BY m.name"
            }
            Backend::Postgres => {
                "SELECT CAST(table_name AS TEXT) AS name FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND column_name = 'lead_id' ORDER BY table_name"
            }
        };
        let rows = sqlx::query(sql).fetch_all(connection).await?;
        let names: Result<Vec<String>> = rows.iter().map(|row| row.text("name")).collect();
        Ok(names?.into_iter().filter(|name| !KNOWN.contains(&name.as_str())).collect())
    }
}

pub(crate) async fn is_erased(connection: &mut Connection, event: &LeadEvent) -> Result<bool> {
    let erased_at: Option<i64> =
        sqlx::query_scalar("SELECT erased_at FROM erased_person WHERE email_hash = $1")
            .bind(email_hash(&event.lead.email))
            .fetch_optional(connection)
            .await?;
    Ok(erased_at.is_some_and(|erased_at| to_millis(event.received_at) <= erased_at))
}

/// Whether a lead was erased, and has not come again since.
pub(crate) async fn is_lead_erased(connection: &mut Connection, lead: &LeadId) -> Result<bool> {
    let erased: Option<i64> = sqlx::query_scalar(
        "SELECT e.erased_at FROM erased_lead e WHERE e.lead_id = $1 \
         AND NOT EXISTS (SELECT 1 FROM lead l WHERE l.lead_id = $1)",
    )
    .bind(lead.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(erased.is_some())
}

/// Counts by place, in the order in which places were first met.
#[derive(Default)]
struct Tally(Vec<Found>);

impl Tally {
    fn add(&mut self, place: &str, count: u64, becomes: &'static str) {
        if count == 0 {
            return;
        }
        match self.0.iter_mut().find(|found| found.place == place) {
            Some(found) => found.count += count,
            None => self.0.push(Found { place: place.to_owned(), count, becomes }),
        }
    }
}

async fn erase_lead(
    connection: &mut Connection,
    lead: &LeadId,
    tables: &[String],
    hash: &str,
    apply: bool,
    now: i64,
    found: &mut Tally,
) -> Result<()> {
    // The lead's row comes first, as in every transaction.
    sqlx::query("UPDATE lead SET revision = revision WHERE lead_id = $1")
        .bind(lead.as_str())
        .execute(&mut *connection)
        .await?;
    // What is known by other ids, before the rows that name those go.
    for (place, condition) in [
        ("sqs_try", "message_key IN (SELECT delivery_id FROM delivery WHERE lead_id = $1)"),
        (
            "mock_crm_record",
            "external_id = $1 OR external_id IN (SELECT action_id FROM crm_action WHERE lead_id = $1)",
        ),
        ("queue_message", "group_id = $1"),
        ("queue_group", "group_id = $1"),
    ] {
        found.add(place, remove(connection, place, condition, lead, apply).await?, REMOVED);
    }
    for table in tables {
        found.add(table, remove(connection, table, "lead_id = $1", lead, apply).await?, REMOVED);
    }
    found.add("crm_action", reduce_actions(connection, lead, apply, now).await?, REDUCED);
    found.add("audit_event", reduce_audit(connection, lead, apply).await?, REDUCED);
    let count = remove(connection, "lead_assignment", "lead_id = $1", lead, false).await?;
    found.add("lead_assignment", count, REMOVED);
    if apply {
        assignment::forget(connection, lead, now).await?;
    }
    found.add("lead", remove(connection, "lead", "lead_id = $1", lead, apply).await?, REMOVED);
    if apply {
        sqlx::query(
            "INSERT INTO erased_lead (lead_id, email_hash, erased_at) VALUES ($1, $2, $3) \
             ON CONFLICT (lead_id) DO UPDATE SET erased_at = excluded.erased_at",
        )
        .bind(lead.as_str())
        .bind(hash)
        .bind(now)
        .execute(&mut *connection)
        .await?;
        audit::append(connection, lead, None, now, AuditKind::Erased, &json!({})).await?;
    }
    Ok(())
}

/// Removes the rows of a table that a condition on `$1`, the lead's id, names; or only counts them. Table and condition are
/// constants, or names out of the database's own catalogue.
async fn remove(
    connection: &mut Connection,
    table: &str,
    condition: &str,
    lead: &LeadId,
    apply: bool,
) -> Result<u64> {
    let table = table.replace('"', "\"\"");
    if apply {
        let sql = AssertSqlSafe(format!("DELETE FROM \"{table}\" WHERE {condition}"));
        return Ok(sqlx::query(sql).bind(lead.as_str()).execute(connection).await?.rows_affected());
    }
    let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM \"{table}\" WHERE {condition}"));
    let count: i64 = sqlx::query_scalar(sql).bind(lead.as_str()).fetch_one(connection).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The ledger keeps which effects there were and on which records, under ids that a later lead of the same person does not
/// meet.
async fn reduce_actions(connection: &mut Connection, lead: &LeadId, apply: bool, now: i64) -> Result<u64> {
    let rows =
        sqlx::query("SELECT action_id, parameters FROM crm_action WHERE lead_id = $1 AND state <> 'erased'")
            .bind(lead.as_str())
            .fetch_all(&mut *connection)
            .await?;
    for row in rows.iter().filter(|_| apply) {
        let action = row.text("action_id")?;
        sqlx::query(
            "UPDATE crm_action SET action_id = $2, parameters = $3, changes = NULL, failure = NULL, state = 'erased', \
             updated_at = $4 WHERE action_id = $1",
        )
        .bind(&action)
        .bind(format!("erased:{now}:{action}"))
        .bind(hashed(&row.text("parameters")?))
        .bind(now)
        .execute(&mut *connection)
        .await?;
    }
    Ok(rows.len() as u64)
}

async fn reduce_audit(connection: &mut Connection, lead: &LeadId, apply: bool) -> Result<u64> {
    let rows = sqlx::query("SELECT seq, detail FROM audit_event WHERE lead_id = $1 AND kind <> 'erased'")
        .bind(lead.as_str())
        .fetch_all(&mut *connection)
        .await?;
    let mut reduced = 0;
    for row in &rows {
        let detail = row.text("detail")?;
        let is_hashed =
            serde_json::from_str::<Value>(&detail).is_ok_and(|detail| detail["sha256"].is_string());
        if is_hashed {
            continue; // by an earlier erasure
        }
        reduced += 1;
        if apply {
            sqlx::query("UPDATE audit_event SET detail = $3 WHERE lead_id = $1 AND seq = $2")
                .bind(lead.as_str())
                .bind(row.number("seq")?)
                .bind(hashed(&detail))
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(reduced)
}

/// A text's hash, as JSON.
fn hashed(text: &str) -> String {
    let hex: Vec<String> = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "sha256": hex.concat() }).to_string()
}

/// The records in CRMs of others that were written for a lead.
async fn records(connection: &mut Connection, lead: &LeadId) -> Result<Vec<ByHand>> {
    let rows = sqlx::query(
        "SELECT DISTINCT provider, kind, record_id FROM crm_action \
         WHERE lead_id = $1 AND record_id IS NOT NULL AND provider <> 'mock' \
         AND kind IN ('upsert_lead', 'create_lead', 'create_task', 'log_activity', 'create_contact', 'create_opportunity', \
                      'convert_lead')",
    )
    .bind(lead.as_str())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(ByHand {
                provider: row.text("provider")?,
                written_by: row.text("kind")?,
                record_id: row.text("record_id")?,
            })
        })
        .collect()
}

/// A table of bodies of which nothing is known but their text.
struct Bodies {
    table: &'static str,
    page: &'static str,
    delete: &'static str,
    is_base64: bool,
}

impl Bodies {
    const DEAD_LETTERS: Self = Self {
        table: "dead_letter",
        page: "SELECT message_id AS id, body FROM dead_letter WHERE lead_id IS NULL AND message_id > $1 ORDER BY message_id LIMIT $2",
        delete: "DELETE FROM dead_letter WHERE message_id = $1",
        is_base64: false,
    };
    const QUARANTINE: Self = Self {
        table: "quarantine",
        page: "SELECT quarantine_id AS id, body FROM quarantine WHERE quarantine_id > $1 ORDER BY quarantine_id LIMIT $2",
        delete: "DELETE FROM quarantine WHERE quarantine_id = $1",
        is_base64: true,
    };
}

async fn bodies(
    connection: &mut Connection,
    needles: &Needles,
    bodies: Bodies,
    apply: bool,
    found: &mut Tally,
) -> Result<()> {
    let mut after = String::new();
    loop {
        let rows = sqlx::query(bodies.page).bind(&after).bind(BATCH).fetch_all(&mut *connection).await?;
        for row in &rows {
            after = row.try_get("id")?;
            let body = row.text("body")?;
            let bytes =
                if bodies.is_base64 { STANDARD.decode(&body).unwrap_or_default() } else { body.into_bytes() };
            if needles.are_in(&bytes) {
                found.add(bodies.table, 1, REMOVED);
                if apply {
                    sqlx::query(bodies.delete).bind(&after).execute(&mut *connection).await?;
                }
            }
        }
        if rows.len() < usize::try_from(BATCH).unwrap_or(usize::MAX) {
            return Ok(());
        }
    }
}

/// How an address may be written in a body: as it is, percent-encoded, or with JSON's escapes.
struct Needles(Vec<String>);

impl Needles {
    fn of(email: &EmailAddress) -> Self {
        let address = email.expose();
        let percent = |text: &str| text.replace('@', "%40").replace('+', "%2b");
        Self(vec![address.to_owned(), percent(address), address.replace('@', "\\u0040")])
    }

    fn are_in(&self, body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body).to_lowercase();
        self.0.iter().any(|needle| text.contains(needle.as_str()))
    }
}
