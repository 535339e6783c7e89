//! Bodies in quarantine, and dead letters.

use std::sync::Arc;

use database::Database;
use lead::{Failure, LeadEvent, SystemClock};
use store::Store;
use testkit::fixtures::new_lead;

use crate::support::{Folder, Server, url_of};

#[tokio::test]
async fn quarantined_body_is_printed_byte_for_byte() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let body = b"{\"email\":\"ann@\x1b[2Jexample\",\r\n\"campaign_id\":\"launch_2024\"}".to_vec();
    for _ in 0..2 {
        let answer =
            reqwest::Client::new().post(format!("{}/leads", server.url())).body(body.clone()).send().await;
        assert_eq!(answer.unwrap().status(), 400);
    }

    let listed = folder.json(&["quarantine", "list"]);
    let item = &listed["items"][0];
    assert_eq!((listed["items"].as_array().map(Vec::len), &item["times"]), (Some(1), &2.into()));
    let id = item["id"].as_str().unwrap();
    for id in [id, &id[..12]] {
        let shown = folder.run(&["quarantine", "show", id]);
        assert_eq!((shown.code, &shown.out), (Some(0), &body));
        assert!(shown.err.contains("received 2 times"), "{}", shown.err);
    }
    let table = folder.run(&["quarantine", "list"]).text();
    assert!(table.contains(&id[..12]) && !table.contains(id), "{table}");
    let error = folder.run(&["quarantine", "show", "ffffffff"]).error();
    assert!(error.contains("quarantine list"), "{error}");

    let removed = folder.run(&["quarantine", "remove", &id[..12]]);
    assert_eq!((removed.code, removed.out.len()), (Some(0), 0), "{}", removed.err);
    assert_eq!(folder.json(&["quarantine", "list"]), serde_json::json!({ "items": [] }));
    folder.run(&["quarantine", "remove", &id[..12]]).error();
}

/// Stores dead letters for some leads, and one for a message that is not a lead. Returns the ids of the
/// leads.
async fn with_dead_letters(folder: &Folder, leads: usize) -> Vec<String> {
    let file = folder.path("revenueflow.db");
    let database = Database::connect(&url_of(&file), 2).await.expect("a new file");
    database.migrate().await.expect("a new schema");
    let clock = Arc::new(SystemClock);
    let store = Store::new(database.clone(), clock);
    let failure = Failure::permanent("crm_refused", "the CRM does not know this campaign");
    let mut ids = Vec::new();
    for number in 0..leads {
        let lead = new_lead(&format!("ann{number}@saas.example"), "launch_2024");
        let event = LeadEvent::new(lead, lead::Clock::now(&SystemClock));
        store.accept(&event).await.expect("accepted");
        let (id, body) =
            (event.delivery_id().to_string(), serde_json::to_string(&event).expect("an event is JSON"));
        store.record_dead_letter(&id, Some(&event), &body, 5, &failure).await.expect("dead-lettered");
        ids.push(event.lead_id.to_string());
    }
    let failure = Failure::permanent("message_unreadable", "the message is not a lead event");
    store.record_dead_letter("stray-message", None, "not a lead", 1, &failure).await.expect("dead-lettered");
    database.close().await;
    ids
}

#[tokio::test]
async fn dead_letter_is_redriven_by_its_listed_id() {
    let folder = Folder::new();
    let ids = with_dead_letters(&folder, 2).await;
    let table = folder.run(&["dead-letters", "list"]);
    for id in &ids {
        assert!(table.text().contains(&id[..12]), "{}", table.text());
    }
    assert!(table.text().contains("stray-message") && table.text().contains("crm_refused"));

    let redriven = folder.run(&["dead-letters", "redrive", &ids[0][..12]]);
    assert_eq!((redriven.code, redriven.err.as_str()), (Some(0), "sent 1 dead letter again\n"));
    assert_eq!(folder.json(&["leads", "show", &ids[0][..12]])["status"], "queued");
    assert_eq!(folder.json(&["leads", "show", &ids[1]])["status"], "permanently_failed");
    assert_eq!(folder.json(&["dead-letters", "list"])["items"].as_array().map(Vec::len), Some(2));
    let again = folder.run(&["dead-letters", "redrive", &ids[0]]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("there is no dead letter with this id"), "{}", again.err);
}

#[tokio::test]
async fn redrive_of_all_skips_unreadable_dead_letters() {
    let folder = Folder::new();
    let ids = with_dead_letters(&folder, 25).await;
    let redriven = folder.run(&["dead-letters", "redrive", "--all"]);
    assert_eq!(redriven.code, Some(1));
    assert!(redriven.err.contains("sent 25 dead letters again, 1 could not be sent"), "{}", redriven.err);
    assert!(redriven.err.contains("stray-messag: the message is not a lead event"), "{}", redriven.err);
    let left = folder.json(&["dead-letters", "list"]);
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(left["items"][0]["id"], "stray-message");

    let _server = Server::start(&folder);
    let synced = folder.json_once(&["leads", "list", "--status", "synced"], |page| {
        page["items"].as_array().is_some_and(|items| items.len() == ids.len())
    });
    assert_eq!(synced["next_cursor"], serde_json::Value::Null);
}
