use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Extension;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::HubSpot;
use super::account::Account;
use super::associations::types;
use super::control;
use super::objects::Kind;
use super::properties::STAGES;
use super::refusal::{CORRELATION_ID, Refusal};
use crate::serve::FailingRow;

/// The supported dated versions; the undated ones are v3, and v4 for associations.
const DATED: &[&str] = &["2025-09", "2026-03", "2026-09"];

/// The maximum number of records in a call that reads associations.
const MAX_ASSOCIATIONS_READ: usize = 1_000;
/// The maximum number of pairs in a call that creates associations.
const MAX_ASSOCIATIONS: usize = 2_000;

/// A request to the account.
pub(super) struct ApiRequest {
    query: Vec<(String, String)>,
    pub(super) body: Value,
}

/// The answer to a request.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl ApiRequest {
    pub(super) fn query_value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Answer {
    pub(super) fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }
}

pub(super) fn router(hubspot: &HubSpot) -> Router {
    let controls = control::router(hubspot);
    let hubspot = hubspot.clone();
    let answer = move |row: Option<Extension<FailingRow>>,
                       method: Method,
                       uri: Uri,
                       headers: HeaderMap,
                       body: Bytes| {
        let hubspot = hubspot.clone();
        async move {
            let mut account = hubspot.account();
            account.failing_row = row.map(|Extension(row)| row);
            account.answer(&method, &uri, &headers, &body)
        }
    };
    controls.route("/{*path}", any(answer))
}

impl Account {
    fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Response {
        self.requests += 1;
        let decoded = percent_encoding::percent_decode_str(uri.path()).decode_utf8_lossy();
        let Some(path) = Path::parse(&decoded) else {
            return respond(Refusal::no_such_path(uri.path()).into(), &[]);
        };
        if path.family == "oauth" {
            let form = form_urlencoded::parse(body).into_owned().collect();
            let issued = if *method == Method::POST && path.rest == ["token"] {
                self.issue_token(&form).map(Answer::ok)
            } else {
                Err(Refusal::no_such_path(uri.path()))
            };
            return respond(issued.unwrap_or_else(Answer::from), &[]);
        }
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = match self.authenticate(authorization) {
            Ok(token) => token,
            Err(refusal) => return respond(refusal.into(), &[]),
        };
        let (settings, now) = (self.settings.clone(), self.now());
        let limits = match self.usage.count(&settings, &token, path.rest.last() == Some(&"search"), now) {
            Ok(limits) => limits,
            Err(refusal) => return respond(refusal.into(), &[]),
        };
        let json = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(body) };
        let answer = match json {
            Ok(body) => {
                let query = uri.query().unwrap_or_default();
                let request = ApiRequest {
                    query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
                    body,
                };
                self.dispatch(method, &path, &request).unwrap_or_else(Answer::from)
            }
            Err(_) => Refusal::validation("Invalid input JSON").into(),
        };
        respond(answer, &limits)
    }

    fn dispatch(
        &mut self,
        method: &Method,
        path: &Path<'_>,
        request: &ApiRequest,
    ) -> Result<Answer, Refusal> {
        match path.family {
            "objects" => self.dispatch_objects(method, path, request),
            "associations" => self.dispatch_associations(method, &path.rest, request),
            "properties" => self.dispatch_properties(method, &path.rest, request),
            "owners" | "pipelines" | "account-info" if *method == Method::GET => {
                self.look_up(path.family, &path.rest, request)
            }
            other => Err(Refusal::no_such_path(other)),
        }
    }

    fn dispatch_objects(
        &mut self,
        method: &Method,
        path: &Path<'_>,
        request: &ApiRequest,
    ) -> Result<Answer, Refusal> {
        let [object, rest @ ..] = path.rest.as_slice() else {
            return Err(Refusal::no_such_path("objects"));
        };
        let kind = Kind::in_path(object, path.version).ok_or_else(|| Refusal::no_such_path(object))?;
        match (method.as_str(), rest) {
            ("GET", []) => Ok(self.list(kind, request)),
            ("POST", ["search"]) => self.search(kind, &request.body),
            ("POST", ["batch", call]) => self.batch(kind, call, request),
            _ => Err(Refusal::no_such_path(object)),
        }
    }

    fn dispatch_associations(
        &mut self,
        method: &Method,
        rest: &[&str],
        request: &ApiRequest,
    ) -> Result<Answer, Refusal> {
        let [from, to, rest @ ..] = rest else { return Err(Refusal::no_such_path("associations")) };
        let (from, to) = (kind(from)?, kind(to)?);
        let inputs = request.body["inputs"].as_array().cloned().unwrap_or_default();
        let most = if rest.last() == Some(&"read") { MAX_ASSOCIATIONS_READ } else { MAX_ASSOCIATIONS };
        if inputs.is_empty() || inputs.len() > most {
            return Err(Refusal::validation(format!("a batch has 1 to {most} inputs")));
        }
        match (method.as_str(), rest) {
            ("POST", ["batch", "read"]) => {
                let (mut rows, mut errors) = (Vec::new(), Vec::new());
                for id in inputs.iter().filter_map(id_of) {
                    match self.associations.listed(from, id, to) {
                        listed if listed.is_empty() => errors.push(no_associations(id, to)),
                        listed => rows.push(json!({"from": {"id": id.to_string()}, "to": listed})),
                    }
                }
                let mut body = complete(&rows);
                if errors.is_empty() {
                    return Ok(Answer::ok(body));
                }
                (body["numErrors"], body["errors"]) = (json!(errors.len()), Value::Array(errors));
                Ok(Answer { status: 207, body })
            }
            ("POST", ["batch", "associate", "default"]) => {
                let mut rows = Vec::new();
                for input in &inputs {
                    let (id, to_id) = self.pair(from, to, input)?;
                    rows.push(self.make_default(from, id, to, to_id)?);
                }
                Ok(Answer::ok(complete(&rows)))
            }
            _ => Err(Refusal::no_such_path("associations")),
        }
    }

    /// The two records of an association to create. Both must exist.
    fn pair(&self, from: Kind, to: Kind, input: &Value) -> Result<(u64, u64), Refusal> {
        let (id, to_id) = (id_of(&input["from"]), id_of(&input["to"]));
        let there = |kind, id: Option<u64>| id.filter(|id| self.objects.get(kind, *id).is_some());
        there(from, id).zip(there(to, to_id)).ok_or_else(Refusal::not_found)
    }

    fn make_default(&mut self, from: Kind, id: u64, to: Kind, to_id: u64) -> Result<Value, Refusal> {
        if !self.associations.add_default(from, id, to, to_id) {
            return Err(Refusal::validation("these objects cannot be associated"));
        }
        let type_id = types(from, to).first().map(|(type_id, ..)| *type_id);
        Ok(json!({
            "from": {"id": id.to_string()}, "to": {"id": to_id.to_string()},
            "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id},
        }))
    }

    fn dispatch_properties(
        &mut self,
        method: &Method,
        rest: &[&str],
        request: &ApiRequest,
    ) -> Result<Answer, Refusal> {
        let [object, rest @ ..] = rest else { return Err(Refusal::no_such_path("properties")) };
        let kind = kind(object)?;
        match (method.as_str(), rest) {
            ("GET", []) => {
                let all: Vec<Value> =
                    self.properties.of(kind).map(super::properties::Property::shown).collect();
                Ok(Answer::ok(json!({ "results": all })))
            }
            ("GET", [name]) => {
                let property = self.properties.get(kind, name).ok_or_else(Refusal::not_found)?;
                Ok(Answer::ok(property.shown()))
            }
            ("POST", []) => {
                let body = self.properties.create(kind, &request.body)?;
                Ok(Answer { status: 201, body })
            }
            _ => Err(Refusal::no_such_path("properties")),
        }
    }

    /// Read-only data: owners, pipelines, the account.
    fn look_up(&self, family: &str, rest: &[&str], request: &ApiRequest) -> Result<Answer, Refusal> {
        let epoch = jiff::Timestamp::UNIX_EPOCH.to_string();
        let is_archived = request.query_value("archived") == Some("true");
        let owner = |id: &str| {
            let (name, number) = (format!("owner{id}"), id.parse::<u64>().unwrap_or_default());
            let email = if id == HubSpot::OWNER { "owner".to_owned() } else { name };
            json!({
                "id": id, "email": format!("{email}@example.com"), "firstName": "Olive", "lastName": "Owner",
                "userId": 9_000 + number, "type": "PERSON", "archived": is_archived, "createdAt": epoch,
                "updatedAt": epoch, "teams": [],
            })
        };
        let settings = &self.settings;
        let owners = if is_archived { &settings.archived_owners } else { &settings.owners };
        match (family, rest) {
            ("owners", [id]) if owners.iter().any(|owner| owner == id) => Ok(Answer::ok(owner(id))),
            ("pipelines", ["deals" | "deal" | "0-3"]) => {
                let stage = |(order, (id, label, closed)): (usize, &(&str, &str, bool))| {
                    json!({
                        "id": id, "label": label, "displayOrder": order, "archived": false,
                        "metadata": {"isClosed": closed.to_string()}, "createdAt": epoch, "updatedAt": epoch,
                    })
                };
                let stages: Vec<Value> = STAGES.iter().enumerate().map(stage).collect();
                Ok(Answer::ok(json!({"results": [{
                    "id": "default", "label": "Sales Pipeline", "displayOrder": 0, "archived": false,
                    "stages": stages, "createdAt": epoch, "updatedAt": epoch,
                }]})))
            }
            ("account-info", ["details"]) => {
                let minutes = self.settings.utc_offset_at(self.now());
                let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
                let sign = if minutes < 0 { '-' } else { '+' };
                Ok(Answer::ok(json!({
                    "portalId": 1_234_567, "accountType": "DEVELOPER_TEST", "timeZone": "US/Eastern",
                    "companyCurrency": "USD", "additionalCurrencies": [], "uiDomain": "app.hubspot.com",
                    "dataHostingLocation": "na1", "utcOffset": format!("{sign}{hours:02}:{rest:02}"),
                    "utcOffsetMilliseconds": minutes * 60_000,
                })))
            }
            _ => Err(Refusal::not_found()),
        }
    }
}

/// A path without its version: `crm/v3/objects/contacts` and `crm/objects/2026-03/contacts` are equal.
struct Path<'a> {
    family: &'a str,
    version: &'a str,
    rest: Vec<&'a str>,
}

impl<'a> Path<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let (family, version, rest) = match segments.as_slice() {
            ["crm", version @ ("v3" | "v4"), family, rest @ ..] | ["crm", family, version, rest @ ..] => {
                (*family, *version, rest)
            }
            [family @ ("oauth" | "account-info"), version, rest @ ..] => (*family, *version, rest),
            _ => return None,
        };
        let known = match family {
            "associations" => version == "v4",
            "oauth" => matches!(version, "v1" | "v3"),
            _ => version == "v3",
        };
        (known || DATED.contains(&version)).then(|| Self { family, version, rest: rest.to_vec() })
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self { status: refusal.status, body: refusal.body }
    }
}

fn kind(name: &str) -> Result<Kind, Refusal> {
    Kind::named(name).ok_or_else(|| Refusal::validation(format!("Unable to infer object type from: {name}")))
}

fn id_of(input: &Value) -> Option<u64> {
    input["id"].as_str().and_then(|id| id.parse().ok())
}

/// The row error for a record without associations.
fn no_associations(id: u64, to: Kind) -> Value {
    json!({
        "status": "error", "category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": format!("No associations found to {}", to.plural()), "context": {"fromObjectId": [id.to_string()]},
    })
}

fn complete(rows: &[Value]) -> Value {
    let now = jiff::Timestamp::UNIX_EPOCH.to_string();
    json!({"status": "COMPLETE", "results": rows, "requestedAt": now, "startedAt": now, "completedAt": now})
}

fn respond(answer: Answer, limits: &[(&'static str, String)]) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match answer.body {
        Value::Null => status.into_response(),
        body => (status, Json(body)).into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in limits {
        if let Ok(value) = value.parse() {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers.insert("x-hubspot-correlation-id", http::HeaderValue::from_static(CORRELATION_ID));
    response
}
