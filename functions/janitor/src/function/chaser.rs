use std::sync::Arc;

use async_trait::async_trait;
use janitor::{Chase, Overdue};
use lead::Failure;
use pipeline::{Chased, Pipeline};

/// Has the pipeline look after leads that nobody responded to.
pub(crate) fn chaser(pipeline: &Arc<Pipeline>) -> Arc<dyn Chase> {
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
