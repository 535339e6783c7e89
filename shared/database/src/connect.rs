use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use tokio::sync::Semaphore;

use crate::connection::{self, STATEMENT_LIMIT};
use crate::{DatabaseError, Pool, WriteTransaction};

/// How long it may take to get a connection.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(10);

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Which database is behind a [`Database`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file on this machine, or memory.
    Sqlite,
    /// A PostgreSQL server, Aurora included.
    Postgres,
}

/// A pool of connections. Clones share it.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
    backend: Backend,
    /// SQLite has one writer at a time. Waiting here is fair and wakes at once; waiting in SQLite polls.
    writer: Arc<Semaphore>,
}

impl Database {
    /// Opens a pool of at most `max_connections` on `sqlite://path` (created where missing) or `postgres://..`.
    ///
    /// SQLite runs with a write-ahead log and full synchronisation: what is committed survives a power cut. On PostgreSQL a
    /// statement may take 30 seconds, unless [`with_statement_limit`](Self::with_statement_limit) says otherwise.
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self, DatabaseError> {
        sqlx::any::install_default_drivers();
        let (backend, url) = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            (Backend::Postgres, url.to_owned())
        } else if cfg!(feature = "sqlite") && url.starts_with("sqlite:") {
            let separator = if url.contains('?') { '&' } else { '?' };
            (
                Backend::Sqlite,
                if url.contains("mode=") { url.to_owned() } else { format!("{url}{separator}mode=rwc") },
            )
        } else {
            return Err(DatabaseError::Url(if cfg!(feature = "sqlite") {
                "sqlite:// or postgres://"
            } else {
                "postgres://"
            }));
        };
        let mut options =
            AnyPoolOptions::new().max_connections(max_connections).acquire_timeout(ACQUIRE_LIMIT);
        if backend == Backend::Postgres {
            options = options
                .test_before_acquire(false) // it has no limit of its own
                .before_acquire(|connection, about| {
                    Box::pin(connection::is_alive(connection, Some(about.idle_for)))
                })
                .after_release(|connection, _| Box::pin(connection::is_alive(connection, None)));
        }
        let options = options.after_connect(move |connection, _| {
            Box::pin(async move {
                if backend == Backend::Sqlite {
                    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                                        PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON";
                    sqlx::raw_sql(settings).execute(connection).await?;
                }
                Ok(())
            })
        });
        let limit = (backend == Backend::Postgres).then_some(STATEMENT_LIMIT);
        let pool = Pool::new(options.connect(&url).await?, limit);
        Ok(Self { pool, backend, writer: Arc::new(Semaphore::new(1)) })
    }

    /// The same database, where a statement may take so long on PostgreSQL. After that the connection is given up, and the
    /// statement may have had its effect or not.
    #[must_use]
    pub fn with_statement_limit(self, limit: Duration) -> Self {
        match self.backend {
            Backend::Postgres => Self { pool: Pool::new(self.pool.inner, Some(limit)), ..self },
            Backend::Sqlite => self,
        }
    }

    /// Brings the schema up to date. Running it again, or from several processes, is harmless.
    pub async fn migrate(&self) -> Result<(), DatabaseError> {
        Ok(MIGRATOR.run(&self.pool.inner).await?)
    }

    /// Whether the schema is the one this build expects.
    pub async fn is_migrated(&self) -> Result<bool, DatabaseError> {
        let newest = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
        let applied: Result<Option<i64>, _> =
            sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(&self.pool).await;
        match applied {
            Ok(version) => Ok(version.unwrap_or(0) >= newest),
            Err(sqlx::Error::Database(_)) => Ok(false), // no such table: never migrated
            Err(error) => Err(error.into()),
        }
    }

    /// Asks the database for an answer.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// For statements that only read, or write a single row by themselves on PostgreSQL.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Which database this is.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Begins a transaction that writes. Dropping it without `commit` undoes it.
    pub async fn begin(&self) -> Result<WriteTransaction, DatabaseError> {
        match self.backend {
            Backend::Sqlite => {
                let turn = Arc::clone(&self.writer).acquire_owned().await;
                let turn = turn.map_err(|_closed| sqlx::Error::PoolClosed)?;
                let inner = self.pool.begin(Some("BEGIN IMMEDIATE")).await?;
                Ok(WriteTransaction::new(inner, Some(turn)))
            }
            Backend::Postgres => Ok(WriteTransaction::new(self.pool.begin(None).await?, None)),
        }
    }

    /// Closes every connection, waiting for those in use.
    pub async fn close(&self) {
        self.pool.inner.close().await;
    }
}
