//! Answers to senders and to unauthenticated callers.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::support::{Fixture, settled};

const SECRETS: &str = "the-first-secret-0001,the-second-secret-0002";

#[test]
fn a_malformed_body_is_refused_with_a_reason_and_kept() {
    let fixture = Fixture::sqlite();
    let server = fixture.serve(&[], &[]);
    let body = r#"{"email": ""ann@example.com"", "campaign_id": "c"}"#;
    let answer = server.request(|client| client.post(server.url("/leads")).body(body)).unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["status"], "rejected");
    assert_eq!(answer.json()["error"], "invalid_json");
    assert!(answer.json()["message"].as_str().unwrap().contains("quotes"), "{answer:?}");

    let list = server.get("/quarantine").unwrap().json();
    assert_eq!(list["items"][0]["error"], "invalid_json");
    assert_eq!(server.get("/leads").unwrap().json()["items"], json!([]), "nothing was queued");
}

#[test]
fn every_webhook_secret_is_accepted_and_no_other_token() {
    let fixture = Fixture::sqlite();
    let server = fixture.serve(&[], &[("WEBHOOK_SECRETS", SECRETS), ("ADMIN_TOKEN", "the-admin-token-0003")]);
    let post = |token: Option<&str>| {
        server
            .request(|client| {
                let request = client
                    .post(server.url("/leads"))
                    .json(&json!({"email": "ann@example.com", "campaign_id": "c"}));
                match token {
                    Some(token) => request.header("X-RevenueFlow-Token", token),
                    None => request,
                }
            })
            .unwrap()
    };
    assert_eq!(post(Some("the-first-secret-0001")).status, 202);
    assert_eq!(post(Some("the-second-secret-0002")).status, 202);
    for wrong in [None, Some(""), Some("the-first-secret-0002"), Some("the-admin-token-0003")] {
        let answer = post(wrong);
        assert_eq!((answer.status, answer.json()["status"].as_str()), (401, Some("rejected")), "{wrong:?}");
    }
    assert_eq!(server.get("/leads").unwrap().status, 401, "reading needs the admin token");
    let read = server
        .request(|client| client.get(server.url("/leads")).bearer_auth("the-admin-token-0003"))
        .unwrap();
    assert_eq!(read.status, 200);
    assert_eq!(server.get("/healthz").unwrap().status, 200, "health needs no token");
}

#[test]
fn a_form_is_a_lead_too() {
    let fixture = Fixture::sqlite();
    let server = fixture.serve(&[], &[]);
    let body = "email=cfo%40stripe.com&name=Zo%C3%AB+O%27Neill&campaign_id=launch_2024&marketo%5Bengagement_score%5D=85";
    // The content type of a form is neither required nor trusted.
    for content_type in ["application/x-www-form-urlencoded", "application/json"] {
        let post = |client: &reqwest::blocking::Client| {
            client.post(server.url("/leads")).header("content-type", content_type).body(body)
        };
        assert_eq!(server.request(post).unwrap().status, 202, "{content_type}");
    }
    let id = &server.get("/leads").unwrap().json()["items"][0]["lead_id"];
    let lead = settled(&server, id.as_str().unwrap());
    assert_eq!((&lead["status"], &lead["name"]), (&json!("synced"), &json!("Zoë O'Neill")));
    // A person can add parameters to a form: without a sources file its facts do not count.
    let audit = server.get(&format!("/leads/{}/audit", id.as_str().unwrap())).unwrap();
    assert!(audit.text.contains(r#"{"field":"marketo","issue":"not_allowed"}"#), "{audit:?}");
}

#[test]
fn a_signed_webhook_needs_no_token_and_resists_tampering() {
    const KEY: &[u8] = b"a key that only the sender has";
    let fixture = Fixture::sqlite();
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    let server = fixture.serve(&[], &[("WEBHOOK_SECRETS", &secret)]);
    let body = r#"{"email": "ann@shopify.com", "campaign_id": "c"}"#;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    let post = |sent_at: u64, body: &'static str, signed: &str| {
        let mut hmac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
        hmac.update(format!("msg_1.{sent_at}.{signed}").as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(hmac.finalize().into_bytes()));
        let request = |client: &reqwest::blocking::Client| {
            client
                .post(server.url("/leads"))
                .header("webhook-id", "msg_1")
                .header("webhook-timestamp", sent_at)
                .header("webhook-signature", signature)
                .body(body)
        };
        server.request(request).unwrap().status
    };
    assert_eq!(post(now, body, body), 202);
    assert_eq!(post(now, body, "another body"), 401);
    assert_eq!(post(now - 3_600, body, body), 401, "a replayed old request");
}

#[test]
fn a_cross_origin_post_is_rejected_in_the_webhook_format() {
    let fixture = Fixture::sqlite();
    let server = fixture.serve(&[], &[]);
    let forged = |client: &reqwest::blocking::Client| {
        let body = json!({"email": "ann@shopify.com", "campaign_id": "c"});
        client.post(server.url("/leads")).header("origin", "https://evil.example").json(&body)
    };
    let answer = server.request(forged).unwrap();
    assert_eq!(answer.status, 403);
    assert_eq!(
        (&answer.json()["status"], &answer.json()["error"]),
        (&json!("rejected"), &json!("forbidden"))
    );
    assert_eq!(server.get("/leads").unwrap().json()["items"], json!([]));
}

#[test]
fn a_body_over_the_limit_is_not_read() {
    let fixture = Fixture::sqlite();
    let server = fixture.serve(&[], &[]);
    let answer =
        server.request(|client| client.post(server.url("/leads")).body("x".repeat(300 * 1024))).unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["error"], "body_too_large");
}

#[test]
fn every_answer_is_json_even_for_unknown_paths() {
    let fixture = Fixture::sqlite();
    let server = fixture.serve(&[], &[]);
    let id = "0".repeat(64);
    for (path, status) in [
        ("/nothing".to_owned(), 404),
        (format!("/leads/{id}"), 404),
        ("/leads/zzz".to_owned(), 404),
        ("/leads?cursor=nonsense".to_owned(), 400),
        ("/leads?status=nonsense".to_owned(), 400),
        ("/openapi.json".to_owned(), 200),
        ("/readyz".to_owned(), 200),
    ] {
        let answer = server.get(&path).unwrap();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.json().is_object(), "{path}: {answer:?}");
    }
    let put = server.request(|client| client.put(server.url("/leads")).body("{}")).unwrap();
    assert_eq!(put.status, 405);
    assert!(put.json().is_object(), "{put:?}");
    assert!(server.get("/metrics").unwrap().text.contains("revenueflow_leads"));
}
