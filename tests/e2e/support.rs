use database::testing::TestDatabase;
use e2e::{Server, eventually};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_revenueflow");

/// A database that tests can hand to a process: a runtime of its own keeps it alive.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) database: TestDatabase,
    _runtime: tokio::runtime::Runtime,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::with(TestDatabase::sqlite)
    }

    pub(crate) fn postgres() -> Self {
        Self::with(TestDatabase::postgres)
    }

    fn with<F: Future<Output = TestDatabase>>(make: impl FnOnce() -> F) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = runtime.block_on(make());
        Self { folder: tempfile::tempdir().unwrap(), database, _runtime: runtime }
    }

    /// Starts the server here.
    pub(crate) fn serve(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Server {
        let mut all = vec![("DATABASE_URL", self.database.url())];
        all.extend(variables);
        Server::start(BINARY, self.folder.path(), arguments, &all).unwrap()
    }
}

/// Waits until a lead is settled, and returns it.
pub(crate) fn settled(server: &Server, id: &str) -> Value {
    let mut lead = Value::Null;
    eventually("the lead is settled", || {
        lead = server.get(&format!("/leads/{id}")).unwrap().json();
        matches!(lead["status"].as_str(), Some("synced" | "held" | "permanently_failed"))
    });
    lead
}
