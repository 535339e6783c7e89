//! No log line, at any level, holds what identifies a person or opens a door.

use serde_json::json;

use crate::support::Place;

#[test]
fn no_log_line_holds_personal_data_or_a_secret() {
    let place = Place::sqlite();
    let variables = [
        ("WEBHOOK_SECRETS", "hush-hush-hush-hush"),
        ("ADMIN_TOKEN", "whisper-whisper-whisper"),
        // Whatever anybody may ask for, of other people's crates as well.
        ("RUST_LOG", "trace"),
    ];
    let server = place.serve(&[], &variables);
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
    // What is refused is looked at just as closely.
    post(r#"{"email": "zebulon.quux@@stripe.com", "campaign_id": "c"}"#.to_owned(), "hush-hush-hush-hush");
    post(r#"{"email": ""zebulon.quux@stripe.com"", "name": "Zebulon"}"#.to_owned(), "hush-hush-hush-hush");
    post(lead.to_string(), "hush-hush-hush-wrong");
    let admin = |path: String| {
        server.request(|client| client.get(server.url(&path)).bearer_auth("whisper-whisper-whisper")).unwrap()
    };
    e2e::eventually("the lead is synced", || admin(format!("/leads/{id}")).json()["status"] == "synced");
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
