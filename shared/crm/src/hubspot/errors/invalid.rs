//! Parsing of the properties that a refusal names.
//!
//! `HubSpot` names them in three ways: in `errors[].context.propertyName`, in `errors[].in`, and as JSON
//! after "Property values were not valid: " in the message.

use serde_json::Value;

/// The maximum number of properties read from one refusal.
pub(super) const MAX_NAMED: usize = 50;

/// A property that `HubSpot` refuses by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hubspot) struct Invalid {
    pub(in crate::hubspot) property: String,
    pub(in crate::hubspot) reason: Reason,
    /// `HubSpot`'s error code.
    pub(super) code: String,
}

/// Why a property is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hubspot) enum Reason {
    /// The account has no such property.
    Unknown,
    /// The property is read-only.
    ReadOnly,
    /// The enumeration has no such option.
    Option,
    /// The text is too long.
    TooLong,
    /// The value is not the id of an owner, or the owner is archived.
    Owner,
    /// The property is unique, and another record has the value.
    Taken,
    /// The value is invalid for another reason.
    Value,
}

impl Reason {
    /// Whether every value of the property is refused.
    pub(in crate::hubspot) fn concerns_the_property(self) -> bool {
        matches!(self, Self::Unknown | Self::ReadOnly)
    }

    fn of(property: &str, code: &str) -> Self {
        match code {
            _ if code.contains("CONFLICTING_UNIQUE_VALUE") => Self::Taken,
            _ if property == "hubspot_owner_id" => Self::Owner,
            "PROPERTY_DOESNT_EXIST" => Self::Unknown,
            "READ_ONLY_VALUE" => Self::ReadOnly,
            "INVALID_OPTION" => Self::Option,
            "PROPERTY_TOO_LARGE" | "PROPERTY_VALUE_TOO_LONG" | "INVALID_LENGTH" => Self::TooLong,
            _ => Self::Value,
        }
    }
}

/// The properties that the body of a refusal names, without duplicates.
pub(super) fn of_body(body: &Value) -> Vec<Invalid> {
    let mut found: Vec<Invalid> = Vec::new();
    let mut add = |property: &str, code: &Value| {
        let code = code.as_str().filter(|code| is_name(code)).unwrap_or("invalid");
        let is_new = !found.iter().any(|one| one.property == property);
        if is_new && is_name(property) && found.len() < MAX_NAMED {
            let reason = Reason::of(property, code);
            found.push(Invalid { property: property.to_owned(), reason, code: code.to_owned() });
        }
    };
    for error in body["errors"].as_array().into_iter().flatten().take(MAX_NAMED) {
        for name in names_in(&error["context"]["propertyName"]) {
            add(&name, &error["code"]);
        }
        if let Some(name) = error["in"].as_str() {
            add(name, &error["code"]);
        }
    }
    for error in in_message(&body["message"]).into_iter().take(MAX_NAMED) {
        if let Some(name) = error["name"].as_str() {
            add(name, &error["error"]);
        }
    }
    found
}

/// The errors that the message contains as JSON.
fn in_message(message: &Value) -> Vec<Value> {
    let text = message.as_str().unwrap_or_default();
    let listed = text.find("[{").map(|start| &text[start..]);
    // Text may follow the list.
    let first = listed.and_then(|list| serde_json::Deserializer::from_str(list).into_iter::<Value>().next());
    match first {
        Some(Ok(Value::Array(errors))) => errors,
        _ => Vec::new(),
    }
}

/// The members of a list that are identifiers.
pub(super) fn names_in(list: &Value) -> Vec<String> {
    let names = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.filter(|name| is_name(name)).map(str::to_owned).collect()
}

/// Whether a text is an identifier, and so safe to show: letters, digits, `_`, `.` and `-`, at most 100
/// bytes.
pub(super) fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=100).contains(&text.len()) && text.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn property_is_read_from_each_of_the_three_positions() {
        let listed = r#"Property values were not valid: [{"isValid":false,"message":"x","error":"READ_ONLY_VALUE","name":"createdate"}] and more"#;
        for body in [
            json!({"errors": [{"code": "READ_ONLY_VALUE", "context": {"propertyName": ["createdate"]}}]}),
            json!({"errors": [{"code": "READ_ONLY_VALUE", "in": "createdate"}]}),
            json!({ "message": listed }),
            json!({"message": listed, "errors": [{"code": "READ_ONLY_VALUE", "in": "createdate"}]}),
        ] {
            let found = of_body(&body);
            assert_eq!(found.len(), 1, "{body}");
            assert_eq!((found[0].property.as_str(), found[0].reason), ("createdate", Reason::ReadOnly));
        }
    }

    #[test]
    fn malformed_or_unrelated_body_names_no_property() {
        for body in [
            json!(null),
            json!("busy"),
            json!({"message": "[{ broken"}),
            json!({"message": "Ann [{\"name\": \"Ann O'Brien\", \"error\": \"X\"}]"}),
            json!({"errors": {"code": "X"}}),
        ] {
            assert_eq!(of_body(&body), [], "{body}");
        }
    }

    #[test]
    fn refused_owner_property_has_reason_owner_for_any_code() {
        for code in ["INVALID_OPTION", "INVALID_OWNER_ID", "x"] {
            let body = json!({"errors": [{"code": code, "context": {"propertyName": ["hubspot_owner_id"]}}]});
            assert_eq!(of_body(&body)[0].reason, Reason::Owner);
        }
    }
}
