//! A database that becomes unreachable without closing its connections: they stay open, and no data arrives
//! on them.

use serde_json::json;
use testkit::{HalfOpen, Server, eventually};

use crate::support::{Fixture, host_of};

/// Posts a lead until it is acknowledged, and waits until it is written.
fn assert_processed(server: &Server, email: &str) {
    let lead = json!({ "email": email, "campaign_id": "c1", "name": "Alex Smith" });
    let mut id = String::new();
    eventually("the lead is acknowledged", || {
        let answer = server.post_lead(&lead).ok().filter(|answer| answer.status == 202);
        id = answer.map_or(String::new(), |answer| answer.json()["lead_id"].as_str().unwrap().to_owned());
        !id.is_empty()
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
    let proxy = HalfOpen::before(host_of(url));
    let url = url.replacen(host_of(url), &proxy.address().to_string(), 1);
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
    assert!(server.wait_for_end(), "{:?}", server.logs());
}
