//! The actor of each act in the audit trail: the operator of the token, and no text of the request.

use std::time::Duration;

use axum::http::Method;
use lead::{Clock as _, Dependency, Failure, LeadId};
use operators::Scope;
use serde_json::{Value, json};

use crate::operators::{client, credentials};
use crate::support::{App, Client, eager};

/// A client for each scope, whose operator has the scope's name.
struct Clients(Vec<(Scope, Client)>);

impl Clients {
    fn of(app: &App) -> Self {
        let scopes: Vec<&[Scope]> = Scope::ALL.chunks(1).collect();
        let (credentials, tokens) = credentials(&scopes);
        let clients = tokens.iter().map(|token| client(app, &credentials, token.expose()));
        Self(Scope::ALL.iter().copied().zip(clients).collect())
    }

    fn with(&self, scope: Scope) -> &Client {
        &self.0.iter().find(|(of, _)| *of == scope).unwrap().1
    }

    /// Posts and expects success.
    async fn post(&self, scope: Scope, path: &str, body: &str) {
        let answer = self.with(scope).post(path, body).await;
        assert!(matches!(answer.status, 200 | 202), "{path}: {}", answer.text);
    }

    /// The events of a lead with an actor, as kind and actor without its number.
    async fn acts_on(&self, id: &LeadId) -> Vec<(String, String)> {
        let events = self.with(Scope::Read).get(&format!("/leads/{id}/audit?limit=500")).await.ok();
        let events = events["items"].as_array().unwrap().clone();
        events.iter().filter(|event| event["actor"].is_string()).map(act).collect()
    }
}

fn act(event: &Value) -> (String, String) {
    let actor = event["actor"].as_str().unwrap().trim_end_matches(|c: char| c == '-' || c.is_ascii_digit());
    (event["kind"].as_str().unwrap().to_owned(), actor.to_owned())
}

fn acts(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(kind, actor)| ((*kind).to_owned(), (*actor).to_owned())).collect()
}

#[tokio::test]
async fn acts_on_a_lead_have_the_operator_of_the_token() {
    let app = App::start().await;
    let clients = Clients::of(&app);
    app.analyst.lie(true);
    let held = app.post(eager("ann@stripe.com")).await;
    app.work().await;
    clients.post(Scope::Review, &format!("/reviews/{held}/rejudge"), "{}").await;
    app.work().await;
    clients.post(Scope::Review, &format!("/reviews/{held}/approve"), r#"{"reason":"known"}"#).await;
    app.analyst.lie(false);
    app.work().await;
    clients.post(Scope::Review, &format!("/leads/{held}/replay"), r#"{"apply":true}"#).await;
    app.work().await;
    let expected = [("review_rejudged", "review"), ("review_approved", "review"), ("reopened", "review")];
    assert_eq!(clients.acts_on(&held).await, acts(&expected));

    let parked = app.post(eager("bob@stripe.com")).await;
    app.settle(Some(Failure::permanent("crm_refused", "refused"))).await;
    clients.post(Scope::Redrive, &format!("/dead-letters/{parked}/redrive"), "").await;
    app.work().await;
    clients.post(Scope::Respond, &format!("/leads/{parked}/responded"), r#"{"by":"Dana"}"#).await;
    let expected = [("reopened", "redrive"), ("responded", "respond")];
    assert_eq!(clients.acts_on(&parked).await, acts(&expected));

    clients.post(Scope::Crm, "/crm/rollback", r#"{"reason":"wrong"}"#).await;
    let planned = app.post(eager("cid@stripe.com")).await;
    app.work().await;
    app.clock.advance(Duration::from_secs(1));
    clients.post(Scope::Crm, &format!("/leads/{planned}/promote"), "").await;
    assert_eq!(clients.acts_on(&planned).await, acts(&[("reopened", "crm")]));
}

#[tokio::test]
async fn acts_without_a_lead_have_the_operator_of_the_token() {
    let app = App::start().await;
    let clients = Clients::of(&app);
    let entry = r#"{"who":"acme.example","reason":"a partner"}"#;
    clients.post(Scope::Suppress, "/suppressions", entry).await;
    clients.post(Scope::Suppress, "/suppressions/remove", entry).await;
    clients.post(Scope::Suppress, "/suppressions", entry).await;
    let suppressor = clients.with(Scope::Suppress);
    assert_eq!(suppressor.ask(Method::DELETE, "/suppressions/acme.example", "").await.status, 200);
    clients.post(Scope::Crm, "/crm/rollback", r#"{"reason":"wrong"}"#).await;
    clients.post(Scope::Crm, "/crm/resume", "").await;
    let until = app.clock.now() + Duration::from_hours(1);
    app.queue.pause(&Dependency::new("crm.mock"), "down", until).await.unwrap();
    clients.post(Scope::Redrive, "/pauses/crm.mock/resume", "").await;
    let person = r#"{"email":"ann@stripe.com","apply":true,"suppress":true}"#;
    clients.post(Scope::Erase, "/erasures", person).await;

    let mut done: Vec<_> =
        app.store.acts(None, 50).await.unwrap().iter().map(|done| act(&json!(done))).collect();
    done.reverse();
    let expected = [
        ("suppression_added", "suppress"),
        ("suppression_removed", "suppress"),
        ("suppression_added", "suppress"),
        ("suppression_removed", "suppress"),
        ("crm_held", "crm"),
        ("crm_resumed", "crm"),
        ("pause_ended", "redrive"),
        ("suppression_added", "erase"),
        ("person_erased", "erase"),
    ];
    assert_eq!(done, acts(&expected));
}

#[tokio::test]
async fn name_in_a_body_is_refused_with_an_explanation() {
    let app = App::start().await;
    let id = app.post(eager("ann@stripe.com")).await;
    for (path, body, part) in [
        (format!("/reviews/{id}/approve"), r#"{"by":"Dana"}"#, "leave \"by\" out"),
        ("/suppressions".to_owned(), r#"{"who":"a.example","reason":"x","by":"Dana"}"#, "leave \"by\" out"),
        ("/erasures".to_owned(), r#"{"email":"a@b.example","suppress_by":"Dana"}"#, "\"suppress\":true"),
    ] {
        let answer = app.client().post(&path, body).await;
        assert_eq!(answer.error(), (400, "invalid_body"), "{path}");
        assert!(answer.json["message"].as_str().unwrap().contains(part), "{}", answer.text);
    }
}
