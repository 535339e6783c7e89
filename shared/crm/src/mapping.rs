//! Which of our values goes to which field of the CRM.
//!
//! # The file
//!
//! ```toml
//! version = "2026-11-1"     # stored with every preview; give it a new value after a change
//! crm = "salesforce"        # the CRM it is for
//!
//! [lead]                    # one table for each kind of record: lead, task, activity, contact, opportunity, company
//! object = "Lead"           # the CRM's object
//! external_id = "RevenueFlow_Id__c"   # its unique field, which holds our id
//! fields = [
//!   { source = "lead.email", field = "Email" },
//!   { source = "lead.phone", field = "Phone", write = "if_empty" },
//!   { source = "lead.last_name", field = "LastName", default = "[not provided]" },
//!   { source = "lead.status", field = "Status", values = { working = "Working" }, order = ["New", "Working"] },
//!   { source = "marketo.program", field = "Program__c", write = "never_overwrite" },
//!   { value = "RevenueFlow", field = "LeadSource", write = "never_overwrite" },
//! ]
//! ```
//!
//! | key | meaning |
//! |---|---|
//! | `source` | one of [`SOURCES`], or the path of a fact below `enrichment`, `computed`, `marketo`, `product` or `salesforce` |
//! | `value` | in place of `source`: always this text, on records that we create or bring up to date |
//! | `field` | the CRM's name of the field |
//! | `write` | `always` (the default); `if_empty`: only where the CRM has nothing; `never_overwrite`: only on a record that we create |
//! | `default` | what a new record gets where we have no value |
//! | `values` | our words and the CRM's; a word that is not in it is left out |
//! | `order` | the CRM's words from first to last: the field is never moved back, and a word that is not in it is left alone. Words in a list of their own count alike |
//! | `adopted` | on a record that was there before us: `same`; `if_empty`; `not_lower`: unless the record's score is higher; `never`. Without it, what a form says of a person and `lead.status` are `if_empty`, everything else `same` |
//!
//! A table may also have `customers = { field, values }`: an adopted record with one of these values is a customer's, and is not
//! given a lower judgement.
//!
//! # Which action carries what
//!
//! `lead.*` (but `lead.status`) comes with `upsert_lead`, and so do facts below `marketo`, `product` and `salesforce`;
//! `score.*` and facts below `computed` come with `set_lead_score`, `company.*` and facts below `enrichment` with
//! `sync_firmographics`, `lead.status` with `update_lead_status`. So a lead whose analysis is rejected gets no computed fact
//! either. Sources of the lead may also stand in `[company]` (for a CRM that keeps companies apart) and in `[contact]`
//! (for leads that were converted).
//!
//! An executor asks [`Mapping::targets`] which records an action writes and hands each to
//! [`RecordWrite::resolve`](crate::RecordWrite::resolve), which asks [`Mapping::fields`]. Nothing else is needed from here.

mod file;
mod rule;
mod source;

pub use file::MappingError;
pub use rule::{Adopted, Example, Rule, Write};
pub use source::SOURCES;

use std::collections::{BTreeMap, BTreeSet};

use grounding::FieldPath;
use serde_json::Value;

use crate::{Action, Mode, Object};
use source::Source;

/// A mapping, sound in itself. Whether it suits the CRM's schema, `revenueflow doctor` says.
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

/// How the CRM tells that a person is a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customers {
    /// The field.
    pub field: String,
    /// Its values for customers, as the API writes them.
    values: Vec<String>,
}

impl Customers {
    /// Whether a value is a customer's. Values are compared without regard to ASCII case.
    pub fn has(&self, value: &str) -> bool {
        self.values.iter().any(|known| known.eq_ignore_ascii_case(value.trim()))
    }
}

/// A value on its way to a field.
#[derive(Clone, Debug, PartialEq)]
pub struct MappedField<'m> {
    /// The rule that sends it.
    pub rule: &'m Rule,
    /// The value, in the CRM's words where the rule has `values`; none where those have none for it.
    pub value: Option<Value>,
}

impl Mapping {
    /// Reads a mapping. Errors name the line.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        file::parse(text)
    }

    /// The built-in mapping of a CRM, by its name in `CRM_PROVIDER`; none for a CRM that is not known.
    ///
    /// # Panics
    ///
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

    /// Which state of the file this is.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The CRM it is for, as in `CRM_PROVIDER`.
    pub fn crm(&self) -> &str {
        &self.crm
    }

    /// The rules of an object; none where the CRM does not keep such records.
    pub fn object(&self, object: Object) -> Option<&ObjectMapping> {
        self.objects.get(&object)
    }

    /// Every object that has rules.
    pub fn objects(&self) -> impl Iterator<Item = (Object, &ObjectMapping)> {
        self.objects.iter().map(|(object, mapping)| (*object, mapping))
    }

    /// The facts that some rule sends to the CRM.
    pub fn facts(&self) -> BTreeSet<&FieldPath> {
        self.objects.values().flat_map(|object| &object.rules).filter_map(|rule| rule.source.fact()).collect()
    }

    /// Which records an action writes: its own object, and the company's where firmographics have a record of their own.
    pub fn targets(&self, action: &Action) -> Vec<Object> {
        let company = matches!(action, Action::SyncFirmographics(_)).then_some(Object::Company);
        let targets = [Some(action.object()), company];
        targets.into_iter().flatten().filter(|object| self.objects.contains_key(object)).collect()
    }

    /// What an action sends to the fields of one of its records; `is_new` where the record does not exist yet, and
    /// defaults are due.
    pub fn fields(&self, action: &Action, target: Object, is_new: bool) -> Vec<MappedField<'_>> {
        let Some(object) = self.objects.get(&target) else { return Vec::new() };
        let values = action.fields();
        // A constant or a default goes with the action that brings the record into being.
        let makes_the_record = action.mode() != Mode::Update || target == Object::Company;
        let mut mapped = Vec::new();
        for rule in &object.rules {
            let value = match &rule.source {
                Source::Constant(value) if makes_the_record => Some(Value::String(value.clone())),
                Source::Constant(_) => None,
                source => match source.key_in(action).and_then(|key| values.get(key)) {
                    Some(value) => {
                        mapped.push(MappedField { rule, value: rule.in_the_crms_words(value) });
                        continue;
                    }
                    None if is_new && makes_the_record && source.is_carried_by(action) => {
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

    /// The rules, in the file's order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How a customer is told, where the mapping says so.
    pub fn customers(&self) -> Option<&Customers> {
        self.customers.as_ref()
    }

    /// The CRM's names of all fields to read before writing.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let customers = self.customers.iter().map(|customers| customers.field.as_str());
        self.rules.iter().map(Rule::field).chain(customers)
    }
}

#[cfg(test)]
mod tests;
