use std::time::Duration;

use lead::{Dependency, Failure};
use serde_json::json;
use testkit::fixtures::rejected_body;

use crate::support::{App, eager, lead};

fn refused() -> Failure {
    Failure::permanent("crm_refused", "the CRM does not take the field").on(Dependency::new("crm.mock"))
}

#[tokio::test]
async fn dead_letter_has_a_reason_and_can_be_redriven() {
    let app = App::start().await;
    let client = app.client();
    let id = app.post(eager("lead@stripe.com")).await;
    app.settle(Some(refused())).await;
    let shown = client.get(&format!("/leads/{id}")).await.ok();
    assert_eq!(
        (&shown["status"], &shown["failure"]["code"]),
        (&json!("permanently_failed"), &json!("crm_refused"))
    );
    let letters = client.get("/dead-letters").await.ok();
    assert_eq!(letters["items"][0]["lead_id"], id.as_str());
    assert_eq!(letters["items"][0]["failure"]["dependency"], "crm.mock");
    assert!(!letters.to_string().contains("stripe"), "nothing personal");
    let text = client.get(&format!("/leads/{id}/explain")).await.ok().to_string();
    assert!(text.contains("crm_refused") && text.contains("dead-letters redrive"), "{text}");

    // By a prefix of its lead's id.
    let sent = client.post(&format!("/dead-letters/{}/redrive", &id.as_str()[..12]), "").await;
    assert_eq!((sent.status, &sent.json), (202, &json!({"status": "queued", "lead_id": id})));
    assert_eq!(client.get("/dead-letters").await.ok()["items"], json!([]));
    app.work().await;
    assert_eq!(client.get(&format!("/leads/{id}")).await.ok()["status"], "synced");
    assert_eq!(client.post(&format!("/dead-letters/{id}/redrive"), "").await.error(), (404, "not_found"));
}

#[tokio::test]
async fn dead_letters_are_listed_in_pages() {
    let app = App::start().await;
    for i in 0..5 {
        app.post(lead(&format!("lead{i}@stripe.com"))).await;
        app.settle(Some(refused())).await;
        app.clock.advance(Duration::from_secs(1));
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.client().get(&format!("/dead-letters?limit=2{cursor}")).await.ok();
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5);
}

#[tokio::test]
async fn superseded_dead_letter_is_not_redriven() {
    let app = App::start().await;
    let client = app.client();
    let id = app.post(lead("lead@stripe.com")).await;
    app.settle(Some(refused())).await;
    app.clock.advance(Duration::from_secs(1));
    app.post(eager("lead@stripe.com")).await;
    assert_eq!(client.post(&format!("/dead-letters/{id}/redrive"), "").await.error(), (404, "not_found"));
    app.work().await;
    let synced = client.get(&format!("/leads/{id}")).await.ok();
    assert_eq!((&synced["status"], &synced["title"]), (&json!("synced"), &json!("CTO")));
}

#[tokio::test]
async fn unreadable_message_stays_a_dead_letter() {
    let app = App::start().await;
    app.store.record_dead_letter("garbage-1", None, "{\"not\":\"a lead\"}", 1, &refused()).await.unwrap();
    let sent = app.client().post("/dead-letters/garbage-1/redrive", "").await;
    assert_eq!(sent.error(), (409, "conflict"));
    assert_eq!(app.client().get("/dead-letters").await.each("id"), ["garbage-1"]);
}

#[tokio::test]
async fn quarantined_bodies_are_shown_with_bytes_and_listed_without() {
    let app = App::start().await;
    let keep = async |id: &str, body: &[u8]| {
        let item = rejected_body(id, body, lead::Clock::now(&app.clock));
        app.store.quarantine(&item).await.unwrap();
    };
    let (text, binary) = ("aaaaaaaa".repeat(8), "bbbbbbbb".repeat(8));
    keep(&text, "{\"email\":\"<script>Zoë\"}".as_bytes()).await;
    keep(&binary, &[0xff, 0x00, 0xfe]).await;
    keep(&binary, &[0xff, 0x00, 0xfe]).await;

    let list = app.client().get("/quarantine").await;
    assert!(!list.text.contains("script") && !list.text.contains("body"), "{}", list.text);
    assert_eq!(list.ok()["items"].as_array().unwrap().len(), 2);

    let shown = app.client().get("/quarantine/aaaaaaaa").await;
    assert_eq!(shown.headers["content-type"], "application/json");
    assert_eq!(shown.headers["x-content-type-options"], "nosniff");
    let shown = shown.ok();
    assert_eq!((&shown["encoding"], &shown["body"]), (&json!("text"), &json!("{\"email\":\"<script>Zoë\"}")));
    let shown = app.client().get(&format!("/quarantine/{binary}")).await.ok();
    assert_eq!(
        (&shown["encoding"], &shown["body"], &shown["times"]),
        (&json!("base64"), &json!("/wD+"), &json!(2))
    );
}
