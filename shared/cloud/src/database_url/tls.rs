//! Encrypted connections to a PostgreSQL server with a certificate of its own authority.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use database::Database;
use secrecy::ExposeSecret as _;
use sqlx::AssertSqlSafe;

use super::{roots_file, url};

/// Run by the server in its folder and as its user, because only that user may read the key: creates a
/// certificate for `localhost`.
const CERTIFY: &str = "umask 077; ec='ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'; \
    openssl req -x509 -newkey $ec -days 2 -subj /CN=authority -keyout ca.key -out ca.pem && \
    openssl req -newkey $ec -subj /CN=localhost -keyout server.key -out server.csr && \
    echo subjectAltName=DNS:localhost > names && \
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt";

/// A server for this test alone, because the certificate changes its settings.
struct Server {
    child: Child,
    password: String,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/with-postgres");
        let mut child = Command::new(script)
            .args(["sh", "-c", "echo \"$TEST_DATABASE_URL\"; exec cat >&2"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let (sign_in, place) = line.trim().split_once('@').unwrap();
        let (_, password) = sign_in.rsplit_once(':').unwrap();
        let (_, port) = place.trim_end_matches("/postgres").rsplit_once(':').unwrap();
        Self { child, password: password.to_owned(), port: port.parse().unwrap() }
    }

    /// Gives the server a certificate, and returns the authority's.
    async fn certify(&self) -> String {
        let plain = format!("postgres://postgres:{}@127.0.0.1:{}/postgres", self.password, self.port);
        let database = Database::connect(&plain, 1).await.unwrap();
        let certify = CERTIFY.replace('\'', "''");
        for statement in [
            &format!("COPY (SELECT 1) TO PROGRAM '{certify}'"),
            "ALTER SYSTEM SET ssl = on",
            "SELECT pg_reload_conf()",
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(database.pool()).await.unwrap();
        }
        let query = sqlx::query_scalar("SELECT pg_read_file('ca.pem')");
        let authority = query.fetch_one(database.pool()).await.unwrap();
        database.close().await;
        authority
    }

    async fn connect(&self, host: &str, roots: &Path) -> Result<Database, String> {
        let url = url("postgres", &self.password, host, self.port, "postgres", roots).unwrap();
        Database::connect(url.expose_secret(), 1).await.map_err(|error| error.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // its end stops the server
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn server_name_is_verified_and_connection_encrypted() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, server.certify().await).unwrap();

    // The server applies its new settings with a delay.
    let mut connected = server.connect("localhost", &authority).await;
    for _ in 0..600 {
        if connected.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        connected = server.connect("localhost", &authority).await;
    }
    let database = connected.unwrap();
    let query = "SELECT COUNT(*) FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
    let encrypted: i64 = sqlx::query_scalar(query).fetch_one(database.pool()).await.unwrap();
    assert_eq!(encrypted, 1);

    let other_name = server.connect("127.0.0.1", &authority).await.unwrap_err();
    assert!(other_name.contains("certificate"), "{other_name}");
    let unknown_authority = server.connect("localhost", roots_file().unwrap()).await.unwrap_err();
    assert!(unknown_authority.contains("certificate"), "{unknown_authority}");
}
