use serde_json::{Value, json};

use crate::support::Folder;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["serve"],
    &["leads"],
    &["leads", "list"],
    &["leads", "show"],
    &["leads", "explain"],
    &["leads", "audit"],
    &["replay"],
    &["dead-letters"],
    &["dead-letters", "list"],
    &["dead-letters", "redrive"],
    &["quarantine"],
    &["quarantine", "list"],
    &["quarantine", "show"],
    &["sandbox"],
    &["simulate"],
    &["doctor"],
    &["migrate"],
    &["openapi"],
];

#[test]
fn every_command_explains_itself() {
    let folder = Folder::new();
    for command in COMMANDS {
        let ran = folder.run(&[*command, &["--help"]].concat());
        let usage = ["Usage: revenueflow", &command.join(" ")].join(" ");
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{command:?}");
        assert!(ran.text().contains(usage.trim_end()), "{command:?}: {}", ran.text());
    }
}

#[test]
fn a_wrong_variable_is_named_by_every_command_that_reads_it() {
    let folder = Folder::new().with("PORT", "http");
    for command in [
        &["serve"][..],
        &["migrate"],
        &["leads", "list"],
        &["replay", "abc"],
        &["dead-letters", "list"],
        &["quarantine", "list"],
    ] {
        let error = folder.run(command).error();
        assert!(error.starts_with("error: PORT: must be a number"), "{error}");
    }
    assert_eq!(folder.files(), 0);
}

#[test]
fn a_public_address_without_secrets_is_refused() {
    let secret = "0123456789abcdef0123456789abcdef";
    for (folder, command, variable) in [
        (Folder::new().with("HOST", "0.0.0.0"), &["serve"][..], "WEBHOOK_SECRETS"),
        (Folder::new(), &["serve", "--host", "0.0.0.0"], "WEBHOOK_SECRETS"),
        (Folder::new().with("WEBHOOK_SECRETS", secret), &["serve", "--host", "0.0.0.0"], "ADMIN_TOKEN"),
    ] {
        let error = folder.run(command).error();
        assert!(error.contains(variable) && error.contains("0.0.0.0"), "{error}");
        assert!(!error.contains(secret));
        assert_eq!(folder.files(), 0);
    }
}

#[test]
fn looking_at_a_database_that_is_not_there_says_so_and_creates_none() {
    let folder = Folder::new();
    for command in [
        &["leads", "list"][..],
        &["leads", "show", "abcdef"],
        &["replay", "abcdef"],
        &["dead-letters", "list"],
        &["dead-letters", "redrive", "--all"],
        &["quarantine", "list"],
    ] {
        let error = folder.run(command).error();
        assert!(error.contains("revenueflow.db") && error.contains("\nhint: "), "{error}");
    }
    assert_eq!(folder.files(), 0);
}

#[test]
fn an_empty_database_is_migrated_once_and_holds_no_leads() {
    let folder = Folder::new();
    assert!(folder.run(&["migrate"]).err.contains("up to date now"));
    assert!(folder.run(&["migrate"]).err.contains("up to date already"));
    let doctor = folder.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{}", doctor.text());
    assert!(doctor.text().lines().all(|line| line.starts_with("ok ")), "{}", doctor.text());
    for list in ["leads", "dead-letters", "quarantine"] {
        assert_eq!(folder.json(&[list, "list"]), json!({ "items": [] }));
        let table = folder.run(&[list, "list"]);
        assert_eq!((table.code, table.text().as_str()), (Some(0), ""));
        assert!(!table.err.is_empty());
    }
    let error = folder.run(&["leads", "explain", "abcdef123456"]).error();
    assert!(error.contains("there is no lead with this id"), "{error}");
}

#[test]
fn the_doctor_creates_nothing_where_nothing_is_set_up() {
    let folder = Folder::new();
    let doctor = folder.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0));
    assert!(doctor.text().contains("warn  database "), "{}", doctor.text());
    assert_eq!(folder.files(), 0);
}

#[test]
fn the_doctor_reports_every_failure_and_goes_on_after_each() {
    let folder = Folder::new()
        .with("PORT", "http")
        .with("CRM_LIMIT_GLOBAL", "0")
        .with("HOST", "0.0.0.0")
        .with("ICP_FILE", "missing.toml")
        .with("DATABASE_URL", "sqlite://no/such/folder/leads.db");
    let doctor = folder.run(&["doctor"]);
    assert_eq!(doctor.code, Some(1));
    let text = doctor.text();
    for (check, what) in [
        ("configuration", "PORT: "),
        ("configuration", "CRM_LIMIT_GLOBAL: "),
        ("configuration", "WEBHOOK_SECRETS: "),
        ("icp", "missing.toml"),
        ("database", "no/such/folder"),
    ] {
        let has = |line: &str| line.starts_with(&format!("FAIL  {check} ")) && line.contains(what);
        assert_eq!(text.lines().filter(|line| has(line)).count(), 1, "{check} {what}: {text}");
    }
    assert!(text.contains("ok    ai "), "{text}");
    assert_eq!(folder.files(), 0);
}

#[test]
fn the_doctor_knows_a_weak_secret_and_does_not_repeat_it() {
    let good = "c2b1a0f9e8d7c6b5a4938271605f4e3d";
    for (webhook, admin, outcome) in [
        ("hush", good, "FAIL  secrets "),
        (good, "hush", "FAIL  secrets "),
        (good, good, "FAIL  secrets "),
        ("hushhushhushhushhush", good, "warn  secrets "),
        (good, "5f0a1b2c3d4e5f60718293a4b5c6d7e8", "ok    secrets "),
    ] {
        let folder = Folder::new().with("WEBHOOK_SECRETS", webhook).with("ADMIN_TOKEN", admin);
        let doctor = folder.run(&["doctor"]);
        let text = doctor.text();
        assert!(text.contains(outcome), "{text}");
        assert_eq!(doctor.code, Some(i32::from(outcome.starts_with("FAIL"))));
        assert!(!text.contains("hush") && !text.contains(good), "{text}");
    }
}

#[test]
fn the_description_of_the_interface_is_the_one_in_the_documentation() {
    let printed: Value = serde_json::from_slice(&Folder::new().run(&["openapi"]).out).unwrap();
    let documented = include_str!("../../../docs/openapi.json");
    assert_eq!(printed, serde_json::from_str::<Value>(documented).unwrap());
}
