//! The change of one field, and whether it may be undone.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{LeftOut, PresentRecord};
use crate::{Object, ObjectSchema};

/// The change of one field by a plan, written or left out.
// Holds values of the person: its `Debug` hides them, and a stored change is personal data.
#[derive(Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldChange {
    /// The action's position in the plan.
    pub position: u32,
    /// The action's kind.
    pub action: String,
    /// The kind of record, such as `lead` or `task`.
    #[schema(value_type = String)]
    pub object: Object,
    /// The CRM's name of the object.
    pub object_name: String,
    /// The external id of the record.
    pub external_id: String,
    /// The CRM's id of the record. Absent if the record does not exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// The CRM's name of the field.
    pub field: String,
    /// The source of the value, as the mapping names it.
    pub source: String,
    /// The present value. Absent if the field is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// The new value. Absent if the value does not fit the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
    /// The reason that the field is left out. Absent if it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// Whether the text was cut to fit the field.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
}

impl FieldChange {
    /// Whether the field is the record's owner.
    pub(crate) fn is_owner(&self) -> bool {
        is_owner(&self.source)
    }

    /// Decides whether the old value may be restored. Returns the value to write (null clears the field), or
    /// the reason not to.
    ///
    /// `present` is the record as it is now. `schema` is none for a CRM that accepts every field.
    pub fn restorable(
        &self,
        schema: Option<&ObjectSchema>,
        present: Option<&PresentRecord>,
    ) -> Result<Value, Restored> {
        if self.left_out.is_some() {
            return Err(Restored::Unchanged);
        }
        if self.record_id.is_none() {
            return Err(Restored::Created);
        }
        let Some(present) = present else { return Err(Restored::Gone) };
        let field = match schema.map(|schema| schema.0.get(&self.field)) {
            Some(None) => return Err(Restored::Gone),
            Some(Some(field)) => Some(field),
            None => None,
        };
        let same = |a: Option<&Value>, b: Option<&Value>| match (a, b) {
            (Some(a), Some(b)) => field.map_or_else(|| a == b, |field| field.same(a, b)),
            (None, None) => true,
            _ => false,
        };
        let now = present.value(&self.field);
        if same(now, self.old.as_ref()) {
            Err(Restored::BackAlready)
        } else if same(now, self.new.as_ref()) {
            Ok(self.old.clone().unwrap_or(Value::Null))
        } else {
            Err(Restored::ChangedSince)
        }
    }
}

impl fmt::Debug for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldChange")
            .field("position", &self.position)
            .field("field", &format_args!("{}.{}", self.object_name, self.field))
            .field("left_out", &self.left_out)
            .finish_non_exhaustive()
    }
}

/// The result of restoring an old value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restored {
    /// The old value was restored.
    PutBack,
    /// The field has the old value already: an earlier attempt or a person restored it.
    BackAlready,
    /// The field was not written by us.
    Unchanged,
    /// The field has been changed since, and keeps its present value.
    ChangedSince,
    /// We created the record, so there is no old value. Records are not deleted.
    Created,
    /// The record or the field no longer exists.
    Gone,
}

/// Whether the source, as the mapping names it, is the owner of a record.
pub(crate) fn is_owner(source: &str) -> bool {
    matches!(source.split_once('.'), Some((_, "owner")))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
