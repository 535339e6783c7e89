//! A database that becomes unreachable without closing its connections: they stay open, and no data arrives
//! on them.

use std::time::Duration;

use serde_json::json;
use testkit::{HalfOpen, Server, eventually, eventually_within};

use crate::support::Fixture;

/// Posts a lead until it is acknowledged, and waits until it is written.
fn assert_processed(server: &Server, email: &str) {
    let lead = json!({ "email": email, "campaign_id": "c1", "name": "Alex Smith" });
    let mut id = String::new();
    eventually("the lead is acknowledged", || {
        let Ok(answer) = server.post_lead(&lead) else { return false };
        if answer.status == 202 {
            answer.json()["lead_id"].as_str().unwrap().clone_into(&mut id);
        }
        answer.status == 202
    });
    eventually("the lead is written", || {
        server
            .get(&format!("/leads/{id}"))
            .is_ok_and(|answer| answer.status == 200 && answer.json()["status"] == "synced")
    });
}

#[test]
fn half_open_connections_delay_neither_work_nor_shutdown() {
    let fixture = Fixture::postgres();
    let url = fixture.database.url();
    let (before, rest) = url.split_once('@').unwrap();
    let (host, name) = rest.split_once('/').unwrap();
    let proxy = HalfOpen::before(host);
    let url = format!("{before}@{}/{name}", proxy.address());
    let variables = [("DATABASE_URL", url.as_str()), ("DATABASE_TIMEOUT_SECONDS", "5")];
    let mut server = fixture.serve(&[], &variables);
    assert_processed(&server, "ann@stripe.com");

    proxy.kill_connections();
    eventually("it is ready again", || server.get("/readyz").is_ok_and(|answer| answer.status == 200));
    eventually("the gauges are read again", || {
        let metrics = server.get("/metrics").unwrap().text;
        assert!(!metrics.contains("NaN"), "{metrics}");
        metrics.contains("revenueflow_leads{") && metrics.contains("revenueflow_dead_letters ")
    });
    assert_processed(&server, "bob@stripe.com");

    proxy.kill_connections();
    server.request_stop().unwrap();
    let mut ended = None;
    eventually_within(Duration::from_mins(1), "the process has stopped", || {
        ended = server.ended().unwrap();
        ended.is_some()
    });
    assert_eq!(ended, Some(true), "{:?}", server.logs());
}
