//! Decides which fields of a record an action writes. The preview and the write use the same decision.

use std::fmt;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::adopted::AdoptedRecord;
use crate::{
    Control, FieldSchema, MappedField, Mapping, Mode, Object, ObjectSchema, PlannedAction, Rule, Write,
};

mod adopted;

/// A record as it is in the CRM now. Its `Debug` hides the values.
#[derive(Clone, PartialEq)]
pub struct PresentRecord {
    /// The CRM's own id.
    pub record_id: String,
    /// The values of the fields that were read, by the CRM's names. Null and empty texts count as absent.
    pub fields: Map<String, Value>,
    /// Whether people, rather than we, created the record. They maintain it, and the rules' `adopted`
    /// applies.
    pub adopted: bool,
}

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

/// The reason that a field is not written.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// The field has the value already.
    Unchanged,
    /// The rule is `if_empty`, and the field has a value.
    NotEmpty,
    /// The rule is `never_overwrite`, or the action only creates, and the record exists.
    RecordExists,
    /// The CRM has no such field, or it is not visible to us.
    NotInSchema,
    /// We have no permission to write the field.
    NotWritable,
    /// The value does not fit the field's type.
    WrongType,
    /// The picklist has no such value.
    NotInPicklist,
    /// The rule has an `order`, and the present value is later in it or not part of it.
    MovesBack,
    /// The rule has `values`, and the value is not among them.
    NotMapped,
    /// The record was not created by us, and the rule's `adopted` leaves the field to people.
    Adopted,
    /// The record was not created by us, and its score is higher.
    LowersScore,
    /// The record was not created by us, the person is a customer, and the judgement would be lower.
    Customer,
    /// The value is longer than the field, and a part of it would be a different value: an address, a number,
    /// an id.
    TooLong,
    /// The CRM refused the value, and accepted the record without it.
    Refused,
    /// The owner is inactive, and the CRM assigns no records to inactive users.
    OwnerInactive,
    /// The owner cannot own this kind of record: a queue, or an id that the CRM does not know.
    OwnerUnsuitable,
    /// The field depends on another field that has no value in the CRM, as a state depends on its country.
    PartnerMissing,
    /// People have deleted the record, and we do not create it again.
    RecordDeleted,
}

impl LeftOut {
    /// The reason as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::NotEmpty => "not empty, and the rule is if_empty",
            Self::RecordExists => "the record exists, and the field is written only on creation",
            Self::NotInSchema => "the CRM has no such field, or does not show it to us",
            Self::NotWritable => "the CRM does not let us write it",
            Self::WrongType => "the value does not fit the field's type",
            Self::NotInPicklist => "the picklist has no such value",
            Self::MovesBack => "the present value is later in the order, or not part of it",
            Self::NotMapped => "the mapping has no value for it",
            Self::Adopted => "the record was not created by us, and people maintain the field",
            Self::LowersScore => "the record was not created by us, and has a higher score",
            Self::Customer => "the person is a customer, and the judgement would be lower",
            Self::TooLong => "longer than the field, and must not be cut",
            Self::Refused => "the CRM refused the value",
            Self::OwnerInactive => "the owner is inactive in the CRM",
            Self::OwnerUnsuitable => "the owner cannot own such a record in the CRM",
            Self::PartnerMissing => "the field it depends on is not written",
            Self::RecordDeleted => "people have deleted the record in the CRM",
        }
    }

    /// The reason's code, in JSON and in metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::NotEmpty => "not_empty",
            Self::RecordExists => "record_exists",
            Self::NotInSchema => "not_in_schema",
            Self::NotWritable => "not_writable",
            Self::WrongType => "wrong_type",
            Self::NotInPicklist => "not_in_picklist",
            Self::MovesBack => "moves_back",
            Self::NotMapped => "not_mapped",
            Self::Adopted => "adopted",
            Self::LowersScore => "lowers_score",
            Self::Customer => "customer",
            Self::TooLong => "too_long",
            Self::Refused => "refused",
            Self::OwnerInactive => "owner_inactive",
            Self::OwnerUnsuitable => "owner_unsuitable",
            Self::PartnerMissing => "partner_missing",
            Self::RecordDeleted => "record_deleted",
        }
    }

    /// Whether the omission is reported to people, because this value of this lead did not reach the CRM.
    /// Omissions by a rule of the mapping are expected. Fields that are missing for all leads are reported by
    /// [`Executor::schema_problems`](crate::Executor::schema_problems).
    pub fn is_reported(self) -> bool {
        matches!(
            self,
            Self::WrongType
                | Self::NotInPicklist
                | Self::TooLong
                | Self::Refused
                | Self::OwnerInactive
                | Self::OwnerUnsuitable
                | Self::PartnerMissing
                | Self::RecordDeleted
        )
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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

/// The write of one action to one record.
#[derive(Clone, PartialEq)]
pub struct RecordWrite {
    /// The action's position in the plan.
    pub position: u32,
    /// The kind of record.
    pub object: Object,
    /// The CRM's name of the object.
    pub object_name: String,
    /// The field that holds the external id.
    pub external_id_field: String,
    /// The external id.
    pub external_id: String,
    /// The CRM's id, if the record exists.
    pub record_id: Option<String>,
    /// Every field of the action, written or left out, in the mapping's order.
    pub changes: Vec<FieldChange>,
    /// The mapping's `default` values by the CRM's field name. On a new record they replace a value that the
    /// CRM refused.
    pub(crate) fallbacks: BTreeMap<String, Value>,
    /// The fields with a `default`. A new record is not created without them.
    pub(crate) needed: BTreeSet<String>,
}

impl RecordWrite {
    /// Decides which fields an action writes to one of its records.
    ///
    /// `target` is one of [`Mapping::targets`], or [`Object::Contact`] for a converted lead. `schema` is none
    /// for a CRM that accepts every field. `present` is the record before the plan, none if it does not
    /// exist. Returns none if the mapping has no such object.
    pub fn resolve(
        mapping: &Mapping,
        schema: Option<&ObjectSchema>,
        planned: &PlannedAction,
        target: Object,
        external_id: &str,
        present: Option<&PresentRecord>,
    ) -> Option<Self> {
        let object = mapping.object(target)?;
        let (mut changes, mut fallbacks, mut needed) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        let mode = planned.action.mode();
        let all = mapping.fields(&planned.action, target, present.is_none());
        let adopted = AdoptedRecord::of(object, &all, present);
        for mapped in &all {
            let rule = mapped.rule;
            let name = schema.map_or(rule.field(), |schema| schema.written_as(rule.field()));
            let field = schema.and_then(|schema| schema.0.get(name));
            if let Some(default) = rule.default() {
                let default = Value::from(default);
                let fitted =
                    field.map_or(Some(default.clone()), |field| Some(field.fit(&default).ok()?.value));
                needed.insert(name.to_owned());
                fallbacks.extend(fitted.map(|fitted| (name.to_owned(), fitted)));
            }
            let old = present.and_then(|record| record.value(name)).cloned();
            let control = field.and_then(|field| field.controlled_by.as_ref());
            let (new, cut, left_out) = match &mapped.value {
                None => (None, false, Some(LeftOut::NotMapped)),
                Some(_) if schema.is_some() && field.is_none() => (None, false, Some(LeftOut::NotInSchema)),
                Some(value) => {
                    let under = control.map(|control| {
                        let value = controlling_value(control, &all, schema, mode, target, present)?;
                        Some(field?.under(control, &value))
                    });
                    let (new, cut, left_out) = match &under {
                        Some(None) => {
                            let protected = protected(rule, mode, target, present, old.as_ref());
                            (None, false, Some(protected.unwrap_or(LeftOut::PartnerMissing)))
                        }
                        under => {
                            let field = under.as_ref().and_then(Option::as_ref).or(field);
                            decide(rule, value, mode, target, field, present, old.as_ref())
                        }
                    };
                    let kept = || adopted.as_ref().and_then(|record| record.keeps(rule, old.as_ref()));
                    (new, cut, left_out.or_else(kept))
                }
            };
            changes.push(FieldChange {
                position: planned.position,
                action: planned.action.kind().to_owned(),
                object: target,
                object_name: object.object().to_owned(),
                external_id: external_id.to_owned(),
                record_id: present.map(|record| record.record_id.clone()),
                field: name.to_owned(),
                source: rule.origin().to_owned(),
                old,
                new,
                left_out,
                cut,
            });
        }
        Some(Self {
            position: planned.position,
            object: target,
            object_name: object.object().to_owned(),
            external_id_field: object.external_id().to_owned(),
            external_id: external_id.to_owned(),
            record_id: present.map(|record| record.record_id.clone()),
            changes,
            fallbacks,
            needed,
        })
    }

    /// The fields to send, by the CRM's names, without the external id.
    pub fn fields(&self) -> Map<String, Value> {
        let written = self.changes.iter().filter(|change| change.left_out.is_none());
        written.filter_map(|change| Some((change.field.clone(), change.new.clone()?))).collect()
    }

    /// Whether the record exists and no field remains to be written.
    pub fn is_up_to_date(&self) -> bool {
        self.record_id.is_some() && self.changes.iter().all(|change| change.left_out.is_some())
    }
}

/// Returns the new value, whether it was cut, and the reason if the field is left out.
fn decide(
    rule: &Rule,
    value: &Value,
    mode: Mode,
    target: Object,
    field: Option<&FieldSchema>,
    present: Option<&PresentRecord>,
    old: Option<&Value>,
) -> (Option<Value>, bool, Option<LeftOut>) {
    let (new, cut) = match field.map(|field| field.fit(value)) {
        Some(Err(reason)) => {
            return (None, false, Some(protected(rule, mode, target, present, old).unwrap_or(reason)));
        }
        Some(Ok(fitted)) if fitted.cut && rule.is_never_cut(value) => {
            let reason = protected(rule, mode, target, present, old).unwrap_or(LeftOut::TooLong);
            return (None, false, Some(reason));
        }
        Some(Ok(fitted)) => (fitted.value, fitted.cut),
        None => (value.clone(), false),
    };
    let exists = present.is_some();
    let writable = field.is_none_or(|field| if exists { field.updateable } else { field.createable });
    let same = |old: &Value| field.map_or_else(|| *old == new, |field| field.same(old, &new));
    let left_out = if exists && only_creates(mode, target) {
        Some(LeftOut::RecordExists)
    } else if old.is_some_and(same) {
        Some(LeftOut::Unchanged)
    } else if let Some(protected) = protected(rule, mode, target, present, old) {
        Some(protected)
    } else if old.is_some_and(|old| rule.moves_back(old, &new)) {
        Some(LeftOut::MovesBack)
    } else if !writable {
        Some(LeftOut::NotWritable)
    } else {
        None
    };
    (Some(new), cut, left_out)
}

/// The value of the controlling field after the action. None if it has none.
fn controlling_value(
    control: &Control,
    all: &[MappedField<'_>],
    schema: Option<&ObjectSchema>,
    mode: Mode,
    target: Object,
    present: Option<&PresentRecord>,
) -> Option<String> {
    let old = present.and_then(|record| record.value(&control.field));
    let schema = schema?;
    let mapped = all.iter().find(|mapped| schema.written_as(mapped.rule.field()) == control.field);
    let new = mapped.and_then(|mapped| {
        let field = schema.0.get(&control.field);
        let (new, _, left_out) =
            decide(mapped.rule, mapped.value.as_ref()?, mode, target, field, present, old);
        new.filter(|_| left_out.is_none())
    });
    new.as_ref().or(old).and_then(Value::as_str).map(str::to_owned)
}

/// Whether the action does not change an existing record of this kind. An action that creates the lead's
/// record does not create the company's.
fn only_creates(mode: Mode, target: Object) -> bool {
    mode == Mode::Create && target != Object::Company
}

/// The reason that the rule would not write the field, regardless of the value.
fn protected(
    rule: &Rule,
    mode: Mode,
    target: Object,
    present: Option<&PresentRecord>,
    old: Option<&Value>,
) -> Option<LeftOut> {
    if present.is_some() && (only_creates(mode, target) || rule.write() == Write::NeverOverwrite) {
        Some(LeftOut::RecordExists)
    } else {
        (old.is_some() && rule.write() == Write::IfEmpty).then_some(LeftOut::NotEmpty)
    }
}

impl PresentRecord {
    /// A field's value. None if it is absent, null or an empty text.
    pub fn value(&self, field: &str) -> Option<&Value> {
        self.fields
            .get(field)
            .filter(|value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty()))
    }
}

/// Whether the source, as the mapping names it, is the owner of a record.
pub(crate) fn is_owner(source: &str) -> bool {
    matches!(source.split_once('.'), Some((_, "owner")))
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

impl fmt::Debug for RecordWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordWrite")
            .field("object", &self.object_name)
            .field("external_id", &self.external_id)
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PresentRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentRecord").field("record_id", &self.record_id).finish_non_exhaustive()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests;
