//! Configuration errors, missing databases, and `revenueflow doctor`.

use serde_json::{Value, json};

use crate::support::Folder;

#[test]
fn every_command_names_an_invalid_variable() {
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
fn missing_database_is_reported_and_not_created() {
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
    // Without secrets, the server is open to this machine, and to a proxy on it.
    let warned: Vec<_> =
        doctor.text().lines().filter(|line| !line.starts_with("ok ")).map(str::to_owned).collect();
    assert!(warned.len() == 1 && warned[0].starts_with("warn  exposure "), "{}", doctor.text());
    assert!(warned[0].contains("proxy") && warned[0].contains("WEBHOOK_SECRETS"), "{warned:?}");
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
fn doctor_creates_nothing_without_a_setup() {
    let folder = Folder::new();
    let doctor = folder.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0));
    let text = doctor.text();
    for line in [
        "warn  database ",
        "ok    routing ",
        "skip  queue ",
        "ok    enrichment ",
        "ok    crm            mock, answers, live",
        "ok    crm mapping ",
    ] {
        assert_eq!(text.lines().filter(|given| given.starts_with(line)).count(), 1, "{line}: {text}");
    }
    assert_eq!(folder.files(), 0);
}

#[test]
fn doctor_attributes_a_failure_and_runs_the_other_checks() {
    for (name, value, check) in [
        ("ROUTING_FILE", "no-such.toml", "routing"),
        ("CRM_MAPPING_FILE", "no-such.toml", "crm mapping"),
        ("MODELS_FILE", "no-such.toml", "ai"),
        ("REDIS_URL", "http://not.redis", "queue"),
    ] {
        let mut folder = Folder::new().with(name, value);
        if check == "ai" {
            folder = folder.with("AI_PROVIDER", "gemini").with("GEMINI_API_KEY", "a-key-of-nobody");
        }
        let doctor = folder.run(&["doctor"]);
        let text = doctor.text();
        let failed: Vec<_> = text.lines().filter(|line| line.starts_with("FAIL")).collect();
        assert_eq!((doctor.code, failed.len()), (Some(1), 1), "{text}");
        assert!(failed[0].starts_with(&format!("FAIL  {check} ")) && failed[0].contains(name), "{text}");
        assert!(text.contains("ok    crm            mock, answers"), "{text}");
    }
}

#[test]
fn doctor_shows_shadow_mode_and_a_crm_hold() {
    let folder = Folder::new().with("CRM_MODE", "shadow");
    folder.run(&["migrate"]);
    assert!(folder.run(&["doctor"]).text().contains("shadow: nothing is written"));
    folder.run(&["crm", "rollback", "--reason", "two records of one lead"]);
    let doctor = folder.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0));
    let held = |line: &str| line.starts_with("warn  crm ") && line.contains("two records of one lead");
    assert!(doctor.text().lines().any(held), "{}", doctor.text());
}

#[test]
fn doctor_continues_after_every_failure() {
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
fn doctor_detects_weak_secrets_and_does_not_print_them() {
    let good = "c2b1a0f9e8d7c6b5a4938271605f4e3d";
    for (webhook, admin, outcome) in [
        ("hush", good, "FAIL  secrets "),
        (good, "hush", "FAIL  configuration "),
        (good, good, "FAIL  configuration "),
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
fn doctor_warns_of_exposure_and_clear_text() {
    let (webhook, admin) = ("c2b1a0f9e8d7c6b5a4938271605f4e3d", "5f0a1b2c3d4e5f60718293a4b5c6d7e8");
    let folder = Folder::new().with("WEBHOOK_SECRETS", webhook).with("ADMIN_TOKEN", admin);
    let text = folder.run(&["doctor"]).text();
    assert!(text.contains("ok    exposure ") && text.contains("ok    transport "), "{text}");
    assert!(text.contains("1 webhook secret of 1 source, an admin token, long enough"), "{text}");
    assert!(text.contains("warn  sources ") && text.contains("docs/senders.md"), "{text}");

    let folder = folder.with("HOST", "0.0.0.0").with("GEMINI_BASE_URL", "http://gemini.example");
    let folder = folder.with("AI_PROVIDER", "gemini").with("GEMINI_API_KEY", "a-key-of-nobody");
    let text = folder.run(&["doctor"]).text();
    assert!(text.contains("warn  exposure ") && text.contains("in clear text"), "{text}");
    assert!(text.contains("warn  transport ") && text.contains("GEMINI_BASE_URL"), "{text}");
}

#[cfg(unix)]
#[test]
fn database_file_is_private_and_the_doctor_checks_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new();
    folder.run(&["migrate"]);
    let file = folder.path("revenueflow.db");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let text = folder.run(&["doctor"]).text();
    assert!(text.contains("warn  database ") && text.contains("chmod 600 revenueflow.db*"), "{text}");
}

#[test]
fn printed_openapi_equals_the_documented_one() {
    let printed: Value = serde_json::from_slice(&Folder::new().run(&["openapi"]).out).unwrap();
    let documented = include_str!("../../../docs/openapi.json");
    assert_eq!(printed, serde_json::from_str::<Value>(documented).unwrap());
}

#[test]
fn budget_below_one_request_fails_the_start_and_the_doctor() {
    let folder = Folder::new()
        .with("AI_PROVIDER", "gemini")
        .with("GEMINI_API_KEY", "key")
        .with("GEMINI_BASE_URL", "http://127.0.0.1:9")
        .with("AI_BUDGET_USD_PER_DAY", "0.01");
    let refused = folder.run(&["serve", "--port", "0"]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.err.contains("AI_BUDGET_USD_PER_DAY: one call to gemini-3.8-flash"), "{}", refused.err);
    let doctor = folder.run(&["doctor"]);
    assert!(doctor.text().contains("AI_BUDGET_USD_PER_DAY: one call"), "{}", doctor.text());
}
