use axum::Router;

use crate::hubspot::HubSpot;
use crate::salesforce::Salesforce;
use crate::{apollo, bedrock, clearbit, gemini, hunter, pdl, zoominfo};

/// Every fake that `revenueflow sandbox` starts. A new fake needs an entry here and nowhere else.
pub const CATALOGUE: &[Entry] = &[
    Entry {
        name: "salesforce",
        port: 1,
        router: || Salesforce::new().router(),
        variables: &[
            ("SALESFORCE_URL", "{url}"),
            ("SALESFORCE_CLIENT_ID", Salesforce::KEY),
            ("SALESFORCE_CLIENT_SECRET", Salesforce::SECRET),
        ],
        selected_by: ("CRM_PROVIDER", "salesforce"),
    },
    Entry {
        name: "hubspot",
        port: 2,
        router: || HubSpot::prepared().router(),
        variables: &[("HUBSPOT_BASE_URL", "{url}"), ("HUBSPOT_ACCESS_TOKEN", HubSpot::TOKEN)],
        selected_by: ("CRM_PROVIDER", "hubspot"),
    },
    Entry {
        name: "zoominfo",
        port: 10,
        router: zoominfo::router,
        variables: &[
            ("ZOOMINFO_BASE_URL", "{url}/gtm"),
            ("ZOOMINFO_TOKEN_URL", "{url}/oauth2/default/v1/token"),
            ("ZOOMINFO_CLIENT_ID", zoominfo::CLIENT_ID),
            ("ZOOMINFO_CLIENT_SECRET", zoominfo::CLIENT_SECRET),
        ],
        selected_by: ("ENRICHMENT_PROVIDERS", "zoominfo"),
    },
    Entry {
        name: "apollo",
        port: 11,
        router: apollo::router,
        variables: &[("APOLLO_BASE_URL", "{url}"), ("APOLLO_API_KEY", apollo::KEY)],
        selected_by: ("ENRICHMENT_PROVIDERS", "apollo"),
    },
    Entry {
        name: "pdl",
        port: 12,
        router: pdl::router,
        variables: &[("PDL_BASE_URL", "{url}"), ("PDL_API_KEY", pdl::KEY)],
        selected_by: ("ENRICHMENT_PROVIDERS", "pdl"),
    },
    Entry {
        name: "hunter",
        port: 13,
        router: hunter::router,
        variables: &[("HUNTER_BASE_URL", "{url}"), ("HUNTER_API_KEY", hunter::KEY)],
        selected_by: ("ENRICHMENT_PROVIDERS", "hunter"),
    },
    Entry {
        name: "clearbit",
        port: 14,
        router: clearbit::router,
        variables: &[("CLEARBIT_BASE_URL", "{url}"), ("CLEARBIT_API_KEY", clearbit::KEY)],
        selected_by: ("ENRICHMENT_PROVIDERS", "clearbit"),
    },
    Entry {
        name: "gemini",
        port: 20,
        router: || gemini::Gemini::default().router(),
        variables: &[("GEMINI_BASE_URL", "{url}"), ("GEMINI_API_KEY", gemini::KEY)],
        selected_by: ("AI_PROVIDER", "gemini"),
    },
    Entry {
        name: "bedrock",
        port: 21,
        router: || bedrock::Bedrock::default().router(),
        variables: &[
            ("BEDROCK_BASE_URL", "{url}"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", bedrock::ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", "sandbox"),
        ],
        selected_by: ("AI_PROVIDER", "bedrock"),
    },
];

/// A fake, its port, and the variables that point RevenueFlow at it.
pub struct Entry {
    /// The system's name, such as `apollo`; also the prefix of its log lines.
    pub name: &'static str,
    /// The port, as an offset from the sandbox's first port. Never reassigned to another fake.
    pub port: u16,
    /// Creates a new fake without records.
    pub router: fn() -> Router,
    /// The variables that point RevenueFlow at the fake, with their values; `{url}` stands for its address.
    pub variables: &'static [(&'static str, &'static str)],
    /// The variable that selects the system, and its value, such as `("CRM_PROVIDER", "salesforce")`.
    pub selected_by: (&'static str, &'static str),
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
