//! The facts behind the computed score and intent.

use serde_json::Value;

use crate::{FactSheet, FieldPath, Namespace};

/// The computed fact that lists them: an object that maps paths to the values that fired a signal or matched
/// the profile.
const MATCHED: &str = "matched_facts";

/// Whether a value of a fact, or one of its members, fired a signal or matched the profile. Only the product
/// writes the list; a sheet without the list has no such facts.
pub(crate) fn is_matched(facts: &FactSheet, path: &FieldPath, value: &Value) -> bool {
    let matched = |path: &str, value: &Value| {
        let listed =
            facts.namespace(Namespace::Computed).and_then(|facts| facts.get(MATCHED)?.get(path)?.as_array());
        listed.is_some_and(|values| values.contains(value))
    };
    match value {
        Value::Array(members) => members.iter().any(|member| matched(path.as_str(), member)),
        // A band is listed by its lower end.
        Value::Object(band) => band.get("min").is_some_and(|min| matched(&format!("{path}.min"), min)),
        single => matched(path.as_str(), single),
    }
}
