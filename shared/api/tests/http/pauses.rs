//! Pauses of consumption, which an operator can end.

use std::time::Duration;

use crm::{Health as _, Open};
use lead::{Clock as _, Dependency};
use serde_json::json;

use crate::support::{App, eager};

#[tokio::test]
async fn operator_ends_a_pause_early() {
    let app = App::start().await;
    let client = app.client();
    assert_eq!(client.get("/pauses").await.ok(), json!({"items": []}));
    let (crm, until) = (Dependency::new("crm.mock"), app.clock.now() + Duration::from_hours(24));
    app.queue.pause(&crm, "crm_daily_limit: used up", until).await.unwrap();
    let open = Open {
        reason: "quota".into(),
        cause: crm::OpenCause::Wait,
        opened_at: app.clock.now(),
        retry_at: until,
        probing: false,
    };
    app.store.update(&crm, &mut |record| record.open = Some(open.clone())).await.unwrap();
    let id = app.post(eager("ann@stripe.com")).await;
    assert!(app.queue.receive(10).await.unwrap().is_empty(), "nothing flows");
    let listed = client.get("/pauses").await.ok();
    assert_eq!((&listed["items"][0]["dependency"], &listed["items"][1]), (&json!("crm.mock"), &json!(null)));

    let unknown = client.post("/pauses/crm.nosuch/resume", "").await;
    assert!(unknown.json["message"].as_str().unwrap().contains("paused: crm.mock"), "{:?}", unknown.json);
    assert_eq!(unknown.error(), (404, "not_found"));
    assert_eq!(client.post("/pauses/crm.mock/resume", "").await.ok(), json!({"status": "resumed"}));
    assert_eq!(client.post("/pauses/crm.mock/resume", "").await.ok(), json!({"status": "resumed_before"}));
    app.work().await;
    assert_eq!(client.get(&format!("/leads/{id}")).await.ok()["status"], "synced", "the breaker admits it");
}
