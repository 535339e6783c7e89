//! The mapping of our values to the fields of the CRM.
//!
//! # The file
//!
//! ```toml
//! version = "2026-11-1"     # in the audit trail of planned leads; change it with every change of the file
//! crm = "salesforce"        # the CRM that the mapping is for
//!
//! [lead]                    # one table per kind of record: lead, task, activity, contact, opportunity,
//! company object = "Lead"           # the CRM's object external_id = "RevenueFlow_Id__c"   # its unique
//! field, which holds our id fields = [
//!   { source = "lead.email", field = "Email" },
//!   { source = "lead.phone", field = "Phone", write = "if_empty" },
//!   { source = "lead.last_name", field = "LastName", default = "[not provided]" },
//!   { source = "lead.status", field = "Status", values = { working = "Working" }, order = ["New", "Working"]
//!   }, { source = "marketo.program", field = "Program__c", write = "never_overwrite" }, { value =
//!   "RevenueFlow", field = "LeadSource", write = "never_overwrite" },
//! ]
//! ```
//!
//! | key | meaning |
//! |---|---|
//! | `source` | one of [`SOURCES`], or the path of a fact below `enrichment`, `computed`, `marketo`, `product` or `salesforce` |
//! | `value` | instead of `source`: a constant text, written when we create or upsert the record |
//! | `field` | the CRM's name of the field |
//! | `write` | `always` (the default); `if_empty`: only if the field is empty; `never_overwrite`: only on a record that we create |
//! | `default` | the value of a new record if we have none |
//! | `values` | our words and the CRM's; a word that is not listed is left out |
//! | `order` | the CRM's words from first to last: the field never moves back, and a present word that is not listed is not overwritten. Words in a nested list rank equal |
//! | `adopted` | on a record that we did not create: `same`; `if_empty`; `not_lower`: unless the record's score is higher; `never`. The default is `if_empty` for form data about a person and for `lead.status`, `same` for all others |
//!
//! A table may also have `customers = { field, values }`: an adopted record with one of these values belongs
//! to a customer, and is never given a lower judgement.
//!
//! # Sources of each action
//!
//! `upsert_lead` carries `lead.*` (except `lead.status`) and facts below `marketo`, `product` and
//! `salesforce`; `set_lead_score` carries `score.*` and facts below `computed`; `sync_firmographics` carries
//! `company.*` and facts below `enrichment`; `update_lead_status` carries `lead.status`. A lead with a
//! rejected analysis therefore gets no computed fact either. Sources of the lead are also allowed in
//! `[company]` (for a CRM that keeps companies apart) and in `[contact]` (for converted leads).
//!
//! An executor calls [`Mapping::targets`] for the records that an action writes, and passes each to
//! [`RecordWrite::resolve`](crate::RecordWrite::resolve), which calls [`Mapping::fields`]. It needs nothing
//! else of this module.

mod adopted;
mod file;
mod rule;
mod source;

pub use adopted::Adopted;
pub use file::MappingError;
pub use rule::{Example, Rule, Write};
pub use source::SOURCES;

use std::collections::{BTreeMap, BTreeSet};

use grounding::FieldPath;
use serde_json::Value;

use crate::{Action, Mode, Object};
use source::Source;

/// A consistent mapping. `revenueflow doctor` checks it against the CRM's schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    version: String,
    crm: String,
    objects: BTreeMap<Object, ObjectMapping>,
}

/// The rules of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMapping {
    object: String,
    external_id: String,
    customers: Option<Customers>,
    rules: Vec<Rule>,
}

/// The CRM field that marks a person as a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customers {
    /// The CRM's name of the field.
    pub field: String,
    /// The field's values for customers, as the API writes them.
    values: Vec<String>,
}

impl Customers {
    /// Whether a value marks a customer. Values are compared without regard to ASCII case.
    pub fn has(&self, value: &str) -> bool {
        self.values.iter().any(|known| known.eq_ignore_ascii_case(value.trim()))
    }
}

/// A value that a rule sends to a field.
#[derive(Clone, Debug, PartialEq)]
pub struct MappedField<'m> {
    /// The rule.
    pub rule: &'m Rule,
    /// The value, translated if the rule has `values`. None if they have no translation for it.
    pub value: Option<Value>,
}

impl Mapping {
    /// Parses a mapping. Errors name the line.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        file::parse(text)
    }

    /// The built-in mapping of a CRM, by its name in `CRM_PROVIDER`. None for an unknown CRM.
    ///
    /// # Panics
    /// Never: the built-in mappings are tested.
    pub fn default_for(provider: &str) -> Option<Self> {
        let text = match provider {
            "mock" => include_str!("../../../config/crm-mapping-mock.toml"),
            "salesforce" => include_str!("../../../config/crm-mapping-salesforce.toml"),
            "hubspot" => include_str!("../../../config/crm-mapping-hubspot.toml"),
            _ => return None,
        };
        Some(Self::parse(text).expect("the built-in mappings are tested"))
    }

    /// The version of the file.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The CRM that the mapping is for, as in `CRM_PROVIDER`.
    pub fn crm(&self) -> &str {
        &self.crm
    }

    /// The rules of an object. None if the CRM does not keep such records.
    pub fn object(&self, object: Object) -> Option<&ObjectMapping> {
        self.objects.get(&object)
    }

    /// All objects with rules.
    pub fn objects(&self) -> impl Iterator<Item = (Object, &ObjectMapping)> {
        self.objects.iter().map(|(object, mapping)| (*object, mapping))
    }

    /// All facts that rules send to the CRM.
    pub fn facts(&self) -> BTreeSet<&FieldPath> {
        self.objects.values().flat_map(|object| &object.rules).filter_map(|rule| rule.source.fact()).collect()
    }

    /// The records that an action writes: its own object, and the company if firmographics have a record of
    /// their own.
    pub fn targets(&self, action: &Action) -> Vec<Object> {
        let company = matches!(action, Action::SyncFirmographics(_)).then_some(Object::Company);
        let targets = [Some(action.object()), company];
        targets.into_iter().flatten().filter(|object| self.objects.contains_key(object)).collect()
    }

    /// The values that an action sends to the fields of one of its records. `is_new` means that the record
    /// does not exist yet, so that defaults apply.
    pub fn fields(&self, action: &Action, target: Object, is_new: bool) -> Vec<MappedField<'_>> {
        let Some(object) = self.objects.get(&target) else { return Vec::new() };
        let values = action.fields();
        // Constants and defaults are sent with the action that creates the record.
        let creates_record = action.mode() != Mode::Update || target == Object::Company;
        let mut mapped = Vec::new();
        for rule in &object.rules {
            let value = match &rule.source {
                Source::Constant(value) if creates_record => Some(Value::String(value.clone())),
                Source::Constant(_) => None,
                source => match source.key_in(action).and_then(|key| values.get(key)) {
                    Some(value) => {
                        mapped.push(MappedField { rule, value: rule.translate(value) });
                        continue;
                    }
                    None if is_new && creates_record && source.is_carried_by(action) => {
                        rule.default.clone().map(Value::String)
                    }
                    None => None,
                },
            };
            mapped.extend(value.map(|value| MappedField { rule, value: Some(value) }));
        }
        mapped
    }
}

impl ObjectMapping {
    /// The CRM's name of the object.
    pub fn object(&self) -> &str {
        &self.object
    }

    /// The CRM's unique field that holds our id.
    pub fn external_id(&self) -> &str {
        &self.external_id
    }

    /// The rules, in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The field that marks customers, if the mapping defines one.
    pub fn customers(&self) -> Option<&Customers> {
        self.customers.as_ref()
    }

    /// All fields to read before writing, by the CRM's names.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let customers = self.customers.iter().map(|customers| customers.field.as_str());
        self.rules.iter().map(Rule::field).chain(customers)
    }
}

#[cfg(test)]
mod tests;
