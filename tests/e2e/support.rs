use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use database::Database;
use database::testing::TestDatabase;
use sandbox::Fake;
use serde_json::{Value, json};
use store::{AnalysisRecord, Store};
use tempfile::TempDir;
use testkit::{Server, eventually, eventually_within};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_revenueflow");

/// A temporary folder and a database for the processes of one test, with a runtime that keeps the database
/// alive.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) database: TestDatabase,
    runtime: tokio::runtime::Runtime,
}

impl Fixture {
    pub(crate) fn sqlite() -> Self {
        Self::with(TestDatabase::sqlite)
    }

    pub(crate) fn postgres() -> Self {
        Self::with(TestDatabase::postgres)
    }

    fn with<F: Future<Output = TestDatabase>>(make: impl FnOnce() -> F) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = runtime.block_on(make());
        Self { folder: tempfile::tempdir().unwrap(), database, runtime }
    }

    /// The stored judgement of a lead.
    pub(crate) fn judgement(&self, id: &str) -> AnalysisRecord {
        self.runtime.block_on(async {
            let store = Store::new(self.database.connect().await, Arc::new(lead::SystemClock));
            store.analysis_in_force(&id.parse().unwrap()).await.unwrap().expect("the lead is judged")
        })
    }

    /// Queries the database directly.
    pub(crate) fn query<T, F: Future<Output = T>>(&self, query: impl FnOnce(Database) -> F) -> T {
        self.runtime.block_on(async { query(self.database.connect().await).await })
    }

    /// Whether a command succeeds, and its standard output followed by its standard error.
    pub(crate) fn printed(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
        let output = std::process::Command::new(BINARY)
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("DATABASE_URL", self.database.url())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// Starts the server in this folder with this database.
    pub(crate) fn serve(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Server {
        let mut all = vec![("DATABASE_URL", self.database.url())];
        all.extend(variables);
        Server::start(BINARY, self.folder.path(), arguments, &all).unwrap()
    }
}

/// A fake of an outside system, with a handle to its state, served until dropped.
pub(crate) struct Served<S> {
    pub(crate) system: S,
    pub(crate) fake: Fake,
    pub(crate) url: String,
    _runtime: tokio::runtime::Runtime,
}

impl<S> Served<S> {
    pub(crate) fn of(name: &'static str, system: S, router: Router) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let fake = runtime.block_on(Fake::serve(name, router)).unwrap();
        Self { url: fake.url(), system, fake, _runtime: runtime }
    }
}

/// The host and port in the URL of a PostgreSQL database.
pub(crate) fn host_of(url: &str) -> &str {
    url.split_once('@').unwrap().1.split_once('/').unwrap().0
}

/// Posts a lead, which must be accepted, and returns its id.
pub(crate) fn accepted(server: &Server, body: &Value) -> String {
    let answer = server.post_lead(body).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["lead_id"].as_str().unwrap().to_owned()
}

/// Posts a lead that is routed to sales, and returns its id.
pub(crate) fn post(server: &Server, email: &str) -> String {
    let lead = json!({ "email": email, "first_name": "Alex", "last_name": "O'Brien", "campaign_id": "launch_2024",
                       "marketo": { "engagement_score": 90, "activity": "Requested a demo" } });
    accepted(server, &lead)
}

/// A lead as the API shows it.
pub(crate) fn lead(server: &Server, id: &str) -> Value {
    server.get(&format!("/leads/{id}")).unwrap().json()
}

/// The audit events of a lead of one kind.
pub(crate) fn events(server: &Server, id: &str, kind: &str) -> Vec<Value> {
    let mut events = server.get(&format!("/leads/{id}/audit")).unwrap().json()["items"].clone();
    let mut events = std::mem::take(events.as_array_mut().unwrap());
    events.retain(|event| event["kind"] == kind);
    events
}

/// Waits until a lead is written, also after it has failed.
pub(crate) fn eventually_synced(server: &Server, id: &str) {
    let patience = Duration::from_mins(5);
    eventually_within(patience, "the lead is written", || lead(server, id)["status"] == "synced");
}

/// Waits until a lead is settled, and returns the lead.
pub(crate) fn settled(server: &Server, id: &str) -> Value {
    let mut found = Value::Null;
    eventually("the lead is settled", || {
        found = lead(server, id);
        matches!(found["status"].as_str(), Some("synced" | "held" | "permanently_failed"))
    });
    found
}

/// Posts a lead and returns its id and its explanation once it is written.
pub(crate) fn explained(server: &Server, email: &str) -> (String, Value) {
    explained_lead(server, &json!({"email": email, "campaign_id": "c"}))
}

/// As [`explained`], for a whole body.
pub(crate) fn explained_lead(server: &Server, body: &Value) -> (String, Value) {
    let id = accepted(server, body);
    assert_eq!(settled(server, &id)["status"], "synced");
    let explanation = server.get(&format!("/leads/{id}/explain")).unwrap().json();
    (id, explanation)
}

/// `revenueflow sandbox` on free ports, with the variables from its file. Killed when dropped.
pub(crate) struct Sandbox {
    child: Child,
    variables: HashMap<String, String>,
}

impl Sandbox {
    /// Starts some of the fakes; `last` is the last line of the variables file.
    pub(crate) fn start(folder: &Path, only: &str, last: &str) -> Self {
        let file = folder.join("sandbox.env");
        let child = Command::new(BINARY)
            .args(["sandbox", "--only", only, "--port-base", "0", "--env-file"])
            .arg(&file)
            .env_clear()
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut sandbox = Self { child, variables: HashMap::new() };
        let mut text = String::new();
        eventually("the sandbox has written its variables", || {
            text = std::fs::read_to_string(&file).unwrap_or_default();
            text.ends_with(&format!("{last}\n"))
        });
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.map(|line| line.split_once('=').unwrap());
        sandbox.variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        sandbox
    }

    /// Starts the server with the fakes' variables.
    pub(crate) fn serve(&self, fixture: &Fixture, more: &[(&str, &str)]) -> Server {
        let mut variables: Vec<_> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        variables.extend(more);
        fixture.serve(&[], &variables)
    }

    /// The base URL of a provider's fake.
    pub(crate) fn url(&self, provider: &str) -> &str {
        self.variables[&format!("{provider}_BASE_URL")].trim_end_matches("/gtm")
    }

    /// Injects a fault into a provider's fake.
    pub(crate) fn misbehaves(&self, server: &Server, provider: &str, fault: &Value) {
        let url = format!("{}/_sandbox/faults", self.url(provider));
        let answer = server.request(|client| client.post(url).json(fault)).unwrap();
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// The requests that a provider's fake received.
    pub(crate) fn requests(&self, server: &Server, provider: &str) -> Vec<Value> {
        let url = format!("{}/_sandbox/requests", self.url(provider));
        server.request(|client| client.get(url)).unwrap().json().as_array().unwrap().clone()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have exited already
        let _ = self.child.wait();
    }
}

/// Every lead, by its id.
pub(crate) fn all_leads(server: &Server) -> HashMap<String, Value> {
    let mut leads = HashMap::new();
    let mut path = "/leads?limit=500".to_owned();
    loop {
        let page = server.get(&path).unwrap().json();
        for lead in page["items"].as_array().unwrap() {
            leads.insert(lead["lead_id"].as_str().unwrap().to_owned(), lead.clone());
        }
        let Some(cursor) = page["next_cursor"].as_str() else { return leads };
        path = format!("/leads?limit=500&cursor={cursor}");
    }
}
