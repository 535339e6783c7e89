use async_trait::async_trait;
use lead::Failure;

use crate::Firmographics;

/// A source of firmographics. One implementation for each outside system.
#[async_trait]
pub trait EnrichmentProvider: Send + Sync {
    /// The short stable name that provenance and errors carry, such as `apollo`.
    fn name(&self) -> &'static str;

    /// What the provider knows about the company that owns `domain` (lower case, no leading `www.`).
    ///
    /// `Ok(None)` means that it answered and does not know the company: normal, and not a failure. What it returns need not
    /// be clean: the waterfall normalises it.
    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure>;
}
