use std::time::Duration;

use serde_json::json;

use crate::support::{App, eager, lead, new_lead};

#[tokio::test]
async fn pages_neither_repeat_nor_miss_leads_during_arrivals() {
    let app = App::start().await;
    let client = app.client();
    let mut expected = Vec::new();
    for i in 0..25 {
        // Several leads share a time, which tests the order among them.
        if i % 4 == 0 {
            app.clock.advance(Duration::from_secs(1));
        }
        expected.push(app.post(lead(&format!("lead{i}@stripe.com"))).await.as_str().to_owned());
    }
    app.clock.advance(Duration::from_secs(1));
    let (mut seen, mut cursor, mut late) = (Vec::new(), String::new(), 0);
    loop {
        let page = client.get(&format!("/leads?limit=7{cursor}")).await.ok();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 7);
        seen.extend(items.iter().map(|item| item["lead_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
        for _ in 0..3 {
            late += 1;
            app.post(lead(&format!("late{late}@stripe.com"))).await;
        }
    }
    assert!(late > 5);
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn exactly_full_page_is_the_last() {
    let app = App::start().await;
    for i in 0..4 {
        app.post(lead(&format!("lead{i}@stripe.com"))).await;
    }
    let page = app.client().get("/leads?limit=4").await.ok();
    assert_eq!(page["items"].as_array().unwrap().len(), 4);
    assert!(page.get("next_cursor").is_none());
}

#[tokio::test]
async fn filters_are_combined() {
    let app = App::start().await;
    app.post(eager("routed@stripe.com")).await;
    app.post(new_lead("ignored@unknown.example", "spring & sale")).await;
    app.work().await;
    app.clock.advance(Duration::from_mins(1));
    app.post(new_lead("waiting@unknown.example", "spring & sale")).await;
    let client = app.client();
    for (query, expected) in [
        ("", &["waiting@unknown.example", "ignored@unknown.example", "routed@stripe.com"][..]),
        ("status=synced&decision=ROUTE_TO_SDR", &["routed@stripe.com"]),
        ("status=queued", &["waiting@unknown.example"]),
        ("decision=IGNORE", &["ignored@unknown.example"]),
        ("fit=HIGH", &["routed@stripe.com"]),
        ("campaign_id=spring%20%26+sale", &["waiting@unknown.example", "ignored@unknown.example"]),
        ("email=%20ROUTED%40Stripe.com", &["routed@stripe.com"]),
        ("since=2026-01-01T00:01:00Z", &["waiting@unknown.example"]),
        ("since=2026-01-01T01:01:00%2B01:00", &["waiting@unknown.example"]),
        ("status=held", &[]),
        ("email=nobody@stripe.com", &[]),
    ] {
        let mut emails = client.get(&format!("/leads?{query}")).await.each("email");
        let mut expected = expected.to_vec();
        emails.sort();
        expected.sort_unstable();
        assert_eq!(emails, expected, "{query}");
    }
}

#[tokio::test]
async fn invalid_query_parameter_is_named() {
    let app = App::start().await;
    let client = app.client();
    for (query, named) in [
        ("statsu=synced", "\"statsu\" is not a parameter of this path: it has status, decision"),
        ("status=SYNCED", "status must be one of queued, processing"),
        ("decision=CALL", "decision must be one of"),
        ("fit=", "fit must be one of LOW, MEDIUM, HIGH"),
        ("limit=0", "limit must be a whole number from 1 to 500"),
        ("limit=501", "limit must be"),
        ("limit=-1", "limit must be"),
        ("limit=99999999999999999999", "limit must be"),
        ("since=yesterday", "since must be a time such as"),
        ("email=ann%20smith", "email must be an e-mail address"),
        ("campaign_id=%00", "campaign_id must be"),
        ("campaign_id=", "campaign_id must be"),
        ("cursor=!!", "cursor must be the next_cursor of an earlier answer"),
        ("cursor=MTI", "cursor must be"),
        ("cursor=MTI6AA", "cursor must be"),
        ("limit=1&limit=2", "limit is given more than once"),
        ("%ff=1", "is not a parameter"),
        ("=", "is not a parameter"),
    ] {
        let answer = client.get(&format!("/leads?{query}")).await;
        assert_eq!(answer.error(), (400, "invalid_query"), "{query}");
        let message = answer.json["message"].as_str().unwrap();
        assert!(message.contains(named), "{query}: {message}");
        assert!(!message.contains("ann smith"), "no value is repeated: {message}");
    }
    let path = format!("/leads/{}", "a".repeat(64));
    assert_eq!(
        client.get(&format!("{path}?x=1")).await.json["message"],
        "\"x\" is not a parameter: this path has none"
    );
    assert_eq!(client.get(&format!("{path}/audit?after=-1")).await.error(), (400, "invalid_query"));
    let long = "x".repeat(5_000);
    assert!(client.get(&format!("/leads?{long}=1")).await.text.len() < 500);
}

#[tokio::test]
async fn foreign_cursor_is_harmless() {
    let app = App::start().await;
    app.post(lead("lead@stripe.com")).await;
    // "' OR 1=1 --"
    let page = app.client().get("/leads?cursor=9.JyBPUiAxPTEgLS0").await.ok();
    assert_eq!(page["items"], json!([]));
}
