//! A queue on a separate database for each test.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use database::Database;
use database::testing::TestDatabase;
use lead::ManualClock;
use queue::conformance::Harness;
use queue::{DatabaseQueue, LeadQueue};

pub(crate) const VISIBILITY: Duration = Duration::from_secs(30);

/// A migrated database, and a manual clock.
pub(crate) struct Fixture {
    pub(crate) clock: ManualClock,
    database: TestDatabase,
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        Self { clock: ManualClock::default(), database: TestDatabase::sqlite().await }
    }

    pub(crate) async fn postgres() -> Self {
        Self { clock: ManualClock::default(), database: TestDatabase::postgres().await }
    }

    /// A separate pool, as another process would have.
    pub(crate) async fn database(&self) -> Database {
        self.database.connect().await
    }

    pub(crate) async fn queue(&self) -> Arc<DatabaseQueue> {
        Arc::new(DatabaseQueue::new(self.database().await, Arc::new(self.clock.clone()), VISIBILITY))
    }
}

#[async_trait]
impl Harness for Fixture {
    async fn open(&self) -> Arc<dyn LeadQueue> {
        self.queue().await
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}
