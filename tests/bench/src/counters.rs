use anyhow::Context as _;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

use crate::process::{cpu_seconds_of, cpu_seconds_of_family};
use crate::servers::Servers;

/// The counters of the database servers, at one time.
#[derive(Clone, Copy)]
pub(crate) struct Counters {
    /// Transactions of one database, reading ones included.
    pub(crate) transactions: f64,
    /// Transactions that wrote, of the whole server: each has an id of its own.
    pub(crate) commits: f64,
    /// Bytes of the write-ahead log, of the whole server.
    pub(crate) wal_bytes: f64,
    /// Statements of one database, without those that begin and end transactions; None if the server has no
    /// `pg_stat_statements`.
    pub(crate) statements: Option<f64>,
    /// CPU seconds of PostgreSQL and Redis; None without `/proc`.
    pub(crate) cpu_seconds: Option<f64>,
}

impl Counters {
    /// Reads the counters of a database. PostgreSQL counts a session's last second when the session ends, so
    /// that its clients must have stopped.
    pub(crate) async fn read(servers: &Servers, url: &str) -> anyhow::Result<Self> {
        let database = url.rsplit('/').next().context("the URL names a database")?;
        let mut connection = AnyConnection::connect(&servers.postgres).await?;
        let row = sqlx::query(
            "SELECT (xact_commit + xact_rollback)::BIGINT AS transactions, datid::BIGINT AS id, \
             pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT AS next_transaction, \
             pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::BIGINT AS wal, pg_backend_pid()::BIGINT AS process \
             FROM pg_stat_database WHERE datname = $1",
        );
        let row = row.bind(database).fetch_one(&mut connection).await?;
        let number = |column: &str| row.try_get::<i64, _>(column);
        let redis = Self::redis_process(servers).await?;
        let cpu_seconds = cpu_seconds_of_family(u32::try_from(number("process")?)?)
            .and_then(|postgres| Some(postgres + cpu_seconds_of(redis)?));
        let sql = format!(
            "SELECT SUM(calls)::BIGINT FROM pg_stat_statements WHERE dbid = {} \
             AND query !~* '^ *(begin|commit|rollback|savepoint|release)'",
            number("id")?
        );
        let installed = sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements");
        let statements: Option<i64> = match installed.execute(&mut connection).await {
            Ok(_) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap_or(None),
            Err(_) => None,
        };
        Ok(Self {
            transactions: number("transactions")? as f64,
            commits: number("next_transaction")? as f64,
            wal_bytes: number("wal")? as f64,
            statements: statements.map(|calls| calls as f64),
            cpu_seconds,
        })
    }

    async fn redis_process(servers: &Servers) -> anyhow::Result<u32> {
        let mut redis =
            redis::Client::open(servers.redis.as_str())?.get_multiplexed_async_connection().await?;
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut redis).await?;
        let line = info.lines().find_map(|line| line.strip_prefix("process_id:"));
        Ok(line.context("Redis names its process")?.trim().parse()?)
    }
}
