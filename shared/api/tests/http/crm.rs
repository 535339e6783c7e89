//! Going live lead by lead, stopping it, and the erasure of a person.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{App, eager};

const WRONG: &str = r#"{"reason":"wrong field"}"#;

#[tokio::test]
async fn rollback_stops_writes_until_promoted_or_resumed() {
    let app = App::start().await;
    let client = app.client();
    for bad in ["", "{}", r#"{"reason":""}"#] {
        assert_eq!(client.post("/crm/rollback", bad).await.error(), (400, "invalid_body"), "{bad}");
    }
    for _ in 0..2 {
        assert_eq!(client.post("/crm/rollback", WRONG).await.ok(), json!({"status": "held"}));
    }
    let id = app.post(eager("ann@stripe.com")).await;
    let plan = format!("/leads/{id}/plan");
    assert_eq!(client.get(&plan).await.error(), (409, "conflict"), "it was not judged yet");
    let promote = format!("/leads/{}/promote", &id.as_str()[..12]);
    assert_eq!(client.post(&promote, "").await.error(), (409, "conflict"));
    app.work().await;

    let planned = client.get(&plan).await.ok();
    assert_eq!((&planned["status"], &planned["mode"]), (&json!("planned"), &json!("shadow")));
    let changes = planned["changes"].as_array().unwrap();
    let title = changes.iter().find(|change| change["field"] == "title").unwrap();
    assert_eq!((&title["new"], title.get("old")), (&json!("CTO"), None));

    app.clock.advance(Duration::from_secs(1));
    let sent = client.post(&promote, "").await;
    assert_eq!((sent.status, &sent.json), (202, &json!({"status": "queued", "lead_id": id})));
    app.work().await;
    assert_eq!(client.get(&format!("/leads/{id}")).await.ok()["status"], "synced");
    assert_eq!(client.post(&promote, "").await.error(), (409, "conflict"));

    assert_eq!(client.post("/crm/resume", "").await.ok(), json!({"status": "resumed"}));
    assert_eq!(client.post("/crm/resume", "").await.ok(), json!({"status": "resumed_before"}));
    let next = app.post(eager("bob@stripe.com")).await;
    app.work().await;
    assert_eq!(client.get(&format!("/leads/{next}")).await.ok()["status"], "synced");
    assert_eq!(client.get("/leads/ffffffffffff/plan").await.error(), (404, "not_found"));
    assert_eq!(client.post("/leads/ffffffffffff/promote", "").await.error(), (404, "not_found"));
}

#[tokio::test]
async fn erasure_is_a_dry_run_unless_applied() {
    let app = App::start().await;
    let client = app.client();
    let id = app.post(eager("ann@stripe.com")).await;
    app.work().await;
    for bad in ["", "{}", r#"{"email":"nobody"}"#, r#"{"email":"ann@stripe.com","yes":true}"#] {
        assert_eq!(client.post("/erasures", bad).await.error(), (400, "invalid_body"), "{bad}");
    }
    let looked = client.post("/erasures", r#"{"email":"Ann@Stripe.com"}"#).await.ok();
    assert_eq!((&looked["applied"], &looked["leads"]), (&json!(false), &json!([id])));
    assert_eq!(client.get(&format!("/leads/{id}")).await.ok()["status"], "synced");

    let erased = client.post("/erasures", r#"{"email":"ann@stripe.com","apply":true}"#).await.ok();
    let without_time = |mut certificate: Value| {
        for changing in ["applied", "at"] {
            certificate.as_object_mut().unwrap().remove(changing);
        }
        certificate
    };
    assert_eq!(erased["applied"], true);
    assert_eq!(
        without_time(erased.clone()),
        without_time(looked),
        "the dry run reports the same as the erasure"
    );
    assert!(!erased.to_string().to_lowercase().contains("ann@"), "{erased}");
    assert_eq!(client.get(&format!("/leads/{id}")).await.error(), (404, "not_found"));
    let again = client.post("/erasures", r#"{"email":"ann@stripe.com","apply":true}"#).await.ok();
    assert_eq!((&again["found"], &again["leads"]), (&json!([]), &json!([id])));
}
