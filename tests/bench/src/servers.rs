use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

/// The database servers and the programs of the benchmark.
pub(crate) struct Servers {
    /// URL of the PostgreSQL server; its user may create databases.
    pub(crate) postgres: String,
    /// URL of the Redis server.
    pub(crate) redis: String,
    /// The `revenueflow` binary.
    pub(crate) product: PathBuf,
    /// The Node application.
    pub(crate) peer: PathBuf,
}

impl Servers {
    /// The servers that `scripts/with-postgres` and `scripts/with-redis` started, and the `revenueflow`
    /// beside this program.
    pub(crate) fn of_environment() -> anyhow::Result<Self> {
        let variable = |name| std::env::var(name).with_context(|| format!("{name}: run `make bench`"));
        sqlx::any::install_default_drivers();
        Ok(Self {
            postgres: variable("TEST_DATABASE_URL")?,
            redis: variable("TEST_REDIS_URL")?,
            product: std::env::current_exe()?.with_file_name("revenueflow"),
            peer: Path::new(env!("CARGO_MANIFEST_DIR")).join("peer.mjs"),
        })
    }

    /// Fails unless both servers keep an acknowledged write through a crash.
    pub(crate) async fn check_durability(&self) -> anyhow::Result<()> {
        let mut connection = AnyConnection::connect(&self.postgres).await?;
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let sql = AssertSqlSafe(format!("SHOW {setting}"));
            let value: String = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
            anyhow::ensure!(value == "on", "PostgreSQL runs with {setting}={value}: run `make bench`");
        }
        let mut redis = redis::Client::open(self.redis.as_str())?.get_multiplexed_async_connection().await?;
        let query = redis::cmd("CONFIG").arg("GET").arg("appendonly").to_owned();
        let (_, value): (String, String) = query.query_async(&mut redis).await?;
        anyhow::ensure!(value == "yes", "Redis runs with appendonly={value}: run `make bench`");
        Ok(())
    }

    /// Creates an empty database, replacing one of this name, and returns its URL.
    pub(crate) async fn create_database(&self, name: &str) -> anyhow::Result<String> {
        let mut connection = AnyConnection::connect(&self.postgres).await?;
        for sql in [format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), format!("CREATE DATABASE {name}")]
        {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        }
        let (server, _) = self.postgres.rsplit_once('/').context("the URL of PostgreSQL names a database")?;
        Ok(format!("{server}/{name}"))
    }

    /// Empties Redis.
    pub(crate) async fn empty_redis(&self) -> anyhow::Result<()> {
        let mut redis = redis::Client::open(self.redis.as_str())?.get_multiplexed_async_connection().await?;
        Ok(redis::cmd("FLUSHALL").query_async(&mut redis).await?)
    }
}
