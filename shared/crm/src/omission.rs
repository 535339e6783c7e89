//! Fields of an action that did not reach the CRM although there was a value for them.

use serde::{Deserialize, Serialize};

use crate::write::is_owner;
use crate::{FieldChange, LeftOut, Object, RecordWrite};

/// One field that was left out of a write. It holds names only, and no value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Omission {
    /// What kind of record.
    pub object: Object,
    /// The CRM's name of the field.
    pub field: String,
    /// Where the value comes from, as the mapping names it.
    pub source: String,
    /// Why.
    pub reason: LeftOut,
}

impl Omission {
    /// Whether it is the record's owner that was left out.
    pub fn is_owner(&self) -> bool {
        is_owner(&self.source)
    }
}

impl RecordWrite {
    /// The fields left out for a reason that is reported ([`LeftOut::is_reported`]), in the mapping's order.
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

    /// The same for a record that people have deleted: nothing of it is written, and each field says why.
    #[must_use]
    pub(crate) fn of_deleted(mut self, record_id: &str) -> Self {
        self.record_id = Some(record_id.to_owned());
        for change in &mut self.changes {
            change.record_id = Some(record_id.to_owned());
            change.left_out = change.left_out.or(Some(LeftOut::RecordDeleted));
        }
        self
    }

    /// Leaves fields out that the CRM has refused, with the reason that `refused` gives for each. On a new record a field
    /// with a `default` in the mapping gets that instead.
    ///
    /// False where nothing changed: the fields are not among those to be written, or have their default already. Sending
    /// the record again would then be refused again.
    pub fn leave_out(&mut self, refused: impl Fn(&FieldChange) -> Option<LeftOut>) -> bool {
        let mut changed = false;
        for change in &mut self.changes {
            let Some(reason) = refused(change).filter(|_| change.left_out.is_none()) else { continue };
            let fallback = self.fallbacks.remove(&change.field).filter(|_| self.record_id.is_none());
            match fallback {
                Some(fallback) if change.new.as_ref() != Some(&fallback) => change.new = Some(fallback),
                // A new record needs the field, and its default is refused as well.
                Some(_) => continue,
                None if self.needed.contains(&change.field) && self.record_id.is_none() => continue,
                None => change.left_out = Some(reason),
            }
            changed = true;
        }
        changed
    }
}
