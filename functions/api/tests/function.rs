//! Runs the binary as Lambda does, behind an API Gateway's events.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use database::testing::TestDatabase;
use operators::NewToken;
use serde_json::{Value, json};
use testkit::{Emulator, Function, sample};
use tokio::runtime::Runtime;

/// The sample of a health check with another path.
fn get(path: &str) -> Value {
    let mut event = sample("api-health");
    event["path"] = path.into();
    event["requestContext"]["path"] = format!("/dev{path}").into();
    event
}

fn start(database: &str) -> Function {
    start_with(database, "# no operators yet")
}

/// Starts the function with the text of the secret of the operators.
fn start_with(database: &str, operators: &str) -> Function {
    let emulator = Emulator::shared().unwrap();
    let (queue, operators) = (emulator.create_queue().unwrap(), emulator.create_secret(operators).unwrap());
    let token = ("ADMIN_TOKEN", "local-admin-token"); // as in the samples
    let operators = ("OPERATORS_ARN", operators.as_str());
    let variables = [("DATABASE_URL", database), ("QUEUE_URL", queue.as_str()), token, operators];
    Function::start(env!("CARGO_BIN_EXE_api"), &variables).unwrap()
}

/// The sample of a request with another path and token.
fn get_with(path: &str, token: &str) -> Value {
    let mut event = get(path);
    event["headers"]["Authorization"] = format!("Bearer {token}").into();
    event["multiValueHeaders"]["Authorization"] = json!([format!("Bearer {token}")]);
    event
}

#[test]
fn operators_of_the_secret_have_their_scopes() {
    let database = Runtime::new().unwrap().block_on(TestDatabase::postgres());
    let token = NewToken::random();
    let (name, hash) = ("name = \"prometheus\"\nscopes = [\"metrics\"]", token.hash());
    let function =
        start_with(database.url(), &format!("[[operator]]\n{name}\ntoken_sha256 = [\"{hash}\"]\n"));
    let metrics = function.invoke(&get_with("/metrics", token.expose())).unwrap();
    assert_eq!(metrics["statusCode"], 200, "{metrics}");
    let (status, refused) = function.answer(&get_with("/leads", token.expose())).unwrap();
    assert_eq!((status, &refused["error"]), (403, &json!("missing_scope")));
    assert_eq!(function.answer(&get_with("/leads", "local-admin-token")).unwrap().0, 200);
    assert_eq!(function.answer(&get_with("/leads", "another-token")).unwrap().0, 401);
}

#[test]
fn mistake_in_the_operators_leaves_the_admin_token() {
    let database = Runtime::new().unwrap().block_on(TestDatabase::postgres());
    let token = NewToken::random();
    let function =
        start_with(database.url(), &format!("[[operator]]\ntoken_sha256 = [\"{}\"]\n", token.hash()));
    assert_eq!(function.answer(&get_with("/leads", "local-admin-token")).unwrap().0, 200);
    assert_eq!(function.answer(&get_with("/leads", token.expose())).unwrap().0, 401);
}

#[test]
fn sample_events_are_answered() {
    let database = Runtime::new().unwrap().block_on(TestDatabase::postgres());
    let function = start(database.url());
    assert_eq!(function.answer(&sample("api-health")).unwrap(), (200, json!({ "status": "ok" })));
    let (status, leads) = function.answer(&sample("api-leads")).unwrap();
    assert_eq!((status, &leads["items"]), (200, &json!([])), "{leads}");
    assert_eq!(function.answer(&get("/readyz")).unwrap().1["status"], "ready");
    let (status, refused) = function.answer(&get("/leads")).unwrap();
    assert_eq!((status, &refused["error"]), (401, &json!("unauthorized")), "the health check has no token");
}

#[test]
fn metrics_name_cloudwatch_in_a_body_that_is_not_empty() {
    let database = Runtime::new().unwrap().block_on(TestDatabase::postgres());
    let mut event = sample("api-leads");
    event["path"] = "/metrics".into();
    event["requestContext"]["path"] = "/dev/metrics".into();
    let answer = start(database.url()).invoke(&event).unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert!(answer["body"].as_str().unwrap().starts_with("# Metrics are in CloudWatch"), "{answer}");
}

#[test]
fn without_a_database_it_is_alive_and_not_ready() {
    let function = start("postgres://nobody:nothing@127.0.0.1:1/none");
    assert_eq!(function.answer(&sample("api-health")).unwrap(), (200, json!({ "status": "ok" })));
    let away = json!({
        "status": "unavailable", "failing": "database", "message": "the database cannot be reached"
    });
    assert_eq!(function.answer(&get("/readyz")).unwrap(), (503, away));
    let unavailable = json!({ "error": "unavailable", "message": "the database cannot be reached" });
    assert_eq!(function.answer(&sample("api-leads")).unwrap(), (503, unavailable));
}
