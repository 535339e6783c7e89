//! Apollo's organization enrichment.
//!
//! The companies are those of the built-in fixtures, without `insurance.example` and `mining.example`. `PUT
//! /_account` sets `credits` and `per_minute`.

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::account::Account;
use crate::companies::{Company, find, is_domain};

/// The accepted key.
pub const KEY: &str = "sandbox-apollo-key";
/// A key of a plan without API access.
pub const FREE_KEY: &str = "sandbox-apollo-free-key";
/// Domains unknown to the fake.
const UNKNOWN: [&str; 2] = ["insurance.example", "mining.example"];

/// The routes of a new account.
pub fn router() -> Router {
    let account = Account::new(1_000);
    let enrich = Router::new().route("/api/v1/organizations/enrich", get(enrich)).with_state(account.clone());
    enrich.merge(account.router())
}

async fn enrich(
    State(account): State<Account>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    match headers.get("x-api-key").and_then(|key| key.to_str().ok()) {
        Some(KEY) => {}
        Some(FREE_KEY) => {
            let problem = "api/v1/organizations/enrich is not accessible with this api_key";
            let body = json!({ "error": problem, "error_code": "API_INACCESSIBLE" });
            return (StatusCode::FORBIDDEN, Json(body)).into_response();
        }
        _ => return (StatusCode::UNAUTHORIZED, "Invalid access credentials.").into_response(),
    }
    let minute = match account.count_request() {
        Ok(minute) => minute,
        Err(minute) => {
            let message =
                format!("The maximum number of api calls allowed is {} times per minute.", minute.limit);
            let headers = [("retry-after", minute.ends_in.to_string())];
            return (StatusCode::TOO_MANY_REQUESTS, headers, Json(json!({ "message": message })))
                .into_response();
        }
    };
    let unprocessable =
        |problem: &str| (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": problem }))).into_response();
    let domain = query.get("domain").map(String::as_str).unwrap_or_default();
    if !is_domain(domain) {
        return unprocessable("The domain is invalid");
    }
    let company = find(domain).filter(|company| !UNKNOWN.contains(&company.domain.as_str()));
    if company.is_some() && !account.spend_credit() {
        return unprocessable("You have insufficient credits");
    }
    let headers = [
        ("x-rate-limit-minute", minute.limit.to_string()),
        ("x-minute-requests-left", minute.remaining.to_string()),
    ];
    (headers, Json(json!({ "organization": company.map(organization) }))).into_response()
}

fn organization(company: &Company) -> Value {
    let technologies = company.technologies.iter();
    json!({
        "name": company.name,
        "primary_domain": company.domain,
        "website_url": format!("http://www.{}", company.domain),
        "industry": company.industry.to_lowercase(),
        "industries": [company.industry.to_lowercase()],
        "estimated_num_employees": company.employees(),
        "annual_revenue": company.revenue(),
        "annual_revenue_printed": company.revenue_band().trim_start_matches('$').split('-').next(),
        "founded_year": company.founded_year,
        "city": company.city,
        "state": company.region,
        "country": company.country_name(),
        "technology_names": company.technologies,
        "current_technologies": technologies
            .map(|name| json!({ "uid": name.to_lowercase(), "name": name, "category": "Other" }))
            .collect::<Vec<_>>(),
    })
}
