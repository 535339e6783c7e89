//! Hunter's company enrichment: Clearbit's shape in an envelope, with numbers as texts and employees as a band, unless
//! `clearbit_format` is asked for.
//!
//! Companies are those of the built-in fixtures. `PUT /_account` sets `credits` and `per_minute`.

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use crate::account::Account;
use crate::clearbit::record;
use crate::companies::{Company, find, is_domain};

/// The key that is accepted.
pub const KEY: &str = "sandbox-hunter-key";

type Parameters = Query<HashMap<String, String>>;

/// A fresh account.
pub fn router() -> Router {
    let account = Account::new(900);
    let api = Router::new()
        .route("/v2/companies/find", get(company))
        .route("/v2/account", get(standing))
        .with_state(account.clone());
    api.merge(account.router())
}

async fn company(State(account): State<Account>, headers: HeaderMap, Query(query): Parameters) -> Response {
    if let Some(refused) = refused(&account, &headers, &query) {
        return refused;
    }
    let domain = query.get("domain").map(String::as_str).unwrap_or_default();
    if !is_domain(domain) {
        return refusal(StatusCode::UNPROCESSABLE_ENTITY, "invalid_domain", "The domain is invalid");
    }
    let Some(company) = find(domain) else {
        return refusal(StatusCode::NOT_FOUND, "resource_not_found", "No company was found");
    };
    if !account.pay() {
        let problem = "You've reached the limit for the number of enrichments per billing period";
        return refusal(StatusCode::TOO_MANY_REQUESTS, "usage_exceeded", problem);
    }
    let as_clearbit = query.get("clearbit_format").is_some_and(|value| !value.eq_ignore_ascii_case("false"));
    if as_clearbit {
        return Json(record(company)).into_response();
    }
    Json(json!({ "data": in_texts(company), "meta": { "domain": domain } })).into_response()
}

/// What an account has left, at no cost.
async fn standing(State(account): State<Account>, headers: HeaderMap, Query(query): Parameters) -> Response {
    if let Some(refused) = refused(&account, &headers, &query) {
        return refused;
    }
    let left = account.credits();
    Json(json!({ "data": {
        "email": "sandbox@example.com",
        "plan_name": "Sandbox",
        "calls": { "used": 0, "available": left },
        "requests": { "credits": { "used": 0, "available": left } },
    } }))
    .into_response()
}

/// The refusal of a question, where there is reason for one.
fn refused(account: &Account, headers: &HeaderMap, query: &HashMap<String, String>) -> Option<Response> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header(header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
    let key = header("x-api-key").or(bearer).or(query.get("api_key").map(String::as_str));
    if key != Some(KEY) {
        let problem = "No user found for the API key supplied";
        return Some(refusal(StatusCode::UNAUTHORIZED, "authentication_failed", problem));
    }
    account.ask().err().map(|minute| {
        let problem = "You have reached the rate limit";
        let answer = refusal(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", problem);
        ([("retry-after", minute.ends_in.to_string())], answer).into_response()
    })
}

fn refusal(status: StatusCode, id: &str, details: &str) -> Response {
    let error = json!({ "id": id, "code": status.as_u16(), "details": details });
    (status, Json(json!({ "errors": [error] }))).into_response()
}

fn in_texts(company: &Company) -> Value {
    let mut record = record(company);
    record["foundedYear"] = json!(company.founded_year.to_string());
    record["metrics"]["employees"] = json!(company.size());
    record["metrics"]["employeesRange"] = Value::Null;
    record
}
