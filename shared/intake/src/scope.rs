//! The facts that a sender may set.

use lead::FieldIssue;
use serde_json::{Map, Value};

use crate::names::NAMESPACES;

/// The paths below `marketo`, `product` and `salesforce` that count as facts when a sender sets them. Other
/// members of these objects are kept under `attributes`, where they have no meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactScope {
    /// Each path permits its value and all that is below it.
    paths: Vec<Vec<String>>,
    issue: FieldIssue,
}

/// A path is not below `marketo`, `product` or `salesforce`, or has an empty step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must begin with marketo, product or salesforce, such as `marketo` or `product.plan`")]
pub struct ScopeError;

impl FactScope {
    /// Permits every fact. For messages of a queue, whose writers are trusted.
    pub fn all() -> Self {
        Self::permitting(NAMESPACES.into_iter().map(|field| vec![field.name.to_owned()]).collect())
    }

    /// Permits no fact. `issue` is noted for each object that is not a fact.
    pub fn none(issue: FieldIssue) -> Self {
        Self { paths: Vec::new(), issue }
    }

    /// Permits the facts at these paths and below, such as `marketo` or `product.plan`.
    ///
    /// # Errors
    /// For a path outside the three namespaces.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let parse = |path: &str| {
            let steps: Vec<String> = path.split('.').map(|step| step.trim().to_owned()).collect();
            let is_namespace = NAMESPACES.into_iter().any(|field| field.name == steps[0]);
            let is_whole = steps.iter().all(|step| !step.is_empty());
            (is_namespace && is_whole).then_some(steps).ok_or(ScopeError)
        };
        Ok(Self::permitting(paths.into_iter().map(parse).collect::<Result<_, _>>()?))
    }

    fn permitting(paths: Vec<Vec<String>>) -> Self {
        Self { paths, issue: FieldIssue::NotAllowed }
    }

    /// Whether the fact at a path, such as `marketo.activity`, is permitted.
    pub fn permits(&self, path: &str) -> bool {
        let steps: Vec<&str> = path.split('.').collect();
        self.paths.iter().any(|permitted| {
            permitted.len() <= steps.len() && permitted.iter().zip(&steps).all(|(a, b)| a == b)
        })
    }

    /// The issue that is noted for a refused fact.
    pub(crate) fn issue(&self) -> FieldIssue {
        self.issue
    }

    /// Splits the members of a namespace into the permitted ones and the others.
    pub(crate) fn split(
        &self,
        namespace: &str,
        members: Map<String, Value>,
    ) -> (Map<String, Value>, Map<String, Value>) {
        let below: Vec<&[String]> =
            self.paths.iter().filter(|path| path[0] == namespace).map(|path| &path[1..]).collect();
        split(&below, members)
    }
}

/// The recursion is bounded by the length of the permitted paths.
fn split(permitted: &[&[String]], members: Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    if permitted.iter().any(|path| path.is_empty()) {
        return (members, Map::new());
    }
    let (mut kept, mut refused) = (Map::new(), Map::new());
    for (name, value) in members {
        let below: Vec<&[String]> =
            permitted.iter().filter(|path| path[0] == name).map(|path| &path[1..]).collect();
        match value {
            value if below.iter().any(|path| path.is_empty()) => {
                kept.insert(name, value);
            }
            Value::Object(inner) if !below.is_empty() => {
                let (inside, outside) = split(&below, inner);
                for (map, inner) in [(&mut kept, inside), (&mut refused, outside)] {
                    if !inner.is_empty() {
                        map.insert(name.clone(), Value::Object(inner));
                    }
                }
            }
            value => {
                refused.insert(name, value);
            }
        }
    }
    (kept, refused)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn split_of(paths: &[&str], members: Value) -> (Value, Value) {
        let Value::Object(members) = members else { panic!("an object") };
        let (kept, refused) = FactScope::of(paths.iter().copied()).unwrap().split("product", members);
        (Value::Object(kept), Value::Object(refused))
    }

    #[test]
    fn permitted_paths_are_split_from_the_others() {
        let sent = json!({"plan": "pro", "usage": {"seats": 3, "days": 9}});
        assert_eq!(split_of(&["product"], sent.clone()), (sent.clone(), json!({})));
        assert_eq!(split_of(&["marketo"], sent.clone()), (json!({}), sent.clone()));
        assert_eq!(
            split_of(&["product.usage.seats"], sent.clone()),
            (json!({"usage": {"seats": 3}}), json!({"plan": "pro", "usage": {"days": 9}}))
        );
        assert_eq!(split_of(&["product.plan.x"], sent.clone()), (json!({}), sent));
    }

    #[test]
    fn only_facts_can_be_permitted() {
        for path in ["", "attributes", "computed", "enrichment.industry", "product.", "product..x"] {
            assert_eq!(FactScope::of([path]), Err(ScopeError), "{path}");
        }
        let scope = FactScope::of(["marketo.activity"]).unwrap();
        assert!(scope.permits("marketo.activity") && scope.permits("marketo.activity.last"));
        assert!(!scope.permits("marketo") && !scope.permits("marketo.activityx"));
    }
}
