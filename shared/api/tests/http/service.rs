use std::time::Duration;

use api::ApiState;
use axum::http::Method;
use database::Database;
use database::testing::TestDatabase;
use lead::{Clock as _, Dependency};
use metrics_exporter_prometheus::PrometheusBuilder;
use operators::Credentials;
use serde_json::json;

use crate::support::{App, Client, TOKEN, lead};

#[tokio::test]
async fn working_process_is_ready_and_lists_its_pauses() {
    let app = App::start().await;
    assert_eq!(app.client().get("/healthz").await.ok(), json!({"status": "ok"}));
    let ready = Client::new(api::router(app.state(None).with_worker(|| true))).get("/readyz").await.ok();
    assert_eq!(ready, json!({"status": "ready", "worker": true, "pauses": []}));

    let until = app.clock.now() + Duration::from_secs(30);
    app.queue.pause(&Dependency::new("crm.mock"), "five failures in a row", until).await.unwrap();
    let paused = app.client().get("/readyz").await.ok();
    assert_eq!(paused["status"], "ready", "leads are accepted and kept");
    assert_eq!(paused["pauses"][0]["dependency"], "crm.mock");
    assert_eq!(paused["pauses"][0]["until"], "2026-01-01T00:00:30Z");

    // Callers without full access see no pauses.
    let guarded = api::router(app.state(Some(TOKEN)));
    assert_eq!(Client::new(guarded.clone()).get("/readyz").await.ok(), json!({"status": "ready"}));
    let known = Client::new(guarded).with("authorization", &format!("Bearer {TOKEN}"));
    assert_eq!(known.get("/readyz").await.ok()["pauses"][0]["reason"], "five failures in a row");
    assert_eq!(
        app.client().with("host", "evil.example").get("/readyz").await.ok(),
        json!({"status": "ready"})
    );
}

#[tokio::test]
async fn hanging_worker_is_not_ready_and_a_missing_one_is() {
    let app = App::start().await;
    let hanging = Client::new(api::router(app.state(None).with_worker(|| false))).get("/readyz").await;
    assert_eq!((hanging.status, &hanging.json["failing"]), (503, &json!("worker")));
    assert_eq!(hanging.json["worker"], false);
    let front = Client::new(api::router(app.state(None).without_worker())).get("/readyz").await.ok();
    assert_eq!((&front["status"], &front["worker"]), (&json!("ready"), &json!(false)));
}

#[tokio::test]
async fn without_its_database_a_process_is_alive_and_not_ready() {
    let app = App::start().await;
    app.store.database().close().await;
    assert_eq!(app.client().get("/healthz").await.status, 200);
    let answer = app.client().get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json,
        json!({"status": "unavailable", "failing": "database", "message": "the database cannot be reached"})
    );
}

#[tokio::test]
async fn outdated_schema_is_named() {
    let test = TestDatabase::sqlite().await;
    let old = test.url().replace("test.db", "old.db");
    let app = App::on(Database::connect(&old, 2).await.unwrap(), test);
    let answer = app.client().get("/readyz").await;
    assert_eq!((answer.status, &answer.json["failing"]), (503, &json!("migrations")));
    assert_eq!(app.client().get("/leads").await.error(), (503, "unavailable"));
}

#[tokio::test]
async fn metrics_report_backlogs_and_keep_their_last_values() {
    // Of this thread only, because other tests read gauges at the same time.
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let (metrics, rendered) = (recorder.handle(), recorder.handle());
    let away = App::start().await;
    away.store.database().close().await;
    let state = ApiState::new(away.operations.clone(), Credentials::default(), move || rendered.render());
    let answer = Client::new(api::router(state)).get("/metrics").await;
    assert!(!answer.text.contains("revenueflow_dead_letters"), "nothing is known yet: {}", answer.text);

    let app = App::start().await;
    app.post(lead("a@stripe.com")).await;
    app.work().await;
    app.clock.advance(Duration::from_secs(7));
    app.post(lead("b@stripe.com")).await;
    app.clock.advance(Duration::from_secs(5));
    let state = ApiState::new(app.operations.clone(), Credentials::default(), move || metrics.render());
    let client = Client::new(api::router(state));

    let answer = client.get("/metrics").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "revenueflow_queue_messages 1",
        "revenueflow_queue_in_flight 0",
        "revenueflow_queue_oldest_seconds 5",
        "revenueflow_queue_paused 0",
        "revenueflow_dead_letters 0",
        "revenueflow_leads{status=\"synced\"} 1",
        "revenueflow_leads{status=\"queued\"} 1",
        "revenueflow_leads{status=\"held\"} 0",
    ] {
        assert!(answer.text.lines().any(|given| given == line), "{line} in\n{}", answer.text);
    }
    app.work().await;
    let answer = client.get("/metrics").await;
    assert!(answer.text.contains("revenueflow_leads{status=\"queued\"} 0\n"), "{}", answer.text);

    app.store.database().close().await;
    let answer = client.get("/metrics").await;
    assert_eq!(answer.status, 200);
    // The last values stay, and report their age.
    assert!(answer.text.contains("revenueflow_leads{status=\"queued\"} 0\n"), "{}", answer.text);
    assert!(!answer.text.contains("NaN"), "{}", answer.text);
    assert!(answer.text.contains("revenueflow_gauge_age_seconds{gauge=\"queue\"}"), "{}", answer.text);
}

#[tokio::test]
async fn every_described_operation_is_served() {
    let app = App::start().await;
    let client = app.client();
    let description = client.get("/openapi.json").await.ok();
    assert_eq!(description, json!(api::openapi()));
    for (path, item) in description["paths"].as_object().unwrap() {
        let concrete = path.replace("{id}", &"a".repeat(64));
        for method in item.as_object().unwrap().keys() {
            if matches!(path.as_str(), "/leads" | "/leads/{id}") && method == "post" {
                continue; // not served here
            }
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = client.ask(method.clone(), &concrete, "").await;
            let message = answer.json["message"].as_str().unwrap_or_default();
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(!message.contains("at this path"), "{method} {path} is not routed");
        }
    }
}
