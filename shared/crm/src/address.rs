//! Country and state fields of addresses, which some Salesforce orgs keep as picklists.
//!
//! With Salesforce's State and Country/Territory picklists on, `Country` and `State` accept only full
//! integration values, although describe still reports them as plain strings. For each of them describe
//! reports a second field, named with the suffix `Code`, that is a picklist of codes. A state must belong to
//! its country: the options of a state name the countries that they are valid for.

use crate::{Control, FieldKind, FieldSchema, ObjectSchema};

/// A country or state field, by the parts of its name: `BillingStateCode` is the state of `Billing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressPart<'f> {
    /// The part before `State` or `Country`, such as `Mailing`; empty for the address of a lead.
    prefix: &'f str,
    is_state: bool,
    /// Whether it belongs to a custom address field, with a name that ends in `__s`.
    is_custom: bool,
}

impl<'f> AddressPart<'f> {
    /// Parses a field's name. None for a field of another kind.
    pub(crate) fn of(field: &'f str) -> Option<Self> {
        let (name, is_custom) = field.strip_suffix("__s").map_or((field, false), |name| (name, true));
        let name = name.strip_suffix("Code").unwrap_or(name);
        let part = |prefix, is_state| Self { prefix, is_state, is_custom };
        let state = name.strip_suffix("State").map(|prefix| part(prefix, true));
        state.or_else(|| name.strip_suffix("Country").map(|prefix| part(prefix, false)))
    }

    /// The country field that a state field belongs to. None for a country field.
    pub(crate) fn country_of_state(self) -> Option<Self> {
        self.is_state.then_some(Self { is_state: false, ..self })
    }
}

impl ObjectSchema {
    /// The field to write for a mapped field: the `Code` field of a country or state if the CRM has one, else
    /// the mapped field itself.
    pub fn written_as<'f>(&'f self, mapped: &'f str) -> &'f str {
        let code = AddressPart::of(mapped).map(|_| format!("{mapped}Code"));
        let found = code.and_then(|code| self.0.get_key_value(&code));
        found.filter(|(_, field)| field.kind == FieldKind::Picklist).map_or(mapped, |(name, _)| name.as_str())
    }
}

impl FieldSchema {
    /// Returns the field with its options limited to those of one value of the controlling field.
    pub(crate) fn under(&self, control: &Control, value: &str) -> Self {
        let options = control.options.get(value).cloned().unwrap_or_default();
        Self { options, restricted: true, controlled_by: None, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_country_fields_are_recognized_by_name() {
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
