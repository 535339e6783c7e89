//! Decides which fields of a record an action writes. The preview and the write use the same decision.

mod adopted;
mod field_change;
mod left_out;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use self::adopted::AdoptedRecord;
pub(crate) use self::field_change::is_owner;
pub use self::field_change::{FieldChange, Restored};
pub use self::left_out::LeftOut;
use crate::{
    Control, FieldSchema, MappedField, Mapping, Mode, Object, ObjectSchema, PlannedAction, Rule, Write,
};

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

#[cfg(test)]
mod tests;
