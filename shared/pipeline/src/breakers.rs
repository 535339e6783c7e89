use std::sync::Arc;

use crm::{BreakerSettings, CircuitBreaker};
use lead::{Dependency, Failure};

use crate::Pipeline;

impl Pipeline {
    /// Whether processing depends on this outside system, so that consumption may be paused for it.
    pub fn depends_on(&self, name: &str) -> bool {
        self.guard.dependency().as_str() == name
            || self.analyst.dependencies().iter().any(|known| known.as_str() == name)
    }

    /// Sets an open circuit breaker to half-open, so that the next lead probes the outside system. The CRM
    /// has a second breaker, for reads.
    pub async fn half_open(&self, dependency: &Dependency) -> Result<(), Failure> {
        for name in [dependency.as_str().to_owned(), format!("{dependency}.reads")] {
            let (health, clock) = (Arc::new(self.store.clone()), Arc::clone(&self.clock));
            let breaker =
                CircuitBreaker::new(Dependency::named(name), health, clock, BreakerSettings::default());
            breaker.half_open().await?;
        }
        Ok(())
    }
}
