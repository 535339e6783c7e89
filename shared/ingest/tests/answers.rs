//! Every answer of `POST /leads`, and its effect on the queue and the quarantine.

mod support;

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use intake::MAX_BODY_BYTES;
use lead::{Clock as _, ManualClock, TraceContext};
use serde_json::json;
use support::{Fault, Fixture, json, request, signed};

const LEAD: &str = include_str!("../../../events/webhooks/minimal.json");
const SAME_LEAD_AS_FORM: &str = include_str!("../../../events/webhooks/minimal.form");
const REVISED_LEAD: &str = include_str!("../../../events/webhooks/camel-case.json");
const BROKEN: &[u8] = include_bytes!("../../../events/webhooks/marketo-doubled-quotes.json");
const LEAD_ID: &str = "841c48b1853396143bdcf7ab8e9a504b584cd9aca6dc83e2cfe2d421d5490e3a";

#[tokio::test]
async fn lead_is_durable_before_it_is_acknowledged() {
    let fixture = Fixture::new(Fault::None);
    let response = fixture.post(LEAD).await;
    assert_eq!(response.status(), 202);
    assert_eq!(json(&response), json!({"status": "accepted", "lead_id": LEAD_ID}));
    let [event] = &fixture.accepted()[..] else { panic!("one event") };
    assert!(event.is_consistent());
    assert_eq!(event.lead_id.as_str(), LEAD_ID);
    assert_eq!(event.received_at, ManualClock::default().now());
}

#[tokio::test]
async fn lead_joins_the_trace_of_its_server() {
    let fixture = Fixture::new(Fault::None);
    let foreign = HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let mut request = request(LEAD);
    request.headers_mut().insert("traceparent", foreign.clone());
    fixture.send(request).await;
    assert_eq!(fixture.accepted()[0].traceparent, None, "the sender's own header is ignored");
    let fixture = Fixture::new(Fault::None);
    let mut request = support::request(LEAD);
    request.headers_mut().insert("traceparent", foreign);
    request.extensions_mut().insert(TraceContext::new(1, 2, true).unwrap());
    fixture.send(request).await;
    assert_eq!(fixture.accepted()[0].traceparent, TraceContext::new(1, 2, true));
}

#[tokio::test]
async fn repeated_content_is_a_duplicate_and_new_content_is_not() {
    let fixture = Fixture::new(Fault::None);
    fixture.post(LEAD).await;
    for again in [LEAD, SAME_LEAD_AS_FORM] {
        let response = fixture.post(again).await;
        assert_eq!(response.status(), 202);
        assert_eq!(json(&response), json!({"status": "duplicate", "lead_id": LEAD_ID}));
    }
    assert_eq!(json(&fixture.post(REVISED_LEAD).await), json!({"status": "accepted", "lead_id": LEAD_ID}));
    assert_eq!(fixture.accepted().len(), 2);
}

#[tokio::test]
async fn signed_webhook_id_identifies_the_delivery() {
    let fixture = Fixture::new(Fault::None);
    let mut statuses = Vec::new();
    for (id, body) in [("msg_1", LEAD), ("msg_2", REVISED_LEAD), ("msg_1", LEAD), ("msg_3", LEAD)] {
        statuses.push(json(&fixture.send(signed(id, body)).await)["status"].clone());
    }
    assert_eq!(statuses, ["accepted", "accepted", "duplicate", "accepted"]);
    let mut unsigned = request(LEAD);
    unsigned.headers_mut().insert("webhook-id", HeaderValue::from_static("msg_1"));
    assert_eq!(json(&fixture.send(unsigned).await)["status"], "accepted", "an unsigned id is not trusted");
}

#[tokio::test]
async fn every_content_type_is_accepted() {
    let fixture = Fixture::new(Fault::None);
    for content_type in
        ["application/json", "text/plain", "application/x-www-form-urlencoded", "image/png", ""]
    {
        for body in [LEAD, SAME_LEAD_AS_FORM] {
            let mut request = request(body);
            request.headers_mut().insert("content-type", content_type.parse().unwrap());
            assert_eq!(fixture.send(request).await.status(), 202, "{content_type}");
        }
    }
}

#[tokio::test]
async fn rejected_body_is_quarantined_and_not_queued() {
    let fixture = Fixture::new(Fault::None);
    let mut request = request(BROKEN);
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    let response = fixture.send(request).await;
    assert_eq!(response.status(), 400);
    assert_eq!(json(&response)["status"], "rejected");
    assert_eq!(json(&response)["error"], "invalid_json");
    assert!(fixture.accepted().is_empty());
    let [(item, 1)] = &fixture.quarantined()[..] else { panic!("one body, once") };
    assert_eq!(item.body.expose(), BROKEN);
    assert_eq!(item.rejection.error, "invalid_json");
    assert_eq!(item.content_type.as_deref(), Some("application/json"));
    assert_eq!(item.received_at, ManualClock::default().now());
}

#[tokio::test]
async fn rejection_names_the_field() {
    let response = Fixture::new(Fault::None).post(r#"{"email":"nobody","campaign_id":"c"}"#).await;
    assert_eq!(response.status(), 400);
    assert_eq!(
        json(&response),
        json!({"status": "rejected", "error": "invalid_email", "field": "email",
            "message": "email is not a valid e-mail address"})
    );
}

#[tokio::test]
async fn repeated_broken_body_is_kept_once() {
    let fixture = Fixture::new(Fault::None);
    for body in [BROKEN, BROKEN, b"other", BROKEN] {
        fixture.post(body).await;
    }
    let mut counts: Vec<_> = fixture.quarantined().into_iter().map(|(_, count)| count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 3]);
}

#[tokio::test]
async fn binary_body_is_rejected_and_kept_unchanged() {
    let fixture = Fixture::new(Fault::None);
    for body in [&b"\xff\xfe\x00"[..], b"{\"email\":\"\xff\"}", b"\x1f\x8b\x08"] {
        assert_eq!(fixture.post(body).await.status(), 400);
    }
    assert!(fixture.quarantined().iter().any(|(item, _)| item.body.expose() == &b"\xff\xfe\x00"[..]));
}

#[tokio::test]
async fn credentials_are_checked_before_the_body_is_read() {
    let fixture = Fixture::new(Fault::None);
    let strange = HeaderValue::from_bytes(b"\xff\xfe").unwrap();
    for token in [None, Some(HeaderValue::from_static("a-wrong-token-for-the-tests")), Some(strange)] {
        for body in [LEAD.as_bytes(), BROKEN] {
            let mut request = Request::post("/leads").body(Bytes::from_static(body)).unwrap();
            if let Some(token) = token.clone() {
                request.headers_mut().insert("x-revenueflow-token", token);
            }
            let response = fixture.send(request).await;
            assert_eq!(response.status(), 401);
            assert!(response.headers().contains_key("www-authenticate"));
            assert_eq!(json(&response)["error"], "unauthorized");
        }
    }
    assert!(fixture.accepted().is_empty() && fixture.quarantined().is_empty());
}

#[tokio::test]
async fn only_post_is_allowed() {
    let fixture = Fixture::new(Fault::None);
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::HEAD] {
        let mut request = request(LEAD);
        *request.method_mut() = method;
        let response = fixture.send(request).await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
    }
    assert!(fixture.accepted().is_empty());
}

#[tokio::test]
async fn body_at_the_limit_is_read_and_a_longer_one_is_not() {
    let fixture = Fixture::new(Fault::None);
    let mut body = LEAD.trim().as_bytes().to_vec();
    body.resize(MAX_BODY_BYTES, b' ');
    assert_eq!(fixture.post(body.clone()).await.status(), 202);
    body.push(b' ');
    let response = fixture.post(body).await;
    assert_eq!(response.status(), 413);
    assert_eq!(json(&response)["error"], "body_too_large");
    assert_eq!((fixture.accepted().len(), fixture.quarantined().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn lead_that_is_not_stored_is_not_acknowledged() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let response = Fixture::new(fault).post(LEAD).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "5");
        assert_eq!(json(&response)["status"], "unavailable");
    }
}

#[tokio::test(start_paused = true)]
async fn quarantine_failure_does_not_hide_the_rejection() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let response = Fixture::new(fault).post(BROKEN).await;
        assert_eq!(response.status(), 400);
        assert_eq!(json(&response)["error"], "invalid_json");
    }
}

#[tokio::test]
async fn hostile_headers_change_nothing() {
    let mut request = request(LEAD);
    for (name, value) in [
        ("content-type", &b"\xff{{7*7}}"[..]),
        ("content-encoding", b"gzip"),
        ("content-length", b"-1"),
        ("webhook-signature", b"v1,AAAA"),
        ("webhook-timestamp", b"99999999999999999999"),
        ("x-http-method-override", b"DELETE"),
        ("x-forwarded-for", &[b'a'; 8192]),
    ] {
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    assert_eq!(Fixture::new(Fault::None).send(request).await.status(), 202);
}
