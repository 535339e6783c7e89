//! `POST /composite`: several calls in one request, which may refer to earlier results.

use form_urlencoded::parse;
use http::StatusCode;
use serde_json::{Value, json};

use super::error::ApiError;
use super::org::{Org, SaveOptions};
use super::rest::{self, Answer, Call};
use super::split;

const MAX_CALLS: usize = 25;
const MAX_QUERIES: usize = 5;
/// The maximum length of a URL, in bytes.
const MAX_URL: usize = 16_384;

/// Runs a composite call. The status is 200 even if subrequests fail. `allOrNone` is not supported.
pub(super) fn run(org: &mut Org, call: &Call) -> Result<Value, ApiError> {
    let parts = call.body["compositeRequest"].as_array().filter(|parts| !parts.is_empty());
    let parts = parts.ok_or_else(|| ApiError::bad("JSON_PARSER_ERROR", "compositeRequest is required"))?;
    if call.body["allOrNone"] == true {
        return Err(ApiError::bad("JSON_PARSER_ERROR", "this fake rolls no composite call back"));
    }
    if parts.len() > MAX_CALLS {
        let message = format!("Maximum number of subrequests exceeded. Limit is {MAX_CALLS}");
        return Err(ApiError::bad("LIMIT_EXCEEDED", message));
    }
    let is_too_long = |part: &Value| part["url"].as_str().is_some_and(|url| url.len() > MAX_URL);
    if parts.iter().any(is_too_long) {
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, "URI_TOO_LONG", "The request URI is too long"));
    }
    let is_query = |part: &&Value| part["url"].as_str().is_some_and(|url| url.contains("/query"));
    if parts.iter().filter(is_query).count() > MAX_QUERIES {
        let message = format!("Maximum number of query subrequests exceeded. Limit is {MAX_QUERIES}");
        return Err(ApiError::bad("LIMIT_EXCEEDED", message));
    }
    let mut answers: Vec<(String, Answer)> = Vec::new();
    for part in parts {
        let Some(reference) =
            part["referenceId"].as_str().filter(|name| answers.iter().all(|(other, _)| other != name))
        else {
            return Err(ApiError::bad(
                "JSON_PARSER_ERROR",
                "every subrequest needs a referenceId of its own",
            ));
        };
        let answer = match resolved(part, &answers).and_then(|part| subcall(call, &part)) {
            Ok(sub) => rest::answer(org, &sub),
            Err(error) => error.into(),
        };
        answers.push((reference.to_owned(), answer));
    }
    let shown = answers.into_iter().map(|(reference, answer)| {
        let headers = answer.location.map_or_else(|| json!({}), |location| json!({ "Location": location }));
        json!({ "body": answer.body, "httpHeaders": headers, "httpStatusCode": answer.status.as_u16(), "referenceId": reference })
    });
    Ok(json!({ "compositeResponse": shown.collect::<Vec<_>>() }))
}

/// A subrequest as a call. It inherits no headers: those for duplicate rules and assignment must be set on
/// each subrequest.
fn subcall(whole: &Call, part: &Value) -> Result<Call, ApiError> {
    let (Some(method), Some(url)) = (part["method"].as_str(), part["url"].as_str()) else {
        return Err(ApiError::bad("JSON_PARSER_ERROR", "method and url are required"));
    };
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let segments = path
        .strip_prefix("/services/data/")
        .map(split)
        .filter(|segments| segments.first() == Some(&whole.version));
    let Some(segments) = segments.filter(|segments| segments.get(1).is_none_or(|name| name != "composite"))
    else {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "The requested resource does not exist",
        ));
    };
    let header = |name: &str| {
        let headers = part["httpHeaders"].as_object()?;
        headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str())
    };
    Ok(Call {
        method: method.to_owned(),
        host: whole.host.clone(),
        version: whole.version.clone(),
        segments: segments[1..].to_vec(),
        query: parse(query.as_bytes()).into_owned().collect(),
        options: SaveOptions::of_headers(header),
        body: part["body"].clone(),
    })
}

/// A subrequest with its references, such as `@{lead.id}`, replaced by their values.
fn resolved(part: &Value, answers: &[(String, Answer)]) -> Result<Value, ApiError> {
    Ok(match part {
        Value::String(text) => Value::String(replace_references(text, answers)?),
        Value::Array(members) => {
            Value::Array(members.iter().map(|member| resolved(member, answers)).collect::<Result<_, _>>()?)
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| Ok((name.clone(), resolved(value, answers)?));
            Value::Object(members.iter().map(member).collect::<Result<_, ApiError>>()?)
        }
        other => other.clone(),
    })
}

fn replace_references(text: &str, answers: &[(String, Answer)]) -> Result<String, ApiError> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("@{") {
        let Some((path, after)) = after.split_once('}') else { break };
        out.push_str(before);
        out.push_str(&value_of(path, answers)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The value of a reference such as `lead.id` or `found.records[0].Id`.
fn value_of(path: &str, answers: &[(String, Answer)]) -> Result<String, ApiError> {
    let (reference, inner) = path.split_once('.').unwrap_or((path, ""));
    let unknown = || {
        let message = format!("Invalid reference specified. No value for {path} found in {reference}");
        ApiError::bad("PROCESSING_HALTED", message)
    };
    let (_, answer) = answers.iter().find(|(name, _)| name == reference).ok_or_else(unknown)?;
    let mut value = answer.body.as_ref().filter(|_| answer.status.is_success()).ok_or_else(unknown)?;
    for step in inner.split('.') {
        let (name, index) = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
            Some((name, index)) => (name, Some(index.parse::<usize>().map_err(|_| unknown())?)),
            None => (step, None),
        };
        value = value.get(name).ok_or_else(unknown)?;
        if let Some(index) = index {
            value = value.get(index).ok_or_else(unknown)?;
        }
    }
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(bool) => Ok(bool.to_string()),
        _ => Err(unknown()),
    }
}
