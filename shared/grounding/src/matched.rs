//! Which facts made the computed score and intent what they are.

use serde_json::Value;

use crate::{FactSheet, FieldPath, Namespace};

/// The computed fact that lists them: an object with, for each path, the values that fired a signal or matched the profile.
const MATCHED: &str = "matched_facts";

/// Whether a value of a fact, or a member of it, fired a signal or matched the profile. Only we write there; a sheet without
/// the list has no such facts.
pub(crate) fn is_matched(facts: &FactSheet, path: &FieldPath, value: &Value) -> bool {
    let matched = |path: &str, value: &Value| {
        let listed =
            facts.namespace(Namespace::Computed).and_then(|facts| facts.get(MATCHED)?.get(path)?.as_array());
        listed.is_some_and(|values| values.contains(value))
    };
    match value {
        Value::Array(members) => members.iter().any(|member| matched(path.as_str(), member)),
        // A band counts by its lower end.
        Value::Object(band) => band.get("min").is_some_and(|min| matched(&format!("{path}.min"), min)),
        single => matched(path.as_str(), single),
    }
}
