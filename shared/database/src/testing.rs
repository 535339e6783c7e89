//! A separate database for each test.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::AssertSqlSafe;
use tempfile::TempDir;

use crate::{Backend, Database, DatabaseError};

/// A migrated database that is deleted on drop.
pub struct TestDatabase {
    url: String,
    _storage: Storage,
}

enum Storage {
    File { _folder: TempDir },
    Server { _database: ServerDatabase },
}

impl TestDatabase {
    /// An SQLite file in a temporary folder.
    ///
    /// # Panics
    ///
    /// If it cannot be created.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        Self::migrated(url, Storage::File { _folder: folder }).await
    }

    /// A database on the server that `TEST_DATABASE_URL` names.
    ///
    /// # Panics
    ///
    /// If it cannot be created, or the variable is missing: a test without its service fails instead of being
    /// skipped.
    pub async fn postgres() -> Self {
        let database = ServerDatabase::create().await;
        Self::migrated(database.url.clone(), Storage::Server { _database: database }).await
    }

    /// The URL to connect with.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A separate pool, as another process would have.
    ///
    /// # Panics
    ///
    /// If the database does not answer.
    pub async fn connect(&self) -> Database {
        Database::connect(&self.url, 4).await.expect("the test's database answers")
    }

    async fn migrated(url: String, storage: Storage) -> Self {
        let test = Self { url, _storage: storage };
        let database = test.connect().await;
        database.migrate().await.expect("the schema is made");
        database.close().await;
        test
    }
}

/// The tables of the schema, without those of the migrations themselves, in alphabetical order.
///
/// # Panics
///
/// If the database does not answer.
pub async fn tables(database: &Database) -> Vec<String> {
    let sql = match database.backend() {
        Backend::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
        Backend::Postgres => {
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables \
             WHERE table_schema = current_schema() ORDER BY table_name"
        }
    };
    let tables: Vec<String> =
        sqlx::query_scalar(sql).fetch_all(database.pool()).await.expect("the catalogue is readable");
    tables.into_iter().filter(|table| !table.starts_with("_sqlx")).collect()
}

struct ServerDatabase {
    server: String,
    name: String,
    url: String,
}

impl ServerDatabase {
    async fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("TEST_DATABASE_URL")
            .expect("TEST_DATABASE_URL names a PostgreSQL server to test on: run `make test`");
        let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        execute(&server, format!("CREATE DATABASE {name}")).await.expect("the test's database is made");
        let (base, _) = server.rsplit_once('/').expect("the URL ends in a database's name");
        let url = format!("{base}/{name}");
        Self { server, name, url }
    }
}

impl Drop for ServerDatabase {
    fn drop(&mut self) {
        let (server, drop) = (self.server.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        // The test's own runtime may have ended.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(execute(&server, drop)).map_err(std::io::Error::other)
        });
        // A failed test shows its own panic instead of this one.
        let is_dropped = dropped.join().is_ok_and(|result| result.is_ok());
        assert!(is_dropped || std::thread::panicking(), "the test's database could not be dropped");
    }
}

async fn execute(server: &str, statement: String) -> Result<(), DatabaseError> {
    let database = Database::connect(server, 1).await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(database.pool()).await?; // a constant and two numbers
    database.close().await;
    Ok(())
}
