use axum::Router;
use axum::middleware::from_fn;
use axum::routing::post;
use serde_json::json;

use crate::support::{App, Client, TOKEN, lead};

const PATHS: &[&str] =
    &["/leads", "/leads/abc", "/dead-letters", "/quarantine", "/metrics", "/openapi.json", "/nothing"];

#[tokio::test]
async fn configured_token_is_required_for_every_answer() {
    let app = App::start().await;
    let id = app.post(lead("lead@stripe.com")).await;
    let router = api::router(app.state(Some(TOKEN)));
    for path in PATHS {
        let answer = Client::new(router.clone()).get(path).await;
        assert_eq!(answer.error(), (401, "unauthorized"), "{path}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        let wrong = Client::new(router.clone()).with("authorization", "Bearer wrong").get(path).await;
        assert_eq!(wrong.status, 401, "{path}");
    }
    let replay = Client::new(router.clone()).post(&format!("/leads/{id}/replay"), r#"{"apply":true}"#).await;
    assert_eq!(replay.status, 401);
    assert_eq!(Client::new(router.clone()).get("/healthz").await.status, 200);

    // With the token, from any host.
    let known =
        Client::new(router).with("authorization", &format!("Bearer {TOKEN}")).with("host", "rf.example");
    assert_eq!(known.get(&format!("/leads/{id}")).await.status, 200);
    assert_eq!(known.get("/nothing").await.error(), (404, "not_found"));
}

#[tokio::test]
async fn without_a_token_pages_of_other_sites_are_refused() {
    let app = App::start().await;
    let id = app.post(lead("lead@stripe.com")).await;
    app.work().await;
    for path in PATHS {
        let rebound = app.client().with("host", "evil.example:3000").get(path).await;
        assert_eq!(rebound.error(), (403, "forbidden"), "{path}");
    }
    let replay = format!("/leads/{id}/replay");
    let posted = app.client().with("origin", "https://evil.example").post(&replay, r#"{"apply":true}"#).await;
    assert_eq!(posted.error(), (403, "forbidden"));
    let own = app.client().with("origin", "http://localhost:3000").post(&replay, r#"{"apply":true}"#).await;
    assert_eq!(own.status, 202);
    assert_eq!(app.client().with("host", "evil.example").get("/healthz").await.status, 200);
}

#[tokio::test]
async fn webhook_without_a_secret_refuses_other_sites() {
    let app = App::start().await;
    let webhook = Router::new().route("/leads", post(async || "taken")).layer(from_fn(api::local_only));
    let client = || Client::new(app.router().merge(webhook.clone()));
    let forged = client().with("origin", "https://evil.example").ask_bare("/leads").await;
    assert_eq!(
        (forged.0, &forged.1["status"], &forged.1["error"]),
        (403, &json!("rejected"), &json!("forbidden"))
    );
    assert_eq!(client().ask_bare("/leads").await.0, 200);
}

#[tokio::test]
async fn process_without_webhook_refuses_leads_with_a_status() {
    let answer = App::start().await.client().post("/leads", "{}").await;
    assert_eq!(answer.error(), (405, "method_not_allowed"));
    assert_eq!(answer.json["status"], "rejected");
}
