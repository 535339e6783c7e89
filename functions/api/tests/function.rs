//! Runs the binary as Lambda does, behind an API Gateway's events.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use database::testing::TestDatabase;
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
    let queue = Emulator::shared().unwrap().create_queue().unwrap();
    let token = ("ADMIN_TOKEN", "local-admin-token"); // as in the samples
    let variables = [("DATABASE_URL", database), ("QUEUE_URL", queue.as_str()), token];
    Function::start(env!("CARGO_BIN_EXE_api"), &variables).unwrap()
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
