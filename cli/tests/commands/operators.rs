//! Named operators: the commands that change the file, and a server that reads it.

use std::time::{Duration, Instant};

use reqwest::StatusCode;

use crate::support::{Folder, Server};

const FILE: &str = "operators.toml";

/// Limit for a running server to read the file again.
const TIMEOUT: Duration = Duration::from_mins(1);

fn folder() -> Folder {
    Folder::new().with("OPERATORS_FILE", FILE)
}

fn token(folder: &Folder, arguments: &[&str]) -> String {
    let ran = folder.run(&[&["operators"], arguments].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let token = ran.text().trim_end().to_owned();
    assert!(token.starts_with("rfop_") && token.lines().count() == 1, "only the token: {token}");
    assert!(!ran.err.contains(&token), "{}", ran.err);
    token
}

async fn get(server: &Server, path: &str, token: &str) -> StatusCode {
    let request = reqwest::Client::new().get(format!("{}{path}", server.url())).bearer_auth(token);
    request.send().await.expect("an answer").status()
}

async fn wait_for(server: &Server, token: &str, status: StatusCode) {
    let began = Instant::now();
    while get(server, "/leads", token).await != status {
        assert!(began.elapsed() < TIMEOUT, "the file is not read again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn token_is_added_and_revoked_without_a_restart() {
    let folder = folder();
    let flow = token(&folder, &["add", "flow", "--scope", "respond"]);
    let server = Server::start(&folder);
    assert_eq!(get(&server, "/leads", &flow).await, StatusCode::FORBIDDEN);
    assert_eq!(get(&server, "/leads", "rfop_0").await, StatusCode::UNAUTHORIZED);

    let ann = token(&folder, &["add", "ann", "--scope", "read", "--scope", "review", "--expires", "90d"]);
    wait_for(&server, &ann, StatusCode::OK).await;
    let newer = token(&folder, &["rotate", "ann", "--keep", "7d"]);
    wait_for(&server, &newer, StatusCode::OK).await;
    assert_eq!(get(&server, "/leads", &ann).await, StatusCode::OK, "it is kept for seven days");

    // A mistake leaves the former operators in force.
    let text = std::fs::read_to_string(folder.path(FILE)).unwrap();
    std::fs::write(folder.path(FILE), text.replace("respond", "answer")).unwrap();
    let doctor = folder.run(&["doctor"]);
    assert!(doctor.text().contains("FAIL  operators "), "{}", doctor.text());
    assert_eq!(get(&server, "/leads", &newer).await, StatusCode::OK);
    std::fs::write(folder.path(FILE), text).unwrap();

    assert_eq!(folder.run(&["operators", "revoke", "ann"]).code, Some(0));
    wait_for(&server, &newer, StatusCode::UNAUTHORIZED).await;
    assert_eq!(get(&server, "/leads", &flow).await, StatusCode::FORBIDDEN, "the others stay");
}

#[test]
fn file_keeps_its_comments_and_holds_no_token() {
    let folder = folder();
    std::fs::write(folder.path(FILE), "# the team of sales\n").unwrap();
    let ann = token(&folder, &["add", "ann", "--scope", "read"]);
    let bob = token(&folder, &["add", "bob", "--scope", "erase", "--expires", "1d"]);
    let text = std::fs::read_to_string(folder.path(FILE)).unwrap();
    assert!(text.starts_with("# the team of sales\n"), "{text}");
    assert!(!text.contains("rfop_") && !text.contains(&ann) && !text.contains(&bob), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let list = folder.run(&["operators", "list"]).text();
    let bob = list.lines().find(|line| line.starts_with("bob ")).expect("a line of bob");
    assert!(bob.contains("erase") && bob.contains(".. until ") && list.contains(".. without end"), "{list}");
    assert_eq!(folder.files(), 1, "no temporary file stays");

    let twice = folder.run(&["operators", "add", "ann", "--scope", "read"]);
    assert!(twice.error().contains("has an operator ann already"), "{}", twice.err);
    let unknown = folder.run(&["operators", "revoke", "cid"]);
    assert!(unknown.error().contains("no operator cid"), "{}", unknown.err);
    let reserved = folder.run(&["operators", "add", "admin", "--scope", "read"]);
    assert!(reserved.err.contains("reserved"), "{}", reserved.err);
}

#[test]
fn without_a_file_the_lines_for_one_are_printed() {
    let ran = Folder::new().run(&["operators", "add", "ann", "--scope", "metrics"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.text().starts_with("rfop_") && ran.text().lines().count() == 1);
    assert!(ran.err.contains("[[operator]]\nname = \"ann\"\nscopes = [\"metrics\"]\n"), "{}", ran.err);
    let list = Folder::new().run(&["operators", "list"]);
    assert!(list.error().contains("OPERATORS_FILE: must be set"), "{}", list.err);
}

#[test]
fn mistake_in_the_file_stops_the_start_with_its_line() {
    let folder = folder();
    let missing = folder.run(&["serve", "--port", "0"]);
    assert!(missing.error().contains("OPERATORS_FILE: operators.toml"), "{}", missing.err);
    assert!(missing.err.contains("hint: `revenueflow operators add"), "{}", missing.err);
    std::fs::write(folder.path(FILE), "\n[[operator]]\nname = \"Ann\"\nscopes = []\ntoken_sha256 = []\n")
        .unwrap();
    let refused = folder.run(&["serve", "--port", "0"]);
    assert!(refused.error().contains("OPERATORS_FILE: operators.toml:3: a name has"), "{}", refused.err);
    assert!(refused.err.contains("hint: docs/security.md has an example"), "{}", refused.err);
}

#[test]
fn doctor_reports_expiry_permissions_and_the_shared_token() {
    let folder = folder();
    token(&folder, &["add", "ann", "--scope", "read", "--expires", "90d"]);
    let text = folder.run(&["doctor"]).text();
    assert!(text.contains("ok    operators      1 operator, 1 token"), "{text}");
    assert!(text.contains("ok    secrets "), "{text}");

    let folder = folder.with("ADMIN_TOKEN", "5f0a1b2c3d4e5f60718293a4b5c6d7e8");
    token(&folder, &["add", "bob", "--scope", "read", "--expires", "3d"]);
    let file = std::fs::read_to_string(folder.path(FILE)).unwrap();
    let expired =
        file.replace("name = \"ann\"", "name = \"cid\"").replacen("expires = 20", "expires = 19", 1);
    std::fs::write(folder.path(FILE), expired).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder.path(FILE), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let doctor = folder.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "warnings only");
    let text = doctor.text();
    for found in ["cid: no token is valid", "bob: the last token ends at", "ADMIN_TOKEN is valid beside"] {
        assert!(text.contains(&format!("warn  operators      {found}")), "{found} in {text}");
    }
    assert!(cfg!(not(unix)) || text.contains("chmod 600 operators.toml"), "{text}");
}
