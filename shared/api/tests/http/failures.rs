use axum::Router;
use axum::http::Method;
use axum::routing::post;

use crate::support::{App, Client, lead};

#[tokio::test]
async fn unknown_items_are_404() {
    let app = App::start().await;
    let client = app.client();
    let unknown = "a".repeat(64);
    for path in [
        "/",
        "/nothing",
        "/leads/",
        "/leads/xyz",
        "/leads/%00",
        "/leads/%ff",
        "/leads/..%2f..%2fetc",
        "/leads/'%20OR%201=1",
        "/leads/%25",
        "/quarantine/abc",
        "/quarantine/%27%27%27%27%27%27%27%27",
        "/Leads",
    ] {
        assert_eq!(client.get(path).await.error(), (404, "not_found"), "{path}");
    }
    for path in ["", "/audit", "/explain"] {
        assert_eq!(
            client.get(&format!("/leads/{unknown}{path}")).await.error(),
            (404, "not_found"),
            "{path}"
        );
    }
    for path in [format!("/leads/{}", "a".repeat(65)), format!("/leads/{}", "a".repeat(5_000))] {
        assert_eq!(client.get(&path).await.status, 404);
    }
    for path in [
        format!("/leads/{unknown}/replay"),
        format!("/dead-letters/{unknown}/redrive"),
        "/dead-letters/%00/redrive".to_owned(),
        "/dead-letters/x/redrive".to_owned(),
    ] {
        assert_eq!(client.post(&path, "").await.error(), (404, "not_found"), "{path}");
    }
    let apply = client.post(&format!("/leads/{unknown}/replay"), r#"{"apply":true}"#).await;
    assert_eq!(apply.status, 404);
}

#[tokio::test]
async fn unknown_method_is_405_also_beside_the_webhook() {
    let app = App::start().await;
    let webhook = Router::new().route("/leads", post(async || "taken"));
    let merged = Client::new(app.router().merge(webhook));
    for (path, allowed) in [
        ("/leads", "GET,HEAD,POST"),
        ("/leads/abc", "GET,HEAD"),
        ("/leads/abc/replay", "POST"),
        ("/healthz", "GET,HEAD"),
    ] {
        let answer = merged.ask(Method::PUT, path, "").await;
        assert_eq!(answer.error(), (405, "method_not_allowed"), "{path}");
        // Senders get the same body for every answer.
        let status = answer.json.get("status").cloned();
        assert_eq!(status, (path == "/leads").then(|| "rejected".into()), "{path}");
        let mut methods: Vec<_> =
            answer.headers["allow"].to_str().unwrap().split(',').map(str::trim).collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allowed, "{path}");
    }
    assert_eq!(merged.get("/leads").await.status, 200);
    // Without the webhook, no lead can be posted here.
    assert_eq!(app.client().ask(Method::DELETE, "/leads", "").await.status, 405);
}

#[tokio::test]
async fn bodies_are_small_and_strict() {
    let app = App::start().await;
    let id = app.post(lead("lead@stripe.com")).await;
    app.work().await;
    let path = format!("/leads/{id}/replay");
    for body in ["apply", "[]", "{\"aply\":true}", "{\"apply\":\"yes\"}", "{\"apply\":true}{}", "true"] {
        assert_eq!(app.client().post(&path, body).await.error(), (400, "invalid_body"), "{body}");
    }
    let large = format!("{{\"apply\":true{}}}", " ".repeat(4_096));
    assert_eq!(app.client().post(&path, &large).await.error(), (413, "body_too_large"));
    assert_eq!(app.client().post(&path, " \n").await.status, 200);
    assert_eq!(app.client().get(&format!("/leads/{id}")).await.ok()["status"], "synced");
}

#[tokio::test]
async fn without_the_database_every_answer_is_503_without_details() {
    let app = App::start().await;
    let id = app.post(lead("lead@stripe.com")).await;
    app.store.database().close().await;
    let client = app.client();
    for path in [
        "/leads".to_owned(),
        format!("/leads/{id}"),
        format!("/leads/{}", &id.as_str()[..8]),
        format!("/leads/{id}/audit"),
        format!("/leads/{id}/explain"),
        "/dead-letters".to_owned(),
        "/quarantine".to_owned(),
        "/quarantine/abcdef0123".to_owned(),
    ] {
        let answer = client.get(&path).await;
        assert_eq!(answer.error(), (503, "unavailable"), "{path}");
        assert_eq!(answer.json["message"], "the database cannot be reached");
        assert!(answer.headers.contains_key("retry-after"));
    }
    for (path, body) in [
        (format!("/leads/{id}/replay"), ""),
        (format!("/leads/{id}/replay"), r#"{"apply":true}"#),
        (format!("/dead-letters/{id}/redrive"), ""),
    ] {
        let answer = client.post(&path, body).await;
        assert_eq!(answer.json["message"], "the database cannot be reached", "{path}");
        assert_eq!(answer.status, 503);
    }
}
