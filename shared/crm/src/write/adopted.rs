//! Which fields stay as they are on a record that was there before us.
//!
//! A form is sent by anybody who knows an address. On a record that people created it fills in what is missing and changes
//! nothing that they maintain, and it does not lower the judgement of a customer.

use std::cmp::Ordering;

use serde_json::Value;

use super::{LeftOut, PresentRecord};
use crate::mapping::{Adopted, MappedField};
use crate::{ObjectMapping, Rule};

/// An adopted record, as the rules look at it.
pub(super) struct AdoptedRecord {
    /// Whether the CRM has the person as a customer.
    is_customer: bool,
    /// How the new score compares with the one that is there; none where one of them is missing.
    score: Option<Ordering>,
}

impl AdoptedRecord {
    /// None for a record that is new or that we created.
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

    /// Why a field stays as it is; none where it may be written.
    pub(super) fn keeps(&self, rule: &Rule, old: Option<&Value>) -> Option<LeftOut> {
        match rule.adopted() {
            Adopted::Never => return Some(LeftOut::Adopted),
            Adopted::IfEmpty if old.is_some() => return Some(LeftOut::Adopted),
            Adopted::NotLower if self.score == Some(Ordering::Less) => return Some(LeftOut::LowersScore),
            Adopted::Same | Adopted::IfEmpty | Adopted::NotLower => {}
        }
        // Without a score to compare with, nothing shows that it is not lower.
        let lowers = !matches!(self.score, Some(Ordering::Equal | Ordering::Greater));
        (self.is_customer && rule.is_judgement() && lowers).then_some(LeftOut::Customer)
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}
