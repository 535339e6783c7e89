//! The queue in Redis, for a team that migrates from BullMQ.

use std::time::Duration;

use sandbox::{Fault, Misbehaviour};
use testkit::{Proxy, Redis, eventually, eventually_within};

use crate::salesforce::Crm;
use crate::support::{Fixture, events, eventually_synced, host_of, lead, post, settled};

#[test]
fn a_lead_posted_during_a_redis_outage_is_processed_later() {
    let (fixture, mut redis) = (Fixture::sqlite(), Redis::start().unwrap());
    let url = redis.url().to_owned();
    let server = fixture.serve(&[], &[("REDIS_URL", url.as_str())]);
    assert_eq!(settled(&server, &post(&server, "one@stripe.com"))["status"], "synced");
    redis.kill();
    let spooled = post(&server, "two@stripe.com");
    assert_eq!(server.get("/readyz").unwrap().status, 503, "the queue is unavailable");
    redis.run().unwrap();
    assert_eq!(settled(&server, &spooled)["status"], "synced");
    assert_eq!(server.get("/readyz").unwrap().status, 200);
}

#[test]
fn an_empty_redis_is_refilled_from_the_database() {
    let (fixture, redis) = (Fixture::sqlite(), Redis::start().unwrap());
    let front = fixture.serve(&["serve", "--api-only"], &[("REDIS_URL", redis.url())]);
    let id = post(&front, "ann@stripe.com");
    eventually("the lead is in the store", || front.get(&format!("/leads/{id}")).unwrap().status == 200);
    drop((front, redis));

    let redis = Redis::start().unwrap();
    let (is_success, said) = fixture.printed(&["reconcile"], &[("REDIS_URL", redis.url())]);
    assert!(is_success && said.contains("1 lead missing from the queue sent again"), "{said}");
    assert!(said.contains("not recovered if Redis lost them"), "the output names its limits: {said}");
    let server = fixture.serve(&[], &[("REDIS_URL", redis.url())]);
    assert_eq!(settled(&server, &id)["status"], "synced");
}

/// Each process has its own spool, and neither is started again.
#[test]
fn reconcile_sends_the_spools_of_two_dead_processes() {
    let (fixture, mut redis) = (Fixture::sqlite(), Redis::start().unwrap());
    let url = redis.url().to_owned();
    let variables = [("REDIS_URL", url.as_str())];
    redis.kill();
    let servers = [(); 3].map(|()| fixture.serve(&["serve", "--api-only"], &variables));
    for (server, email) in servers.iter().zip(["one@stripe.com", "two@stripe.com", "three@stripe.com"]) {
        post(server, email);
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
    let (fixture, redis, crm) = (Fixture::sqlite(), Redis::start().unwrap(), Crm::start());
    let mut variables = vec![("REDIS_URL", redis.url())];
    variables.extend(crm.variables());
    crm.fake.add_fault(Fault::on("/composite", Misbehaviour::delay(Duration::from_secs(2))).times(1));
    let front = fixture.serve(&["serve", "--api-only"], &variables);
    let worker = fixture.serve(&["serve", "--worker-only"], &variables);
    let id = post(&front, "ann@stripe.com");
    eventually("the lead is being written", || {
        crm.fake.exchanges().iter().any(|exchange| exchange.path.contains("/composite"))
            || lead(&front, &id)["status"] == "processing"
    });
    assert!(worker.stop().unwrap());
    assert_eq!(lead(&front, &id)["status"], "synced");
    assert_eq!(events(&front, &id, "started").len(), 1);
}

#[test]
fn leads_that_wait_out_a_database_outage_keep_their_attempts() {
    let (fixture, redis) = (Fixture::postgres(), Redis::start().unwrap());
    let url = fixture.database.url();
    let proxy = Proxy::start(host_of(url)).unwrap();
    let url = url.replacen(host_of(url), &proxy.address(), 1);
    let server = fixture.serve(&[], &[("DATABASE_URL", url.as_str()), ("REDIS_URL", redis.url())]);
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
        eventually_synced(&server, lead);
        for event in events(&server, lead, "started") {
            assert_eq!(event["detail"]["attempt"], 1, "no attempt was spent: {event}");
        }
    }
}
