//! `replay` and `evaluate`: judging stored leads again, unchanged or under another configuration. Neither
//! writes anything.

use std::io::{BufRead as _, BufReader};
use std::process::Child;

use serde_json::Value;

use crate::support::{Folder, Server};

const DEFAULT: &str = include_str!("../../../config/icp.toml");

/// A folder with a database of fully processed leads. The server has been stopped.
fn with_judged_leads(leads: usize) -> Folder {
    let folder = Folder::new();
    let server = Server::start(&folder);
    folder.json(&["simulate", &leads.to_string(), "--rate", "0", "--url", &server.url()]);
    folder.json_once(&["leads", "list", "--limit", "500"], |page| {
        page["items"].as_array().is_some_and(|leads| leads.iter().all(|lead| lead["status"] == "synced"))
    });
    folder
}

/// Everything that is readable about the leads: their state and their complete audit trails.
fn everything(folder: &Folder) -> Vec<Value> {
    let page = folder.json(&["leads", "list", "--limit", "500"]);
    let ids: Vec<String> = page["items"]
        .as_array()
        .expect("a page of leads")
        .iter()
        .map(|lead| lead["lead_id"].as_str().expect("an id").to_owned())
        .collect();
    let audits = ids.iter().map(|id| folder.json(&["leads", "audit", id]));
    let shown = ids.iter().map(|id| folder.json(&["leads", "show", id]));
    audits.chain(shown).collect()
}

#[test]
fn evaluation_lists_changed_routes_and_writes_nothing() {
    let folder = with_judged_leads(40);
    // Opening the database once checkpoints the write-ahead log that the server left.
    let leads = folder.json(&["leads", "list", "--limit", "500"])["items"].as_array().map(Vec::len);
    let database = || std::fs::read(folder.path("revenueflow.db")).expect("the database is there");
    let (before, bytes) = (everything(&folder), database());

    let same = folder.json(&["evaluate"]);
    assert_eq!((same["leads"].as_u64(), same["routed_differently"].as_u64()), (Some(40), Some(0)));
    assert_eq!(same["basis"], serde_json::json!({"rules": 40}));
    assert_eq!(leads, Some(40));

    let icp = DEFAULT.replace("points = 40", "points = 0").replace("points = 30", "points = 0");
    std::fs::write(folder.path("strict.toml"), icp).expect("a file");
    let strict = ["evaluate", "--since", "7d", "--with", "icp=strict.toml", "--with", "fit_high_from=90"];
    let sum = folder.json(&[&strict[..], &["--rows", "3"]].concat());
    let differently = sum["routed_differently"].as_u64().expect("a number");
    assert!(differently > 3, "{sum:#}");
    assert_eq!(sum["with"], serde_json::json!(["icp=strict.toml", "fit_high_from=90"]));
    let listed = sum["differently"].as_array().expect("a list");
    assert_eq!(listed.len(), 3);
    for lead in listed {
        assert_ne!(lead["from"]["route"], lead["to"]["route"]);
        assert!(lead["facts"].as_array().is_some_and(|facts| !facts.is_empty()), "{lead:#}");
    }
    let moved = |flow: &&Value| flow["from"] != flow["to"];
    let flows = sum["routes"].as_array().expect("a list").iter();
    let through = |flows: &mut dyn Iterator<Item = &Value>| -> u64 {
        flows.filter_map(|flow| flow["leads"].as_u64()).sum()
    };
    assert_eq!(through(&mut flows.clone()), 40);
    assert_eq!(through(&mut flows.filter(moved)), differently);

    let table = folder.run(&strict);
    assert_eq!(table.code, Some(0), "{}", table.err);
    assert!(table.text().starts_with("LEAD") && table.text().contains("baseline_score"), "{}", table.text());
    let summary = format!("{differently} of 40 leads would be routed differently; nothing was written");
    assert!(table.err.contains(&summary), "{}", table.err);

    assert_eq!(folder.json(&["evaluate", "--limit", "7"])["leads"], 7);
    assert_eq!(everything(&folder), before);
    assert_eq!(database(), bytes, "the file is unchanged");
}

/// A fake AI service that runs until it is dropped, and the variables that point to it.
struct Fake(Child, Vec<(String, String)>);

impl Fake {
    fn start(name: &str) -> Self {
        let mut child = Folder::new().start(&["sandbox", "--only", name, "--port-base", "0"]);
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let lines = lines.map(|line| line.expect("variables are text"));
        let variables = lines.take_while(|line| !line.starts_with("# To use"));
        let variables = variables
            .filter_map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
        let variables = variables.collect();
        Self(child, variables)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn model_is_called_only_with_consent_and_after_an_estimate() {
    let fake = Fake::start("gemini");
    let folder = with_judged_leads(12);
    let folder = fake.1.iter().fold(folder, |folder, (name, value)| folder.with(name, value));
    let before = everything(&folder);

    let gemini = ["evaluate", "--with", "provider=gemini"];
    let refused = folder.run(&gemini);
    assert_eq!((refused.code, refused.text().as_str()), (Some(1), ""));
    assert!(refused.err.contains("is called for 12 leads: at most "), "{}", refused.err);
    assert!(
        refused.err.contains("no model was called yet") && refused.err.contains("--limit N"),
        "{}",
        refused.err
    );

    let some = folder.json(&[&gemini[..], &["--limit", "5"]].concat());
    assert_eq!((&some["leads"], &some["not_evaluated"]), (&5.into(), &0.into()));
    assert_eq!(some["basis"], serde_json::json!({"new_answer": 5}));
    assert!(some["cost_microusd"].as_u64() > Some(0), "{some:#}");
    assert_eq!(folder.json(&[&gemini[..], &["--yes"]].concat())["leads"], 12);
    assert_eq!(everything(&folder), before);
}

#[test]
fn invalid_evaluation_is_refused_with_the_reason() {
    let folder = with_judged_leads(1);
    for (with, reason) in [
        ("icp=missing.toml", "--with icp=missing.toml"),
        ("fit_high_from=10", "--with: fit thresholds"),
        ("model=some-model", "neither a model nor a prompt"),
        ("prompt=prompt.md", "neither a model nor a prompt"),
        ("provider=oracle", "AI_PROVIDER"),
    ] {
        let error = folder.run(&["evaluate", "--with", with]).error();
        assert!(error.contains(reason), "{with}: {error}");
    }
    for wrong in [
        &["evaluate", "--with", "temperature=1"][..],
        &["evaluate", "--with", "contract=3"],
        &["evaluate", "--with", "score_band"],
        &["evaluate", "--since", "yesterday"],
        &["replay"],
        &["replay", "--all", "--apply"],
    ] {
        assert_eq!(folder.run(wrong).code, Some(2), "{wrong:?}");
    }
    // Calls to the rules are free and need no consent.
    let free = folder.run(&["evaluate", "--with", "provider=rules"]);
    assert_eq!(free.code, Some(0), "{}", free.err);
    assert!(free.err.contains("it costs nothing"), "{}", free.err);
}

#[test]
fn every_stored_judgement_is_reproduced_byte_for_byte() {
    let folder = with_judged_leads(30);
    let all = folder.json(&["replay", "--all"]);
    assert!(all["judgements"].as_u64() >= Some(30), "{all}");
    assert_eq!((&all["reproduced"], &all["not_reproduced"]), (&all["judgements"], &0.into()));
    let table = folder.run(&["replay", "--since", "24h"]);
    assert_eq!(table.code, Some(0), "{}", table.err);
    assert!(table.text().contains("reproduced byte for byte"), "{}", table.text());
    assert_eq!(folder.json(&["replay", "--since", "2100-01-01T00:00:00Z"])["judgements"], 0);
}
