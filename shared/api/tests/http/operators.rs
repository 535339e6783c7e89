use std::io::{Seek as _, read_to_string};
use std::sync::Arc;

use axum::http::Method;
use metrics_exporter_prometheus::PrometheusBuilder;
use operators::{Credentials, NewToken, Operators, Scope};
use secrecy::SecretString;
use serde_json::json;

use crate::support::{App, Client, TOKEN, eager};

/// Credentials with one operator for each list of scopes, named after its first one, and their tokens.
pub(crate) fn credentials(operators: &[&[Scope]]) -> (Credentials, Vec<NewToken>) {
    let tokens: Vec<_> = operators.iter().map(|_| NewToken::random()).collect();
    let block = |(number, (scopes, token)): (usize, (&&[Scope], &NewToken))| {
        let (names, hash): (Vec<_>, _) = (scopes.iter().map(|scope| scope.as_str()).collect(), token.hash());
        format!(
            "[[operator]]\nname = \"{}-{number}\"\nscopes = {names:?}\ntoken_sha256 = [\"{hash}\"]\n",
            names[0]
        )
    };
    let text: String = operators.iter().zip(&tokens).enumerate().map(block).collect();
    let admin = SecretString::from(TOKEN);
    (Credentials::new(Some(&admin), Some(Operators::parse(&text).unwrap())), tokens)
}

pub(crate) fn client(app: &App, credentials: &Credentials, token: &str) -> Client {
    let router = api::router(app.state_with(credentials.clone()));
    Client::new(router).with("authorization", &format!("Bearer {token}"))
}

/// The operations that need a scope: method, path with an id of no item, and scope.
fn operations() -> Vec<(Method, String, Scope)> {
    let description = json!(api::openapi());
    let mut operations = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        let path = path.split('/').map(|part| if part.starts_with('{') { "ffffffffffff" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        for (method, operation) in item.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            if let Some(scope) = operation["security"][1]["operator_token"][0].as_str() {
                operations.push((method, path.clone(), scope.parse().unwrap()));
            }
        }
    }
    assert!(operations.len() >= 28, "{operations:?}");
    operations
}

#[tokio::test]
async fn token_for_responses_is_refused_everywhere_else() {
    let app = App::start().await;
    let id = app.post(eager("ann@stripe.com")).await;
    app.work().await;
    let (credentials, tokens) = credentials(&[&[Scope::Respond]]);
    let client = client(&app, &credentials, tokens[0].expose());
    let mut refused = 0;
    for (method, path, scope) in operations() {
        let answer = client.ask(method.clone(), &path, "").await;
        if path.ends_with("/responded") {
            assert_eq!(answer.error(), (400, "invalid_body"), "admitted");
        } else {
            assert_eq!(answer.error(), (403, "missing_scope"), "{method} {path}");
            let message = answer.json["message"].as_str().unwrap();
            assert!(message.ends_with(&format!("the scope {scope}")), "{message}");
            refused += 1;
        }
    }
    assert_eq!(refused, operations().len() - 1);
    let responded = client.post(&format!("/leads/{id}/responded"), r#"{"by":"Dana"}"#).await;
    assert!(matches!(responded.status, 200 | 409), "{}", responded.text);
}

#[tokio::test]
async fn each_operation_needs_its_scope_and_no_other() {
    let app = App::start().await;
    for missing in Scope::ALL {
        let others: Vec<_> = Scope::ALL.iter().copied().filter(|scope| scope != missing).collect();
        let (credentials, tokens) = credentials(&[&[*missing], &others]);
        let only = client(&app, &credentials, tokens[0].expose());
        let without = client(&app, &credentials, tokens[1].expose());
        for (method, path, scope) in operations() {
            let (only, without) =
                (only.ask(method.clone(), &path, "").await, without.ask(method.clone(), &path, "").await);
            assert_eq!(only.error().1 == "missing_scope", scope != *missing, "{method} {path} {missing}");
            assert_eq!(without.error().1 == "missing_scope", scope == *missing, "{method} {path} {missing}");
        }
    }
}

#[tokio::test]
async fn health_is_open_and_pauses_are_for_readers() {
    let app = App::start().await;
    let (credentials, tokens) = credentials(&[&[Scope::Read], &[Scope::Metrics]]);
    let ready = async |token: &str| client(&app, &credentials, token).get("/readyz").await.ok();
    assert_eq!(ready(tokens[0].expose()).await["pauses"], json!([]));
    assert_eq!(ready(tokens[1].expose()).await.get("pauses"), None);
    assert_eq!(ready("wrong").await, json!({"status": "ready"}));
    assert_eq!(client(&app, &credentials, "wrong").get("/healthz").await.status, 200);
}

#[test]
fn request_has_one_log_line_and_count_without_its_path() {
    let captured = Arc::new(tempfile::tempfile().unwrap());
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(Arc::clone(&captured))
        .finish();
    // With a single dispatcher in the process, a callsite first reached by another test would be disabled for
    // all tests.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (credentials, tokens) = credentials(&[&[Scope::Read], &[Scope::Suppress]]);
    let (reader, suppressor) = (tokens[0].expose(), tokens[1].expose());
    tracing::subscriber::with_default(subscriber, || {
        metrics::with_local_recorder(&recorder, || {
            runtime.block_on(async {
                let app = App::start().await;
                let (known, other) =
                    (client(&app, &credentials, reader), client(&app, &credentials, suppressor));
                assert_eq!(known.get("/leads?email=sentinel%40stripe.com").await.status, 200);
                assert_eq!(known.get("/leads/sentinel/explain").await.status, 404);
                assert_eq!(known.post("/erasures", r#"{"email":"sentinel@stripe.com"}"#).await.status, 403);
                assert_eq!(other.ask(Method::DELETE, "/suppressions/sentinel.com", "").await.status, 404);
                let admin = client(&app, &credentials, TOKEN);
                assert_eq!(admin.get("/sentinel").await.status, 404);
                for _ in 0..5 {
                    assert_eq!(client(&app, &credentials, "sentinel-token").get("/leads").await.status, 401);
                }
                let none = Client::new(api::router(app.state_with(credentials.clone())));
                assert_eq!(none.get("/metrics").await.status, 401);
            });
        });
    });
    captured.as_ref().rewind().unwrap();
    let log = read_to_string(captured.as_ref()).unwrap();
    let requests: Vec<_> = log.lines().filter(|line| line.contains("operator request")).collect();
    assert_eq!(requests.len(), 11, "{log}");
    let metrics = recorder.handle().render();
    for (route, actor, status, times) in [
        ("GET /leads", "read-0", "200", 1),
        ("GET /leads/{id}/explain", "read-0", "404", 1),
        ("POST /erasures", "read-0", "403", 1),
        ("DELETE /suppressions/{entry}", "suppress-1", "404", 1),
        ("GET none", "admin", "404", 1),
        ("GET /leads", "none", "401", 5),
        ("GET /metrics", "none", "401", 1),
    ] {
        let line = format!(r#"route="{route}" actor="{actor}" status="{status}""#);
        assert_eq!(requests.iter().filter(|request| request.contains(&line)).count(), times, "{line}\n{log}");
        let labels = format!(r#"{{route="{route}",actor="{actor}",status="{status}"}} {times}"#);
        assert!(metrics.contains(&format!("revenueflow_operator_requests_total{labels}")), "{metrics}");
    }
    for (reason, times) in [("unknown_token", 5), ("missing_token", 1), ("missing_scope", 1)] {
        let sample = format!(r#"revenueflow_operator_refusals_total{{reason="{reason}"}} {times}"#);
        assert!(metrics.contains(&sample), "{metrics}");
    }
    for hidden in ["sentinel", "stripe", reader, suppressor, TOKEN] {
        assert!(!log.contains(hidden) && !metrics.contains(hidden), "{hidden} in\n{log}");
    }
}

#[tokio::test]
async fn expired_token_is_refused_and_named_so() {
    let app = App::start().await;
    let token = NewToken::random();
    let text = format!(
        "[[operator]]\nname = \"ann\"\nscopes = [\"read\"]\nexpires = 2020-01-01\ntoken_sha256 = [\"{}\"]\n",
        token.hash()
    );
    let credentials = Credentials::new(None, Some(Operators::parse(&text).unwrap()));
    let answer = client(&app, &credentials, token.expose()).get("/leads").await;
    assert_eq!(answer.error(), (401, "unauthorized"));
    assert!(answer.json["message"].as_str().unwrap().contains("expired"), "{}", answer.text);
}
