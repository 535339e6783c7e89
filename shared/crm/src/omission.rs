//! Fields of an action that had a value but were not written to the CRM.

use serde::{Deserialize, Serialize};

use crate::write::is_owner;
use crate::{FieldChange, LeftOut, Object, RecordWrite};

/// A field that was left out of a write. Holds only names, no values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Omission {
    /// The kind of record, such as `lead` or `task`.
    #[schema(value_type = String)]
    pub object: Object,
    /// The CRM's name of the field.
    pub field: String,
    /// The source of the value, as the mapping names it.
    pub source: String,
    /// The reason.
    pub reason: LeftOut,
}

impl Omission {
    /// Whether the field is the record's owner.
    pub fn is_owner(&self) -> bool {
        is_owner(&self.source)
    }
}

impl RecordWrite {
    /// The fields left out for a reported reason ([`LeftOut::is_reported`]), in the mapping's order.
    pub fn omissions(&self) -> impl Iterator<Item = Omission> {
        self.changes.iter().filter_map(|change| {
            let reason = change.left_out.filter(|reason| reason.is_reported())?;
            Some(Omission {
                object: self.object,
                field: change.field.clone(),
                source: change.source.clone(),
                reason,
            })
        })
    }

    /// Converts the write to one for a record that people have deleted: no field is written, and each has a
    /// reason.
    #[must_use]
    pub(crate) fn of_deleted(mut self, record_id: &str) -> Self {
        self.record_id = Some(record_id.to_owned());
        for change in &mut self.changes {
            change.record_id = Some(record_id.to_owned());
            change.left_out = change.left_out.or(Some(LeftOut::RecordDeleted));
        }
        self
    }

    /// Leaves out fields that the CRM refused, with the reason that `refused` returns for each. On a new
    /// record, a field with a `default` in the mapping gets the default instead.
    ///
    /// Returns false if nothing changed: the refused fields are not among the fields to write, or already
    /// have their default. If the record were sent again, the CRM would refuse it again.
    pub fn leave_out(&mut self, refused: impl Fn(&FieldChange) -> Option<LeftOut>) -> bool {
        let mut changed = false;
        for change in &mut self.changes {
            let Some(reason) = refused(change).filter(|_| change.left_out.is_none()) else { continue };
            let fallback = self.fallbacks.remove(&change.field).filter(|_| self.record_id.is_none());
            match fallback {
                Some(fallback) if change.new.as_ref() != Some(&fallback) => change.new = Some(fallback),
                // The default of a required field was refused as well.
                Some(_) => continue,
                None if self.needed.contains(&change.field) && self.record_id.is_none() => continue,
                None => change.left_out = Some(reason),
            }
            changed = true;
        }
        changed
    }
}
