//! Campaigns posted to a running server, and commands on the resulting leads.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Folder, Server};

const LEADS: usize = 50;

fn ids(page: &Value) -> BTreeSet<String> {
    let items = page["items"].as_array().expect("a page of leads");
    items.iter().map(|lead| lead["lead_id"].as_str().expect("an id").to_owned()).collect()
}

/// Whether all leads are synced. Panics if one is held or has failed.
fn all_synced(page: &Value) -> bool {
    let is_synced = |lead: &Value| {
        let status = lead["status"].as_str();
        assert!(!matches!(status, Some("held" | "permanently_failed")), "{lead:#}");
        status == Some("synced")
    };
    page["items"].as_array().is_some_and(|leads| leads.iter().all(is_synced))
}

#[tokio::test]
async fn every_simulated_lead_is_synced_and_can_be_explained() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let url = server.url();
    let summary = folder.json(&[
        "simulate",
        "50",
        "--rate",
        "0",
        "--duplicates",
        "30",
        "--revisions",
        "30",
        "--ids",
        "ids.txt",
        "--url",
        &url,
    ]);
    assert_eq!((&summary["leads_acknowledged"], &summary["posts_not_acknowledged"]), (&50.into(), &0.into()));
    let answers = &summary["answers"];
    assert!(answers["duplicate"].as_u64() > Some(0) && answers["accepted"].as_u64() > Some(50), "{answers}");
    assert!(summary["latency"]["max_ms"].as_f64() >= summary["latency"]["p50_ms"].as_f64());

    let list = ["leads", "list", "--limit", "500"];
    let leads = folder.json_once(&list, all_synced);
    let posted: BTreeSet<String> =
        std::fs::read_to_string(folder.path("ids.txt")).unwrap().lines().map(str::to_owned).collect();
    assert_eq!((posted.len(), ids(&leads)), (LEADS, posted.clone()));
    assert_eq!(ids(&folder.json(&["leads", "list", "--limit", "500", "--status", "SYNCED"])), posted);

    for id in posted.iter().take(5) {
        let short = &id[..12];
        let shown = folder.json(&["leads", "show", short]);
        let answer = reqwest::get(format!("{url}/leads/{id}")).await.unwrap().bytes().await.unwrap();
        assert_eq!(shown, serde_json::from_slice::<Value>(&answer).unwrap());
        let explained = folder.run(&["leads", "explain", short]);
        assert_eq!((explained.code, explained.err.as_str()), (Some(0), ""));
        assert!(explained.text().contains(shown["decision"].as_str().unwrap()), "{}", explained.text());
        assert_eq!(folder.json(&["leads", "explain", short])["lead_id"], id.as_str());
        let audit = folder.json(&["leads", "audit", short]);
        assert_eq!((&audit["items"][0]["kind"], &audit["items"][0]["seq"]), (&"accepted".into(), &1.into()));
        let table = folder.run(&["leads", "audit", short]).text();
        assert!(table.contains("synced"), "{table}");
        let replay = folder.json(&["replay", short]);
        assert_eq!(
            (&replay["reproducible"], replay["changes"].as_array().map(Vec::len)),
            (&true.into(), Some(0))
        );
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    folder.json(&[
        "simulate",
        "25",
        "--rate",
        "0",
        "--duplicates",
        "0",
        "--revisions",
        "0",
        "--url",
        &server.url(),
    ]);
    let all = ids(&folder.json(&["leads", "list"]));
    assert_eq!(all.len(), 25);

    let table = folder.run(&["leads", "list", "--limit", "10", "--campaign", "launch_simulated"]);
    assert_eq!(table.text().lines().count(), 11, "{}", table.text());
    let hint = table.err.trim().strip_prefix("more: revenueflow ").unwrap().to_owned();
    assert!(hint.starts_with("leads list --campaign launch_simulated --limit 10 --cursor "), "{hint}");

    let first = folder.json(&["leads", "list", "--limit", "10"]);
    let mut seen = ids(&first);
    let mut cursor = first["next_cursor"].as_str().map(str::to_owned);
    while let Some(at) = cursor {
        let page = folder.json(&["leads", "list", "--limit", "10", "--cursor", &at]);
        assert!(ids(&page).is_disjoint(&seen));
        seen.extend(ids(&page));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, all);
}

#[tokio::test]
async fn replay_writes_only_with_apply() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    folder.json(&["simulate", "1", "--duplicates", "0", "--revisions", "0", "--url", &server.url()]);
    let leads = folder.json_once(&["leads", "list"], all_synced);
    let id = ids(&leads).pop_first().unwrap();
    let kinds = |audit: &Value| -> Vec<String> {
        let items = audit["items"].as_array().unwrap();
        items.iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
    };

    let before = folder.json(&["leads", "audit", &id]);
    let dry = folder.run(&["replay", &id]);
    assert_eq!(dry.code, Some(0));
    assert!(dry.text().contains("nothing would change") && dry.text().contains("reproducible: yes"));
    assert_eq!(folder.json(&["leads", "audit", &id]), before);

    let applied = folder.run(&["replay", &id[..12], "--apply"]);
    assert_eq!(applied.code, Some(0));
    assert!(applied.err.contains("queued for another judgement"), "{}", applied.err);
    let after = folder.json_once(&["leads", "audit", &id], |audit| {
        kinds(audit).iter().filter(|kind| *kind == "synced").count() == 2
    });
    assert!(kinds(&after).contains(&"reopened".to_owned()));
}

#[test]
fn killed_server_loses_no_lead_that_is_retried() {
    // Messages of the killed process are received again when their leases expire.
    let folder = Folder::new().with("VISIBILITY_TIMEOUT_SECONDS", "3");
    // The campaign starts before the server, so that it has to retry on any machine.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port().to_string();
    let url = format!("http://127.0.0.1:{port}");
    let simulation = folder.start(&[
        "simulate",
        "120",
        "--rate",
        "40",
        "--retry-for",
        "600",
        "--url",
        &url,
        "--ids",
        "ids.txt",
        "--format",
        "json",
    ]);
    drop(closed.accept().unwrap());
    drop(closed);
    let mut server = Server::start_on(&folder, &port);
    folder
        .json_once(&["leads", "list"], |page| page["items"].as_array().is_some_and(|leads| leads.len() > 5));
    server.kill();
    let _server = Server::start_on(&folder, &port);
    let output = simulation.wait_with_output().unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{summary}");
    assert_eq!(summary["leads_acknowledged"], 120);
    assert!(summary["retries"].as_u64() > Some(0), "{summary}");

    let leads = folder.json_once(&["leads", "list", "--limit", "500"], all_synced);
    let acknowledged = std::fs::read_to_string(folder.path("ids.txt")).unwrap();
    assert_eq!(ids(&leads), acknowledged.lines().map(str::to_owned).collect());
}

#[test]
fn failed_campaign_names_the_reason() {
    let folder = Folder::new();
    // A free port without a listener.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = folder.run(&["simulate", "3", "--url", &format!("http://{free}")]).error();
    assert!(error.contains("cannot be reached") && error.contains("hint: start the server"), "{error}");
    let error = folder.run(&["simulate", "3", "--url", "localhost:3000"]).error();
    assert!(error.contains("--url"), "{error}");

    let secret = "c2b1a0f9e8d7c6b5a4938271605f4e3d";
    let guarded = Folder::new().with("WEBHOOK_SECRETS", secret);
    let server = Server::start(&guarded);
    let error = folder.run(&["simulate", "3", "--url", &server.url()]).error();
    assert!(error.contains("does not accept our token"), "{error}");
    let posted = guarded.json(&["simulate", "3", "--url", &server.url()]);
    assert_eq!(posted["leads_acknowledged"], 3);
}
