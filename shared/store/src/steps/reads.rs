//! Reads that leads make at the same time, in one statement for all of them.

use batcher::{Batcher, Bounds};
use breaker::HealthRecord;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use lead::{Dependency, EmailAddress};

use crate::suppression::suppressed_all;
use crate::{Result, Store, SuppressionKind};

const BOUNDS: Bounds = Bounds { calls: 256, batches: 2 };

/// The shared reads of a store.
pub(super) struct Reads {
    suppressed: Shared<EmailAddress, Option<SuppressionKind>>,
    health: Shared<Dependency, HealthRecord>,
}

impl Reads {
    pub(super) fn new(store: &Store) -> Self {
        let people = store.clone();
        let suppressed = Shared::new(move |emails| {
            let store = people.clone();
            async move {
                let mut connection = store.database.pool().acquire().await?;
                suppressed_all(&mut connection, &emails).await
            }
            .boxed()
        });
        let systems = store.clone();
        let health = Shared::new(move |dependencies| {
            let store = systems.clone();
            async move { store.health_of(&dependencies).await }.boxed()
        });
        Self { suppressed, health }
    }

    pub(super) async fn suppressed(&self, email: &EmailAddress) -> Result<Option<SuppressionKind>> {
        self.suppressed.read(email.clone()).await
    }

    pub(super) async fn health(&self, dependency: &Dependency) -> Result<HealthRecord> {
        self.health.read(dependency.clone()).await
    }
}

/// Reads of one kind. A read sees everything that was committed before it was asked for.
struct Shared<T, R> {
    batcher: Batcher<(), T, Result<R>>,
}

impl<T: Send + 'static, R: Send + 'static> Shared<T, R> {
    fn new(
        read: impl Fn(Vec<T>) -> BoxFuture<'static, Result<Vec<R>>> + Clone + Send + Sync + 'static,
    ) -> Self {
        let run = move |calls: Vec<T>| {
            let read = read.clone();
            async move {
                let number = calls.len();
                match read(calls).await {
                    Ok(results) => results.into_iter().map(Ok).collect(),
                    Err(error) => error.for_each(number),
                }
            }
            .boxed()
        };
        Self { batcher: Batcher::new(BOUNDS, run) }
    }

    async fn read(&self, call: T) -> Result<R> {
        self.batcher.call(None, call).await?
    }
}
