//! Clearbit's company lookup, and the response shape that Hunter took over from it.
//!
//! The companies are those of the built-in fixtures. `queued.example` simulates an asynchronous lookup: the
//! first two requests are answered 202, later ones with a company. `PUT /_account` sets `credits` and
//! `per_minute`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use crate::account::{Account, Minute};
use crate::companies::{Company, find, is_domain};

/// The accepted key.
pub const KEY: &str = "sandbox-clearbit-key";
/// The same key as the user name of basic authentication without a password.
const BASIC: &str = "Basic c2FuZGJveC1jbGVhcmJpdC1rZXk6";
/// The domain of the asynchronous lookup, and the domain of the company that it returns.
const QUEUED: (&str, &str) = ("queued.example", "saas.example");
/// The number of 202 answers before it.
const QUEUED_TIMES: u32 = 2;

#[derive(Clone)]
struct Clearbit {
    account: Account,
    queued: Arc<AtomicU32>,
}

/// The routes of a new account.
pub fn router() -> Router {
    let account = Account::new(600);
    let state = Clearbit { account: account.clone(), queued: Arc::default() };
    Router::new().route("/v2/companies/find", get(find_company)).with_state(state).merge(account.router())
}

async fn find_company(
    State(clearbit): State<Clearbit>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given {
        Some(BASIC) => {}
        Some(bearer) if bearer.strip_prefix("Bearer ") == Some(KEY) => {}
        Some(_) => return refusal(StatusCode::UNAUTHORIZED, "auth_invalid", "Invalid API key provided"),
        None => return refusal(StatusCode::UNAUTHORIZED, "auth_required", "No API key provided"),
    }
    let minute = match clearbit.account.count_request() {
        Ok(minute) => minute,
        Err(minute) => {
            let answer = refusal(StatusCode::TOO_MANY_REQUESTS, "rate_limit", "Too many requests");
            return (limits(minute), answer).into_response();
        }
    };
    let domain = query.get("domain").map(String::as_str).unwrap_or_default();
    if !is_domain(domain) {
        return refusal(StatusCode::UNPROCESSABLE_ENTITY, "params_invalid", "Invalid domain");
    }
    let is_queued = domain == QUEUED.0;
    if is_queued && clearbit.queued.fetch_add(1, Ordering::SeqCst) < QUEUED_TIMES {
        let body = json!({ "error": { "type": "queued", "message": "The company is being looked up" } });
        return (StatusCode::ACCEPTED, Json(body)).into_response();
    }
    let Some(company) = find(if is_queued { QUEUED.1 } else { domain }) else {
        return refusal(StatusCode::NOT_FOUND, "unknown_record", "Unknown company");
    };
    if !clearbit.account.spend_credit() {
        return refusal(StatusCode::PAYMENT_REQUIRED, "over_quota", "You are over your quota");
    }
    let mut record = record(company);
    record["domain"] = json!(domain);
    (limits(minute), [("x-api-version", "2019-12-19")], Json(record)).into_response()
}

fn refusal(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "type": kind, "message": message } }))).into_response()
}

fn limits(minute: Minute) -> [(&'static str, String); 3] {
    [
        ("x-ratelimit-limit", minute.limit.to_string()),
        ("x-ratelimit-remaining", minute.remaining.to_string()),
        ("x-ratelimit-reset", minute.ends_at().to_string()),
    ]
}

/// A company in the shape that Clearbit and Hunter share.
pub(crate) fn record(company: &Company) -> Value {
    json!({
        "name": company.name,
        "legalName": null,
        "domain": company.domain,
        "domainAliases": [],
        "category": { "sector": null, "industryGroup": company.industry, "industry": company.industry },
        "tags": [],
        "foundedYear": company.founded_year,
        "geo": {
            "city": company.city,
            "state": company.region,
            "country": company.country_name(),
            "countryCode": company.country,
        },
        "type": "private",
        "metrics": {
            "employees": company.employees(),
            "employeesRange": company.size(),
            "annualRevenue": null,
            "estimatedAnnualRevenue": company.revenue_band(),
        },
        "tech": company.technologies,
    })
}
