use std::sync::Arc;

use async_trait::async_trait;
use cloud::RefusedCredentials;
use janitor::Probe;
use lead::{Dependency, Failure};
use pipeline::Pipeline;

/// The probes of the pipeline's dependencies. A refusal of our credentials is noted, so that they are read
/// again.
pub(crate) fn probes(
    pipeline: &Arc<Pipeline>,
    refused: &RefusedCredentials,
) -> Vec<(Dependency, Arc<dyn Probe>)> {
    let observed = |(dependency, probe)| {
        let probe = ObservedProbe { probe, refused: refused.clone() };
        (dependency, Arc::new(probe) as Arc<dyn Probe>)
    };
    janitor::probes(pipeline).into_iter().map(observed).collect()
}

struct ObservedProbe {
    probe: Arc<dyn Probe>,
    refused: RefusedCredentials,
}

#[async_trait]
impl Probe for ObservedProbe {
    async fn probe(&self) -> Result<(), Failure> {
        self.probe.probe().await.inspect_err(|failure| self.refused.observe(failure))
    }
}
