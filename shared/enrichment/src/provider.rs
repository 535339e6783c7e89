use async_trait::async_trait;
use lead::Failure;

use crate::Firmographics;

/// The code of the failure that says "not yet": the provider is looking for the company, and worth asking again in some
/// minutes. It says nothing against the provider.
pub const NOT_YET: &str = "enrichment_not_yet";

/// A source of firmographics. One implementation for each outside system.
#[async_trait]
pub trait EnrichmentProvider: Send + Sync {
    /// The short stable name that provenance and errors carry, such as `apollo`.
    fn name(&self) -> &'static str;

    /// What the provider knows about the company that owns `domain` (lower case, no leading `www.`).
    ///
    /// `Ok(None)` means that it answered and does not know the company: normal, and not a failure. What it returns need not
    /// be clean: the waterfall normalises it.
    ///
    /// A transient failure may pass with the next question, a deferral says how long not to ask, and a permanent one is a
    /// matter of configuration, such as a key that is refused. One that names no dependency, such as [`NOT_YET`], is about
    /// this company alone and says nothing against the provider.
    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure>;

    /// Whether a question costs time or money, so that answers are worth keeping.
    fn is_remote(&self) -> bool {
        true
    }

    /// Tries the credentials at no cost, and says what of them works; none where a question would have to be paid for.
    async fn check(&self) -> Result<Option<&'static str>, Failure> {
        Ok(None)
    }
}
