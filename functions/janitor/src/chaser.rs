use std::sync::Arc;

use async_trait::async_trait;
use janitor::{Chase, EnrichAgain, Overdue};
use lead::{Failure, LeadEvent};
use pipeline::{Chased, Pipeline};

/// Has the pipeline look after leads that nobody responded to.
pub(crate) fn chaser(pipeline: &Arc<Pipeline>) -> Arc<dyn Chase> {
    Arc::new(Chaser(Arc::clone(pipeline)))
}

/// Has the pipeline ask enrichment again.
pub(crate) fn enricher(pipeline: &Arc<Pipeline>) -> Arc<dyn EnrichAgain> {
    Arc::new(Chaser(Arc::clone(pipeline)))
}

struct Chaser(Arc<Pipeline>);

#[async_trait]
impl Chase for Chaser {
    async fn chase(&self, limit: u32) -> Result<Overdue, Failure> {
        let Chased { overdue, reassigned, responded } = self.0.chase(limit).await?;
        Ok(Overdue { overdue, reassigned, responded })
    }
}

#[async_trait]
impl EnrichAgain for Chaser {
    async fn enrich_again(&self, limit: u32) -> Result<Vec<LeadEvent>, Failure> {
        self.0.enrich_again(limit).await
    }
}
