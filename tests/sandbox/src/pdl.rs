//! People Data Labs' company enrichment.
//!
//! The companies are those of the built-in fixtures; `university.example` has the low likelihood 3. `PUT
//! /_account` sets `credits` and `per_minute`.

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::account::{Account, Minute};
use crate::companies::{Company, find};

/// The accepted key.
pub const KEY: &str = "sandbox-pdl-key";
/// The domain of a company with a low likelihood, and that likelihood.
const UNSURE: (&str, u64) = ("university.example", 3);
const SURE: u64 = 9;

/// The routes of a new account.
pub fn router() -> Router {
    let account = Account::new(1_000);
    let enrich = Router::new().route("/v5/company/enrich", get(enrich)).with_state(account.clone());
    enrich.merge(account.router())
}

async fn enrich(
    State(account): State<Account>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    // The key is in the header, or in the query as the vendor's own clients send it.
    let in_header = headers.get("x-api-key").and_then(|key| key.to_str().ok());
    if in_header.or(query.get("api_key").map(String::as_str)) != Some(KEY) {
        return refusal(
            StatusCode::UNAUTHORIZED,
            "authentication_error",
            "Request contained a missing or invalid key",
        );
    }
    let minute = match account.count_request() {
        Ok(minute) => minute,
        Err(minute) => {
            let problem = "An error occurred due to requests hitting the API too quick";
            let answer = refusal(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", problem);
            return (limits(minute, 0), answer).into_response();
        }
    };
    let names = ["name", "website", "ticker", "profile", "pdl_id"];
    let Some((_, identifier)) = names.iter().find_map(|name| query.get_key_value(*name)) else {
        let problem = "Request object must contain at least one identifier";
        return refusal(StatusCode::BAD_REQUEST, "invalid_request_error", problem);
    };
    let least = query.get("min_likelihood").and_then(|likelihood| likelihood.parse().ok()).unwrap_or(0);
    let found = find(identifier).map(|company| (company, likelihood(company)));
    let Some((company, likelihood)) = found.filter(|(_, likelihood)| *likelihood >= least) else {
        let answer =
            refusal(StatusCode::NOT_FOUND, "not_found", "No records were found matching your request");
        return (limits(minute, 0), answer).into_response();
    };
    if !account.spend_credit() {
        let problem = "You have reached your account maximum (all matches used)";
        return refusal(StatusCode::PAYMENT_REQUIRED, "payment_required", problem);
    }
    let titlecase = query.get("titlecase").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    (limits(minute, 1), Json(record(company, likelihood, titlecase))).into_response()
}

fn likelihood(company: &Company) -> u64 {
    if company.domain == UNSURE.0 { UNSURE.1 } else { SURE }
}

fn refusal(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = json!({ "status": status.as_u16(), "error": { "type": [kind], "message": message } });
    (status, Json(body)).into_response()
}

/// The limits are JSON objects with single quotes, like the vendor's.
fn limits(minute: Minute, spent: u8) -> [(&'static str, String); 4] {
    let reset = i64::try_from(minute.ends_at()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let reset = reset.unwrap_or_default();
    [
        ("x-ratelimit-limit", format!("{{'minute': {}}}", minute.limit)),
        ("x-ratelimit-remaining", format!("{{'minute': {}}}", minute.remaining)),
        ("x-ratelimit-reset", reset.to_string()),
        ("x-call-credits-spent", spent.to_string()),
    ]
}

fn record(company: &Company, likelihood: u64, titlecase: bool) -> Value {
    let cased = |text: &str| if titlecase { text.to_owned() } else { text.to_lowercase() };
    json!({
        "status": 200,
        "likelihood": likelihood,
        "name": cased(&company.name),
        "display_name": company.name,
        "size": company.size(),
        "employee_count": company.employees(),
        "founded": company.founded_year,
        "industry": cased(&company.industry),
        "industry_v2": cased(&company.industry),
        "location": {
            "name": cased(company.country_name()),
            "locality": company.city.as_deref().map(cased),
            "region": company.region.as_deref().map(cased),
            "country": cased(company.country_name()),
        },
        "type": "private",
        "inferred_revenue": company.revenue_band(),
        "website": company.domain,
        "tags": [],
    })
}
