//! Reading of several records at once.

use std::collections::{BTreeMap, BTreeSet};

use database::{Backend, Connection, Database, DatabaseError, Rows};
use lead::LeadId;
use sqlx::any::AnyRow;

use super::MockRecord;
use crate::PlannedAction;

/// The kind of record and its external id.
pub(super) type Key = (String, String);

/// Whether records are locked until the transaction ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    None,
    Write,
}

pub(super) fn key_of(lead: &LeadId, planned: &PlannedAction) -> Key {
    (planned.action.object().as_str().to_owned(), planned.external_id(lead).to_owned())
}

/// Reads the records of several calls, in the order of the keys of each.
pub(super) async fn read_all(
    database: &Database,
    calls: Vec<Vec<Key>>,
) -> Result<Vec<Vec<Option<MockRecord>>>, DatabaseError> {
    let keys = calls.iter().flatten().cloned().collect();
    let mut connection = database.pool().acquire().await?;
    let records = read_records(&mut connection, &keys, Lock::None).await?;
    let of_call = |keys: Vec<Key>| keys.iter().map(|key| records.get(key).cloned()).collect();
    Ok(calls.into_iter().map(of_call).collect())
}

/// Reads those of the records that exist.
pub(super) async fn read_records(
    connection: &mut Connection,
    keys: &BTreeSet<Key>,
    lock: Lock,
) -> Result<BTreeMap<Key, MockRecord>, DatabaseError> {
    let mut rows = Rows::new(["object", "external_id"]);
    for (object, external_id) in keys {
        rows.push([object.as_str().into(), external_id.as_str().into()]);
    }
    macro_rules! select {
        ($end:literal) => {
            concat!(
                "SELECT r.object, r.external_id, r.record_id, r.fields, r.writes FROM given JOIN mock_crm_record r \
                 ON r.object = given.object AND r.external_id = given.external_id",
                $end
            )
        };
    }
    // SQLite has one writer at a time.
    let read = match (connection.backend(), lock) {
        (Backend::Postgres, Lock::Write) => select!(" ORDER BY r.object, r.external_id FOR UPDATE OF r"),
        _ => select!(""),
    };
    let rows = rows.fetch_all(connection, read).await?;
    let record = |row: &AnyRow| {
        let record = MockRecord::of_row(row)?;
        Ok(((record.object.clone(), record.external_id.clone()), record))
    };
    rows.iter().map(record).collect()
}
