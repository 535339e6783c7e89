use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the five sources of facts, named as the fact sheet names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// What the CRM knows.
    Salesforce,
    /// What the marketing platform knows.
    Marketo,
    /// What our own product knows.
    Product,
    /// What the enrichment provider found out about the company.
    Enrichment,
    /// What we computed from all of these.
    Computed,
}

impl Namespace {
    /// Every namespace.
    pub const ALL: [Self; 5] =
        [Self::Salesforce, Self::Marketo, Self::Product, Self::Enrichment, Self::Computed];

    /// The namespace as it begins a field path, e.g. `enrichment`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Salesforce => "salesforce",
            Self::Marketo => "marketo",
            Self::Product => "product",
            Self::Enrichment => "enrichment",
            Self::Computed => "computed",
        }
    }

    /// The source that owns the namespace, as a claim names it, e.g. `ENRICHMENT`.
    pub fn source(self) -> &'static str {
        match self {
            Self::Salesforce => "SALESFORCE",
            Self::Marketo => "MARKETO",
            Self::Product => "PRODUCT",
            Self::Enrichment => "ENRICHMENT",
            Self::Computed => "COMPUTED",
        }
    }

    /// Reads the name a field path begins with; exact, case included.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|namespace| namespace.as_str() == text)
    }

    /// Reads the source a claim names; exact, case included.
    pub fn from_source(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|namespace| namespace.source() == text)
    }

    /// Reads the source a claim names, in any case of its ASCII letters.
    pub fn from_source_in_any_case(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|namespace| namespace.source().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
