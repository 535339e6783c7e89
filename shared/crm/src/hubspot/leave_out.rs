//! Record writes that omit the properties which `HubSpot` refuses by name.

use serde_json::{Map, Value};

use super::api::Api;
use super::errors::{Invalid, Reason, Refusal};
use super::records::{By, Row, Rows, Written};

/// How often a record is sent again without the refused properties. One reply may name only one of them.
const MAX_ROUNDS: usize = 5;

/// A row of a batch that is not written yet, or the result of one that is.
struct Pending<'a> {
    row: Row,
    by: &'a By,
    left_out: Vec<Invalid>,
    rounds: usize,
    result: Option<Result<Written, Refusal>>,
}

impl Api {
    /// Writes records, omitting the properties that `HubSpot` refuses by name. Returns one result per row, in
    /// order.
    ///
    /// A refusal of the whole call may concern one row only. The batch is then halved until that row is
    /// alone, so that a value of one record does not block the others. A failure that concerns no row is the
    /// result of each.
    pub(super) async fn write_records(&self, object: &str, by: &By, records: Vec<Row>) -> Rows {
        let pending = |row| Pending { row, by, left_out: Vec::new(), rounds: 0, result: None };
        let mut all: Vec<Pending<'_>> = records.into_iter().map(pending).collect();
        let mut batches: Vec<Vec<usize>> = vec![(0..all.len()).collect()];
        while let Some(batch) = batches.pop() {
            if batch.is_empty() {
                continue;
            }
            let rows: Vec<Row> = batch.iter().map(|index| all[*index].row.clone()).collect();
            match self.write_rows(object, by, &rows).await {
                Ok(rows) => {
                    for (index, result) in batch.iter().zip(rows) {
                        all[*index].take(result);
                    }
                }
                Err(refused) if batch.len() > 1 && refused.kind.may_concern_one_row() => {
                    // A property that is missing or read-only is so for every row.
                    let mut is_reduced = false;
                    for index in &batch {
                        is_reduced |= all[*index].leave_out(&refused, Reason::concerns_the_property);
                    }
                    if !is_reduced {
                        let (left, right) = batch.split_at(batch.len() / 2);
                        batches.extend([right.to_vec(), left.to_vec()]);
                        continue;
                    }
                }
                Err(refused) => {
                    for index in &batch {
                        all[*index].take(Err(refused.clone()));
                    }
                }
            }
            batches.push(batch.into_iter().filter(|index| all[*index].result.is_none()).collect());
        }
        all.into_iter().map(Pending::into_result).collect()
    }
}

impl Pending<'_> {
    /// Stores a result, unless the row can be sent again without refused properties.
    fn take(&mut self, result: Result<Written, Refusal>) {
        if let Err(refused) = &result
            && self.leave_out(refused, |_| true)
        {
            return;
        }
        self.result = Some(result);
    }

    /// Removes the refused properties whose reason matches. Returns whether there were any.
    fn leave_out(&mut self, refused: &Refusal, matches: impl Fn(Reason) -> bool) -> bool {
        if self.rounds >= MAX_ROUNDS {
            return false;
        }
        let removed = remove_refused(&mut self.row.fields, self.by, refused, matches);
        let is_reduced = !removed.is_empty();
        self.rounds += usize::from(is_reduced);
        self.left_out.extend(removed);
        if is_reduced && *self.by == By::Id && self.row.fields.is_empty() {
            self.result = Some(Ok(Written::unchanged(&self.row.id)));
        }
        is_reduced
    }

    fn into_result(self) -> Result<Written, Refusal> {
        let written = self.result.unwrap_or_else(|| Err(super::errors::unanswered_row()))?;
        Ok(Written { left_out: self.left_out, ..written })
    }
}

/// Removes the refused properties from `fields` and returns them.
///
/// Unique values of another record stay, since they are conflicts, and so does the key of a new record.
fn remove_refused(
    fields: &mut Map<String, Value>,
    by: &By,
    refused: &Refusal,
    matches: impl Fn(Reason) -> bool,
) -> Vec<Invalid> {
    let is_key = |name: &str| matches!(by, By::Create(unique) | By::Upsert(unique) if unique == name);
    let is_removable =
        |one: &&Invalid| one.reason != Reason::Taken && !is_key(&one.property) && matches(one.reason);
    let named: Vec<Invalid> = refused.removable().iter().filter(is_removable).cloned().collect();
    named.into_iter().filter(|one| fields.remove(&one.property).is_some()).collect()
}
