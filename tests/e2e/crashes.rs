//! The process is killed again and again while leads come in; nothing is lost and nothing is done twice.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::{Redis, Server, eventually_within, lasting_port};
use serde_json::Value;

use crate::support::{BINARY, Place};

/// How many leads come in; `CRASH_LEADS` asks for more.
fn leads() -> usize {
    std::env::var("CRASH_LEADS").map_or(400, |leads| leads.parse().expect("CRASH_LEADS is a number"))
}

fn nothing_is_lost_and_nothing_is_done_twice(place: &Place, mut redis: Option<Redis>) {
    let leads_posted = leads();
    let kills = leads_posted / 40; // one in 400 ms, as long as leads come in
    // A port that stays the same over restarts; lifted limits, since 400 leads are more than the guard's minute allows.
    let port = lasting_port().to_string();
    let redis_url = redis.as_ref().map(Redis::url).unwrap_or_default();
    let variables = [
        ("REDIS_URL", redis_url.as_str()),
        ("PORT", port.as_str()),
        ("CRM_LIMIT_GLOBAL", "1000000"),
        ("CRM_LIMIT_PER_ACCOUNT", "1000000"),
        ("VISIBILITY_TIMEOUT_SECONDS", "3"),
    ];
    let url = format!("http://127.0.0.1:{port}");
    let ids = place.folder.path().join("ids");
    let mut server = place.serve(&[], &variables);
    let mut campaign = Command::new(BINARY)
        .args([
            "simulate",
            &leads_posted.to_string(),
            "--rate",
            "100",
            "--retry-for",
            "60",
            "--url",
            &url,
            "--ids",
        ])
        .arg(&ids)
        .env_clear()
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for kill in 0..kills {
        std::thread::sleep(Duration::from_millis(400));
        if let Some(redis) = redis.as_mut().filter(|_| kill % 3 == 0) {
            redis.kill(); // leads that come meanwhile are spooled
            std::thread::sleep(Duration::from_millis(300));
            redis.run().unwrap();
        }
        server.kill().unwrap();
        server = place.serve(&[], &variables);
    }
    assert!(campaign.wait().unwrap().success(), "every lead was acknowledged in the end");

    let mut posted: Vec<String> = std::fs::read_to_string(&ids).unwrap().lines().map(str::to_owned).collect();
    posted.sort();
    posted.dedup();
    assert_eq!(posted.len(), leads_posted);
    let mut leads = HashMap::new();
    let patience = Duration::from_mins(2) + Duration::from_millis(40) * u32::try_from(leads_posted).unwrap();
    eventually_within(patience, "every lead is settled", || {
        leads = all_leads(&server);
        leads.len() == leads_posted && leads.values().all(|lead| lead["status"] == "synced")
    });
    assert!(posted.iter().all(|id| leads.contains_key(id)), "what was acknowledged is there");
    assert!(leads.values().any(|lead| lead["revision"] == 2), "the campaign had revisions");

    let mut records: Vec<_> = leads.values().map(|lead| lead["crm"]["record_id"].as_str().unwrap()).collect();
    records.sort_unstable();
    records.dedup();
    assert_eq!(records.len(), leads_posted, "each lead has a record of its own");
    for id in &posted {
        let effects = server.get(&format!("/leads/{id}/explain")).unwrap().json();
        let audit = server.get(&format!("/leads/{id}/audit?limit=500")).unwrap().json();
        let events = audit["items"].as_array().unwrap();
        let seqs: Vec<i64> = events.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
        assert_eq!(seqs, (1..).take(seqs.len()).collect::<Vec<i64>>(), "{effects}");
        let synced = events.iter().filter(|event| event["kind"] == "synced").count();
        let revisions = usize::try_from(leads[id]["revision"].as_i64().unwrap()).unwrap();
        assert!((1..=revisions).contains(&synced), "synced once for each revision at most: {audit}");
    }
}

pub(crate) fn all_leads(server: &Server) -> HashMap<String, Value> {
    let mut leads = HashMap::new();
    let mut path = "/leads?limit=500".to_owned();
    loop {
        let page = server.get(&path).unwrap().json();
        for lead in page["items"].as_array().unwrap() {
            leads.insert(lead["lead_id"].as_str().unwrap().to_owned(), lead.clone());
        }
        let Some(cursor) = page["next_cursor"].as_str() else { return leads };
        path = format!("/leads?limit=500&cursor={cursor}");
    }
}

#[test]
fn a_process_that_is_killed_ten_times_loses_nothing_on_sqlite() {
    nothing_is_lost_and_nothing_is_done_twice(&Place::sqlite(), None);
}

#[test]
fn a_process_that_is_killed_ten_times_loses_nothing_on_postgresql() {
    nothing_is_lost_and_nothing_is_done_twice(&Place::postgres(), None);
}

#[test]
fn a_process_and_redis_that_are_killed_lose_nothing() {
    let place = Place::postgres();
    let data = tempfile::tempdir().unwrap();
    let redis = Redis::start(data.path()).unwrap();
    nothing_is_lost_and_nothing_is_done_twice(&place, Some(redis));
}
