use batcher::{Batcher, Bounds};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::DatabaseError;

/// While one reading runs, the next one gathers.
const BOUNDS: Bounds = Bounds { calls: 256, batches: 1 };

/// Reads of one kind. Those that are asked for at the same time share a statement.
#[derive(Debug)]
pub struct SharedReads<T, R> {
    batcher: Batcher<(), T, Result<R, DatabaseError>>,
}

impl<T: Send + 'static, R: Send + 'static> SharedReads<T, R> {
    /// Reads that `read` carries out: it returns one result for each call, in their order.
    pub fn new(
        read: impl Fn(Vec<T>) -> BoxFuture<'static, Result<Vec<R>, DatabaseError>> + Send + Sync + 'static,
    ) -> Self {
        let run = move |calls: Vec<T>| {
            let (number, results) = (calls.len(), read(calls));
            async move {
                match results.await {
                    Ok(results) => results.into_iter().map(Ok).collect(),
                    Err(error) => error.for_each(number),
                }
            }
            .boxed()
        };
        Self { batcher: Batcher::new(BOUNDS, run) }
    }

    /// Reads, and sees everything that was committed before.
    ///
    /// A failure of the database fails all reads of the statement.
    pub async fn read(&self, call: T) -> Result<R, DatabaseError> {
        self.batcher.call(None, call).await?
    }
}
