use async_trait::async_trait;
use jiff::Timestamp;
use lead::Failure;
use serde::{Deserialize, Serialize};

use crate::Firmographics;

/// What providers said about companies, kept so that nobody pays twice for the same answer. The key is a provider and a
/// company's domain: nothing about a person.
#[async_trait]
pub trait Cache: Send + Sync {
    /// What a provider said about a domain, however old.
    async fn load(&self, provider: &str, domain: &str) -> Result<Option<Kept>, Failure>;

    /// Takes the right to ask until a moment; false where another process has it. One step that no other comes between.
    async fn claim(
        &self,
        provider: &str,
        domain: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Failure>;

    /// Keeps an answer in the place of the one before, and gives the right to ask back.
    async fn keep(&self, provider: &str, domain: &str, kept: &Kept) -> Result<(), Failure>;

    /// Gives the right to ask back without an answer.
    async fn release(&self, provider: &str, domain: &str) -> Result<(), Failure>;
}

/// A provider's answer, and how long it is good for.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// What it said.
    pub answer: Answer,
    /// When it said so.
    pub fetched_at: Timestamp,
    /// When it is to be asked again.
    pub expires_at: Timestamp,
}

/// What a provider said about a company.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It knows the company.
    Known(Box<Firmographics>),
    /// It does not know the company.
    Unknown,
    /// It is looking, and may know the company when it is asked again.
    NotYet,
}
