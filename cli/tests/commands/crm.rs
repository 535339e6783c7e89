//! Going live with a CRM lead by lead, and rolling back.

use serde_json::{Value, json};

use crate::support::{Folder, Server};

async fn post(server: &Server, title: &str) -> String {
    let lead = json!({
        "email": "ann@stripe.com", "campaign_id": "launch_2024", "name": "Ann O'Brien", "title": title,
        "marketo": { "engagement_score": 85, "activity": "demo_request" },
    });
    let answer = reqwest::Client::new()
        .post(format!("{}/leads", server.url()))
        .body(lead.to_string())
        .send()
        .await
        .expect("the server answers");
    assert_eq!(answer.status(), 202);
    let answer: Value = serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON");
    answer["lead_id"].as_str().expect("an id")[..12].to_owned()
}

fn is(status: &'static str) -> impl Fn(&Value) -> bool {
    move |lead| lead["status"] == status
}

#[tokio::test]
async fn planned_lead_is_previewed_promoted_and_rolled_back() {
    let folder = Folder::new().with("CRM_MODE", "shadow");
    let server = Server::start(&folder);
    let id = post(&server, "CTO").await;
    folder.json_once(&["leads", "show", &id], is("planned"));
    let status = folder.run(&["crm", "status"]).text();
    assert!(status.contains("shadow") && status.contains("1 lead"), "{status}");
    let explained = folder.run(&["leads", "explain", &id]).text();
    assert!(explained.contains("revenueflow crm promote"), "{explained}");

    let shown = folder.run(&["plan", &id]);
    let table = shown.text();
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(
        table.contains("lead (new)") && table.contains("O'Brien") && table.contains("written"),
        "{table}"
    );
    assert!(shown.err.contains("in shadow mode"), "{}", shown.err);
    let plan: Value = serde_json::from_slice(&folder.run(&["plan", &id, "--json"]).out).unwrap();
    let title = plan["changes"].as_array().unwrap().iter().find(|change| change["field"] == "title").unwrap();
    assert_eq!((&title["new"], title.get("old")), (&json!("CTO"), None));

    let promoted = folder.run(&["crm", "promote", &id]);
    assert_eq!(promoted.code, Some(0), "{}", promoted.err);
    folder.json_once(&["leads", "show", &id], is("synced"));
    assert_eq!(folder.run(&["crm", "promote", &id]).code, Some(1), "the lead is no longer planned");

    // A revision is planned, promoted with --all, and rolled back.
    post(&server, "CEO").await;
    folder.json_once(&["leads", "show", &id], is("planned"));
    let table = folder.run(&["plan", &id]).text();
    let title = table.lines().find(|line| line.contains("title")).unwrap();
    assert!(title.contains("CTO") && title.contains("CEO"), "{table}");
    assert_eq!(folder.run(&["crm", "promote", "--all"]).code, Some(0));
    folder.json_once(&["leads", "show", &id], is("synced"));

    let listed = folder.run(&["crm", "rollback", &id, "--reason", "wrong title"]);
    assert!(listed.text().contains("upsert_lead") && listed.err.contains("--restore"), "{}", listed.text());
    assert!(folder.run(&["crm", "status"]).text().contains("wrong title"));
    let restored = folder.run(&["crm", "rollback", &id, "--restore"]).text();
    assert!(restored.contains("restored"), "{restored}");
    assert_eq!(folder.json(&["leads", "show", &id])["status"], "planned");
    let table = folder.run(&["plan", &id]).text();
    let title = table.lines().find(|line| line.contains("title")).unwrap();
    assert!(title.contains("CTO") && title.contains("CEO"), "the old value is restored: {table}");
    assert_eq!(folder.run(&["crm", "resume"]).code, Some(0));
    assert!(folder.run(&["crm", "status"]).text().contains("held     no"));
}

#[tokio::test]
async fn conversion_needs_the_allow_list_and_a_confirmation() {
    let refused = Folder::new();
    let server = Server::start(&refused);
    let id = post(&server, "CTO").await;
    refused.json_once(&["leads", "show", &id], is("synced"));
    let dry = refused.run(&["crm", "convert", &id]);
    assert!(dry.code == Some(1) && dry.text().contains("action_not_allowed"), "{}", dry.text());
    let error = refused.run(&["crm", "convert", &id, "--yes"]).error();
    assert!(error.contains("allow-list"), "{error}");

    let folder = Folder::new().with("CRM_ALLOW_FILE", "allow.toml");
    let list = include_str!("../../../shared/crm/allow-list.toml");
    let write = |list: &str| std::fs::write(folder.path("allow.toml"), list).expect("a file");
    write(&list.replacen("actions = [", "actions = [\n    \"convert_leed\",", 1));
    let error = folder.run(&["serve", "--port", "0"]).error();
    assert!(error.contains("CRM_ALLOW_FILE") && error.contains("convert_leed"), "{error}");
    write(&list.replacen("actions = [", "actions = [\n    \"convert_lead\",", 1));
    let server = Server::start(&folder);
    let id = post(&server, "CTO").await;
    folder.json_once(&["leads", "show", &id], is("synced"));
    let dry = folder.run(&["crm", "convert", &id, "--status", "Qualified"]);
    assert!(dry.text().contains("Qualified") && dry.err.contains("nothing was done"), "{}", dry.err);
    for _ in 0..2 {
        let done = folder.run(&["crm", "convert", &id, "--status", "Qualified", "--yes"]);
        assert!(done.code == Some(0) && done.err.contains("converted: it is record"), "{}", done.err);
    }
    let explained = folder.json(&["leads", "explain", &id]).to_string();
    assert_eq!(explained.matches("convert_lead").count(), 1, "converted once, despite two requests");
}

#[test]
fn invalid_mapping_prevents_the_start_and_names_its_line() {
    let folder = Folder::new().with("CRM_MAPPING_FILE", "mapping.toml");
    let text = "version = '1'\ncrm = 'mock'\n[lead]\nobject = 'lead'\nexternal_id = 'id'\nfields = [\n\
                { source = 'lead.emial', field = 'email' },\n]\n";
    std::fs::write(folder.path("mapping.toml"), text).unwrap();
    let error = folder.run(&["serve", "--port", "0"]).error();
    assert!(error.contains("CRM_MAPPING_FILE") && error.contains("line 7"), "{error}");
    std::fs::write(
        folder.path("mapping.toml"),
        text.replace("emial", "email").replace("'mock'", "'hubspot'"),
    )
    .unwrap();
    let error = folder.run(&["serve", "--port", "0"]).error();
    assert!(error.contains("it is for `hubspot`"), "{error}");
}
