use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Row as _};
use tokio::sync::Semaphore;

use crate::connection::{self, STATEMENT_LIMIT};
use crate::{DatabaseError, Pool, WriteTransaction};

/// How long it may take to get a connection.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(10);

/// How long bringing the schema up to date may take on PostgreSQL: an index on many rows takes minutes.
const MIGRATION_LIMIT: Duration = Duration::from_hours(1);

/// How long closing waits for connections in use.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// `PRAGMA user_version` of an SQLite file that holds no remains of deleted content.
const CLEAN_VERSION: i64 = 1;

/// How often the write-ahead log is tried to be truncated, and how long to wait before the next try.
const CHECKPOINTS: u32 = 4;
const CHECKPOINT_WAIT: Duration = Duration::from_millis(100);

/// Passes over migrations that only a newer version knows: they add, so that older code works with their schema. Otherwise
/// no release that had a migration could be turned back.
static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    migrator.set_ignore_missing(true);
    migrator
});

/// Which database is behind a [`Database`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file on this machine, or memory.
    Sqlite,
    /// A PostgreSQL server, Aurora included.
    Postgres,
}

/// Where bytes of deleted rows may still be, beyond the reach of statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traces {
    /// Nowhere in the database's files.
    None,
    /// SQLite: in the write-ahead log, which a transaction of another process kept from being truncated.
    Log,
    /// SQLite: in free space of a file that an older version made and that could not be rewritten.
    FreeSpace,
    /// PostgreSQL: in dead rows, unused space of pages and the write-ahead log.
    DeadRows,
}

/// A pool of connections. Clones share it.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
    backend: Backend,
    migration_limit: Duration,
    /// SQLite has one writer at a time. Waiting here is fair and wakes at once; waiting in SQLite polls.
    writer: Arc<Semaphore>,
}

impl Database {
    /// Opens a pool of at most `max_connections` on `sqlite://path` (created where missing) or `postgres://..`.
    ///
    /// SQLite runs with a write-ahead log and full synchronisation: what is committed survives a power cut. It overwrites
    /// deleted content with zeros, and a file that it creates can be read by its owner alone. On PostgreSQL a statement may
    /// take 30 seconds, unless [`with_statement_limit`](Self::with_statement_limit) says otherwise.
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
                                    PRAGMA secure_delete = ON; \
                                    PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON";
                    sqlx::raw_sql(settings).execute(connection).await?;
                }
                Ok(())
            })
        });
        let limit = (backend == Backend::Postgres).then_some(STATEMENT_LIMIT);
        let pool = Pool::new(options.connect(&url).await?, limit);
        Ok(Self { pool, backend, migration_limit: MIGRATION_LIMIT, writer: Arc::new(Semaphore::new(1)) })
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

    /// The same database, whose migrations may take so long in all on PostgreSQL, instead of an hour.
    #[must_use]
    pub fn with_migration_limit(self, limit: Duration) -> Self {
        Self { migration_limit: limit, ..self }
    }

    /// Brings the schema up to date. Running it again, or from several processes, is harmless, and so is an older version
    /// on a newer schema, which it leaves as it is.
    ///
    /// On PostgreSQL it fails after an hour, unless [`with_migration_limit`](Self::with_migration_limit) says otherwise: the
    /// server may have vanished without a word. What was not finished by then is undone by the server.
    ///
    /// An SQLite file of a version that did not overwrite deleted content is rewritten once, which needs as much free
    /// disk space as the file has. Where that fails, the file works as before and an erasure certificate says so.
    pub async fn migrate(&self) -> Result<(), DatabaseError> {
        if self.backend == Backend::Postgres {
            let migrated = connection::within(self.migration_limit, MIGRATOR.run(&self.pool.inner));
            return Ok(migrated.await??);
        }
        let tables: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master").fetch_one(&self.pool).await?;
        if tables == 0 {
            self.mark_clean().await?;
        }
        MIGRATOR.run(&self.pool.inner).await?;
        if !self.is_clean().await? && sqlx::raw_sql("VACUUM").execute(&self.pool).await.is_ok() {
            self.mark_clean().await?;
        }
        Ok(())
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

    /// Removes the bytes that a committed deletion has left in the files, as far as statements can.
    ///
    /// SQLite: copies the write-ahead log into the database file, whose free space is overwritten, and truncates the log.
    /// Waits up to 2 s in all for transactions that read or write. PostgreSQL removes dead rows by itself, later.
    pub async fn remove_traces(&self) -> Result<Traces, DatabaseError> {
        if self.backend == Backend::Postgres {
            return Ok(Traces::DeadRows);
        }
        for _ in 0..CHECKPOINTS {
            if self.checkpoint().await? {
                return Ok(if self.is_clean().await? { Traces::None } else { Traces::FreeSpace });
            }
            // Meanwhile others write; and a checkpoint of another process ends this one at once, without waiting.
            tokio::time::sleep(CHECKPOINT_WAIT).await;
        }
        Ok(Traces::Log)
    }

    /// Copies the write-ahead log into the database file and truncates it. False where a transaction or a checkpoint of
    /// another connection was in the way for longer than writers may be kept waiting.
    async fn checkpoint(&self) -> Result<bool, DatabaseError> {
        let _turn = self.writer.acquire().await.map_err(|_closed| sqlx::Error::PoolClosed)?;
        let mut connection = self.pool.acquire().await?;
        sqlx::raw_sql("PRAGMA busy_timeout = 500").execute(&mut connection).await?;
        let truncated = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await;
        sqlx::raw_sql("PRAGMA busy_timeout = 10000").execute(&mut connection).await?;
        let is_busy: i64 = truncated?.try_get(0)?;
        Ok(is_busy == 0)
    }

    /// Where bytes of deleted rows will be once they are removed, as far as is known before.
    pub fn traces(&self) -> Traces {
        match self.backend {
            Backend::Sqlite => Traces::None,
            Backend::Postgres => Traces::DeadRows,
        }
    }

    /// Whether deleted content has been overwritten ever since this SQLite file was made or rewritten.
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
        // A connection that is still in use is dropped with whoever uses it.
        let _ = tokio::time::timeout(CLOSE_LIMIT, self.pool.inner.close()).await;
    }
}
