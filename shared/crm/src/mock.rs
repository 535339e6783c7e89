use std::sync::Arc;

use async_trait::async_trait;
use database::{Connection, Database, DatabaseError, to_millis};
use lead::{Clock, Failure, LeadId};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::{Effect, Executor, Mode, Object, PlannedAction};

/// A CRM in a table of our own database, which behaves as the real ones do where it matters: records are found and
/// written by external id, fields are merged, and a record keeps its id.
#[derive(Clone)]
pub struct MockCrm {
    database: Database,
    clock: Arc<dyn Clock>,
}

/// A record of the mock CRM. Its `Debug` hides the fields, which are personal.
#[derive(Clone, PartialEq)]
pub struct MockRecord {
    /// What kind of record, as [`Object::as_str`] writes it.
    pub object: String,
    /// The external id it was written by.
    pub external_id: String,
    /// The CRM's own id.
    pub record_id: String,
    /// Its fields, by our names.
    pub fields: Map<String, Value>,
    /// How often it was written; 1 where it was only created.
    pub writes: i64,
}

impl std::fmt::Debug for MockRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MockRecord")
            .field("object", &self.object)
            .field("external_id", &self.external_id)
            .field("record_id", &self.record_id)
            .field("writes", &self.writes)
            .finish_non_exhaustive()
    }
}

impl MockCrm {
    /// The mock CRM of a migrated database.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    /// One record.
    pub async fn record(&self, object: Object, external_id: &str) -> Result<Option<MockRecord>, Failure> {
        let row = sqlx::query(
            "SELECT object, external_id, record_id, fields, writes FROM mock_crm_record \
             WHERE object = $1 AND external_id = $2",
        )
        .bind(object.as_str())
        .bind(external_id)
        .fetch_optional(self.database.pool())
        .await
        .map_err(DatabaseError::from)?;
        Ok(row.as_ref().map(MockRecord::of_row).transpose()?)
    }

    /// At most `limit` records, those written last first.
    pub async fn records(&self, limit: u32) -> Result<Vec<MockRecord>, Failure> {
        let rows = sqlx::query(
            "SELECT object, external_id, record_id, fields, writes FROM mock_crm_record \
             ORDER BY updated_at DESC, object, external_id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.database.pool())
        .await
        .map_err(DatabaseError::from)?;
        Ok(rows.iter().map(MockRecord::of_row).collect::<Result<_, _>>()?)
    }

    /// Does the actions in one transaction: each in its turn, up to the first that is refused.
    async fn write(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
    ) -> Result<Vec<Result<Effect, Failure>>, DatabaseError> {
        let now = to_millis(self.clock.now());
        let mut transaction = self.database.begin().await?;
        let mut results = Vec::with_capacity(actions.len());
        for planned in actions {
            let result = write_one(&mut transaction, lead, planned, now).await?;
            let refused = result.is_err();
            results.push(result);
            if refused {
                break;
            }
        }
        transaction.commit().await?;
        Ok(results)
    }
}

#[async_trait]
impl Executor for MockCrm {
    fn provider(&self) -> &'static str {
        "mock"
    }

    async fn execute(&self, lead: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        match self.write(lead, actions).await {
            Ok(results) => results,
            Err(error) => {
                // All of it or nothing of it was committed, and which of the two is not known.
                let failure = Failure::from(error);
                actions.iter().map(|_| Err(failure.clone())).collect()
            }
        }
    }

    async fn find(&self, lead: &LeadId, action: &PlannedAction) -> Result<Option<Effect>, Failure> {
        let record = self.record(action.action.object(), action.external_id(lead)).await?;
        let mode = action.action.mode();
        Ok(record.filter(|record| mode == Mode::Create || record.holds(&action.action.fields())).map(
            |record| {
                let created = mode != Mode::Update && record.writes == 1;
                Effect { record_id: record.record_id, created }
            },
        ))
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(self.database.ping().await?)
    }
}

impl MockRecord {
    fn of_row(row: &AnyRow) -> Result<Self, DatabaseError> {
        Ok(Self {
            object: row.try_get("object")?,
            external_id: row.try_get("external_id")?,
            record_id: row.try_get("record_id")?,
            fields: fields_of(row)?,
            writes: row.try_get("writes")?,
        })
    }

    fn holds(&self, fields: &Map<String, Value>) -> bool {
        fields.iter().all(|(name, value)| self.fields.get(name) == Some(value))
    }
}

fn fields_of(row: &AnyRow) -> Result<Map<String, Value>, DatabaseError> {
    let text: String = row.try_get("fields")?;
    // The error's own text may quote the value.
    let unreadable =
        |_| DatabaseError::Corrupt { what: "mock_crm_record.fields", why: "not a JSON object".into() };
    serde_json::from_str(&text).map_err(unreadable)
}

async fn write_one(
    connection: &mut Connection,
    lead: &LeadId,
    planned: &PlannedAction,
    now: i64,
) -> Result<Result<Effect, Failure>, DatabaseError> {
    let (object, mode) = (planned.action.object(), planned.action.mode());
    let external_id = planned.external_id(lead);
    // Either statement also locks the row until the end of the transaction.
    let row = if mode == Mode::Update {
        sqlx::query(
            "UPDATE mock_crm_record SET updated_at = updated_at WHERE object = $1 AND external_id = $2 \
             RETURNING record_id, fields, writes",
        )
        .bind(object.as_str())
        .bind(external_id)
        .fetch_optional(&mut *connection)
        .await?
    } else {
        sqlx::query(
            "INSERT INTO mock_crm_record (object, external_id, record_id, fields, writes, created_at, updated_at) \
             VALUES ($1, $2, $3, '{}', 0, $4, $4) \
             ON CONFLICT (object, external_id) DO UPDATE SET updated_at = mock_crm_record.updated_at \
             RETURNING record_id, fields, writes",
        )
        .bind(object.as_str())
        .bind(external_id)
        .bind(record_id(object, external_id))
        .bind(now)
        .fetch_optional(&mut *connection)
        .await?
    };
    let Some(row) = row else {
        let message = format!("there is no {} to change", object.as_str());
        return Ok(Err(Failure::permanent("crm_record_missing", message)));
    };
    let created = row.try_get::<i64, _>("writes")? == 0;
    let effect = Effect { record_id: row.try_get("record_id")?, created };
    if mode == Mode::Create && !created {
        return Ok(Ok(effect));
    }
    let mut fields = fields_of(&row)?;
    fields.extend(planned.action.fields());
    sqlx::query(
        "UPDATE mock_crm_record SET fields = $1, writes = writes + 1, updated_at = $2 \
         WHERE object = $3 AND external_id = $4",
    )
    .bind(Value::Object(fields).to_string())
    .bind(now)
    .bind(object.as_str())
    .bind(external_id)
    .execute(&mut *connection)
    .await?;
    Ok(Ok(effect))
}

/// An id that looks like Salesforce's: 18 characters, the first three telling the object. The same record has the same id
/// in every run.
fn record_id(object: Object, external_id: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let prefix = match object {
        Object::Lead => "00Q",
        Object::Task => "00T",
        Object::Activity => "00U",
        Object::Contact => "003",
        Object::Opportunity => "006",
    };
    let hash = Sha256::digest(format!("{}:{external_id}", object.as_str()));
    let digits = hash.iter().take(15).map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()]));
    prefix.chars().chain(digits).collect()
}
