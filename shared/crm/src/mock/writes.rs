//! Writes of several leads in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use database::{Connection, DatabaseError, GroupWrite, Rows, to_millis};
use lead::{Clock, Failure, LeadId};
use serde_json::{Map, Value};

use super::records::{Key, Lock, key_of, read_records};
use super::{MockRecord, record_id};
use crate::{Effect, Mapping, Mode, PlannedAction, PresentRecord, RecordWrite};

/// The writes to the mock CRM.
pub(super) struct Writes {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) mapping: Arc<Mapping>,
}

/// A record while a group of leads is written.
struct Record {
    id: String,
    fields: Map<String, Value>,
    /// The number of writes so far; 0 for a record that does not exist.
    writes: i64,
    stored_writes: i64,
}

#[async_trait]
impl GroupWrite for Writes {
    type Call = (LeadId, Vec<PlannedAction>);
    type Reply = Vec<Result<Effect, Failure>>;

    async fn write(
        &self,
        connection: &mut Connection,
        calls: &[Self::Call],
    ) -> Result<Vec<Self::Reply>, DatabaseError> {
        let mut records = read(connection, calls).await?;
        let replies = calls.iter().map(|(lead, actions)| self.run(lead, actions, &mut records)).collect();
        store(connection, records, to_millis(self.clock.now())).await?;
        Ok(replies)
    }
}

impl Writes {
    /// Runs the actions of a lead, in order, up to the first refused one.
    fn run(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        records: &mut BTreeMap<Key, Record>,
    ) -> Vec<Result<Effect, Failure>> {
        let mut results = Vec::with_capacity(actions.len());
        for planned in actions {
            let result = self.run_one(lead, planned, records);
            let refused = result.is_err();
            results.push(result);
            if refused {
                break;
            }
        }
        results
    }

    fn run_one(
        &self,
        lead: &LeadId,
        planned: &PlannedAction,
        records: &mut BTreeMap<Key, Record>,
    ) -> Result<Effect, Failure> {
        let (object, mode) = (planned.action.object(), planned.action.mode());
        let key = key_of(lead, planned);
        if mode == Mode::Update && !records.contains_key(&key) {
            let message = format!("there is no {} to change", object.as_str());
            return Err(Failure::permanent("crm_record_missing", message));
        }
        let new =
            || Record { id: record_id(object, &key.1), fields: Map::new(), writes: 0, stored_writes: 0 };
        let record = records.entry(key.clone()).or_insert_with(new);
        let created = record.writes == 0;
        let effect = Effect::new(record.id.as_str(), created);
        if mode == Mode::Create && !created {
            return Ok(effect);
        }
        let present = (!created).then(|| PresentRecord {
            record_id: record.id.clone(),
            fields: record.fields.clone(),
            adopted: false,
        });
        record.writes += 1;
        let Some(write) = decide(&self.mapping, lead, planned, present.as_ref()) else { return Ok(effect) };
        record.fields.extend(write.fields());
        Ok(effect.without(write.omissions()))
    }
}

/// The fields that an action writes to its record.
pub(super) fn decide(
    mapping: &Mapping,
    lead: &LeadId,
    planned: &PlannedAction,
    present: Option<&PresentRecord>,
) -> Option<RecordWrite> {
    let (target, id) = (planned.action.object(), planned.external_id(lead));
    RecordWrite::resolve(mapping, None, planned, target, id, present)
}

/// Reads the present records of the actions, and locks them until the transaction ends.
async fn read(
    connection: &mut Connection,
    calls: &[(LeadId, Vec<PlannedAction>)],
) -> Result<BTreeMap<Key, Record>, DatabaseError> {
    let keys: BTreeSet<Key> = (calls.iter())
        .flat_map(|(lead, actions)| actions.iter().map(|planned| key_of(lead, planned)))
        .collect();
    let records = read_records(connection, &keys, Lock::Write).await?;
    let records = records.into_iter().map(|(key, MockRecord { record_id: id, fields, writes, .. })| {
        (key, Record { id, fields, writes, stored_writes: writes })
    });
    Ok(records.collect())
}

/// Stores the records that were written. A record that another transaction has created since it was read
/// fails the insertion, and with it the transaction.
async fn store(
    connection: &mut Connection,
    records: BTreeMap<Key, Record>,
    now: i64,
) -> Result<(), DatabaseError> {
    let columns = ["object", "external_id", "record_id", "fields", "writes", "now"];
    let (mut created, mut changed) = (Rows::new(columns), Rows::new(columns));
    for ((object, external_id), record) in records {
        if record.writes == record.stored_writes {
            continue;
        }
        let rows = if record.stored_writes == 0 { &mut created } else { &mut changed };
        rows.push([
            object.into(),
            external_id.into(),
            record.id.into(),
            Value::Object(record.fields).to_string().into(),
            record.writes.into(),
            now.into(),
        ]);
    }
    created
        .execute(
            connection,
            "INSERT INTO mock_crm_record (object, external_id, record_id, fields, writes, created_at, updated_at) \
             SELECT object, external_id, record_id, fields, writes, now, now FROM given",
        )
        .await?;
    changed
        .execute(
            connection,
            "UPDATE mock_crm_record SET fields = given.fields, writes = given.writes, updated_at = given.now \
             FROM given WHERE mock_crm_record.object = given.object \
             AND mock_crm_record.external_id = given.external_id",
        )
        .await?;
    Ok(())
}
