//! A separate database for each test.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::migrations::migrator;
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
        static TEMPLATE: OnceCell<Vec<u8>> = OnceCell::const_new();
        let template = TEMPLATE.get_or_init(|| async {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let file = folder.path().join("template.db");
            migrate(&sqlite_url(&file)).await;
            std::fs::read(file).expect("the template is readable")
        });
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("test.db");
        std::fs::write(&file, template.await).expect("the folder is writable");
        Self { url: sqlite_url(&file), _storage: Storage::File { _folder: folder } }
    }

    /// A database on the server that `TEST_DATABASE_URL` names.
    ///
    /// # Panics
    ///
    /// If it cannot be created, or the variable is missing: a test without its service fails instead of being
    /// skipped.
    pub async fn postgres() -> Self {
        let database = ServerDatabase::create().await;
        Self { url: database.url.clone(), _storage: Storage::Server { _database: database } }
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
}

fn sqlite_url(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}

async fn migrate(url: &str) {
    let database = Database::connect(url, 1).await.expect("the database answers");
    database.migrate().await.expect("the schema is made");
    database.close().await;
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
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let server = std::env::var("TEST_DATABASE_URL")
            .expect("TEST_DATABASE_URL names a PostgreSQL server to test on: run `make test`");
        let template = TEMPLATE.get_or_init(|| template(&server)).await;
        let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        execute(&server, create).await.expect("the test's database is made");
        let url = url_of(&server, &name);
        Self { server, name, url }
    }
}

/// The same server with another database.
fn url_of(server: &str, name: &str) -> String {
    let (base, _) = server.rsplit_once('/').expect("the URL ends in a database's name");
    format!("{base}/{name}")
}

/// The name of a migrated database that the tests of all processes copy. It stays on the server; each version
/// of the schema has its own.
async fn template(server: &str) -> String {
    let checksums = migrator(Backend::Postgres).iter().flat_map(|migration| migration.checksum.iter());
    let version = checksums.fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let name = format!("test_template_{version:x}");
    // One connection, because the lock belongs to it.
    let database = Database::connect(server, 1).await.expect("the server answers");
    let pool = database.pool();
    sqlx::raw_sql("SELECT pg_advisory_lock(7261)").execute(pool).await.expect("a lock");
    let is_complete: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate)")
            .bind(name.as_str())
            .fetch_one(pool)
            .await
            .expect("the catalogue is readable");
    if !is_complete {
        for statement in [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await.expect("the template is made");
        }
        migrate(&url_of(server, &name)).await;
        let finish = AssertSqlSafe(format!("ALTER DATABASE {name} IS_TEMPLATE true"));
        sqlx::raw_sql(finish).execute(pool).await.expect("the template is finished");
    }
    database.close().await; // ends the lock
    name
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
