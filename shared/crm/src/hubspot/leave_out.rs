//! Record writes that omit the properties which `HubSpot` refuses by name.

use serde_json::{Map, Value};

use super::api::Api;
use super::errors::{Invalid, Reason, Refusal, RefusalKind};
use super::records::{Rows, Written};

/// How often a record is sent again without the refused properties. One reply may name only one of them.
const MAX_ROUNDS: usize = 5;

/// A record to write: its `HubSpot` id or its value of a unique property, and its fields.
pub(super) type Row = (String, Map<String, Value>);

/// How records are identified in a write.
#[derive(Clone, Copy, Debug)]
pub(super) enum By<'a> {
    /// Upsert by this unique property.
    Upsert(&'a str),
    /// Update by `HubSpot`'s id.
    Id,
}

impl Api {
    /// Writes records, omitting the properties that `HubSpot` refuses by name. Returns one result per row, in
    /// order.
    ///
    /// An invalid property makes `HubSpot` refuse the whole batch. The records are then sent one by one, so
    /// that a value of one record does not block the others.
    pub(super) async fn write_records(
        &self,
        object: &str,
        by: By<'_>,
        records: &[Row],
    ) -> Result<Rows, Refusal> {
        let mut rows = match self.write_once(object, by, records).await {
            Ok(rows) => rows,
            Err(refused) if refused.kind == RefusalKind::Invalid && records.len() == 1 => vec![Err(refused)],
            Err(refused) if refused.kind == RefusalKind::Invalid => {
                let mut rows = Rows::with_capacity(records.len());
                for record in records {
                    rows.push(self.write_single(object, by, record).await);
                }
                rows
            }
            Err(refused) => return Err(refused),
        };
        for (row, (id, fields)) in rows.iter_mut().zip(records) {
            let mut fields = fields.clone();
            let mut left_out: Vec<Invalid> = Vec::new();
            for _ in 0..MAX_ROUNDS {
                let Err(refused) = &*row else { break };
                let removed = remove_refused(&mut fields, by, refused);
                if removed.is_empty() {
                    break;
                }
                left_out.extend(removed);
                *row = match by {
                    By::Id if fields.is_empty() => Ok(Written::unchanged(id)),
                    _ => self.write_single(object, by, &(id.clone(), fields.clone())).await,
                };
            }
            if let Ok(written) = row {
                written.left_out = left_out;
            }
        }
        Ok(rows)
    }

    async fn write_single(&self, object: &str, by: By<'_>, record: &Row) -> Result<Written, Refusal> {
        let mut rows = self.write_once(object, by, std::slice::from_ref(record)).await?;
        rows.pop().unwrap_or_else(|| Err(super::errors::unanswered_row()))
    }

    async fn write_once(&self, object: &str, by: By<'_>, records: &[Row]) -> Result<Rows, Refusal> {
        match by {
            By::Upsert(unique) => self.upsert(object, unique, records).await,
            By::Id => self.update(object, records).await,
        }
    }
}

/// Removes the refused properties from `fields` and returns them.
///
/// Unique values of another record stay, since they are conflicts, and so does the key of an upsert.
fn remove_refused(fields: &mut Map<String, Value>, by: By<'_>, refused: &Refusal) -> Vec<Invalid> {
    if refused.kind != RefusalKind::Invalid {
        return Vec::new();
    }
    let is_key = |name: &str| matches!(by, By::Upsert(unique) if unique == name);
    let is_removable = |one: &&Invalid| one.reason != Reason::Taken && !is_key(&one.property);
    let named: Vec<Invalid> = refused.invalid.iter().filter(is_removable).cloned().collect();
    named.into_iter().filter(|one| fields.remove(&one.property).is_some()).collect()
}
