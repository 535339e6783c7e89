//! No log line, at any level, holds personal data or a secret.

use serde_json::json;

use crate::sqs::Queues;
use crate::support::{Fixture, settled};

#[test]
fn no_log_line_holds_personal_data_or_a_secret() {
    logs_hold_nothing_personal(&[]);
}

#[test]
fn no_log_line_with_sqs_holds_personal_data_or_a_secret() {
    let queues = Queues::new();
    logs_hold_nothing_personal(&queues.variables());
}

fn logs_hold_nothing_personal(queue_variables: &[(&str, &str)]) {
    let fixture = Fixture::sqlite();
    let mut variables = vec![
        ("WEBHOOK_SECRETS", "hush-hush-hush-hush"),
        ("ADMIN_TOKEN", "whisper-whisper-whisper"),
        // Every level, also of dependencies.
        ("RUST_LOG", "trace"),
    ];
    variables.extend(queue_variables);
    let server = fixture.serve(&[], &variables);
    let post = |body: String, token: &str| {
        let request = |client: &reqwest::blocking::Client| {
            client.post(server.url("/leads")).header("X-RevenueFlow-Token", token).body(body)
        };
        server.request(request).unwrap()
    };
    let lead = json!({
        "email": "zebulon.quux@stripe.com", "name": "Zebulon Quux", "phone": "+1 555 0142", "campaign_id": "launch_2024",
        "title": "Chief of Zebulon", "company": "Quux Ltd", "marketo": {"note": "ask for Zebulon, 555 0142"},
        "favourite": "zebulon.quux@stripe.com"
    });
    let id = post(lead.to_string(), "hush-hush-hush-hush").json()["lead_id"].as_str().unwrap().to_owned();
    // Refused posts must not leak either.
    post(r#"{"email": "zebulon.quux@@stripe.com", "campaign_id": "c"}"#.to_owned(), "hush-hush-hush-hush");
    post(r#"{"email": ""zebulon.quux@stripe.com"", "name": "Zebulon"}"#.to_owned(), "hush-hush-hush-hush");
    post(lead.to_string(), "hush-hush-hush-wrong");
    let admin = |path: String| {
        server.request(|client| client.get(server.url(&path)).bearer_auth("whisper-whisper-whisper")).unwrap()
    };
    testkit::eventually("the lead is synced", || {
        let lead = admin(format!("/leads/{id}"));
        lead.status == 200 && lead.json()["status"] == "synced"
    });
    for path in [
        format!("/leads/{id}/explain"),
        "/leads?email=zebulon.quux@stripe.com".to_owned(),
        "/quarantine".to_owned(),
    ] {
        assert_eq!(admin(path).status, 200);
    }

    let logs = server.logs();
    assert!(logs.iter().any(|line| line.contains(&id)), "the lead is in the logs by its id");
    for needle in ["zebulon", "quux", "555 0142", "5550142", "hush-hush", "whisper"] {
        let found = logs.iter().find(|line| line.to_lowercase().contains(needle));
        assert_eq!(found, None, "{needle}");
    }
}

#[test]
fn erased_data_is_in_no_file_during_and_after_the_run() {
    let fixture = Fixture::sqlite();
    let server = fixture.serve(&[], &[]);
    let lead = json!({
        "email": "zebulon.quux@stripe.com", "name": "Zebulon Quux", "phone": "+1 555 0142", "campaign_id": "launch_2024",
    });
    let id = server.post_lead(&lead).unwrap().json()["lead_id"].as_str().unwrap().to_owned();
    settled(&server, &id);
    let broken = r#"{"email":"zebulon.quux\u0040stripe.com", "name": "Zebulon Quux", broken"#;
    let refused = server.request(|client| client.post(server.url("/leads")).body(broken)).unwrap();
    assert_eq!(refused.status, 400);

    let file = database::sqlite_file(fixture.database.url()).unwrap().display().to_string();
    let found = || {
        let bytes = ["", "-wal", "-shm"].map(|end| std::fs::read(format!("{file}{end}")).unwrap_or_default());
        let text = String::from_utf8_lossy(&bytes.concat()).to_lowercase();
        ["zebulon", "quux", "555 0142"].into_iter().filter(|needle| text.contains(needle)).collect::<Vec<_>>()
    };
    assert_eq!(found(), ["zebulon", "quux", "555 0142"], "before");
    let (is_done, said) = fixture.printed(&["erase", "zebulon.quux@stripe.com", "--yes"], &[]);
    assert!(is_done, "{said}");
    assert_eq!(found(), [""; 0], "while the server runs");
    drop(server);
    assert_eq!(found(), [""; 0], "after it has stopped");
}

#[test]
fn without_secrets_proxied_requests_are_refused() {
    let fixture = Fixture::sqlite();
    let server = fixture.serve(&[], &[]);
    for (name, value) in
        [("X-Forwarded-For", "203.0.113.7"), ("Forwarded", "for=203.0.113.7"), ("Via", "1.1 proxy")]
    {
        let read = server.request(|client| client.get(server.url("/leads")).header(name, value)).unwrap();
        let body = json!({ "email": "ann@stripe.com", "campaign_id": "c" });
        let post = server
            .request(|client| client.post(server.url("/leads")).header(name, value).json(&body))
            .unwrap();
        for answer in [read, post] {
            assert_eq!(
                (answer.status, answer.text.contains("hint:")),
                (403, true),
                "{name}: {}",
                answer.text
            );
        }
    }
    assert_eq!(server.get("/leads").unwrap().json()["items"], json!([]));
}
