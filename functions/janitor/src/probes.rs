use std::sync::Arc;

use async_trait::async_trait;
use cloud::RefusedCredentials;
use janitor::Probe;
use lead::{Dependency, Failure};
use pipeline::Pipeline;

/// Probes for the pipeline's dependencies: the CRM, and the AI where it is an outside system.
pub(crate) fn probes(
    pipeline: &Arc<Pipeline>,
    refused: &RefusedCredentials,
) -> Vec<(Dependency, Arc<dyn Probe>)> {
    let mut dependencies = pipeline.analyst.dependencies();
    dependencies.push(pipeline.guard.dependency().clone());
    let probe = |dependency: Dependency| {
        let probe = PipelineProbe {
            pipeline: Arc::clone(pipeline),
            refused: refused.clone(),
            dependency: dependency.clone(),
        };
        (dependency, Arc::new(probe) as Arc<dyn Probe>)
    };
    dependencies.into_iter().map(probe).collect()
}

struct PipelineProbe {
    pipeline: Arc<Pipeline>,
    refused: RefusedCredentials,
    dependency: Dependency,
}

#[async_trait]
impl Probe for PipelineProbe {
    async fn probe(&self) -> Result<(), Failure> {
        let answer = if self.dependency == *self.pipeline.guard.dependency() {
            self.pipeline.guard.probe().await
        } else {
            self.pipeline.analyst.probe(&self.dependency).await
        };
        if let Err(failure) = &answer {
            self.refused.observe(failure);
        }
        answer
    }
}
