use serde_json::json;

use crate::support::{App, eager, lead};

#[tokio::test]
async fn lead_can_be_followed_from_the_queue_to_the_crm() {
    let app = App::start().await;
    let client = app.client();
    let id = app.post(eager("lead@stripe.com")).await;

    let queued = client.get(&format!("/leads/{id}")).await.ok();
    assert_eq!((&queued["status"], &queued["fit_score"]), (&json!("queued"), &json!(null)));
    assert!(queued.get("grounding").is_none() && queued.get("evidence").is_none());

    app.work().await;
    let synced = client.get(&format!("/leads/{id}")).await.ok();
    assert_eq!(synced["status"], "synced");
    assert_eq!(synced["email"], "lead@stripe.com");
    assert_eq!(synced["name"], "Alex Smith");
    assert_eq!((&synced["fit"], &synced["intent"]), (&json!("HIGH"), &json!("HIGH")));
    assert_eq!(synced["decision"], "ROUTE_TO_SDR");
    assert_eq!(synced["grounding"], json!({"status": "VALID", "reasons": []}));
    assert_eq!(synced["analysis"]["provider"], "rules");
    assert_eq!(synced["crm"]["provider"], "mock");
    assert!(synced["evidence"].as_array().unwrap().iter().any(|claim| claim["value"] == "Fintech"));
}

#[tokio::test]
async fn unambiguous_prefix_of_an_id_is_enough() {
    let app = App::start().await;
    let id = app.post(lead("lead@stripe.com")).await;
    for end in [64, 12, 1] {
        let shown = app.client().get(&format!("/leads/{}", &id.as_str()[..end])).await.ok();
        assert_eq!(shown["lead_id"], id.as_str());
    }
    assert_eq!(app.client().get(&format!("/leads/{}", id.as_str().to_uppercase())).await.status, 200);
    // Among seventeen ids, two start with the same digit.
    let mut beginnings = vec![id.as_str().chars().next().unwrap()];
    for i in 0..16 {
        let other = app.post(lead(&format!("lead{i}@stripe.com"))).await;
        beginnings.push(other.as_str().chars().next().unwrap());
    }
    beginnings.sort_unstable();
    let shared = beginnings.windows(2).find(|pair| pair[0] == pair[1]).unwrap()[0];
    let answer = app.client().get(&format!("/leads/{shared}")).await;
    assert_eq!(answer.error(), (409, "ambiguous_id"));
}

#[tokio::test]
async fn audit_trail_is_read_in_pages() {
    let app = App::start().await;
    let id = app.post(eager("lead@stripe.com")).await;
    app.work().await;
    let kinds = |json: &serde_json::Value| {
        json["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["kind"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = app.client().get(&format!("/leads/{id}/audit")).await.ok();
    assert_eq!(kinds(&all), ["accepted", "started", "enriched", "judged", "synced"]);
    assert!(all.get("next_after").is_none());

    let (mut stretches, mut after) = (Vec::new(), 0);
    loop {
        let stretch = app.client().get(&format!("/leads/{id}/audit?after={after}&limit=2")).await.ok();
        stretches.extend(kinds(&stretch));
        match stretch["next_after"].as_i64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(stretches, kinds(&all));
    let text = all.to_string();
    assert!(!text.contains("stripe") && !text.contains("Alex"), "nothing personal: {text}");
}

#[tokio::test]
async fn explanation_is_sent_as_json_or_as_text() {
    let app = App::start().await;
    let id = app.post(eager("lead@stripe.com")).await;
    app.client().get(&format!("/leads/{id}/explain")).await.ok();
    app.work().await;
    let json = app.client().get(&format!("/leads/{id}/explain")).await.ok();
    assert_eq!(json["judgement"]["decision"], "ROUTE_TO_SDR");
    assert!(json["knew"]["facts"].as_array().unwrap().iter().any(|fact| fact["said_by"] == "fixtures"));
    assert!(json["crm"].as_array().unwrap().iter().all(|action| action["state"] == "done"), "{json}");

    let text = app.client().with("accept", "text/plain").get(&format!("/leads/{id}/explain")).await;
    assert_eq!(text.status, 200);
    assert!(text.text.starts_with(&format!("Lead {}: lead@stripe.com", &id.as_str()[..12])), "{}", text.text);
}

#[tokio::test]
async fn rejected_lead_is_explained_and_can_be_judged_again() {
    let app = App::start().await;
    let client = app.client();
    app.analyst.lie(true);
    let id = app.post(eager("lead@stripe.com")).await;
    app.work().await;
    let held = client.get(&format!("/leads/{id}")).await.ok();
    assert_eq!(
        (&held["status"], &held["grounding"]["reasons"][0]["code"]),
        (&json!("held"), &json!("value_conflict"))
    );
    let why = client.get(&format!("/leads/{id}/explain")).await.ok();
    assert_eq!(why["judgement"]["claims"][0]["fact"], "Fintech");
    assert_eq!(why["judgement"]["claims"][0]["said_by"], "fixtures");

    app.analyst.lie(false);
    let dry = client.post(&format!("/leads/{id}/replay"), "").await.ok();
    assert_eq!((&dry["stored"]["status"], &dry["now"]["status"]), (&json!("REJECTED"), &json!("VALID")));
    assert_eq!(dry["reproducible"], true);
    assert_eq!(client.post(&format!("/leads/{id}/replay"), r#"{"apply":false}"#).await.status, 200);
    app.work().await;
    assert_eq!(
        client.get(&format!("/leads/{id}")).await.ok()["status"],
        "held",
        "a dry replay writes nothing"
    );

    let applied = client.post(&format!("/leads/{id}/replay"), r#"{"apply":true}"#).await;
    assert_eq!((applied.status, &applied.json), (202, &json!({"status": "queued", "lead_id": id})));
    assert_eq!(client.get(&format!("/leads/{id}")).await.ok()["status"], "queued");
    app.work().await;
    let synced = client.get(&format!("/leads/{id}")).await.ok();
    assert_eq!((&synced["status"], &synced["decision"]), (&json!("synced"), &json!("ROUTE_TO_SDR")));
    assert_eq!(client.get(&format!("/leads/{id}/explain")).await.ok()["judgement"]["round"], 2);
}

#[tokio::test]
async fn lead_without_a_judgement_cannot_be_replayed() {
    let app = App::start().await;
    let id = app.post(lead("lead@stripe.com")).await;
    assert_eq!(app.client().post(&format!("/leads/{id}/replay"), "").await.error(), (409, "conflict"));
}
