//! Group commit: writes of different callers in one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use batcher::{Batcher, Bounds, Interrupted};
use futures::FutureExt as _;

use crate::{Backend, Connection, Database, DatabaseError};

/// The bounds of a group on SQLite, which has one writer at a time. A larger group would make the other
/// writers wait longer for it.
const SQLITE: Bounds = Bounds { calls: 32, batches: 1 };

/// The bounds of a group on PostgreSQL.
const POSTGRES: Bounds = Bounds { calls: 64, batches: 2 };

/// A kind of write that many callers make at the same time.
#[async_trait]
pub trait GroupWrite: Send + Sync + 'static {
    /// The input of one caller.
    type Call: Send + Sync + 'static;
    /// The result for one caller.
    type Reply: Send + 'static;

    /// Writes what the calls ask for, inside the caller's transaction, and returns a result for each, in
    /// their order. It runs again, for each call alone, if the database refuses the calls together.
    async fn write(
        &self,
        connection: &mut Connection,
        calls: &[Self::Call],
    ) -> Result<Vec<Self::Reply>, DatabaseError>;
}

/// Makes the writes of different callers in one transaction: those that arrived while the transactions before
/// it ran. There is no timer. A caller is answered after the commit, as if it had a transaction of its own.
///
/// A write that the database refuses fails alone: the transaction is rolled back, and every write of it is
/// made again in a transaction of its own, a lone one too, since another process may have been in its way. An
/// unavailable database fails all of them.
pub struct Group<W: GroupWrite> {
    batcher: Batcher<String, W::Call, Result<W::Reply, DatabaseError>>,
}

impl<W: GroupWrite> Group<W> {
    /// Groups the writes to a database.
    pub fn new(database: Database, write: W) -> Self {
        Self::with(database, write, Place::InTurn)
    }

    /// Groups writes that go ahead of all others: see [`Database::begin_ahead`].
    pub fn ahead(database: Database, write: W) -> Self {
        Self::with(database, write, Place::Ahead)
    }

    fn with(database: Database, write: W, place: Place) -> Self {
        let bounds = match database.backend() {
            Backend::Sqlite => SQLITE,
            Backend::Postgres => POSTGRES,
        };
        let write = Arc::new(write);
        let run = move |calls| {
            let (database, write) = (database.clone(), Arc::clone(&write));
            async move { run(&database, place, write.as_ref(), calls).await }.boxed()
        };
        Self { batcher: Batcher::new(bounds, run) }
    }

    /// Makes a write and waits for its commit. Writes with the same key, such as the id of a lead, are made
    /// one after another, in different transactions.
    pub async fn call(&self, key: &str, call: W::Call) -> Result<W::Reply, DatabaseError> {
        self.batcher.call(key.to_owned(), call).await?
    }
}

/// The place of a group among the writers of its process.
#[derive(Clone, Copy)]
enum Place {
    InTurn,
    Ahead,
}

async fn run<W: GroupWrite>(
    database: &Database,
    place: Place,
    write: &W,
    calls: Vec<W::Call>,
) -> Vec<Result<W::Reply, DatabaseError>> {
    let error = match commit(database, place, write, &calls).await {
        Ok(replies) => return replies.into_iter().map(Ok).collect(),
        Err(error) => error,
    };
    if !error.concerns_a_row() {
        return error.for_each(calls.len());
    }
    tracing::debug!(%error, writes = calls.len(), "writes in one transaction failed: each is made alone");
    let mut replies = Vec::with_capacity(calls.len());
    for call in &calls {
        let reply = commit(database, place, write, std::slice::from_ref(call)).await;
        let missing = || Err(Interrupted.into());
        replies.push(reply.and_then(|replies| replies.into_iter().next().map_or_else(missing, Ok)));
    }
    replies
}

async fn commit<W: GroupWrite>(
    database: &Database,
    place: Place,
    write: &W,
    calls: &[W::Call],
) -> Result<Vec<W::Reply>, DatabaseError> {
    let mut transaction = match place {
        Place::InTurn => database.begin().await?,
        Place::Ahead => database.begin_ahead().await?,
    };
    let replies = write.write(&mut transaction, calls).await?;
    transaction.commit().await?;
    Ok(replies)
}
