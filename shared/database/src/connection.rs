//! Connections with a time limit for each statement.
//!
//! A PostgreSQL server may vanish without closing its connections (failover, power, a firewall that forgets a
//! connection). The client then waits for an answer that never arrives, and sends nothing by which TCP would
//! notice. sqlx opens its sockets itself and sets no keepalive on them. Therefore each statement has a time
//! limit here, and a connection is pinged, also with a time limit, before it is used after being idle and
//! when it is returned to the pool.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use sqlx::any::{Any, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{AnyConnection, AnyPool, Either, Error, Execute, Executor, SqlStr, Transaction};
use tokio::time::timeout;

use crate::Backend;

/// Default time limit for a statement on PostgreSQL.
pub const STATEMENT_LIMIT: Duration = Duration::from_secs(30);

/// Longer than any statement takes: for SQLite, which is a local file.
const UNLIMITED: Duration = Duration::from_hours(24 * 365);

/// Time limit for a ping.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// A connection that was idle for less than this is not pinged.
const MIN_IDLE_BEFORE_PING: Duration = Duration::from_millis(100);

/// A pool with a time limit for each statement. Clones share it.
#[derive(Clone, Debug)]
pub struct Pool {
    pub(crate) inner: AnyPool,
    limit: Duration,
    backend: Backend,
}

/// A connection for several statements, inside or outside a transaction, with a time limit for each of them.
#[derive(Debug)]
pub struct Connection {
    inner: Inner,
    limit: Duration,
    backend: Backend,
}

enum Inner {
    Plain(PoolConnection<Any>),
    Transaction(Transaction<'static, Any>),
}

impl Pool {
    /// A pool with a time limit for each statement on PostgreSQL, or without one on SQLite.
    pub(crate) fn new(inner: AnyPool, limit: Option<Duration>, backend: Backend) -> Self {
        Self { inner, limit: limit.unwrap_or(UNLIMITED), backend }
    }

    fn connection(&self, inner: Inner) -> Connection {
        Connection { inner, limit: self.limit, backend: self.backend }
    }

    /// Acquires a connection for several statements.
    pub async fn acquire(&self) -> Result<Connection, Error> {
        Ok(self.connection(Inner::Plain(self.inner.acquire().await?)))
    }

    /// Begins a transaction with the given statement, or with the backend's default.
    pub(crate) async fn begin(&self, statement: Option<&'static str>) -> Result<Connection, Error> {
        let begun = async {
            match statement {
                Some(statement) => self.inner.begin_with(statement).await,
                None => self.inner.begin().await,
            }
        };
        Ok(self.connection(Inner::Transaction(with_limit(self.limit, begun).await?)))
    }
}

impl Connection {
    /// The kind of database, for the few statements that are not the same on both.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Commits the transaction. Does nothing outside a transaction.
    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self.inner {
            Inner::Transaction(transaction) => with_limit(self.limit, transaction.commit()).await,
            Inner::Plain(_) => Ok(()),
        }
    }

    /// Rolls the transaction back. Does nothing outside a transaction.
    pub(crate) async fn rollback(self) -> Result<(), Error> {
        match self.inner {
            Inner::Transaction(transaction) => with_limit(self.limit, transaction.rollback()).await,
            Inner::Plain(_) => Ok(()),
        }
    }

    fn any(&mut self) -> &mut AnyConnection {
        match &mut self.inner {
            Inner::Plain(connection) => connection,
            Inner::Transaction(transaction) => transaction,
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Transaction(_) => "Transaction",
        })
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let limit = self.limit;
        limited(limit, self.any().fetch_many(query))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(with_limit(self.limit, self.any().fetch_optional(query)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(with_limit(self.limit, self.any().prepare_with(sql, parameters)))
    }
}

impl<'p> Executor<'p> for &'p Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        limited(self.limit, self.inner.fetch_many(query))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(with_limit(self.limit, self.inner.fetch_optional(query)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'p: 'e,
    {
        Box::pin(with_limit(self.limit, self.inner.prepare_with(sql, parameters)))
    }
}

/// Checks that a connection is alive, before it is used after being idle and when it is returned to the pool.
/// A connection that was dropped while it waited for an answer must not keep its slot in the pool.
pub(crate) async fn is_alive(
    connection: &mut AnyConnection,
    idle_for: Option<Duration>,
) -> Result<bool, Error> {
    if idle_for.is_none_or(|idle_for| idle_for > MIN_IDLE_BEFORE_PING) {
        with_limit(PING_LIMIT, sqlx::Connection::ping(connection)).await?;
    }
    Ok(true)
}

async fn with_limit<T>(limit: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    within(limit, answer).await?
}

/// The result of a future, or an error if it takes longer than `limit`.
pub(crate) async fn within<T>(limit: Duration, answer: impl Future<Output = T>) -> Result<T, Error> {
    timeout(limit, answer).await.map_err(|_| timed_out(limit))
}

/// The same answers, with a time limit for each. Ends after one that times out.
fn limited<'e, T: Send + 'e>(
    limit: Duration,
    answers: BoxStream<'e, Result<T, Error>>,
) -> BoxStream<'e, Result<T, Error>> {
    stream::unfold(Some(answers), move |answers| async move {
        let mut answers = answers?;
        match timeout(limit, answers.next()).await {
            Ok(answer) => Some((answer?, Some(answers))),
            Err(_) => Some((Err(timed_out(limit)), None)),
        }
    })
    .boxed()
}

fn timed_out(limit: Duration) -> Error {
    let message = format!("no answer within {} s", limit.as_secs_f32());
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, message))
}
