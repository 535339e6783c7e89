//! The resources below `/services/data/vNN.0/`, as single calls and as parts of a composite one.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::org::{Org, Record, SaveOptions};
use super::schema::Object;
use super::{composite, soql, values};

/// A call, either a request of its own or a part of a composite one.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: String,
    /// The host of the request.
    pub(super) host: String,
    /// Such as `v67.0`.
    pub(super) version: String,
    /// The path after the version, unescaped, such as `["sobjects", "Lead", "describe"]`.
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) options: SaveOptions,
    pub(super) body: Value,
}

/// The answer to a call.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Option<Value>,
    pub(super) location: Option<String>,
}

impl Answer {
    fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body: Some(body), location: None }
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        Self { status: error.status, body: Some(error.body()), location: None }
    }
}

impl SaveOptions {
    /// The options from the headers, looked up case-insensitively.
    pub(super) fn of_headers<'h>(header: impl Fn(&str) -> Option<&'h str>) -> Self {
        let duplicates =
            header("Sforce-Duplicate-Rule-Header").unwrap_or_default().to_lowercase().replace(' ', "");
        Self {
            auto_assign: !header("Sforce-Auto-Assign")
                .is_some_and(|value| value.trim().eq_ignore_ascii_case("false")),
            allow_duplicates: duplicates.contains("allowsave=true"),
        }
    }
}

impl Call {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn record_url(&self, object: &Object, id: &str) -> String {
        format!("/services/data/{}/sobjects/{}/{id}", self.version, object.name)
    }
}

/// Executes a call.
pub(super) fn answer(org: &mut Org, call: &Call) -> Answer {
    route(org, call).unwrap_or_else(Answer::from)
}

fn route(org: &mut Org, call: &Call) -> Result<Answer, ApiError> {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    match (call.method.as_str(), segments.as_slice()) {
        ("GET", ["limits"]) => Ok(Answer::ok(limits(org))),
        ("GET", ["query" | "queryAll"]) => {
            let text = call.query("q").unwrap_or_default();
            Ok(Answer::ok(soql::query(org, &call.version, text, segments == ["queryAll"])?))
        }
        ("POST", ["composite"]) => composite::run(org, call).map(Answer::ok),
        (_, ["sobjects", name, rest @ ..]) => {
            let object = org.object(name).cloned().ok_or_else(ApiError::no_resource)?;
            on_object(org, call, &object, rest)
        }
        _ => Err(ApiError::no_resource()),
    }
}

fn on_object(org: &mut Org, call: &Call, object: &Object, rest: &[&str]) -> Result<Answer, ApiError> {
    match (call.method.as_str(), rest) {
        ("GET", ["describe"]) => {
            let mut describe = object.describe(&call.version);
            if org.describe_padding > 0 {
                describe["padding"] = json!("x".repeat(org.describe_padding));
            }
            Ok(Answer::ok(describe))
        }
        ("GET", [id]) => {
            let (id, record) = org.get(object, id)?;
            shown(call, object, id, record)
        }
        ("POST", []) => {
            let id = org.save(object, None, &call.body, call.options)?;
            let body = json!({ "id": id, "success": true, "errors": [] });
            let location = Some(call.record_url(object, &id));
            Ok(Answer { status: StatusCode::CREATED, body: Some(body), location })
        }
        ("PATCH", [id]) => {
            let id = org.get(object, id)?.0.to_owned();
            org.save(object, Some(&id), &call.body, call.options)?;
            Ok(no_content())
        }
        ("PATCH", [field, value]) => upsert(org, call, object, field, value),
        ("GET", [field, value]) => {
            let found = org.by_external_id(object, field, value)?;
            match found.as_slice() {
                [] => Err(ApiError::no_resource()),
                [id] => {
                    let (id, record) = org.get(object, id)?;
                    shown(call, object, id, record)
                }
                several => Ok(multiple_choices(call, object, several)),
            }
        }
        _ => {
            let message = format!("HTTP Method '{}' not allowed.", call.method);
            Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message))
        }
    }
}

/// Creates or changes the record with an external id.
fn upsert(org: &mut Org, call: &Call, object: &Object, field: &str, value: &str) -> Result<Answer, ApiError> {
    let found = org.by_external_id(object, field, value)?;
    let mut body = call.body.clone();
    let name = object.field(field).map_or(field, |field| field.name.as_str());
    if let Some(Value::Object(body)) = Some(&mut body) {
        // The body may repeat the external id, but must not contradict it.
        if body.remove(name).is_some_and(|other| !values::same(Some(&other), value))
            || body.contains_key("Id")
        {
            let message = "The external id value in the body must not differ from the one in the URL";
            return Err(ApiError::bad("INVALID_FIELD", message).on([name]));
        }
    }
    match found.as_slice() {
        [] if call.query("updateOnly") == Some("true") => Err(ApiError::no_resource()),
        [] => {
            if let Value::Object(body) = &mut body {
                body.insert(name.to_owned(), json!(value));
            }
            let id = org.save(object, None, &body, call.options)?;
            let body = json!({ "id": id, "success": true, "errors": [], "created": true });
            let location = Some(call.record_url(object, &id));
            Ok(Answer { status: StatusCode::CREATED, body: Some(body), location })
        }
        [id] => {
            let id = org.save(object, Some(id), &body, call.options)?;
            // From version 46 on, the answer to an update has a body.
            let has_body = major(&call.version).is_some_and(|version| version >= 46);
            Ok(if has_body {
                Answer::ok(json!({ "id": id, "success": true, "errors": [], "created": false }))
            } else {
                no_content()
            })
        }
        several => Ok(multiple_choices(call, object, several)),
    }
}

/// The number of a version such as `v67.0`.
pub(super) fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.strip_suffix(".0")?.parse().ok()
}

fn shown(call: &Call, object: &Object, id: &str, record: &Record) -> Result<Answer, ApiError> {
    let attributes = json!({ "type": object.name, "url": call.record_url(object, id) });
    let mut shown = Map::from_iter([("attributes".to_owned(), attributes)]);
    let value = |name: &str| {
        if name == "Id" { json!(id) } else { record.fields.get(name).cloned().unwrap_or_default() }
    };
    match call.query("fields") {
        None => shown.extend(object.fields.iter().map(|field| (field.name.clone(), value(&field.name)))),
        Some(names) => {
            for name in names.split(',') {
                let Some(field) = object.field(name.trim()) else {
                    let message = format!("No such column '{name}' on entity '{}'.", object.name);
                    return Err(ApiError::bad("INVALID_FIELD", message));
                };
                shown.insert(field.name.clone(), value(&field.name));
            }
        }
    }
    Ok(Answer::ok(Value::Object(shown)))
}

fn no_content() -> Answer {
    Answer { status: StatusCode::NO_CONTENT, body: None, location: None }
}

fn multiple_choices(call: &Call, object: &Object, ids: &[String]) -> Answer {
    let urls: Vec<_> = ids.iter().map(|id| call.record_url(object, id)).collect();
    Answer { status: StatusCode::MULTIPLE_CHOICES, body: Some(json!(urls)), location: None }
}

/// The URL that identifies the integration user.
pub(super) fn identity(host: &str) -> String {
    format!("http://{host}/id/00D000000000001EAA/{}", Org::API_USER)
}

fn limits(org: &Org) -> Value {
    let remaining = org.daily_calls.saturating_sub(org.calls);
    json!({
        "DailyApiRequests": { "Max": org.daily_calls, "Remaining": remaining },
        "DataStorageMB": { "Max": 1024, "Remaining": 1023 },
        "ConcurrentAsyncGetReportInstances": { "Max": 200, "Remaining": 200 },
    })
}
