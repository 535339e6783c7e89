use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use lead::Failure;
use serde::{Deserialize, Serialize};

use crate::Firmographics;

/// What came out of enriching one lead. Stored beside the lead, and the source of every `enrichment.*` fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enrichment {
    /// How it ended.
    pub status: EnrichmentStatus,
    /// The company, when the status is [`EnrichmentStatus::Found`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmographics: Option<Firmographics>,
    /// For each known field of [`Firmographics`], by its name, who said it and when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provenance: BTreeMap<String, Provenance>,
    /// Providers that could not answer, for the audit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProviderError>,
}

/// How an enrichment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrichmentStatus {
    /// At least one provider knows the company.
    Found,
    /// Every provider answered and none knows the company.
    NotFound,
    /// A private or throw-away mailbox: nobody was asked.
    PrivateMailbox,
    /// Nothing was found and at least one provider could not answer: worth asking again later.
    Unavailable,
}

impl EnrichmentStatus {
    /// The word used in facts and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NotFound => "not_found",
            Self::PrivateMailbox => "private_mailbox",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Where one field came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// [`EnrichmentProvider::name`](crate::EnrichmentProvider::name).
    pub provider: Cow<'static, str>,
    /// When the provider said it.
    pub fetched_at: Timestamp,
}

/// A provider that could not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderError {
    /// [`EnrichmentProvider::name`](crate::EnrichmentProvider::name).
    pub provider: Cow<'static, str>,
    /// Why: the provider's own failure, `enrichment_timeout` or `enrichment_panic`.
    pub failure: Failure,
}

impl Enrichment {
    /// An outcome with nothing found.
    pub fn nothing(status: EnrichmentStatus) -> Self {
        Self { status, firmographics: None, provenance: BTreeMap::new(), errors: Vec::new() }
    }

    /// The company's facts, if and only if it was found.
    pub fn found(&self) -> Option<&Firmographics> {
        self.firmographics.as_ref().filter(|_| self.status == EnrichmentStatus::Found)
    }
}
