//! Notifications between processes, on PostgreSQL.

use sqlx::postgres::PgListener;

use crate::{Backend, Connection, Database, DatabaseError};

/// Hears what other processes announce on a channel, over a connection of its own.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    /// Waits for the next announcement. Announcements may be lost while the connection is down; it is opened
    /// again by the next call.
    pub async fn next(&mut self) -> Result<(), DatabaseError> {
        self.0.recv().await?;
        Ok(())
    }
}

impl Database {
    /// Listens on a channel. None on SQLite, where processes cannot announce anything to each other.
    pub async fn listen(&self, channel: &str) -> Result<Option<Listener>, DatabaseError> {
        match self.backend() {
            Backend::Sqlite => Ok(None),
            Backend::Postgres => {
                let mut listener = PgListener::connect(self.url()).await?;
                listener.listen(channel).await?;
                Ok(Some(Listener(listener)))
            }
        }
    }
}

/// Announces something on a channel once the transaction commits. Does nothing on SQLite.
pub async fn announce(connection: &mut Connection, channel: &'static str) -> Result<(), DatabaseError> {
    if connection.backend() == Backend::Postgres {
        sqlx::query("SELECT pg_notify($1, '')").bind(channel).execute(connection).await?;
    }
    Ok(())
}
