//! Writing the rest of a record where `HubSpot` refuses some of its properties by name.

use serde_json::{Map, Value};

use super::api::Api;
use super::errors::{Invalid, Meaning, Reason, Refused};
use super::records::{Rows, Written};

/// How often a record is sent again without what was refused. One answer may name one property only.
const MAX_ROUNDS: usize = 5;

/// A record's id, by the CRM or by a unique property, and what is written to it.
pub(super) type Row = (String, Map<String, Value>);

/// How records are written.
#[derive(Clone, Copy, Debug)]
pub(super) enum By<'a> {
    /// Created or changed by this unique property.
    Upsert(&'a str),
    /// Changed by `HubSpot`'s id.
    Id,
}

impl Api {
    /// Writes records, each without the properties that `HubSpot` refuses by name. One result for each row, in order.
    ///
    /// An invalid property refuses the whole call: then each record is sent by itself, so that one record's value does not
    /// stop the others.
    pub(super) async fn write_records(
        &self,
        object: &str,
        by: By<'_>,
        records: &[Row],
    ) -> Result<Rows, Refused> {
        let mut rows = match self.write_once(object, by, records).await {
            Ok(rows) => rows,
            Err(refused) if refused.meaning == Meaning::Invalid && records.len() == 1 => vec![Err(refused)],
            Err(refused) if refused.meaning == Meaning::Invalid => {
                let mut rows = Rows::with_capacity(records.len());
                for record in records {
                    rows.push(self.write_alone(object, by, record).await);
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
                let named = take_out(&mut fields, by, refused);
                if named.is_empty() {
                    break;
                }
                left_out.extend(named);
                *row = match by {
                    By::Id if fields.is_empty() => Ok(Written::untouched(id)),
                    _ => self.write_alone(object, by, &(id.clone(), fields.clone())).await,
                };
            }
            if let Ok(written) = row {
                written.left_out = left_out;
            }
        }
        Ok(rows)
    }

    async fn write_alone(&self, object: &str, by: By<'_>, record: &Row) -> Result<Written, Refused> {
        let mut rows = self.write_once(object, by, std::slice::from_ref(record)).await?;
        rows.pop().unwrap_or_else(|| Err(super::errors::unanswered_row()))
    }

    async fn write_once(&self, object: &str, by: By<'_>, records: &[Row]) -> Result<Rows, Refused> {
        match by {
            By::Upsert(unique) => self.upsert(object, unique, records).await,
            By::Id => self.update(object, records).await,
        }
    }
}

/// Takes the refused properties out of what is sent. A unique value that another record has is a conflict, and what names
/// the record is never left out.
fn take_out(fields: &mut Map<String, Value>, by: By<'_>, refused: &Refused) -> Vec<Invalid> {
    if refused.meaning != Meaning::Invalid {
        return Vec::new();
    }
    let is_key = |name: &str| matches!(by, By::Upsert(unique) if unique == name);
    let may_go = |one: &&Invalid| one.reason != Reason::Taken && !is_key(&one.property);
    let named: Vec<Invalid> = refused.invalid.iter().filter(may_go).cloned().collect();
    named.into_iter().filter(|one| fields.remove(&one.property).is_some()).collect()
}
