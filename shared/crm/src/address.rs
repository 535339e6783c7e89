//! Countries and states of addresses, which some orgs keep as picklists.
//!
//! With Salesforce's State and Country/Territory picklists on, `Country` and `State` take full integration values only, and
//! still describe as plain strings. Beside each of them describe shows a picklist with `Code` after the name, which takes
//! codes. A state must belong to its country: the options of a state name the countries that they are valid for.

use crate::{Control, FieldKind, FieldSchema, ObjectSchema};

/// A country or state field, by the parts of its name: `BillingStateCode` is the state of `Billing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressPart<'f> {
    /// What comes before, such as `Mailing`; empty for the address of a lead.
    prefix: &'f str,
    is_state: bool,
    /// A part of a custom address field, whose names end in `__s`.
    is_custom: bool,
}

impl<'f> AddressPart<'f> {
    /// Reads a field's name; none for a field of another kind.
    pub(crate) fn of(field: &'f str) -> Option<Self> {
        let (name, is_custom) = field.strip_suffix("__s").map_or((field, false), |name| (name, true));
        let name = name.strip_suffix("Code").unwrap_or(name);
        let part = |prefix, is_state| Self { prefix, is_state, is_custom };
        let state = name.strip_suffix("State").map(|prefix| part(prefix, true));
        state.or_else(|| name.strip_suffix("Country").map(|prefix| part(prefix, false)))
    }

    /// The country that a state belongs to; none for a country.
    pub(crate) fn country_of_state(self) -> Option<Self> {
        self.is_state.then_some(Self { is_state: false, ..self })
    }
}

impl ObjectSchema {
    /// The field that a mapped one is written as: the code beside a country or a state, where the CRM has one.
    pub fn written_as<'f>(&'f self, mapped: &'f str) -> &'f str {
        let code = AddressPart::of(mapped).map(|_| format!("{mapped}Code"));
        let found = code.and_then(|code| self.0.get_key_value(&code));
        found.filter(|(_, field)| field.kind == FieldKind::Picklist).map_or(mapped, |(name, _)| name.as_str())
    }
}

impl FieldSchema {
    /// The same field with the options that another field's value leaves it.
    pub(crate) fn under(&self, control: &Control, value: &str) -> Self {
        let options = control.options.get(value).cloned().unwrap_or_default();
        Self { options, restricted: true, controlled_by: None, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_and_its_country_are_known_by_their_names() {
        let part = |name| AddressPart::of(name).unwrap();
        assert_eq!(part("BillingStateCode").country_of_state(), Some(part("BillingCountry")));
        assert_eq!(part("Home__StateCode__s").country_of_state(), Some(part("Home__CountryCode__s")));
        assert_ne!(part("StateCode").country_of_state(), Some(part("MailingCountry")));
        assert_eq!(part("Country").country_of_state(), None);
        for other in ["Status", "Estate__c", "PostalCode", "Statement"] {
            assert_eq!(AddressPart::of(other), None, "{other}");
        }
    }
}
