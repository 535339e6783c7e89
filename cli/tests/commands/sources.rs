//! `revenueflow sources`.

use std::path::Path;

use crate::support::Folder;

const FILE: &str = "[[source]]\nname = \"form\"\npreset = \"typeform\"\nsecrets = \"FORM_SECRETS\"\n\
                    [source.map]\ntitle = \"form_response.answers[field.ref=role].text\"\n";

fn folder(file: &str) -> Folder {
    let folder = Folder::new().with("SOURCES_FILE", "sources.toml");
    std::fs::write(folder.path("sources.toml"), file).expect("the folder is writable");
    folder
}

fn payload(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/senders").join(name);
    path.to_str().expect("the path is text").to_owned()
}

fn text(out: &[u8]) -> String {
    String::from_utf8(out.to_vec()).expect("output is text")
}

#[test]
fn trial_shows_each_field_with_its_origin() {
    let folder = folder(FILE);
    let ran = folder.run(&["sources", "test", &payload("typeform.json"), "--source", "form"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let table = text(&ran.out);
    let row = |field: &str| table.lines().find(|line| line.starts_with(field)).unwrap_or(field).to_owned();
    assert!(row("email ").contains("form_response.answers[type=email].email"), "{table}");
    assert!(row("campaign_id ").contains("cmp-2026-q4-demo"), "{table}");
    assert!(row("attributes.team_size ").contains("51-200"), "{table}");
    let wanted = "not found: title, looked at form_response.answers[field.ref=role].text";
    assert!(ran.err.contains(wanted), "{}", ran.err);
    assert!(ran.err.contains("nothing was stored"), "{}", ran.err);
    assert_eq!(folder.files(), 1, "no database is made");
}

#[test]
fn wrong_mapping_says_where_it_looked() {
    let folder = folder(&format!("{FILE}email = \"form_response.answers[type=mail].email\"\n"));
    let ran = folder.run(&["sources", "test", &payload("typeform-minimal.json"), "--source", "form"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("not found: email, looked at form_response.answers[type=mail].email"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("error: rejected: "), "{}", ran.err);
}

#[test]
fn trial_for_programs_is_json() {
    let ran = folder(FILE).run(&[
        "sources",
        "test",
        &payload("typeform.json"),
        "--source",
        "form",
        "--format",
        "json",
    ]);
    let json: serde_json::Value = serde_json::from_slice(&ran.out).unwrap();
    assert_eq!(json["sender"]["name"], "form");
    assert_eq!(json["origins"]["phone"], "form_response.answers[type=phone_number].phone_number");
    assert_eq!(json["origins"]["title"], serde_json::Value::Null);
}

#[test]
fn mistake_in_the_file_stops_every_command() {
    let folder = folder("[[source]]\nname = \"form\"\npreset = \"typefrom\"\nsecrets = \"FORM_SECRETS\"\n");
    for command in [&["sources", "list"][..], &["serve"], &["leads", "list"]] {
        let error = folder.run(command).error();
        let wanted =
            "SOURCES_FILE: sources.toml: sources file, line 3, source \"form\": `preset` must be one of";
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn server_needs_the_secrets_of_every_source() {
    let error = folder(FILE).run(&["serve"]).error();
    assert!(error.contains("FORM_SECRETS must be set to its secrets"), "{error}");
}

#[test]
fn sources_and_presets_are_listed() {
    let folder = folder(FILE).with("WEBHOOK_SECRETS", "a-secret-of-the-default");
    let list = text(&folder.run(&["sources", "list"]).out);
    assert!(
        list.contains("form") && list.contains("POST /leads/form") && list.contains("FORM_SECRETS"),
        "{list}"
    );
    let presets = text(&folder.run(&["sources", "presets"]).out);
    assert!(presets.lines().any(|line| line == "calendly"), "{presets}");
    assert!(text(&folder.run(&["sources", "presets", "calendly"]).out).contains("invitee.created"));
    assert_eq!(folder.run(&["sources", "presets", "nothing"]).code, Some(1));
    let unknown = folder.run(&["sources", "test", "sources.toml", "--source", "nothing"]).error();
    assert!(unknown.contains("hint: `revenueflow sources list`"), "{unknown}");
}
