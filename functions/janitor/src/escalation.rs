use std::sync::Arc;

use async_trait::async_trait;
use janitor::{Escalate, EscalationCounts, RetryEnrichment};
use lead::{Failure, LeadEvent};
use pipeline::{EscalationSummary, Pipeline};

/// Escalates overdue leads through the pipeline.
pub(crate) fn escalation(pipeline: &Arc<Pipeline>) -> Arc<dyn Escalate> {
    Arc::new(PipelineChores(Arc::clone(pipeline)))
}

/// Retries enrichment through the pipeline.
pub(crate) fn enricher(pipeline: &Arc<Pipeline>) -> Arc<dyn RetryEnrichment> {
    Arc::new(PipelineChores(Arc::clone(pipeline)))
}

struct PipelineChores(Arc<Pipeline>);

#[async_trait]
impl Escalate for PipelineChores {
    async fn escalate_overdue(&self, limit: u32) -> Result<EscalationCounts, Failure> {
        let EscalationSummary { overdue, reassigned, responded } = self.0.escalate_overdue(limit).await?;
        Ok(EscalationCounts { overdue, reassigned, responded })
    }
}

#[async_trait]
impl RetryEnrichment for PipelineChores {
    async fn retry_enrichment(&self, limit: u32) -> Result<Vec<LeadEvent>, Failure> {
        self.0.retry_enrichment(limit).await
    }
}
