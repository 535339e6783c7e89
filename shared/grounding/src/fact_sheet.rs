use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{FieldPath, Namespace};

/// The facts of the sources about one lead. The model receives them, and its claims are checked against them.
///
/// Serializes as a JSON object whose only keys are the namespaces. A source without facts has no namespace,
/// which is how "enrichment found nothing" is expressed. Its `Debug` shows no values, which may be personal.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FactSheet(BTreeMap<Namespace, Map<String, Value>>);

impl FactSheet {
    /// A sheet without facts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces all facts of one source. An empty map removes the namespace.
    pub fn set(&mut self, namespace: Namespace, facts: Map<String, Value>) {
        if facts.is_empty() {
            self.0.remove(&namespace);
        } else {
            self.0.insert(namespace, facts);
        }
    }

    /// All facts of one source; none if it has no facts.
    pub fn namespace(&self, namespace: Namespace) -> Option<&Map<String, Value>> {
        self.0.get(&namespace)
    }

    /// The fact at a path; none if there is no such fact or more than one.
    pub fn get(&self, path: &FieldPath) -> Option<&Value> {
        let mut found = Vec::new();
        find(self.namespace(path.namespace())?, path.within_namespace(), &mut found);
        match found[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The sheet as JSON, as a model receives it.
    pub fn to_json(&self) -> Value {
        self.0.iter().map(|(name, facts)| (name.as_str().to_owned(), Value::Object(facts.clone()))).collect()
    }

    /// Every fact that has an unambiguous path and is not an object, in a stable order.
    pub fn leaves(&self) -> impl Iterator<Item = (FieldPath, &Value)> {
        let mut leaves = Vec::new();
        for (namespace, facts) in &self.0 {
            collect(facts, namespace.as_str(), &mut leaves);
        }
        leaves.sort_by(|(a, _), (b, _)| a.cmp(b));
        leaves.into_iter().filter(|(path, _)| self.get(path).is_some())
    }
}

/// Collects the facts that `rest` names below `facts`, trying each of its prefixes as a key.
fn find<'a>(facts: &'a Map<String, Value>, rest: &str, found: &mut Vec<&'a Value>) {
    found.extend(facts.get(rest));
    for (dot, _) in rest.match_indices('.') {
        if let Some(Value::Object(below)) = facts.get(&rest[..dot]) {
            find(below, &rest[dot + 1..], found);
        }
    }
}

fn collect<'a>(facts: &'a Map<String, Value>, prefix: &str, leaves: &mut Vec<(FieldPath, &'a Value)>) {
    for (key, value) in facts {
        let text = format!("{prefix}.{key}");
        // A key that is too deep or long for a path makes every path below it too long as well.
        let Ok(path) = FieldPath::parse(&text) else { continue };
        match value {
            Value::Object(below) => collect(below, &text, leaves),
            leaf => leaves.push((path, leaf)),
        }
    }
}

impl fmt::Debug for FactSheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.iter().map(|(namespace, facts)| (namespace.as_str(), facts.len()));
        f.write_str("FactSheet ")?;
        f.debug_map().entries(counts).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sheet(facts: Value) -> FactSheet {
        serde_json::from_value(facts).unwrap()
    }

    fn get(sheet: &FactSheet, path: &str) -> Option<Value> {
        sheet.get(&FieldPath::parse(path).unwrap()).cloned()
    }

    #[test]
    fn path_finds_its_fact() {
        let sheet = sheet(json!({"marketo": {"activity": {"last_page": "/pricing"}}}));
        assert_eq!(get(&sheet, "marketo.activity.last_page"), Some(json!("/pricing")));
        assert_eq!(get(&sheet, "marketo.activity"), Some(json!({"last_page": "/pricing"})));
        assert_eq!(get(&sheet, "marketo.activity.Last_page"), None);
        assert_eq!(get(&sheet, "marketo.activity.last_page.x"), None);
        assert_eq!(get(&sheet, "product.activity.last_page"), None);
    }

    #[test]
    fn key_with_dots_is_found_unless_ambiguous() {
        let plain = sheet(json!({"marketo": {"utm.source": {"first.touch": "ads"}}}));
        assert_eq!(get(&plain, "marketo.utm.source.first.touch"), Some(json!("ads")));
        let shadowed = sheet(json!({"marketo": {"a.b": 1, "a": {"b": 2}, "c": 3}}));
        assert_eq!(get(&shadowed, "marketo.a.b"), None);
        let names: Vec<_> = shadowed.leaves().map(|(path, _)| path.to_string()).collect();
        assert_eq!(names, ["marketo.c"]);
    }

    #[test]
    fn leaves_are_the_facts_with_a_path() {
        let sheet = sheet(json!({
            "enrichment": {"industry": "Fintech", "tech": ["a", "b"], "": 1, "geo": {"country": null}},
            "computed": {"baseline_score": 70},
        }));
        let names: Vec<_> = sheet.leaves().map(|(path, _)| path.to_string()).collect();
        let expected =
            ["computed.baseline_score", "enrichment.geo.country", "enrichment.industry", "enrichment.tech"];
        assert_eq!(names, expected);
    }

    #[test]
    fn only_the_five_namespaces_are_accepted() {
        for wrong in
            [json!({"web": {}}), json!({"Marketo": {}}), json!({"marketo": null}), json!([]), json!(null)]
        {
            assert!(serde_json::from_value::<FactSheet>(wrong.clone()).is_err(), "{wrong}");
        }
        let facts = json!({"product": {"seats": 3}});
        assert_eq!(sheet(facts.clone()).to_json(), facts);
        assert_eq!(serde_json::to_value(sheet(facts.clone())).unwrap(), facts);
    }

    #[test]
    fn empty_map_removes_the_namespace() {
        let mut sheet = sheet(json!({"enrichment": {"industry": "Fintech"}}));
        sheet.set(Namespace::Enrichment, Map::new());
        assert_eq!(sheet.namespace(Namespace::Enrichment), None);
    }

    #[test]
    fn debug_output_shows_no_values() {
        let text = format!("{:?}", sheet(json!({"marketo": {"note": "call Ann"}})));
        assert_eq!(text, r#"FactSheet {"marketo": 1}"#);
    }
}
