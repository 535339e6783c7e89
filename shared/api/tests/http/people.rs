//! Decisions by people: reviews of held leads, responses and suppressions.

use axum::http::Method;
use lead::LeadId;
use routing::Routing;
use serde_json::{Value, json};
use testkit::fixtures::crm_record;

use crate::support::{App, eager, lead};

const BY_DANA: &str = r#"{"by":"Dana"}"#;

/// An app with a held lead.
async fn app_with_held_lead() -> (App, LeadId) {
    let app = App::start().await;
    app.analyst.lie(true);
    let id = app.post(eager("ann@stripe.com")).await;
    app.work().await;
    (app, id)
}

/// The fields of the lead's record in the CRM; null without a record.
async fn in_the_crm(app: &App, id: &LeadId) -> Value {
    let record = crm_record(&app.store, id).await;
    record.map_or(Value::Null, |record| Value::Object(record.fields))
}

async fn status(app: &App, id: &LeadId) -> Value {
    app.client().get(&format!("/leads/{id}")).await.ok()["status"].clone()
}

#[tokio::test]
async fn held_lead_is_approved_without_its_analysis() {
    let (app, id) = app_with_held_lead().await;
    let client = app.client();
    let page = client.get("/reviews").await.ok();
    assert_eq!(page["items"][0]["lead"]["lead_id"], id.as_str());
    let reasons = page["items"][0]["reasons"].as_array().unwrap();
    assert!(!reasons.is_empty() && reasons[0]["message"].is_string(), "{reasons:?}");

    let path = format!("/reviews/{}/approve", &id.as_str()[..12]);
    for bad in ["", "[]", r#"{"reason":" "}"#, BY_DANA] {
        assert_eq!(client.post(&path, bad).await.error(), (400, "invalid_body"), "{bad}");
    }
    assert_eq!(status(&app, &id).await, "held");
    for _ in 0..2 {
        let sent = client.post(&path, "{}").await;
        assert_eq!((sent.status, &sent.json), (202, &json!({"status": "queued", "lead_id": id})));
    }
    app.work().await;
    let shown = client.get(&format!("/leads/{id}")).await.ok();
    assert_eq!((&shown["status"], &shown["reviews"][0]["decision"]), (&json!("synced"), &json!("approved")));
    assert_eq!(shown["reviews"][0]["by"], "local:http");
    let audit = client.get(&format!("/leads/{id}/audit")).await.ok();
    let approved = audit["items"].as_array().unwrap().iter().find(|event| event["kind"] == "review_approved");
    assert_eq!(approved.unwrap()["actor"], "local:http");
    assert_eq!(shown["reviews"].as_array().unwrap().len(), 1, "a repeated decision changes nothing");
    let written = in_the_crm(&app, &id).await;
    assert_eq!((&written["title"], written.get("fit_score")), (&json!("CTO"), None));

    let dismiss = client.post(&format!("/reviews/{id}/dismiss"), r#"{"reason":"late"}"#).await;
    assert_eq!(dismiss.error(), (409, "not_held"));
    assert_eq!(client.get("/reviews").await.ok()["items"], json!([]));
    assert_eq!(client.post("/reviews/ffffffffffff/approve", "{}").await.error(), (404, "not_found"));
}

#[tokio::test]
async fn held_lead_is_judged_again_and_written_with_its_score() {
    let (app, id) = app_with_held_lead().await;
    app.analyst.lie(false);
    let sent = app.client().post(&format!("/reviews/{id}/rejudge"), "{}").await;
    assert_eq!(sent.status, 202);
    app.work().await;
    assert_eq!(status(&app, &id).await, "synced");
    assert!(in_the_crm(&app, &id).await["fit_score"].is_number());
}

#[tokio::test]
async fn dismissal_requires_a_reason_and_writes_nothing() {
    let (app, id) = app_with_held_lead().await;
    let path = format!("/reviews/{id}/dismiss");
    assert_eq!(app.client().post(&path, "{}").await.error(), (400, "invalid_body"));
    for _ in 0..2 {
        let done = app.client().post(&path, r#"{"reason":"a student"}"#).await.ok();
        assert_eq!(done, json!({"status": "dismissed"}));
    }
    app.work().await;
    assert_eq!((status(&app, &id).await, in_the_crm(&app, &id).await), (json!("dismissed"), Value::Null));
}

#[tokio::test]
async fn suppressed_person_cannot_be_approved() {
    let (app, id) = app_with_held_lead().await;
    let entry = r#"{"who":"stripe.com","reason":"a partner"}"#;
    assert_eq!(app.client().post("/suppressions", entry).await.ok(), json!({"status": "suppressed"}));
    let refused = app.client().post(&format!("/reviews/{id}/approve"), "{}").await;
    assert_eq!(refused.error(), (409, "conflict"));
    assert_eq!(status(&app, &id).await, "held");
}

#[tokio::test]
async fn suppression_list_hides_addresses_and_blocks_writes() {
    let app = App::start().await;
    let client = app.client();
    let add = async |who: &str| {
        let body = json!({"who": who, "reason": "asked for it"}).to_string();
        client.post("/suppressions", &body).await
    };
    assert_eq!(add(" Ann@Stripe.com").await.ok(), json!({"status": "suppressed"}));
    assert_eq!(add("ann@stripe.com").await.ok(), json!({"status": "suppressed_before"}));
    assert_eq!(add("@acme.example").await.ok(), json!({"status": "suppressed"}));
    assert_eq!(add("no such thing").await.error(), (400, "invalid_body"));
    let id = app.post(eager("ann@stripe.com")).await;
    app.work().await;
    assert_eq!((status(&app, &id).await, in_the_crm(&app, &id).await), (json!("suppressed"), Value::Null));

    let list = client.get("/suppressions?limit=10").await.ok();
    assert!(!list.to_string().contains("ann"), "{list}");
    let mut entries: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["entry"].as_str().unwrap().to_owned())
        .collect();
    entries.sort_by_key(String::len);
    assert_eq!((entries.len(), entries[0].as_str(), entries[1].len()), (2, "acme.example", 64));

    let remove = async |entry: &str| client.ask(Method::DELETE, &format!("/suppressions/{entry}"), "").await;
    assert_eq!(remove(&entries[1].to_uppercase()).await.ok(), json!({"status": "removed"}));
    // An address must not be in a path, because access logs record paths.
    for address in ["ann@stripe.com", "ann%40stripe.com"] {
        assert_eq!(remove(address).await.error(), (400, "invalid_query"), "{address}");
    }
    assert_eq!(remove("acme.example").await.ok(), json!({"status": "removed"}));
    assert_eq!(client.get("/suppressions").await.ok()["items"], json!([]));

    assert_eq!(add("bob@stripe.com").await.ok(), json!({"status": "suppressed"}));
    let body = json!({"who": "Bob@stripe.com", "reason": "asked to come back"}).to_string();
    let remove = async || client.post("/suppressions/remove", &body).await;
    assert_eq!(remove().await.ok(), json!({"status": "removed"}));
    assert_eq!(remove().await.error(), (404, "not_found"));
    let removed = client.get("/suppressions/removed?limit=1").await.ok();
    assert!(removed["next_cursor"].is_string(), "three were removed");
    assert_eq!(removed["items"][0]["removed_by"], "local:http");
    assert_eq!(removed["items"][0]["removed_because"], "asked to come back");

    let acts = client.get("/audit?limit=2").await.ok();
    assert_eq!(acts["items"][0]["kind"], "suppression_removed");
    assert_eq!((&acts["items"][0]["actor"], &acts["next_before"]), (&json!("local:http"), &json!(5)));
    let rest = client.get("/audit?before=5").await.ok();
    assert_eq!((rest["items"].as_array().unwrap().len(), rest.get("next_before")), (4, None));
    assert!(!(acts.to_string() + &rest.to_string()).contains('@'), "{acts} {rest}");
    assert_eq!(client.get("/audit?before=0").await.error(), (400, "invalid_query"));
}

#[tokio::test]
async fn erasure_may_suppress_the_person_as_well() {
    let app = App::start().await;
    let client = app.client();
    let id = app.post(eager("ann@stripe.com")).await;
    let body = json!({"email": "ann@stripe.com", "apply": true, "suppress": true}).to_string();
    let certificate = client.post("/erasures", &body).await.ok();
    assert_eq!((&certificate["on_suppression_list"], &certificate["leads"][0]), (&json!(true), &json!(id)));
    let remains = certificate["remains"].to_string();
    for part in ["backups", "the AI provider", "enrichment providers", "logs and alerts", "sender"] {
        assert!(remains.contains(part), "{part} in {remains}");
    }
    assert_eq!(client.get("/suppressions").await.ok()["items"][0]["added_by"], "local:http");
}

#[tokio::test]
async fn export_of_a_person_holds_their_rows() {
    let app = App::start().await;
    let client = app.client();
    let id = app.post(eager("ann@stripe.com")).await;
    for bad in ["", "{}", r#"{"email":"x"}"#, r#"{"email":"ann@stripe.com","apply":true}"#] {
        assert_eq!(client.post("/exports", bad).await.error(), (400, "invalid_body"), "{bad}");
    }
    let export = client.post("/exports", r#"{"email":"Ann@Stripe.com"}"#).await.ok();
    assert_eq!(export["leads"][0]["lead_id"], json!(id));
    let tables = &export["leads"][0]["tables"];
    assert_eq!(tables["lead"][0]["email"], "ann@stripe.com");
    for table in ["delivery", "audit_event"] {
        assert!(tables[table].as_array().is_some_and(|rows| !rows.is_empty()), "{table}");
    }
    assert!(export["elsewhere"].to_string().contains("the AI provider"));
    let nobody = client.post("/exports", r#"{"email":"bob@stripe.com"}"#).await.ok();
    assert_eq!(nobody["leads"], json!([]));
}

const TEAM: &str = r#"
version = "1"
[owners.ann]
id = "005ANN"
[owners.bob]
id = "005BOB"
[pools.team]
members = [{ owner = "ann" }, { owner = "bob" }]
[[rules]]
name = "launch in Germany"
when = { country = ["DE"] }
to = "crm"
[[rules]]
name = "hot"
when = { decision = ["ROUTE_TO_SDR"] }
to = { pool = "team" }
respond_within = "10m"
"#;

#[tokio::test]
async fn routing_is_shown_and_a_response_is_recorded_once() {
    let app = App::with_rules(Routing::parse(TEAM).unwrap()).await;
    let client = app.client();
    let id = app.post(eager("ann@stripe.com")).await;
    let respond = async |body: &str| client.post(&format!("/leads/{id}/responded"), body).await;
    assert_eq!(respond(BY_DANA).await.error(), (409, "conflict"), "not assigned yet");
    app.work().await;

    let shown = client.get(&format!("/leads/{id}")).await.ok();
    assert_eq!((&shown["owner"], &shown["routing"]["rule"]), (&json!("005ANN"), &json!("hot")));
    assert!(shown["routing"]["respond_by"].is_string());
    let text = client.with("accept", "text/plain").get(&format!("/leads/{id}/explain")).await.text;
    for part in ["Who got it", "ann's turn", "launch in Germany", "the country is US, not DE", "bob"] {
        assert!(text.contains(part), "{part} in {text}");
    }

    let client = app.client();
    let respond = async |body: &str| client.post(&format!("/leads/{id}/responded"), body).await;
    assert_eq!(respond(r#"{"by":" "}"#).await.error(), (400, "invalid_body"));
    assert_eq!(respond(BY_DANA).await.ok(), json!({"status": "responded"}));
    assert_eq!(respond("{}").await.ok(), json!({"status": "responded_before"}));
    let routing = client.get(&format!("/leads/{id}")).await.ok()["routing"].clone();
    assert_eq!((&routing["responded_by"], routing.get("respond_by")), (&json!("Dana"), None));
    let unknown = app.client().post("/leads/ffffffffffff/responded", BY_DANA).await;
    assert_eq!(unknown.error(), (404, "not_found"));
    assert_eq!(app.post(lead("bob@stripe.com")).await.as_str().len(), 64);
}
