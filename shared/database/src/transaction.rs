use std::ops::{Deref, DerefMut};

use tokio::sync::OwnedSemaphorePermit;

use crate::{Connection, DatabaseError};

/// A transaction that writes. Dropping it without [`commit`](Self::commit) undoes it.
#[derive(Debug)]
pub struct WriteTransaction {
    inner: Connection,
    /// SQLite: this process's turn to write. Dropped after `inner`, as fields are dropped in order.
    _turn: Option<OwnedSemaphorePermit>,
}

impl WriteTransaction {
    pub(crate) fn new(inner: Connection, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self { inner, _turn: turn }
    }

    /// Makes everything written durable, or nothing. Where this fails because no answer came, it is one or the other.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        Ok(self.inner.commit().await?)
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
