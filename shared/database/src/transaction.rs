use std::ops::{Deref, DerefMut};

use tokio::sync::OwnedSemaphorePermit;

use crate::{Connection, DatabaseError, Pool};

/// A writing transaction. Dropping it without [`commit`](Self::commit) rolls it back.
#[derive(Debug)]
pub struct WriteTransaction {
    inner: Connection,
    /// SQLite: the permits to write in this process. Dropped after `inner`, because fields are dropped in
    /// order.
    _permits: Vec<OwnedSemaphorePermit>,
}

impl WriteTransaction {
    /// Begins a transaction with the given statement, or with the backend's default.
    pub(crate) async fn begin(
        pool: &Pool,
        statement: Option<&'static str>,
        permits: Vec<OwnedSemaphorePermit>,
    ) -> Result<Self, DatabaseError> {
        Ok(Self { inner: pool.begin(statement).await?, _permits: permits })
    }

    /// Commits the transaction. If the answer of the database does not arrive in time, the transaction may or
    /// may not be committed.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        Ok(self.inner.commit().await?)
    }

    /// Rolls the transaction back. Its locks are released when this returns; after a drop, they are released
    /// some time later.
    pub async fn rollback(self) -> Result<(), DatabaseError> {
        Ok(self.inner.rollback().await?)
    }
}

impl Deref for WriteTransaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.inner
    }
}

impl DerefMut for WriteTransaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.inner
    }
}
