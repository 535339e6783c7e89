use async_trait::async_trait;
use lead::{Cause, Failure};

use crate::Firmographics;

/// A source of firmographics. One implementation for each outside system.
#[async_trait]
pub trait EnrichmentProvider: Send + Sync {
    /// The short stable name of the provider in provenance and errors, such as `apollo`.
    fn name(&self) -> &'static str;

    /// Looks up the company that owns `domain` (lower case, no leading `www.`).
    ///
    /// `Ok(None)` means that the provider does not know the company, which is not a failure. The waterfall
    /// normalises the returned facts.
    ///
    /// # Errors
    ///
    /// A transient failure may be gone with the next query. A deferral says how long to wait. A permanent
    /// failure needs a change of the configuration, such as a new key. A failure without a dependency, such
    /// as [`Cause::Pending`], concerns this company only and does not count against the provider.
    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure>;

    /// Whether a query costs time or money, so that answers are worth caching.
    fn is_remote(&self) -> bool {
        true
    }

    /// Checks the credentials for free and returns a short confirmation; none if a check would cost credits.
    async fn check(&self) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}

/// The failure of a pending lookup: the provider is still looking up the company, and worth another query in
/// some minutes. It does not count against the provider.
pub(crate) fn not_yet(message: impl Into<String>) -> Failure {
    Failure::transient("enrichment_not_yet", message).because(Cause::Pending)
}
