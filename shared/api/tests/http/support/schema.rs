//! Checks answers against the OpenAPI description, more strictly than JSON Schema: fields without a
//! description are errors.

use std::sync::LazyLock;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

pub(crate) static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| json!(api::openapi()));

/// Asserts that the operation documents the status, and that the body matches its schema.
pub(crate) fn assert_documented(method: &Method, path: &str, status: StatusCode, body: &Value) {
    let path = path.split('?').next().unwrap();
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    let item = paths.iter().find(|(template, _)| matches(template, path)).map(|(_, item)| item);
    let operation = item.and_then(|item| item.get(method.as_str().to_lowercase()));
    let schema = if let Some(operation) = operation {
        let response = &operation["responses"][status.as_str()];
        assert!(response.is_object(), "{method} {path} does not document {status}");
        &response["content"]["application/json"]["schema"]
    } else {
        assert!(matches!(status.as_u16(), 401 | 403 | 404 | 405), "{method} {path}: {status}");
        // Senders expect a `status` in every answer, regardless of the method.
        &DESCRIPTION["components"]["schemas"][if path == "/leads" { "Rejected" } else { "Error" }]
    };
    check(schema, body, &format!("{method} {path} {status}"));
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(expected, given)| expected.starts_with('{') || *expected == given)
}

fn check(schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return check(DESCRIPTION.pointer(&reference[1..]).unwrap(), value, at);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return check(&merged(parts), value, at);
    }
    if let Some(either) = schema["oneOf"].as_array() {
        let is_null = |schema: &&Value| schema["type"] == "null";
        let expected = either.iter().find(|schema| is_null(schema) == value.is_null());
        return check(expected.unwrap_or_else(|| panic!("{at} is {value}")), value, at);
    }
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value} is not one of {words:?}");
    }
    let types = match &schema["type"] {
        Value::Null => return, // anything
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&kind.into()), "{at}: {value} is none of {types:?}");
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{at}[{i}]"));
    }
    if let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
        for (name, field) in fields {
            let schema = known.get(name).unwrap_or_else(|| panic!("{at}.{name} is not documented"));
            check(schema, field, &format!("{at}.{name}"));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(fields.contains_key(name.as_str().unwrap()), "{at} lacks {name}");
        }
    }
}

/// One object with the fields of all parts: a flattened field is a part of its own.
fn merged(parts: &[Value]) -> Value {
    let mut whole = json!({"type": "object", "properties": {}, "required": []});
    for part in parts {
        let part = part["$ref"].as_str().map_or(part, |to| DESCRIPTION.pointer(&to[1..]).unwrap());
        let fields = part["properties"].as_object().unwrap().clone();
        whole["properties"].as_object_mut().unwrap().extend(fields);
        let required = part["required"].as_array().into_iter().flatten().cloned();
        whole["required"].as_array_mut().unwrap().extend(required);
    }
    whole
}
