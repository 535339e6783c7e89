//! Countries and states of addresses, which some orgs keep as picklists.
//!
//! With Salesforce's State and Country/Territory picklists on, `Country` and `State` take full integration values only, and
//! still describe as plain strings. Beside each of them describe shows a picklist with `Code` after the name, which takes
//! codes. A state must belong to its country: the options of a state name the countries that they are valid for.

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
