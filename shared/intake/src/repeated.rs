//! Merging of objects that were sent in parts, and removal of members with different values.

use lead::FieldIssue;
use serde_json::{Map, Value};

use crate::normalize::is_absent;
use crate::path::Path;
use crate::reading::Reading;

/// Members that were sent more than once with different values. All their values are dropped, so that a
/// person who adds `&marketo.x=1` to a form can remove a fact but not change it.
#[derive(Default)]
pub(crate) struct Repeated {
    /// The path of the object that is being merged into.
    current: Vec<String>,
    found: Vec<Vec<String>>,
}

/// Merges the members of an object into another one, and records repeated members with different values.
pub(crate) fn merge(into: &mut Map<String, Value>, members: Map<String, Value>, repeated: &mut Repeated) {
    for (name, value) in members {
        match into.get_mut(&name) {
            Some(Value::Object(known)) if value.is_object() => {
                repeated.current.push(name);
                if let Value::Object(value) = value {
                    merge(known, value, repeated);
                }
                repeated.current.pop();
            }
            Some(known) if is_absent(&value) || *known == value => {}
            Some(known) if !is_absent(known) => {
                repeated.found.push(repeated.current.iter().cloned().chain([name]).collect());
            }
            _ => {
                into.insert(name, value);
            }
        }
    }
}

impl Repeated {
    /// Removes the repeated members, with a note for each.
    pub(crate) fn remove_from(self, object: &mut Map<String, Value>, path: Path<'_>, reading: &mut Reading) {
        for names in &self.found {
            remove(object, names, path, reading);
        }
    }
}

fn remove(object: &mut Map<String, Value>, names: &[String], path: Path<'_>, reading: &mut Reading) {
    let Some((name, rest)) = names.split_first() else { return };
    let path = Path::Member(&path, name);
    if rest.is_empty() {
        reading.note(&path, FieldIssue::Repeated);
        object.remove(name);
    } else if let Some(Value::Object(inner)) = object.get_mut(name) {
        remove(inner, rest, path, reading);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_with_different_values_are_removed() {
        let (mut object, mut repeated, mut reading) = (Map::new(), Repeated::default(), Reading::new());
        for part in [
            json!({"a": "1", "b": {"c": "1"}, "d": "", "e": "1"}),
            json!({"a": "2", "b": {"c": "1", "x": "1"}, "d": "1", "e": {"f": "1"}}),
            json!({"a": "3", "b": {"c": "2"}, "d": null}),
        ] {
            let Value::Object(part) = part else { unreachable!() };
            merge(&mut object, part, &mut repeated);
        }
        repeated.remove_from(&mut object, Path::Field("marketo"), &mut reading);
        assert_eq!(Value::Object(object), json!({"b": {"x": "1"}, "d": "1"}));
        let notes: Vec<_> = reading.into_notes().into_iter().map(|note| note.field).collect();
        assert_eq!(notes, ["marketo.a", "marketo.e", "marketo.b.c"]);
    }
}
