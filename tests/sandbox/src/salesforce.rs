//! The part of Salesforce's REST API that a lead integration uses.
//!
//! An [`Org`] with leads, contacts, accounts, opportunities and tasks: OAuth (client credentials, JWT
//! bearer), sessions that end, describe, records by id and by external id, composite calls, SOQL, limits, and
//! the additions of an org's administrators: duplicate rules, validation rules, assignment rules, an Apex
//! class that converts leads.
//!
//! `GET /_org` shows every record, `POST /_org/faults` adds a
//! [`RowFault`], `DELETE /_org/sessions` ends every session, and `PATCH /_sandbox/org` applies an
//! [`OrgChange`]: picklists of states and countries, inactive users, queues, merges.
//!
//! Requests are served one after the other, so that each is atomic.

mod address;
mod composite;
mod control;
mod error;
mod id;
mod oauth;
mod org;
mod people;
mod rest;
mod schema;
mod soql;
mod values;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, delete, get, post};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

pub use self::control::OrgChange;
use self::error::ApiError;
use self::oauth::TokenRequest;
pub use self::org::{DuplicateRule, Org, QueryFault, RowFault, ValidationRule};
pub use self::people::{Queue, User};
use self::rest::{Answer, Call};
pub use self::schema::{Field, Object};
use crate::serve::FailingRow;

/// A Salesforce org. Clones share the org.
#[derive(Clone, Default)]
pub struct Salesforce(Arc<Mutex<Org>>);

impl Salesforce {
    /// The consumer key of the org's app.
    pub const KEY: &str = "consumer-key";

    /// The consumer secret of the org's app.
    pub const SECRET: &str = "consumer-secret";

    /// A new org without records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads or changes the org.
    pub fn org<T>(&self, work: impl FnOnce(&mut Org) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The org's API, for [`Fake::serve`](crate::Fake::serve).
    pub fn router(&self) -> Router {
        Router::new()
            .route("/_sandbox/org", get(control::show).patch(control::change))
            .route("/_org", get(show_records))
            .route("/_org/faults", post(add_row_fault))
            .route("/_org/sessions", delete(end_sessions))
            .route("/services/oauth2/token", post(token))
            .route("/services/{*path}", any(api))
            .with_state(self.clone())
    }
}

async fn show_records(State(salesforce): State<Salesforce>) -> Json<Value> {
    let records = salesforce.org(|org| {
        let names: Vec<&str> = org.objects.iter().map(|object| object.name).collect();
        names.into_iter().map(|name| (name.to_owned(), Value::from(org.records(name)))).collect()
    });
    Json(Value::Object(records))
}

async fn add_row_fault(State(salesforce): State<Salesforce>, Json(fault): Json<RowFault>) -> StatusCode {
    salesforce.org(|org| org.row_faults.push(fault));
    StatusCode::NO_CONTENT
}

async fn end_sessions(State(salesforce): State<Salesforce>) -> StatusCode {
    salesforce.org(Org::end_sessions);
    StatusCode::NO_CONTENT
}

async fn token(State(salesforce): State<Salesforce>, headers: HeaderMap, body: Bytes) -> Response {
    let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let request = TokenRequest {
        host: text(&headers, "host"),
        authorization: header(&headers, "authorization"),
        form: &form,
    };
    let (status, body) = salesforce.org(|org| oauth::token(org, &request));
    (status, Json(body)).into_response()
}

/// Handles every request that needs a session.
async fn api(State(salesforce): State<Salesforce>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    salesforce.org(|org| {
        org.failing_row = parts.extensions.get::<FailingRow>().cloned();
        let answer = match authorized(org, &parts.headers) {
            Ok(()) => {
                dispatch(org, &parts.method, &parts.uri, &parts.headers, &body).unwrap_or_else(Answer::from)
            }
            Err(error) => error.into(),
        };
        let mut response = match answer.body {
            Some(body) => (answer.status, Json(body)).into_response(),
            None => answer.status.into_response(),
        };
        let usage = format!("api-usage={}/{}", org.calls, org.daily_calls);
        let location = answer.location.map(|location| (header::LOCATION.as_str(), location));
        for (name, value) in [("sforce-limit-info", usage)].into_iter().chain(location) {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    })
}

/// Counts the call and refuses it if the session is invalid or the daily limit is reached.
fn authorized(org: &mut Org, headers: &HeaderMap) -> Result<(), ApiError> {
    let authorization = text(headers, "authorization");
    let token = authorization
        .strip_prefix("Bearer ")
        .or_else(|| authorization.strip_prefix("OAuth "))
        .unwrap_or_default();
    if !org.use_session(token) {
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "INVALID_SESSION_ID",
            "Session expired or invalid",
        ));
    }
    if org.calls >= org.daily_calls {
        let message = "TotalRequests Limit exceeded.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "REQUEST_LIMIT_EXCEEDED", message));
    }
    org.calls += 1;
    Ok(())
}

fn dispatch(
    org: &mut Org,
    method: &Method,
    uri: &http::Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, ApiError> {
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(body)
            .map_err(|error| ApiError::bad("JSON_PARSER_ERROR", format!("{error}")))?
    };
    let segments = split(uri.path().strip_prefix("/services/").unwrap_or_default());
    match segments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["apexrest", "revenueflow", "convert"] if org.has_convert_endpoint && method == Method::POST => {
            convert(org, &body)
        }
        ["data", version, ..]
            if rest::major(version).is_some_and(|number| (20..=org.newest_version).contains(&number)) =>
        {
            let call = Call {
                method: method.to_string(),
                host: text(headers, "host").to_owned(),
                version: (*version).to_owned(),
                segments: segments[2..].to_vec(),
                query: form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
                    .into_owned()
                    .collect(),
                options: org::SaveOptions::of_headers(|name| header(headers, name)),
                body,
            };
            Ok(rest::answer(org, &call))
        }
        ["apexrest", ..] => Err(ApiError::not_found("Could not find a match for URL")),
        _ => Err(ApiError::no_resource()),
    }
}

/// The Apex class of `docs/salesforce.md`.
fn convert(org: &mut Org, body: &Value) -> Result<Answer, ApiError> {
    let lead = body["leadId"].as_str().and_then(id::long_id);
    let contact = lead.and_then(|lead| org.convert(&lead));
    let contact = contact.ok_or_else(|| ApiError::bad("APEX_ERROR", "System.DmlException: Update failed"))?;
    Ok(Answer { status: StatusCode::OK, body: Some(json!({ "contactId": contact })), location: None })
}

/// The unescaped segments of a path, without an empty one at the end.
fn split(path: &str) -> Vec<String> {
    path.trim_end_matches('/')
        .split('/')
        .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect()
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    header(headers, name).unwrap_or_default()
}
