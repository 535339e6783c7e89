//! Hunter's company enrichment: Clearbit's shape in an envelope. Numbers are strings and employees are a
//! range, unless the request sets `clearbit_format`.
//!
//! The companies are those of the built-in fixtures. `PUT /_account` sets `credits` and `per_minute`.

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

/// The accepted key.
pub const KEY: &str = "sandbox-hunter-key";

type Parameters = Query<HashMap<String, String>>;

/// The routes of a new account.
pub fn router() -> Router {
    let account = Account::new(900);
    let api = Router::new()
        .route("/v2/companies/find", get(company))
        .route("/v2/account", get(account_information))
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
    if !account.spend_credit() {
        let problem = "You've reached the limit for the number of enrichments per billing period";
        return refusal(StatusCode::TOO_MANY_REQUESTS, "usage_exceeded", problem);
    }
    let as_clearbit = query.get("clearbit_format").is_some_and(|value| !value.eq_ignore_ascii_case("false"));
    if as_clearbit {
        return Json(record(company)).into_response();
    }
    Json(json!({ "data": hunter_record(company), "meta": { "domain": domain } })).into_response()
}

/// The account's remaining credits; the call itself is free.
async fn account_information(
    State(account): State<Account>,
    headers: HeaderMap,
    Query(query): Parameters,
) -> Response {
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

/// The refusal of a request, if its key is invalid or the rate limit is reached.
fn refused(account: &Account, headers: &HeaderMap, query: &HashMap<String, String>) -> Option<Response> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header(header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
    let key = header("x-api-key").or(bearer).or(query.get("api_key").map(String::as_str));
    if key != Some(KEY) {
        let problem = "No user found for the API key supplied";
        return Some(refusal(StatusCode::UNAUTHORIZED, "authentication_failed", problem));
    }
    account.count_request().err().map(|minute| {
        let problem = "You have reached the rate limit";
        let answer = refusal(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", problem);
        ([("retry-after", minute.ends_in.to_string())], answer).into_response()
    })
}

fn refusal(status: StatusCode, id: &str, details: &str) -> Response {
    let error = json!({ "id": id, "code": status.as_u16(), "details": details });
    (status, Json(json!({ "errors": [error] }))).into_response()
}

fn hunter_record(company: &Company) -> Value {
    let mut record = record(company);
    record["foundedYear"] = json!(company.founded_year.to_string());
    record["metrics"]["employees"] = json!(company.size());
    record["metrics"]["employeesRange"] = Value::Null;
    record
}
