use std::sync::Arc;

use async_trait::async_trait;
use janitor::{Chase, EnrichAgain, Overdue};
use lead::{Failure, LeadEvent};
use pipeline::{Chased, Pipeline};

/// Escalates overdue leads through the pipeline.
pub(crate) fn escalation(pipeline: &Arc<Pipeline>) -> Arc<dyn Chase> {
    Arc::new(PipelineChores(Arc::clone(pipeline)))
}

/// Retries enrichment through the pipeline.
pub(crate) fn enricher(pipeline: &Arc<Pipeline>) -> Arc<dyn EnrichAgain> {
    Arc::new(PipelineChores(Arc::clone(pipeline)))
}

struct PipelineChores(Arc<Pipeline>);

#[async_trait]
impl Chase for PipelineChores {
    async fn chase(&self, limit: u32) -> Result<Overdue, Failure> {
        let Chased { overdue, reassigned, responded } = self.0.chase(limit).await?;
        Ok(Overdue { overdue, reassigned, responded })
    }
}

#[async_trait]
impl EnrichAgain for PipelineChores {
    async fn enrich_again(&self, limit: u32) -> Result<Vec<LeadEvent>, Failure> {
        self.0.enrich_again(limit).await
    }
}
