//! Protection of fields on records that were not created by us.
//!
//! A form can be submitted for any known address. On a record that people created, it fills empty fields but
//! does not change those that people maintain, and it does not lower the judgement of a customer.

use std::cmp::Ordering;

use serde_json::Value;

use super::{LeftOut, PresentRecord};
use crate::mapping::{Adopted, MappedField};
use crate::{ObjectMapping, Rule};

/// The properties of an adopted record that the rules depend on.
pub(super) struct AdoptedRecord {
    /// Whether the person is a customer according to the CRM.
    is_customer: bool,
    /// The new score compared with the present one. None if one of them is missing.
    score: Option<Ordering>,
}

impl AdoptedRecord {
    /// Returns none for a record that is new or that we created.
    pub(super) fn of(
        object: &ObjectMapping,
        mapped: &[MappedField<'_>],
        present: Option<&PresentRecord>,
    ) -> Option<Self> {
        let present = present.filter(|record| record.adopted)?;
        let is_customer = object.customers().is_some_and(|customers| {
            present.value(&customers.field).and_then(Value::as_str).is_some_and(|value| customers.has(value))
        });
        let new = mapped.iter().find(|field| field.rule.is_score());
        let score = new.and_then(|field| {
            let (new, old) = (number(field.value.as_ref()?)?, number(present.value(field.rule.field())?)?);
            new.partial_cmp(&old)
        });
        Some(Self { is_customer, score })
    }

    /// The reason that a field keeps its value. None if it may be written.
    pub(super) fn keeps(&self, rule: &Rule, old: Option<&Value>) -> Option<LeftOut> {
        match rule.adopted() {
            Adopted::Never => return Some(LeftOut::Adopted),
            Adopted::IfEmpty if old.is_some() => return Some(LeftOut::Adopted),
            Adopted::NotLower if self.score == Some(Ordering::Less) => return Some(LeftOut::LowersScore),
            Adopted::Same | Adopted::IfEmpty | Adopted::NotLower => {}
        }
        // Without both scores, the new judgement counts as lower.
        let lowers = !matches!(self.score, Some(Ordering::Equal | Ordering::Greater));
        (self.is_customer && rule.is_judgement() && lowers).then_some(LeftOut::Customer)
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}
