//! The measured systems: the product on each of its backends, and the Node application.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::{AnyConnection, Connection as _};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::sleep;

use crate::process::Process;
use crate::servers::Servers;

/// A system that accepts leads and works on them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// The product on SQLite.
    Sqlite,
    /// The product on PostgreSQL, with its queue there.
    Postgres,
    /// The product on PostgreSQL, with its queue in Redis.
    Redis,
    /// The Node application, on PostgreSQL and Redis.
    Peer,
}

/// The parts of a system that run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Running {
    Intake,
    IntakeAndWork,
}

/// A system with a database of its own.
pub(crate) struct Instance<'a> {
    system: System,
    servers: &'a Servers,
    folder: TempDir,
    pub(crate) database_url: String,
    variables: Vec<(String, String)>,
}

impl<'a> Instance<'a> {
    /// A system with an empty database that has its tables. `extra` are variables of the product.
    pub(crate) async fn create(
        system: System,
        servers: &'a Servers,
        extra: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        servers.empty_redis().await?;
        let database_url = match system {
            System::Sqlite => format!("sqlite://{}/leads.db", folder.path().display()),
            _ => servers.create_database("bench_leads").await?,
        };
        let mut variables = vec![("DATABASE_URL".to_owned(), database_url.clone())];
        if matches!(system, System::Redis | System::Peer) {
            variables.push(("REDIS_URL".to_owned(), servers.redis.clone()));
        }
        if system != System::Peer {
            variables
                .extend([("PORT", "0"), ("LOG_FORMAT", "json")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        }
        variables.extend_from_slice(extra);
        let instance = Self { system, servers, folder, database_url, variables };
        instance.run("migrate").await?;
        Ok(instance)
    }

    /// Sets a variable of the product for the processes that are started from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Runs a command of the system to its end.
    pub(crate) async fn run(&self, part: &str) -> anyhow::Result<()> {
        let (program, arguments) = self.command(part);
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        let mut command = Command::new(program);
        command.args(arguments).envs(variables).current_dir(self.folder.path());
        let output = command.output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{part} failed: {said}");
        Ok(())
    }

    /// The program of a part, with its arguments.
    fn command<'b>(&'b self, part: &'b str) -> (&'b std::ffi::OsStr, Vec<&'b str>) {
        match (self.system, self.servers.peer.to_str()) {
            (System::Peer, Some(script)) => ("node".as_ref(), vec![script, part]),
            _ => (self.servers.product.as_os_str(), part.split(' ').collect()),
        }
    }

    /// Starts it.
    pub(crate) async fn start(&self, running: Running) -> anyhow::Result<Processes> {
        let parts: &[&str] = match (self.system, running) {
            (System::Peer, Running::Intake) => &["api"],
            (System::Peer, Running::IntakeAndWork) => &["api", "worker"],
            (_, Running::Intake) => &["serve --api-only"],
            (_, Running::IntakeAndWork) => &["serve"],
        };
        let mut started = Vec::new();
        for part in parts {
            let (program, arguments) = self.command(part);
            started.push(Process::start(program, &arguments, &self.variables, self.folder.path()).await?);
        }
        Ok(Processes(started))
    }

    /// Waits until this many leads have been finished in all. Returns their number.
    pub(crate) async fn finished(&self, leads: u64, limit: Duration) -> anyhow::Result<u64> {
        // Names the ends, and not what waits: the index then counts a few rows beside a long backlog.
        let sql =
            "SELECT COUNT(*) FROM lead WHERE status IN ('synced', 'held', 'planned', 'permanently_failed')";
        self.counted(sql, |finished| finished >= leads, limit).await
    }

    /// Waits until no lead waits or is worked on.
    pub(crate) async fn drained(&self, limit: Duration) -> anyhow::Result<()> {
        let sql = "SELECT COUNT(*) FROM lead WHERE status IN ('queued', 'processing', 'retrying')";
        self.counted(sql, |unfinished| unfinished == 0, limit).await?;
        Ok(())
    }

    pub(crate) async fn counted(
        &self,
        sql: &'static str,
        is_enough: impl Fn(u64) -> bool,
        limit: Duration,
    ) -> anyhow::Result<u64> {
        let deadline = Instant::now() + limit;
        let mut connection = AnyConnection::connect(&self.database_url).await?;
        loop {
            let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
            let count = u64::try_from(count)?;
            if is_enough(count) {
                return Ok(count);
            }
            anyhow::ensure!(Instant::now() < deadline, "the leads were not finished in time: {count}");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The running processes of a system; the first one accepts leads.
pub(crate) struct Processes(Vec<Process>);

impl Processes {
    pub(crate) fn address(&self) -> anyhow::Result<&str> {
        Ok(&self.0.first().context("a process runs")?.address)
    }

    pub(crate) fn sum(&self, usage: impl Fn(&Process) -> Option<f64>) -> Option<f64> {
        self.0.iter().map(usage).sum()
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for process in self.0 {
            process.stop().await?;
        }
        Ok(())
    }
}
