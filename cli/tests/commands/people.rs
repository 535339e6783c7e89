//! Decisions of people on the command line: review of held leads, the suppression list, erasure.

use std::sync::Arc;

use database::Database;
use lead::{LeadEvent, SystemClock};
use serde_json::json;
use store::{Begun, Finish, Store};
use testkit::fixtures::{finish, new_lead};

use crate::support::{Folder, url_of};

/// Stores held leads and returns their ids.
async fn with_held_leads(folder: &Folder, people: &[&str]) -> Vec<String> {
    let database = Database::connect(&url_of(&folder.path("revenueflow.db")), 2).await.expect("a new file");
    database.migrate().await.expect("a new schema");
    let store = Store::new(database.clone(), Arc::new(SystemClock));
    let mut ids = Vec::new();
    for person in people {
        let lead = new_lead(&format!("{person}@saas.example"), "launch_2024");
        let event = LeadEvent::new(lead, lead::Clock::now(&SystemClock));
        let Begun::Work(mut work) = store.begin_work(&event, 1).await.expect("begun") else {
            panic!("it is new")
        };
        finish(&store, Finish::Held, &mut work).await.expect("held");
        ids.push(event.lead_id.to_string());
    }
    database.close().await;
    ids
}

fn status(folder: &Folder, id: &str) -> String {
    folder.json(&["leads", "show", id])["status"].as_str().expect("a status").to_owned()
}

#[tokio::test]
async fn held_leads_are_listed_and_decided_about_once() {
    let folder = Folder::new();
    let ids = with_held_leads(&folder, &["ann", "bob", "cid"]).await;
    let table = folder.run(&["review", "list"]).text();
    assert!(ids.iter().all(|id| table.contains(&id[..12])) && table.contains("ann@saas.example"), "{table}");

    let approved = folder.run(&["review", "approve", &ids[0][..12]]);
    assert_eq!(approved.code, Some(0), "{}", approved.err);
    assert!(approved.err.contains("without anything from its analysis"), "{}", approved.err);
    let rejudged = folder.run(&["review", "rejudge", &ids[1]]);
    assert!(rejudged.code == Some(0) && rejudged.err.contains("judged again"), "{}", rejudged.err);
    let without_reason = folder.run(&["review", "dismiss", &ids[2]]);
    assert!(
        without_reason.code != Some(0) && without_reason.err.contains("--reason"),
        "{}",
        without_reason.err
    );
    for _ in 0..2 {
        let dismissed = folder.run(&["review", "dismiss", &ids[2], "--reason", "a student"]);
        assert!(dismissed.code == Some(0) && dismissed.err.contains("dismissed"), "{}", dismissed.err);
    }
    let statuses: Vec<_> = ids.iter().map(|id| status(&folder, id)).collect();
    assert_eq!(statuses, ["queued", "queued", "dismissed"]);
    let decided = folder.json(&["leads", "show", &ids[2]])["reviews"].clone();
    assert_eq!(
        (&decided[0]["decision"], &decided[0]["by"], &decided[0]["reason"]),
        (&json!("dismissed"), &json!("local:dana"), &json!("a student"))
    );

    let late = folder.run(&["review", "approve", &ids[2]]).error();
    assert!(late.contains("it is dismissed"), "{late}");
    assert!(folder.run(&["review", "list"]).err.contains("no lead is held"));
    let unassigned = folder.run(&["review", "responded", &ids[0], "--by", "Dana"]).error();
    assert!(unassigned.contains("has not been assigned"), "{unassigned}");
}

#[tokio::test]
async fn suppression_entries_are_added_imported_and_removed() {
    let folder = Folder::new();
    let ids = with_held_leads(&folder, &["ann"]).await;
    let attribution = ["--reason", "asked for it"];
    let add = |who: &str| folder.run(&[&["suppress", "add", who], &attribution[..]].concat());
    assert!(add("Ann@SaaS.example").err.contains("added"));
    assert!(add("ann@saas.example").err.contains("on the list already"));
    assert!(add("nonsense").error().contains("an e-mail address or a domain"));
    let refused = folder.run(&["review", "approve", &ids[0]]).error();
    assert!(refused.contains("suppression list"), "{refused}");

    std::fs::write(
        folder.path("list.txt"),
        "# partners\nacme.example # all of them\n\nann@saas.example\nno one\n",
    )
    .expect("a file");
    let imported = folder.run(&[&["suppress", "import", "list.txt"], &attribution[..]].concat());
    assert_eq!(imported.code, Some(1), "one line is invalid");
    assert!(
        imported.err.contains("line 5: ") && imported.err.contains("1 entry added, 1 on the list already")
    );

    let list = folder.json(&["suppress", "list"]);
    assert!(
        list["items"].as_array().is_some_and(|items| items.len() == 2) && !list.to_string().contains("ann@")
    );
    let why = ["--reason", "no partner any more"];
    assert_eq!(folder.run(&[&["suppress", "remove", "acme.example"], &why[..]].concat()).code, Some(0));
    let removed = folder.json(&["suppress", "list", "--removed"])["items"][0].clone();
    assert_eq!((&removed["entry"], &removed["added_by"]), (&json!("acme.example"), &json!("local:dana")));
    assert_eq!(
        (&removed["removed_by"], &removed["removed_because"]),
        (&json!("local:dana"), &json!("no partner any more"))
    );
    let acts = folder.json(&["audit", "list", "--limit", "1"])["items"].clone();
    assert_eq!(
        (&acts[0]["kind"], &acts[0]["actor"], &acts[0]["seq"]),
        (&json!("suppression_removed"), &json!("local:dana"), &json!(3))
    );
    let listed = folder.run(&["audit", "list", "--limit", "2"]);
    assert!(
        listed.text().contains("suppression_added") && listed.err.contains("--before 2"),
        "{}",
        listed.err
    );
    let gone = folder.run(&["suppress", "remove", "acme.example"]).error();
    assert!(gone.contains("there is no suppression entry"), "{gone}");
}

#[tokio::test]
async fn export_prints_a_person_and_retention_counts() {
    let folder = Folder::new();
    let ids = with_held_leads(&folder, &["ann", "bob"]).await;
    let export = folder.run(&["person", "export", "Ann@saas.example"]);
    let json: serde_json::Value = serde_json::from_slice(&export.out).unwrap();
    assert_eq!(json["leads"][0]["lead_id"], json!(ids[0]));
    assert!(!export.text().contains("bob@saas.example"));

    let dry = folder.run(&["retention"]);
    assert!(dry.text().contains("until erased") && dry.err.contains("is set"), "{}", dry.err);
    let applied = folder.json(&["retention", "--apply"]);
    assert_eq!((&applied["applied"], &applied["kinds"][0]["due"]), (&json!(true), &json!(0)));
    assert_eq!(status(&folder, &ids[0]), "held");
    assert!(folder.run(&["doctor"]).text().contains("retention      kept: leads, held leads"));
}

#[tokio::test]
async fn erasure_is_previewed_applied_and_certified_again() {
    let folder = Folder::new();
    let ids = with_held_leads(&folder, &["ann", "bob"]).await;
    let preview = folder.run(&["erase", "ann@saas.example"]);
    assert!(
        preview.text().contains("What an erasure would remove") && preview.text().contains("to be removed")
    );
    assert!(preview.err.contains("nothing was changed"), "{}", preview.err);
    assert_eq!(status(&folder, &ids[0]), "held");

    let erased = folder.run(&["erase", "Ann@saas.example", "--yes"]);
    assert_eq!(erased.code, Some(0), "{}", erased.err);
    let certificate = erased.text();
    for part in ["Certificate of erasure", "SHA-256 of the address", &ids[0][..12], "delivery", "backups"] {
        assert!(certificate.contains(part), "{part} in {certificate}");
    }
    assert!(!certificate.to_lowercase().contains("ann@"), "{certificate}");
    assert!(folder.run(&["leads", "show", &ids[0]]).error().contains("there is no lead with this id"));
    assert_eq!(status(&folder, &ids[1]), "held", "leads of other people are kept");

    assert!(erased.err.contains("--suppress"), "the hint names --suppress: {}", erased.err);

    let again = folder.json(&["erase", "ann@saas.example", "--yes"]);
    assert_eq!((&again["applied"], &again["leads"][0]), (&json!(true), &json!(ids[0])));
    assert_eq!(again["found"], json!([]));

    let preview = folder.json(&["erase", "bob@saas.example", "--suppress"]);
    assert_eq!(preview["on_suppression_list"], json!(false), "a preview changes nothing");
    let erased = folder.json(&["erase", "bob@saas.example", "--yes", "--suppress"]);
    assert_eq!(erased["on_suppression_list"], json!(true));
    assert_eq!(folder.json(&["suppress", "list"])["items"][0]["added_by"], json!("local:dana"));
}

#[tokio::test]
async fn a_change_of_the_audit_trail_is_found_and_named() {
    let folder = Folder::new();
    let ids = with_held_leads(&folder, &["ann", "bob"]).await;
    folder.run(&["review", "rejudge", &ids[0]]);
    folder.run(&["erase", "bob@saas.example", "--yes"]);
    let intact = folder.run(&["audit", "verify"]);
    assert_eq!(intact.code, Some(0), "{}", intact.err);
    assert!(
        intact.text().contains("of 2 leads, 1 other act") && intact.err.contains("intact"),
        "{}",
        intact.err
    );
    let result = folder.json(&["audit", "verify"]);
    assert_eq!((&result["leads"], &result["acts"], &result["breaks"]), (&json!(2), &json!(1), &json!([])));
    assert_eq!(result["acts_hash"].as_str().map(str::len), Some(43));
    assert_eq!(folder.run(&["audit", "verify", "--lead", &ids[1]]).code, Some(0), "the erased lead");

    let database = Database::connect(&url_of(&folder.path("revenueflow.db")), 1).await.expect("the file");
    let changes = [
        "DROP TRIGGER audit_event_update",
        "UPDATE audit_event SET actor = 'eve' WHERE actor = 'local:dana'",
    ];
    for sql in changes {
        let mut transaction = database.begin().await.expect("a transaction");
        sqlx::query(sql).execute(&mut *transaction).await.expect("the owner may");
        transaction.commit().await.expect("committed");
    }
    database.close().await;
    let broken = folder.run(&["audit", "verify"]);
    assert_eq!(broken.code, Some(1));
    let text = broken.text();
    assert!(ids.iter().all(|id| text.contains(&format!("BROKEN lead {id}: event "))), "{text}");
    assert_eq!(folder.run(&["audit", "verify", "--lead", &ids[0][..12]]).code, Some(1));
    assert!(folder.run(&["audit", "verify", "--lead", &"0".repeat(64)]).error().contains("there is no lead"));
}
