use std::sync::Arc;

use async_trait::async_trait;
use database::{Database, DatabaseError, Group, IdOfLead, LeadRows, SharedReads, to_millis};
use futures::FutureExt as _;
use lead::{Clock, Failure, LeadId};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use sqlx::Row;
use sqlx::any::AnyRow;

mod records;
mod writes;

use self::records::{Key, key_of, read_all};
use self::writes::{Writes, decide};
use crate::{
    About, Effect, Executor, FieldChange, Known, KnownLead, Mapping, Mode, Object, PlannedAction,
    PresentRecord, RecordWrite, Restored, SchemaProblem,
};

/// The rows of a lead in the tables of this crate.
pub const LEAD_ROWS: [LeadRows; 1] =
    [LeadRows { table: "mock_crm_record", column: "external_id", holds: IdOfLead::Record }];

/// A CRM in a table of our own database, with the relevant behaviour of the real ones: records are found and
/// written by external id, fields are merged by the rules of a mapping, and a record keeps its id. It accepts
/// every field, and holds only our own writes.
#[derive(Clone)]
pub struct MockCrm {
    database: Database,
    clock: Arc<dyn Clock>,
    mapping: Arc<Mapping>,
    writes: Arc<Group<Writes>>,
    reads: Arc<SharedReads<Vec<Key>, Vec<Option<MockRecord>>>>,
}

/// A record of the mock CRM. Its `Debug` hides the fields, which are personal.
#[derive(Clone, PartialEq)]
pub struct MockRecord {
    /// The kind of record, as written by [`Object::as_str`].
    pub object: String,
    /// The external id.
    pub external_id: String,
    /// The CRM's own id.
    pub record_id: String,
    /// The fields, by our names.
    pub fields: Map<String, Value>,
    /// The number of writes; 1 for a record that was only created.
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
    ///
    /// # Panics
    ///
    /// Never: its mapping is built in.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        let mapping = Mapping::default_for("mock").expect("there is a built-in mapping for the mock CRM");
        Self::with(database, clock, Arc::new(mapping))
    }

    fn with(database: Database, clock: Arc<dyn Clock>, mapping: Arc<Mapping>) -> Self {
        let writes = Writes { clock: Arc::clone(&clock), mapping: Arc::clone(&mapping) };
        let writes = Arc::new(Group::new(database.clone(), writes));
        let read_from = database.clone();
        let reads = SharedReads::new(move |calls| {
            let database = read_from.clone();
            async move { read_all(&database, calls).await }.boxed()
        });
        Self { database, clock, mapping, writes, reads: Arc::new(reads) }
    }

    /// Replaces the built-in mapping.
    #[must_use]
    pub fn with_mapping(self, mapping: Arc<Mapping>) -> Self {
        Self::with(self.database, self.clock, mapping)
    }

    /// Reads one record.
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

    /// Reads at most `limit` records, most recently written first.
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

    fn decide(
        &self,
        lead: &LeadId,
        planned: &PlannedAction,
        present: Option<&PresentRecord>,
    ) -> Option<RecordWrite> {
        decide(&self.mapping, lead, planned, present)
    }

    /// The present records of a lead's actions, in their order. Leads that ask at the same time share the
    /// statement.
    async fn present(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
    ) -> Result<Vec<Option<PresentRecord>>, Failure> {
        let keys = actions.iter().map(|planned| key_of(lead, planned)).collect();
        let records = self.reads.read(keys).await?;
        Ok(records.into_iter().map(|record| record.map(PresentRecord::from)).collect())
    }

    async fn put_back(&self, change: &FieldChange, old: Value) -> Result<(), DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let row = sqlx::query(
            "UPDATE mock_crm_record SET writes = writes + 1, updated_at = $1 \
             WHERE object = $2 AND external_id = $3 RETURNING fields",
        )
        .bind(to_millis(self.clock.now()))
        .bind(change.object.as_str())
        .bind(&change.external_id)
        .fetch_one(&mut *transaction)
        .await?;
        let mut fields = fields_of(&row)?;
        if old.is_null() {
            fields.remove(&change.field);
        } else {
            fields.insert(change.field.clone(), old);
        }
        sqlx::query("UPDATE mock_crm_record SET fields = $1 WHERE object = $2 AND external_id = $3")
            .bind(Value::Object(fields).to_string())
            .bind(change.object.as_str())
            .bind(&change.external_id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

#[async_trait]
impl Executor for MockCrm {
    fn provider(&self) -> &'static str {
        "mock"
    }

    async fn execute(&self, lead: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        match self.writes.call(lead.as_str(), (lead.clone(), actions.to_vec())).await {
            Ok(results) => results,
            Err(error) => {
                // The transaction is committed or rolled back as a whole, but its outcome is unknown.
                let failure = Failure::from(error);
                actions.iter().map(|_| Err(failure.clone())).collect()
            }
        }
    }

    async fn find(&self, lead: &LeadId, action: &PlannedAction) -> Result<Option<Effect>, Failure> {
        let Some(record) = self.record(action.action.object(), action.external_id(lead)).await? else {
            return Ok(None);
        };
        let created = action.action.mode() != Mode::Update && record.writes == 1;
        let present = PresentRecord::from(record);
        let in_place = self.decide(lead, action, Some(&present)).is_none_or(|write| write.is_up_to_date());
        Ok(in_place.then(|| Effect::new(present.record_id, created)))
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(self.database.ping().await?)
    }

    async fn facts(&self, about: &About) -> Result<Known, Failure> {
        let record = self.record(Object::Lead, about.lead_id.as_str()).await?;
        let lead = record.map(|record| {
            let text = |name: &str| record.fields.get(name).and_then(Value::as_str).map(str::to_owned);
            KnownLead { status: text("status"), owner_id: text("owner"), converted: false }
        });
        Ok(Known { lead, ..Known::default() })
    }

    fn has_external_facts(&self) -> bool {
        false
    }

    async fn preview(&self, lead: &LeadId, actions: &[PlannedAction]) -> Result<Vec<FieldChange>, Failure> {
        let present = self.present(lead, actions).await?;
        let writes = actions.iter().zip(&present);
        let writes = writes.filter_map(|(planned, present)| self.decide(lead, planned, present.as_ref()));
        Ok(writes.flat_map(|write| write.changes).collect())
    }

    async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure> {
        Ok(Vec::new())
    }

    async fn restore(&self, changes: &[FieldChange]) -> Result<Vec<Restored>, Failure> {
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            let present = self.record(change.object, &change.external_id).await?.map(PresentRecord::from);
            match change.restorable(None, present.as_ref()) {
                Err(reason) => results.push(reason),
                Ok(old) => {
                    self.put_back(change, old).await?;
                    results.push(Restored::PutBack);
                }
            }
        }
        Ok(results)
    }
}

impl From<MockRecord> for PresentRecord {
    fn from(record: MockRecord) -> Self {
        Self { record_id: record.record_id, fields: record.fields, adopted: false }
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
}

fn fields_of(row: &AnyRow) -> Result<Map<String, Value>, DatabaseError> {
    let text: String = row.try_get("fields")?;
    // The parser's error text may quote the value.
    let unreadable =
        |_| DatabaseError::Corrupt { what: "mock_crm_record.fields", why: "not a JSON object".into() };
    serde_json::from_str(&text).map_err(unreadable)
}

/// An id in Salesforce's format: 18 characters, with a prefix of three for the object. A record has the same
/// id in every run.
fn record_id(object: Object, external_id: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let prefix = match object {
        Object::Lead => "00Q",
        Object::Task => "00T",
        Object::Activity => "00U",
        Object::Contact => "003",
        Object::Opportunity => "006",
        Object::Company => "001",
    };
    let hash = Sha256::digest(format!("{}:{external_id}", object.as_str()));
    let digits = hash.iter().take(15).map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()]));
    prefix.chars().chain(digits).collect()
}
