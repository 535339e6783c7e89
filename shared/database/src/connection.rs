//! Connections whose statements end in time.
//!
//! A PostgreSQL server may vanish without a word (failover, power, a firewall that forgets a connection). The client then
//! waits for an answer that never comes, and has nothing to send by which TCP would notice. sqlx opens its sockets itself
//! and sets no keepalive on them, so each statement has a time limit here instead, and a connection is asked for a sign of
//! life, in time as well, before it is used after a rest and when it is given back.

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

/// How long a statement on PostgreSQL may take, where nobody says otherwise.
pub const STATEMENT_LIMIT: Duration = Duration::from_secs(30);

/// Longer than anything takes: for SQLite, which is a file of this machine.
const UNLIMITED: Duration = Duration::from_hours(24 * 365);

/// How long a connection may take for a sign of life.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// A connection that was in use so shortly before is alive.
const RESTED: Duration = Duration::from_millis(100);

/// A pool whose statements end in time. Clones share it.
#[derive(Clone, Debug)]
pub struct Pool {
    pub(crate) inner: AnyPool,
    limit: Duration,
}

/// A connection that a caller's statements run on, inside or outside a transaction. Each of them ends in time.
#[derive(Debug)]
pub struct Connection {
    inner: Inner,
    limit: Duration,
}

enum Inner {
    Plain(PoolConnection<Any>),
    Transaction(Transaction<'static, Any>),
}

impl Pool {
    /// A pool on PostgreSQL, with a limit for each statement, or on SQLite, without.
    pub(crate) fn new(inner: AnyPool, limit: Option<Duration>) -> Self {
        Self { inner, limit: limit.unwrap_or(UNLIMITED) }
    }

    /// Takes a connection for several statements.
    pub async fn acquire(&self) -> Result<Connection, Error> {
        Ok(Connection { inner: Inner::Plain(self.inner.acquire().await?), limit: self.limit })
    }

    /// Begins a transaction with a statement of its own, or the backend's default.
    pub(crate) async fn begin(&self, statement: Option<&'static str>) -> Result<Connection, Error> {
        let begun = async {
            match statement {
                Some(statement) => self.inner.begin_with(statement).await,
                None => self.inner.begin().await,
            }
        };
        Ok(Connection { inner: Inner::Transaction(in_time(self.limit, begun).await?), limit: self.limit })
    }
}

impl Connection {
    /// Makes everything written durable, or nothing. Outside a transaction there is nothing to do.
    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self.inner {
            Inner::Transaction(transaction) => in_time(self.limit, transaction.commit()).await,
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
        Box::pin(in_time(self.limit, self.any().fetch_optional(query)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(in_time(self.limit, self.any().prepare_with(sql, parameters)))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Any>, Error>>
    where
        'c: 'e,
    {
        Box::pin(in_time(self.limit, self.any().describe(sql)))
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
        Box::pin(in_time(self.limit, self.inner.fetch_optional(query)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'p: 'e,
    {
        Box::pin(in_time(self.limit, self.inner.prepare_with(sql, parameters)))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Any>, Error>>
    where
        'p: 'e,
    {
        Box::pin(in_time(self.limit, self.inner.describe(sql)))
    }
}

/// Whether a connection is alive: before it is used after a rest, and when it is given back, for what was dropped while it
/// waited for an answer must not keep its place in the pool.
pub(crate) async fn is_alive(
    connection: &mut AnyConnection,
    idle_for: Option<Duration>,
) -> Result<bool, Error> {
    if idle_for.is_none_or(|idle_for| idle_for > RESTED) {
        in_time(PING_LIMIT, sqlx::Connection::ping(connection)).await?;
    }
    Ok(true)
}

async fn in_time<T>(limit: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    within(limit, answer).await?
}

/// An answer of any kind, or that it did not come in time.
pub(crate) async fn within<T>(limit: Duration, answer: impl Future<Output = T>) -> Result<T, Error> {
    timeout(limit, answer).await.map_err(|_| late(limit))
}

/// The same answers, each of which has to come in time. Ends after one that does not.
fn limited<'e, T: Send + 'e>(
    limit: Duration,
    answers: BoxStream<'e, Result<T, Error>>,
) -> BoxStream<'e, Result<T, Error>> {
    stream::unfold(Some(answers), move |answers| async move {
        let mut answers = answers?;
        match timeout(limit, answers.next()).await {
            Ok(answer) => Some((answer?, Some(answers))),
            Err(_) => Some((Err(late(limit)), None)),
        }
    })
    .boxed()
}

fn late(limit: Duration) -> Error {
    let message = format!("no answer within {} s", limit.as_secs_f32());
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, message))
}
