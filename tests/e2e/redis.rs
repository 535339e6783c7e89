//! The queue in Redis, for a team that migrates from BullMQ.

use std::time::Duration;

use sandbox::{Fault, Misbehaviour};
use serde_json::json;
use testkit::{Proxy, Redis, eventually, eventually_within};

use crate::salesforce::{Crm, post};
use crate::support::{Fixture, settled};

#[test]
fn a_lead_posted_during_a_redis_outage_is_processed_later() {
    let (fixture, data) = (Fixture::sqlite(), tempfile::tempdir().unwrap());
    let mut redis = Redis::start(data.path()).unwrap();
    let url = redis.url();
    let server = fixture.serve(&[], &[("REDIS_URL", url.as_str())]);
    let post = |email: &str| {
        let answer = server.post_lead(&json!({"email": email, "campaign_id": "c"})).unwrap();
        assert_eq!((answer.status, answer.json()["status"].as_str()), (202, Some("accepted")));
        answer.json()["lead_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(settled(&server, &post("one@stripe.com"))["status"], "synced");
    redis.kill();
    let spooled = post("two@stripe.com");
    assert_eq!(server.get("/readyz").unwrap().status, 503, "the queue is unavailable");
    redis.run().unwrap();
    assert_eq!(settled(&server, &spooled)["status"], "synced");
    assert_eq!(server.get("/readyz").unwrap().status, 200);
}

#[test]
fn an_empty_redis_is_refilled_from_the_database() {
    let (fixture, data) = (Fixture::sqlite(), tempfile::tempdir().unwrap());
    let redis = Redis::start(data.path()).unwrap();
    let url = redis.url();
    let front = fixture.serve(&["serve", "--api-only"], &[("REDIS_URL", url.as_str())]);
    let answer = front.post_lead(&json!({"email": "ann@stripe.com", "campaign_id": "c"})).unwrap();
    let id = answer.json()["lead_id"].as_str().unwrap().to_owned();
    eventually("the lead is in the store", || front.get(&format!("/leads/{id}")).unwrap().status == 200);
    drop((front, redis));

    let empty = tempfile::tempdir().unwrap();
    let redis = Redis::start(empty.path()).unwrap();
    let url = redis.url();
    let (is_success, said) = fixture.printed(&["reconcile"], &[("REDIS_URL", url.as_str())]);
    assert!(is_success && said.contains("1 lead missing from the queue sent again"), "{said}");
    assert!(said.contains("not recovered if Redis lost them"), "the output names its limits: {said}");
    let server = fixture.serve(&[], &[("REDIS_URL", url.as_str())]);
    assert_eq!(settled(&server, &id)["status"], "synced");
}

/// Each process has its own spool, and neither is started again.
#[test]
fn reconcile_sends_the_spools_of_two_dead_processes() {
    let (fixture, data) = (Fixture::sqlite(), tempfile::tempdir().unwrap());
    let mut redis = Redis::start(data.path()).unwrap();
    let url = redis.url();
    let variables = [("REDIS_URL", url.as_str())];
    redis.kill();
    let servers = [(); 3].map(|()| fixture.serve(&["serve", "--api-only"], &variables));
    for (server, email) in servers.iter().zip(["one@stripe.com", "two@stripe.com", "three@stripe.com"]) {
        let answer = server.post_lead(&json!({"email": email, "campaign_id": "c"})).unwrap();
        assert_eq!(answer.status, 202);
    }
    let [one, two, alive] = servers;
    one.kill().unwrap();
    two.kill().unwrap();
    // The third process still owns its spool, and Redis is unavailable.
    let (is_success, said) = fixture.printed(&["reconcile"], &variables);
    assert!(!is_success, "{said}");
    std::fs::write(fixture.folder.path().join("spool/0.unreadable.jsonl"), "nonsense\n").unwrap();
    drop(alive);
    redis.run().unwrap();
    let (is_success, said) = fixture.printed(&["reconcile"], &variables);
    assert!(
        is_success && said.contains("spool: 3 leads sent") && said.contains("1 line unreadable"),
        "{said}"
    );
    let (_, said) = fixture.printed(&["doctor"], &variables);
    assert!(
        said.lines().any(|line| line.contains("spool") && line.contains("1 line could not be read")),
        "{said}"
    );
}

#[test]
fn a_stopping_server_finishes_the_lead_in_progress() {
    let (fixture, data, crm) = (Fixture::sqlite(), tempfile::tempdir().unwrap(), Crm::start());
    let redis = Redis::start(data.path()).unwrap();
    let url = redis.url();
    let mut variables = vec![("REDIS_URL", url.as_str())];
    variables.extend(crm.variables());
    crm.fake.add_fault(Fault::on("/composite", Misbehaviour::delay(Duration::from_secs(2))).times(1));
    let front = fixture.serve(&["serve", "--api-only"], &variables);
    let worker = fixture.serve(&["serve", "--worker-only"], &variables);
    let id = post(&front, "ann@stripe.com");
    eventually("the lead is being written", || {
        crm.fake.exchanges().iter().any(|exchange| exchange.path.contains("/composite"))
            || front.get(&format!("/leads/{id}")).unwrap().json()["status"] == "processing"
    });
    assert!(worker.stop().unwrap());
    assert_eq!(front.get(&format!("/leads/{id}")).unwrap().json()["status"], "synced");
    let events = front.get(&format!("/leads/{id}/audit")).unwrap().json()["items"].clone();
    let started = events.as_array().unwrap().iter().filter(|event| event["kind"] == "started");
    assert_eq!(started.count(), 1, "{events}");
}

#[test]
fn leads_that_wait_out_a_database_outage_keep_their_attempts() {
    let (fixture, data) = (Fixture::postgres(), tempfile::tempdir().unwrap());
    let redis = Redis::start(data.path()).unwrap();
    let url = fixture.database.url();
    let (before, rest) = url.split_once('@').unwrap();
    let (host, name) = rest.split_once('/').unwrap();
    let proxy = Proxy::start(host).unwrap();
    let (url, redis_url) = (format!("{before}@{}/{name}", proxy.address()), redis.url());
    let server = fixture.serve(&[], &[("DATABASE_URL", url.as_str()), ("REDIS_URL", redis_url.as_str())]);
    proxy.cut();
    let leads: Vec<_> = (0..5).map(|n| post(&server, &format!("p{n}@stripe.com"))).collect();
    let failed = |lead: &String| {
        let logs = server.logs();
        logs.iter().filter(|line| line.contains(lead.as_str()) && line.contains("\"message failed\"")).count()
    };
    eventually_within(Duration::from_mins(5), "every lead has failed in the outage", || {
        leads.iter().all(|lead| failed(lead) > 0)
    });
    proxy.mend();
    for lead in &leads {
        eventually_within(Duration::from_mins(3), "the lead is written after the outage", || {
            server.get(&format!("/leads/{lead}")).unwrap().json()["status"] == "synced"
        });
        let events = server.get(&format!("/leads/{lead}/audit")).unwrap().json()["items"].clone();
        let started = events.as_array().unwrap().iter().filter(|event| event["kind"] == "started");
        for event in started {
            assert_eq!(event["detail"]["attempt"], 1, "no attempt was spent: {events}");
        }
    }
}
