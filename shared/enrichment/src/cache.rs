use async_trait::async_trait;
use jiff::Timestamp;
use lead::Failure;
use serde::{Deserialize, Serialize};

use crate::Firmographics;

/// Answers of providers, shared by all processes so that no answer is paid for twice. The key is a provider
/// and the domain of a company: nothing personal.
#[async_trait]
pub trait Cache: Send + Sync {
    /// Loads an answer, expired or not.
    async fn load(&self, provider: &str, domain: &str) -> Result<Option<Kept>, Failure>;

    /// Claims the right to query until `until`; false if another process holds it. Must be atomic.
    async fn claim(
        &self,
        provider: &str,
        domain: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Failure>;

    /// Replaces the stored answer and releases the claim.
    async fn keep(&self, provider: &str, domain: &str, kept: &Kept) -> Result<(), Failure>;

    /// Releases the claim without an answer.
    async fn release(&self, provider: &str, domain: &str) -> Result<(), Failure>;
}

/// A cached answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The answer of the provider.
    pub answer: Answer,
    /// The time of the query.
    pub fetched_at: Timestamp,
    /// The time from which the provider is queried again.
    pub expires_at: Timestamp,
}

/// A provider's answer about a company.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The provider knows the company.
    Known(Box<Firmographics>),
    /// The provider does not know the company.
    Unknown,
    /// The provider is still looking up the company.
    NotYet,
}
