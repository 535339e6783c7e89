//! Validation of field values, with Salesforce's error messages.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::id::long_id;
use super::schema::{Field, Object};

/// Whether a stored value equals a text. Unique fields, external ids and filters compare case-insensitively.
pub(super) fn same(stored: Option<&Value>, text: &str) -> bool {
    stored.and_then(Value::as_str).is_some_and(|stored| stored.to_lowercase() == text.to_lowercase())
}

/// The field with this name, if the request may write it.
pub(super) fn writable<'o>(object: &'o Object, name: &str, is_new: bool) -> Result<&'o Field, ApiError> {
    let Some(field) = object.field(name) else {
        let message = format!("No such column '{name}' on sobject of type {}", object.name);
        return Err(ApiError::bad("INVALID_FIELD", message));
    };
    if if is_new { field.createable } else { field.updateable } {
        return Ok(field);
    }
    let message = format!(
        "Unable to create/update fields: {name}. Please check the security settings of this field and verify that it is read/write for your profile or permission set."
    );
    Err(ApiError::bad("INVALID_FIELD_FOR_INSERT_UPDATE", message).on([name]))
}

/// The value as stored, or the reason why it is invalid.
pub(super) fn checked(field: &Field, value: &Value) -> Result<Value, ApiError> {
    if value.is_null() || value.as_str() == Some("") {
        return Ok(Value::Null);
    }
    match field.kind {
        "boolean" => value.as_bool().map(Value::from).ok_or_else(|| wrong_type(value, "boolean")),
        "int" => whole(field, value),
        "double" | "currency" => number(field, value),
        "date" => {
            let day = value.as_str().and_then(|text| text.get(..10)?.parse::<Date>().ok());
            day.map(|day| json!(day.to_string())).ok_or_else(|| wrong_type(value, "date"))
        }
        "datetime" => {
            let time = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
            let written = |time: Timestamp| json!(time.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string());
            time.map(written).ok_or_else(|| wrong_type(value, "datetime"))
        }
        "reference" => value.as_str().and_then(long_id).map(Value::from).ok_or_else(|| {
            let message = format!("{}: id value of incorrect type: {value}", field.name);
            ApiError::bad("MALFORMED_ID", message).on([field.name.as_str()])
        }),
        _ => text(field, value),
    }
}

/// Sets the defaults of a new record, and refuses a record with an empty required field.
pub(super) fn complete(
    object: &Object,
    fields: &mut Map<String, Value>,
    is_new: bool,
) -> Result<(), ApiError> {
    let absent =
        |fields: &Map<String, Value>, field: &Field| fields.get(&field.name).is_none_or(Value::is_null);
    if is_new {
        for field in &object.fields {
            let default = match field.kind {
                "boolean" => Some(json!(false)),
                "picklist" if field.required => field.values.first().map(|value| json!(value)),
                _ => None,
            };
            if let Some(default) = default.filter(|_| absent(fields, field)) {
                fields.insert(field.name.clone(), default);
            }
        }
    }
    let missing = object.fields.iter().filter(|field| field.required && absent(fields, field));
    let missing: Vec<&str> = missing.map(|field| field.name.as_str()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("Required fields are missing: [{}]", missing.join(", "));
    Err(ApiError::bad("REQUIRED_FIELD_MISSING", message).on(missing))
}

fn text(field: &Field, value: &Value) -> Result<Value, ApiError> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(bool) => bool.to_string(),
        _ => return Err(wrong_type(value, "string")),
    };
    let name = field.name.as_str();
    if field.length > 0 && text.encode_utf16().count() > field.length {
        let message = format!("{name}: data value too large: {text} (max length={})", field.length);
        return Err(ApiError::bad("STRING_TOO_LONG", message).on([name]));
    }
    if field.kind == "email" && !is_address(&text) {
        let message = format!("{name}: invalid email address: {text}");
        return Err(ApiError::bad("INVALID_EMAIL_ADDRESS", message).on([name]));
    }
    if field.restricted && !text.split(';').all(|value| field.values.iter().any(|known| known == value)) {
        let message = format!("{name}: bad value for restricted picklist field: {text}");
        return Err(ApiError::bad("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message).on([name]));
    }
    Ok(Value::String(text))
}

fn whole(field: &Field, value: &Value) -> Result<Value, ApiError> {
    let number =
        value.as_i64().or_else(|| value.as_str()?.parse().ok()).ok_or_else(|| wrong_type(value, "int"))?;
    if i32::try_from(number).is_ok() { Ok(json!(number)) } else { Err(out_of_range(field)) }
}

fn number(field: &Field, value: &Value) -> Result<Value, ApiError> {
    let number =
        value.as_f64().or_else(|| value.as_str()?.parse().ok()).ok_or_else(|| wrong_type(value, "double"))?;
    if number.abs() < 1e16 { Ok(json!(number)) } else { Err(out_of_range(field)) }
}

fn out_of_range(field: &Field) -> ApiError {
    let message = format!("{}: value outside of valid range on numeric field", field.name);
    ApiError::bad("NUMBER_OUTSIDE_VALID_RANGE", message).on([field.name.as_str()])
}

fn wrong_type(value: &Value, wanted: &str) -> ApiError {
    ApiError::bad("JSON_PARSER_ERROR", format!("Cannot deserialize instance of {wanted} from value {value}"))
}

fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(name, domain)| {
        !name.is_empty() && domain.contains('.') && !text.contains(char::is_whitespace)
    })
}
