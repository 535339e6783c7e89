//! Everything that is stored about a person, found in the same places as an erasure finds it.

use ::lead::{EmailAddress, LeadId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use database::{Connection, LeadRows};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Column as _, Row as _};

use super::bodies::BODIES;
use super::leads_of;
use crate::codec::Columns as _;
use crate::person::Person;
use crate::{Result, Store};

/// The most rows of one table that an export holds of one lead.
const MAX_ROWS: i64 = 1_000;

/// The tables with rows of a lead that an erasure does not simply delete.
const OTHERS: [LeadRows; 5] = [
    LeadRows::by_lead("lead", "lead_id"),
    LeadRows::by_lead("lead_assignment", "lead_id"),
    LeadRows::by_lead("crm_action", "lead_id"),
    LeadRows::by_lead("audit_event", "lead_id"),
    LeadRows::by_lead("expired_lead", "lead_id"),
];

/// The stored data of a person.
// There is no `Debug`, because it is personal data.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct PersonExport {
    /// The SHA-256 of the address.
    pub email_sha256: String,
    /// When the data was read.
    pub at: Timestamp,
    /// The person's leads, erased ones included, of which only hashes are left.
    pub leads: Vec<LeadExport>,
    /// Dead letters and rejected bodies that mention the address, by table.
    #[schema(value_type = Object)]
    pub bodies: Value,
    /// The entries of the suppression list that concern the person, and the removed ones.
    #[schema(value_type = Object)]
    pub suppression: Value,
    /// Cached answers of enrichment providers about the company of the address, not about the person.
    #[schema(value_type = Vec<Object>)]
    pub company: Value,
}

/// The stored data of one lead: the rows of each table. JSON columns are JSON, and times are in UTC.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct LeadExport {
    /// The lead.
    pub lead_id: LeadId,
    /// The rows by table; tables without any are left out.
    #[schema(value_type = Object)]
    pub tables: Map<String, Value>,
    /// The tables with more rows than an export holds, which are 1,000; almost always none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
}

impl Store {
    /// Reads everything that is stored about a person, in every spelling of the address and with every tag.
    ///
    /// `rows` are the rows of a lead in the tables of all crates. Reads every body in quarantine, and blocks
    /// no writer. Holds the result in memory: at most 1,000 rows of each table for each lead.
    pub async fn export(&self, email: &EmailAddress, rows: &[LeadRows]) -> Result<PersonExport> {
        let person = Person::of(email);
        let mut reader = self.database.pool().acquire().await?;
        let mut ids: Vec<LeadId> =
            leads_of(&mut reader, &person).await?.into_iter().map(|(lead, _)| lead).collect();
        let [own, untagged, as_given] = person.hashes();
        let query = sqlx::query("SELECT lead_id FROM erased_lead WHERE email_hash IN ($1, $2, $3)");
        let erased = query.bind(&own).bind(&untagged).bind(&as_given).fetch_all(&mut reader).await?;
        for row in &erased {
            let lead = row.id("lead_id")?;
            if !ids.contains(&lead) {
                ids.push(lead);
            }
        }
        let mut leads = Vec::with_capacity(ids.len());
        for lead in ids {
            leads.push(export_lead(&mut reader, lead, rows).await?);
        }
        let mut bodies = Map::new();
        for kind in &BODIES {
            let mut found = Vec::new();
            for id in kind.mentioning(&mut reader, &person, i64::MIN).await? {
                found.extend(rows_where(&mut reader, kind.table, kind.key, &id).await?);
            }
            if kind.is_base64 {
                found.iter_mut().for_each(decode_body);
            }
            if !found.is_empty() {
                bodies.insert(kind.table.to_owned(), found.into());
            }
        }
        let domains = parents(person.domain());
        let listed: Vec<_> = [own.clone(), untagged, as_given].into_iter().chain(domains).collect();
        let mut suppression = Map::new();
        for table in ["suppression", "suppression_removal"] {
            let mut found: Vec<Value> = Vec::new();
            for entry in &listed {
                let entries = rows_where(&mut reader, table, "entry", entry).await?;
                found.extend(entries.into_iter().filter(|entry| !found.contains(entry)).collect::<Vec<_>>());
            }
            if !found.is_empty() {
                suppression.insert(table.to_owned(), found.into());
            }
        }
        let company = rows_where(&mut reader, "enrichment_answer", "domain", person.domain()).await?;
        Ok(PersonExport {
            email_sha256: own,
            at: self.clock.now(),
            leads,
            bodies: bodies.into(),
            suppression: suppression.into(),
            company: company.into(),
        })
    }
}

async fn export_lead(connection: &mut Connection, lead_id: LeadId, rows: &[LeadRows]) -> Result<LeadExport> {
    let (mut tables, mut incomplete) = (Map::new(), Vec::new());
    for of_lead in OTHERS.iter().chain(rows) {
        let (table, condition) = (of_lead.table, of_lead.condition());
        let sql = format!("SELECT * FROM {table} WHERE {condition} LIMIT {}", MAX_ROWS + 1);
        let query = sqlx::query(AssertSqlSafe(sql)).bind(lead_id.as_str()); // composed of constants
        let mut found: Vec<_> = query.fetch_all(&mut *connection).await?.iter().map(to_value).collect();
        if i64::try_from(found.len()).is_ok_and(|rows| rows > MAX_ROWS) {
            found.pop();
            incomplete.push(table.to_owned());
        }
        if !found.is_empty() {
            tables.insert(table.to_owned(), found.into());
        }
    }
    Ok(LeadExport { lead_id, tables, incomplete })
}

async fn rows_where(
    connection: &mut Connection,
    table: &'static str,
    column: &'static str,
    value: &str,
) -> Result<Vec<Value>> {
    let sql = format!("SELECT * FROM {table} WHERE {column} = $1 LIMIT {MAX_ROWS}");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(value.to_owned()); // composed of constants
    Ok(query.fetch_all(connection).await?.iter().map(to_value).collect())
}

/// A row as a JSON object. All columns are texts or numbers; NULLs are left out.
fn to_value(row: &AnyRow) -> Value {
    let mut values = Map::new();
    for column in row.columns() {
        let (name, at) = (column.name(), column.ordinal());
        let text = row.try_get::<Option<String>, _>(at).ok().flatten();
        let number = row.try_get::<Option<i64>, _>(at).ok().flatten();
        let value = match (text, number) {
            (Some(text), _) => match text.as_bytes().first() {
                // A column of JSON objects or lists. A text that only looks like one stays a text.
                Some(b'{' | b'[') => serde_json::from_str(&text).unwrap_or(Value::String(text)),
                _ => Value::String(text),
            },
            (None, Some(millis)) if name == "at" || name.ends_with("_at") => {
                json!(database::from_millis(millis))
            }
            (None, Some(number)) => number.into(),
            (None, None) => continue,
        };
        values.insert(name.to_owned(), value);
    }
    values.into()
}

/// Replaces a body in base64 by its text, if it is text.
fn decode_body(row: &mut Value) {
    let text = row["body"].as_str().and_then(|body| STANDARD.decode(body).ok());
    if let Some(text) = text.and_then(|bytes| String::from_utf8(bytes).ok()) {
        row["body"] = text.into();
    }
}

/// A domain and its parent domains.
fn parents(domain: &str) -> Vec<String> {
    let domains =
        std::iter::successors(Some(domain), |domain| domain.split_once('.').map(|(_, above)| above));
    domains.filter(|domain| domain.contains('.')).map(str::to_owned).collect()
}
