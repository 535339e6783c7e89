//! ZoomInfo's GTM API: tokens by client credentials, and company enrichment in JSON:API.
//!
//! The companies are those of the built-in fixtures with at least 50 employees, without technologies;
//! `saas.example` lacks its location. `limit-exceeded.example` has the match status of that name. `PUT
//! /_account` sets `credits` and `per_minute`; `DELETE /_tokens` revokes every issued token.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Form, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::account::{Account, Minute};
use crate::companies::{Company, find};

/// The client id of the accepted application.
pub const CLIENT_ID: &str = "sandbox-zoominfo-client";
/// The secret of the accepted application.
pub const CLIENT_SECRET: &str = "sandbox-zoominfo-secret";
/// Client id and secret as basic authentication.
const BASIC: &str = "Basic c2FuZGJveC16b29taW5mby1jbGllbnQ6c2FuZGJveC16b29taW5mby1zZWNyZXQ=";
const SCOPE: &str = "api:data:company";
const TOKEN_LIFETIME_SECONDS: u64 = 3_600;
const MAX_INPUTS: usize = 25;
const MIN_EMPLOYEES: u64 = 50;
/// The company without a location.
const WITHOUT_LOCATION: &str = "saas.example";
const LIMITED: &str = "limit-exceeded.example";
/// The output fields of the account's plan.
const FIELDS: [&str; 16] = [
    "name",
    "website",
    "domainList",
    "employeeCount",
    "employeeRange",
    "revenue",
    "revenueRange",
    "primaryIndustry",
    "industries",
    "city",
    "state",
    "country",
    "foundedYear",
    "type",
    "companyStatus",
    "lastUpdatedDate",
];

#[derive(Clone)]
struct ZoomInfo {
    account: Account,
    tokens: Arc<Mutex<Tokens>>,
}

#[derive(Default)]
struct Tokens {
    issued: u64,
    valid: BTreeSet<String>,
}

/// The routes of a new account.
pub fn router() -> Router {
    let account = Account::new(10_800);
    let state = ZoomInfo { account: account.clone(), tokens: Arc::default() };
    let revoke = |State(zoominfo): State<ZoomInfo>| async move {
        zoominfo.tokens.lock().unwrap_or_else(PoisonError::into_inner).valid.clear();
        StatusCode::NO_CONTENT
    };
    Router::new()
        .route("/oauth2/default/v1/token", post(token))
        .route("/gtm/data/v1/companies/enrich", post(enrich))
        .route("/_tokens", delete(revoke))
        .with_state(state)
        .merge(account.router())
}

#[derive(Deserialize)]
struct Grant {
    #[serde(rename = "grant_type")]
    kind: String,
    #[serde(default)]
    scope: String,
    client_id: Option<String>,
    client_secret: Option<String>,
}

async fn token(State(zoominfo): State<ZoomInfo>, headers: HeaderMap, Form(grant): Form<Grant>) -> Response {
    let refused = |status, error| {
        (status, Json(json!({ "error": error, "error_description": "refused" }))).into_response()
    };
    let in_header = headers.get(header::AUTHORIZATION).is_some_and(|value| value == BASIC);
    let in_form = grant.client_id.as_deref() == Some(CLIENT_ID)
        && grant.client_secret.as_deref() == Some(CLIENT_SECRET);
    if !in_header && !in_form {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    if grant.kind != "client_credentials" {
        return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    if !grant.scope.split(' ').any(|scope| scope == SCOPE) {
        return refused(StatusCode::BAD_REQUEST, "invalid_scope");
    }
    let mut tokens = zoominfo.tokens.lock().unwrap_or_else(PoisonError::into_inner);
    tokens.issued += 1;
    let token = format!("sandbox-zoominfo-token-{}", tokens.issued);
    tokens.valid.insert(token.clone());
    let answer = json!({ "access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFETIME_SECONDS, "scope": grant.scope });
    Json(answer).into_response()
}

async fn enrich(State(zoominfo): State<ZoomInfo>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let tokens = zoominfo.tokens.lock().unwrap_or_else(PoisonError::into_inner).valid.clone();
    if !bearer.is_some_and(|token| tokens.contains(token)) {
        return documented(StatusCode::UNAUTHORIZED, "ZI0001", false);
    }
    if !header(header::CONTENT_TYPE).is_some_and(|value| value.starts_with("application/vnd.api+json")) {
        return described(StatusCode::UNSUPPORTED_MEDIA_TYPE, "PFAPI0002", "Unsupported media type");
    }
    let minute = match zoominfo.account.count_request() {
        Ok(minute) => minute,
        Err(minute) => {
            let rejected = [
                ("retry-after", minute.ends_in.to_string()),
                ("x-ratelimit-rejected-bucket", "hour".to_owned()),
                ("x-ratelimit-reset", minute.ends_in.to_string()),
            ];
            return (rejected, limits(minute), documented(StatusCode::TOO_MANY_REQUESTS, "ZI0004", true))
                .into_response();
        }
    };
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let attributes = &request["data"]["attributes"];
    let inputs = attributes["matchCompanyInput"].as_array().map(Vec::as_slice).unwrap_or_default();
    let fields: Vec<_> =
        attributes["outputFields"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if request["data"]["type"] != "CompanyEnrich" || inputs.is_empty() || inputs.len() > MAX_INPUTS {
        return described(StatusCode::BAD_REQUEST, "PFAPI0005", "Invalid request");
    }
    if fields.is_empty() || fields.iter().any(|field| !FIELDS.contains(field)) {
        return described(StatusCode::BAD_REQUEST, "PFAPI0001", "Output field is not allowed");
    }
    let mut records = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        match record(&zoominfo.account, index, input, &fields) {
            Some(record) => records.push(record),
            None => return described(StatusCode::BAD_REQUEST, "PFAPI0011", "Credit limit reached"),
        }
    }
    (
        limits(minute),
        [(header::CONTENT_TYPE, "application/vnd.api+json")],
        json!({ "data": records }).to_string(),
    )
        .into_response()
}

/// The outcome of one input; None if the account has no credit for it.
fn record(account: &Account, index: usize, input: &Value, fields: &[&str]) -> Option<Value> {
    let outcome = |status: &str| json!({ "id": index.to_string(), "type": "CompanyEnrich", "attributes": {}, "meta": { "matchStatus": status, "input": input } });
    let Some(website) = input["companyWebsite"].as_str().filter(|website| website.contains('.')) else {
        return Some(outcome("INVALID_INPUT"));
    };
    if website == LIMITED {
        return Some(outcome("LIMIT_EXCEEDED"));
    }
    let Some(company) = find(website).filter(|company| company.employees() >= MIN_EMPLOYEES) else {
        return Some(outcome("NO_MATCH"));
    };
    if !account.spend_credit() {
        return None;
    }
    let all = attributes(company);
    let wanted = all.into_iter().filter(|(name, _)| fields.contains(&name.as_str()));
    let mut record = outcome("FULL_MATCH");
    record["attributes"] = wanted.collect::<Map<_, _>>().into();
    Some(record)
}

fn attributes(company: &Company) -> Map<String, Value> {
    let mut attributes = Map::new();
    let mut set = |name: &str, value: Value| attributes.insert(name.to_owned(), value);
    set("name", json!(company.name));
    set("website", json!(format!("www.{}", company.domain)));
    set("primaryIndustry", json!([company.industry]));
    set("industries", json!([company.industry]));
    set("employeeCount", json!(company.employees()));
    set("employeeRange", json!(company.size()));
    // In thousands of US dollars.
    set("revenue", json!(company.revenue() / 1_000));
    set("revenueRange", json!(company.revenue_band()));
    set("foundedYear", json!(company.founded_year.to_string()));
    if company.domain != WITHOUT_LOCATION {
        set("city", json!(company.city));
        set("state", json!(company.region));
        set("country", json!(company.country_name()));
    }
    attributes
}

/// An error in the format of ZoomInfo's documentation pages.
fn documented(status: StatusCode, code: &str, retryable: bool) -> Response {
    let error = json!({ "code": code, "message": "refused", "status": status.as_u16(), "requestId": "sandbox", "retryable": retryable });
    (status, Json(json!({ "error": error }))).into_response()
}

/// An error in the format of ZoomInfo's OpenAPI files.
fn described(status: StatusCode, code: &str, title: &str) -> Response {
    let error = json!({ "id": "sandbox", "code": code, "status": status.as_u16().to_string(), "title": title, "detail": title });
    (status, [(header::CONTENT_TYPE, "application/vnd.api+json")], json!({ "errors": [error] }).to_string())
        .into_response()
}

fn limits(minute: Minute) -> [(&'static str, String); 6] {
    [
        ("x-ratelimit-limit-second", "25".to_owned()),
        ("x-ratelimit-remaining-second", "-1".to_owned()),
        ("x-ratelimit-limit-hour", minute.limit.to_string()),
        ("x-ratelimit-remaining-hour", minute.remaining.to_string()),
        ("x-ratelimit-limit-day", "648000".to_owned()),
        ("x-ratelimit-remaining-day", "-1".to_owned()),
    ]
}
