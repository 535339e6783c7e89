use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the five sources of facts, named as in the fact sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// Facts from the CRM.
    Salesforce,
    /// Facts from the marketing platform.
    Marketo,
    /// Facts from our own product.
    Product,
    /// Facts from the enrichment providers about the company.
    Enrichment,
    /// Facts computed from the others.
    Computed,
}

impl Namespace {
    /// Every namespace.
    pub const ALL: [Self; 5] =
        [Self::Salesforce, Self::Marketo, Self::Product, Self::Enrichment, Self::Computed];

    /// The namespace as the first part of a path, e.g. `enrichment`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Salesforce => "salesforce",
            Self::Marketo => "marketo",
            Self::Product => "product",
            Self::Enrichment => "enrichment",
            Self::Computed => "computed",
        }
    }

    /// The source of the namespace, as a claim names it, e.g. `ENRICHMENT`.
    pub fn source(self) -> &'static str {
        match self {
            Self::Salesforce => "SALESFORCE",
            Self::Marketo => "MARKETO",
            Self::Product => "PRODUCT",
            Self::Enrichment => "ENRICHMENT",
            Self::Computed => "COMPUTED",
        }
    }

    /// Parses the first part of a path; case-sensitive.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|namespace| namespace.as_str() == text)
    }

    /// Parses the source of a claim, ignoring ASCII case.
    pub fn from_source(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|namespace| namespace.source().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
