//! Search for an e-mail address outside `email`. The rejection names its path, so that the sender can map the
//! field.

use lead::EmailAddress;
use serde_json::Value;

use crate::path::Path;

/// The path of the first address. An address below a name that contains `mail` is preferred. The address
/// itself is never returned.
pub(crate) fn email_path(fields: &[(String, Value)]) -> Option<String> {
    let mut found = Vec::new();
    for (name, value) in fields {
        search(value, Path::top(name), is_mail(name), &mut found);
    }
    let best = found.iter().position(|(_, named)| *named).unwrap_or(0);
    found.into_iter().nth(best).map(|(path, _)| path)
}

/// Collects the paths of addresses, each with a flag for a path that names mail. The recursion is bounded by
/// [`crate::MAX_DEPTH`].
fn search(value: &Value, path: Path<'_>, named: bool, found: &mut Vec<(String, bool)>) {
    match value {
        Value::String(text) if is_address(text) => found.push((path.as_sent(), named)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                search(item, Path::Item(&path, index), named, found);
            }
        }
        Value::Object(members) => {
            // `{"name": "email", "values": [..]}`
            let named = named || members.get("name").and_then(Value::as_str).is_some_and(is_mail);
            for (name, member) in members {
                search(member, Path::Member(&path, name), named || is_mail(name), found);
            }
        }
        _ => {}
    }
}

fn is_mail(name: &str) -> bool {
    name.to_lowercase().contains("mail")
}

/// Whether a text is an address, or JSON text that may hold one.
fn is_address(text: &str) -> bool {
    text.contains('@') && (EmailAddress::parse(text).is_ok() || text.trim_start().starts_with('{'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn address_is_found_at_any_path() {
        for (name, value, path) in [
            ("payload", json!({"name": "Ann", "email": "ann@example.com"}), "payload.email"),
            ("properties", json!({"email": {"value": "ann@example.com"}}), "properties.email.value"),
            ("traits", json!({"owner": "bob@example.com", "email": "ann@example.com"}), "traits.email"),
            ("fields[email][value]", json!("ann@example.com"), "fields[email][value]"),
            ("email", json!(["ann@example.com"]), "email[0]"),
            ("payload", json!("{\"email\":\"ann@example.com\"}"), "payload"),
            (
                "field_data",
                json!([{"name": "owner", "values": ["bob@example.com"]}, {"name": "email", "values": ["ann@example.com"]}]),
                "field_data[1].values[0]",
            ),
        ] {
            assert_eq!(email_path(&[(name.to_owned(), value)]).as_deref(), Some(path));
        }
        assert_eq!(email_path(&[("note".to_owned(), json!("write to me @ home"))]), None);
    }
}
