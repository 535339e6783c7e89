use axum::Router;

use crate::hubspot::HubSpot;

/// Every fake that `revenueflow sandbox` starts: one entry a system, and the only place to add one.
pub const CATALOGUE: &[Entry] = &[Entry {
    name: "hubspot",
    port: 2,
    router: || HubSpot::prepared().router(),
    variables: &[("HUBSPOT_BASE_URL", "{url}"), ("HUBSPOT_ACCESS_TOKEN", HubSpot::TOKEN)],
    chosen_by: ("CRM_PROVIDER", "hubspot"),
}];

/// A fake, where it is found, and how RevenueFlow is pointed at it.
pub struct Entry {
    /// The system, such as `apollo`; also what its log lines begin with.
    pub name: &'static str,
    /// Its port, counted from the first one of the sandbox. Never given to another fake.
    pub port: u16,
    /// A fresh one, with nothing in it yet.
    pub router: fn() -> Router,
    /// The variables that lead to it, and their values; `{url}` stands for its address.
    pub variables: &'static [(&'static str, &'static str)],
    /// The variable that makes RevenueFlow use it, and its value, such as `("CRM_PROVIDER", "salesforce")`.
    pub chosen_by: (&'static str, &'static str),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_fakes_share_a_name_a_port_or_a_variable() {
        let unique = |all: Vec<String>| all.iter().collect::<BTreeSet<_>>().len() == all.len();
        assert!(unique(CATALOGUE.iter().map(|entry| entry.name.to_owned()).collect()));
        assert!(unique(CATALOGUE.iter().map(|entry| entry.port.to_string()).collect()));
        let variables = CATALOGUE.iter().flat_map(|entry| entry.variables);
        assert!(unique(variables.map(|(name, _)| (*name).to_owned()).collect()));
    }
}
