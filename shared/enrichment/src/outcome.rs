use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use lead::Failure;
use serde::{Deserialize, Serialize};

use crate::Firmographics;

/// The result of enriching one lead. Stored with the lead, and the source of every `enrichment.*` fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enrichment {
    /// The status.
    pub status: EnrichmentStatus,
    /// The company, if the status is [`EnrichmentStatus::Found`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmographics: Option<Firmographics>,
    /// The provider and time of each known field of [`Firmographics`], by the name of the field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provenance: BTreeMap<String, Provenance>,
    /// Failed providers, for the audit trail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProviderError>,
}

/// The status of an enrichment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrichmentStatus {
    /// At least one provider knows the company.
    Found,
    /// Every provider answered and none knows the company.
    NotFound,
    /// A private or disposable mailbox: no provider was queried.
    PrivateMailbox,
    /// The lead is over the limit of its source: no provider was queried.
    OverLimit,
    /// No facts were found and at least one provider failed. Worth a later attempt.
    Unavailable,
}

impl EnrichmentStatus {
    /// The status as it is written in facts and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NotFound => "not_found",
            Self::PrivateMailbox => "private_mailbox",
            Self::OverLimit => "over_limit",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The origin of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// [`EnrichmentProvider::name`](crate::EnrichmentProvider::name).
    pub provider: Cow<'static, str>,
    /// The time of the query.
    pub fetched_at: Timestamp,
}

/// A failed provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderError {
    /// [`EnrichmentProvider::name`](crate::EnrichmentProvider::name).
    pub provider: Cow<'static, str>,
    /// The provider's own failure, `enrichment_timeout` or `enrichment_panic`.
    pub failure: Failure,
}

impl Enrichment {
    /// A result without a company.
    pub fn nothing(status: EnrichmentStatus) -> Self {
        Self { status, firmographics: None, provenance: BTreeMap::new(), errors: Vec::new() }
    }

    /// The company, if the status is [`EnrichmentStatus::Found`].
    pub fn found(&self) -> Option<&Firmographics> {
        self.firmographics.as_ref().filter(|_| self.status == EnrichmentStatus::Found)
    }
}
