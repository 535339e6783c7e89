use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::any::AnyPoolOptions;
use sqlx::{AssertSqlSafe, Row as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::{self, STATEMENT_LIMIT};
use crate::migrations::migrator;
use crate::{DatabaseError, Pool, WriteTransaction};

/// Time limit for acquiring a connection from the pool.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(10);

/// Time limit for all migrations on PostgreSQL: an index on many rows takes minutes.
const MIGRATION_LIMIT: Duration = Duration::from_hours(1);

/// The connections for writes that go ahead of all others.
const CONNECTIONS_AHEAD: u32 = 2;

/// How long closing waits for connections in use.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// `PRAGMA user_version` of an SQLite file that holds no remains of deleted content.
const CLEAN_VERSION: i64 = 1;

/// Room for the next version of a row in its page, on PostgreSQL: most rows of these tables are updated once
/// or twice soon after they were inserted. An update in the same page logs only the bytes that changed, and,
/// if no indexed column changed, leaves the indexes alone.
const POSTGRES_STORAGE: &str = "
    ALTER TABLE lead SET (fillfactor = 60);
    ALTER TABLE delivery SET (fillfactor = 50);
    ALTER TABLE crm_action SET (fillfactor = 50);
    ALTER TABLE crm_limit SET (fillfactor = 50)";

/// The number of attempts to truncate the write-ahead log, and the wait between them.
const CHECKPOINTS: u32 = 4;
const CHECKPOINT_WAIT: Duration = Duration::from_millis(100);

/// The kind of database behind a [`Database`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file on this machine, or memory.
    Sqlite,
    /// A PostgreSQL server, Aurora included.
    Postgres,
}

impl Backend {
    /// The name, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// Places in which bytes of deleted rows may remain, out of reach of SQL statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traces {
    /// Nowhere in the database's files.
    None,
    /// SQLite: in the write-ahead log, because a transaction of another process prevented its truncation.
    Log,
    /// SQLite: in the free space of a file that an older version created and that could not be rewritten.
    FreeSpace,
    /// PostgreSQL: in dead rows, unused space of pages and the write-ahead log.
    DeadRows,
}

/// A pool of connections. Clones share it.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
    /// For the writes that go ahead of all others, opened when the first of them is made.
    pool_ahead: Pool,
    backend: Backend,
    /// With the password.
    url: Arc<SecretString>,
    migration_limit: Duration,
    /// SQLite has one writer at a time. Waiting for this semaphore is fair and wakes at once; waiting in
    /// SQLite polls.
    writer: Arc<Semaphore>,
    /// The turns of the writers that let others go ahead. Only the one whose turn it is waits for `writer`.
    turns: Arc<Semaphore>,
}

impl Database {
    /// Opens a pool of at most `max_connections` on `sqlite://path` (created if missing) or `postgres://..`.
    ///
    /// SQLite uses a write-ahead log and full synchronisation: committed data survives a power cut. The log
    /// is copied into the database every 32 MB. SQLite overwrites deleted content with zeros, and only the
    /// owner can read a file that it creates. A statement on PostgreSQL may take 30 seconds, unless
    /// [`with_statement_limit`](Self::with_statement_limit) sets another limit.
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
        #[cfg(feature = "sqlite")]
        if backend == Backend::Sqlite {
            crate::file::create_private(&url);
        }
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
                                    PRAGMA wal_autocheckpoint = 8000; PRAGMA cache_size = -16000; \
                                    PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON; \
                                    PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON";
                    sqlx::raw_sql(settings).execute(connection).await?;
                }
                Ok(())
            })
        });
        let limit = (backend == Backend::Postgres).then_some(STATEMENT_LIMIT);
        let ahead = options.clone().max_connections(CONNECTIONS_AHEAD).connect_lazy(&url)?;
        Ok(Self {
            pool: Pool::new(options.connect(&url).await?, limit, backend),
            pool_ahead: Pool::new(ahead, limit, backend),
            backend,
            url: Arc::new(url.into()),
            migration_limit: MIGRATION_LIMIT,
            writer: Arc::new(Semaphore::new(1)),
            turns: Arc::new(Semaphore::new(1)),
        })
    }

    /// Sets the time limit for a statement on PostgreSQL. After that the connection is discarded, and the
    /// statement may or may not have had its effect.
    #[must_use]
    pub fn with_statement_limit(self, limit: Duration) -> Self {
        match self.backend {
            Backend::Postgres => Self {
                pool: Pool::new(self.pool.inner, Some(limit), self.backend),
                pool_ahead: Pool::new(self.pool_ahead.inner, Some(limit), self.backend),
                ..self
            },
            Backend::Sqlite => self,
        }
    }

    /// Sets the time limit for all migrations on PostgreSQL, instead of an hour.
    #[must_use]
    pub fn with_migration_limit(self, limit: Duration) -> Self {
        Self { migration_limit: limit, ..self }
    }

    /// Applies the missing migrations. Running it again, or from several processes, is harmless; an older
    /// version leaves a newer schema unchanged.
    ///
    /// On PostgreSQL it fails after an hour, unless [`with_migration_limit`](Self::with_migration_limit) sets
    /// another limit: the server may have vanished without closing the connection. The server rolls an
    /// unfinished migration back.
    ///
    /// An SQLite file of a version that did not overwrite deleted content is rewritten once, which needs free
    /// disk space of the size of the file. If that fails, the file works as before, and an erasure
    /// certificate says so.
    pub async fn migrate(&self) -> Result<(), DatabaseError> {
        if self.backend == Backend::Postgres {
            let migrated = async {
                migrator(Backend::Postgres).run(&self.pool.inner).await?;
                sqlx::raw_sql(POSTGRES_STORAGE).execute(&self.pool.inner).await?;
                Ok::<(), DatabaseError>(())
            };
            return connection::within(self.migration_limit, migrated).await?;
        }
        let tables: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master").fetch_one(&self.pool).await?;
        if tables == 0 {
            self.mark_clean().await?;
        }
        migrator(Backend::Sqlite).run(&self.pool.inner).await?;
        if !self.is_clean().await? && sqlx::raw_sql("VACUUM").execute(&self.pool).await.is_ok() {
            self.mark_clean().await?;
        }
        Ok(())
    }

    /// Whether the schema is at least as new as this build expects.
    pub async fn is_migrated(&self) -> Result<bool, DatabaseError> {
        let newest = migrator(self.backend).iter().map(|migration| migration.version).max().unwrap_or(0);
        let applied: Result<Option<i64>, _> =
            sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(&self.pool).await;
        match applied {
            Ok(version) => Ok(version.unwrap_or(0) >= newest),
            Err(sqlx::Error::Database(_)) => Ok(false), // no such table: never migrated
            Err(error) => Err(error.into()),
        }
    }

    /// Checks that the database answers.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// The pool, for statements that only read, or that write a single row by themselves on PostgreSQL.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The URL, with the password.
    pub(crate) fn url(&self) -> &str {
        self.url.expose_secret()
    }

    /// The kind of database.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Begins a writing transaction. Dropping it without `commit` rolls it back.
    pub async fn begin(&self) -> Result<WriteTransaction, DatabaseError> {
        match self.backend {
            Backend::Sqlite => {
                let permits = vec![acquire(&self.turns).await?, acquire(&self.writer).await?];
                WriteTransaction::begin(&self.pool, Some("BEGIN IMMEDIATE"), permits).await
            }
            Backend::Postgres => WriteTransaction::begin(&self.pool, None, Vec::new()).await,
        }
    }

    /// Begins a writing transaction that waits at most for one that has begun, whatever else waits to write:
    /// for leads that arrive. Such transactions have connections of their own.
    pub async fn begin_ahead(&self) -> Result<WriteTransaction, DatabaseError> {
        match self.backend {
            Backend::Sqlite => {
                let permits = vec![acquire(&self.writer).await?];
                WriteTransaction::begin(&self.pool_ahead, Some("BEGIN IMMEDIATE"), permits).await
            }
            Backend::Postgres => WriteTransaction::begin(&self.pool_ahead, None, Vec::new()).await,
        }
    }

    /// Removes the bytes that committed deletions left in the files, as far as statements can.
    ///
    /// SQLite: copies the write-ahead log into the database file, in which free space is overwritten, and
    /// truncates the log. Waits up to 2 s in all for transactions that read or write. PostgreSQL removes dead
    /// rows itself, later.
    pub async fn remove_traces(&self) -> Result<Traces, DatabaseError> {
        if self.backend == Backend::Postgres {
            return Ok(Traces::DeadRows);
        }
        for _ in 0..CHECKPOINTS {
            if self.checkpoint().await? {
                return Ok(if self.is_clean().await? { Traces::None } else { Traces::FreeSpace });
            }
            // Others can write during the wait. Waiting is needed because a checkpoint of another process
            // makes this one fail at once.
            tokio::time::sleep(CHECKPOINT_WAIT).await;
        }
        Ok(Traces::Log)
    }

    /// Copies the write-ahead log into the database file and truncates it. False if a transaction or a
    /// checkpoint of another connection blocked it for longer than writers may wait.
    async fn checkpoint(&self) -> Result<bool, DatabaseError> {
        let _permit = self.writer.acquire().await.map_err(|_closed| sqlx::Error::PoolClosed)?;
        let mut connection = self.pool.acquire().await?;
        sqlx::raw_sql("PRAGMA busy_timeout = 500").execute(&mut connection).await?;
        let truncated = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await;
        sqlx::raw_sql("PRAGMA busy_timeout = 10000").execute(&mut connection).await?;
        let is_busy: i64 = truncated?.try_get(0)?;
        Ok(is_busy == 0)
    }

    /// The expected traces of rows that are yet to be deleted.
    pub fn traces(&self) -> Traces {
        match self.backend {
            Backend::Sqlite => Traces::None,
            Backend::Postgres => Traces::DeadRows,
        }
    }

    /// Whether this SQLite file has overwritten deleted content ever since it was created or rewritten.
    async fn is_clean(&self) -> Result<bool, DatabaseError> {
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&self.pool).await?;
        Ok(version >= CLEAN_VERSION)
    }

    async fn mark_clean(&self) -> Result<(), DatabaseError> {
        let sql = AssertSqlSafe(format!("PRAGMA user_version = {CLEAN_VERSION}")); // a constant number
        sqlx::raw_sql(sql).execute(&self.pool).await?;
        Ok(())
    }

    /// Closes every connection, waiting up to 5 s for those in use.
    pub async fn close(&self) {
        // A connection that is still in use closes when its user drops it.
        let pools = futures::future::join(self.pool.inner.close(), self.pool_ahead.inner.close());
        let _ = tokio::time::timeout(CLOSE_LIMIT, pools).await;
    }
}

async fn acquire(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, DatabaseError> {
    let permit = Arc::clone(permits).acquire_owned().await;
    Ok(permit.map_err(|_closed| sqlx::Error::PoolClosed)?)
}
