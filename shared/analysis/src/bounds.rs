use grounding::{FactSheet, Namespace};
use serde_json::{Map, Value};

use crate::prompt::quoted;

/// The longest fact sheet, in bytes as it is shown to a model: what one lead may cost is bounded whatever its sender wrote.
pub(crate) const MAX_SHEET_BYTES: usize = 32 * 1024;

/// The computed fact that says how many facts were left out; there only where some were.
const LEFT_OUT: &str = "facts_left_out";

/// What may be left out: what we computed never is.
const BOUNDED: [Namespace; 4] =
    [Namespace::Salesforce, Namespace::Marketo, Namespace::Product, Namespace::Enrichment];

/// Leaves out the largest facts, of equals the last, until the sheet is short enough, and says in the sheet how many there were.
pub(crate) fn bound(facts: &mut FactSheet) {
    let length = quoted(&facts.to_json()).len();
    // Room for the note.
    let Some(mut excess) =
        (length + LEFT_OUT.len() + 16).checked_sub(MAX_SHEET_BYTES).filter(|_| length > MAX_SHEET_BYTES)
    else {
        return;
    };
    let mut leaves = Vec::new();
    for namespace in BOUNDED {
        if let Some(map) = facts.namespace(namespace) {
            collect(map, &mut vec![namespace.as_str().to_owned()], &mut leaves);
        }
    }
    leaves.sort_by(|(a, path), (b, other)| b.cmp(a).then_with(|| other.cmp(path)));
    let mut left_out: u64 = 0;
    for (size, path) in leaves {
        if excess == 0 {
            break;
        }
        let Some(namespace) = BOUNDED.into_iter().find(|namespace| namespace.as_str() == path[0]) else {
            continue;
        };
        let mut map = facts.namespace(namespace).cloned().unwrap_or_default();
        remove(&mut map, &path[1..]);
        facts.set(namespace, map);
        excess = excess.saturating_sub(size);
        left_out += 1;
    }
    let mut computed = facts.namespace(Namespace::Computed).cloned().unwrap_or_default();
    computed.insert(LEFT_OUT.to_owned(), left_out.into());
    facts.set(Namespace::Computed, computed);
}

/// Every fact below a map that is no map itself, with how much shorter the sheet is without it.
fn collect(map: &Map<String, Value>, above: &mut Vec<String>, leaves: &mut Vec<(usize, Vec<String>)>) {
    for (key, value) in map {
        above.push(key.clone());
        match value {
            Value::Object(below) => collect(below, above, leaves),
            leaf => leaves.push((quoted(leaf).len() + key.len(), above.clone())),
        }
        above.pop();
    }
}

/// Removes a fact, and the maps that are empty without it.
fn remove(map: &mut Map<String, Value>, path: &[String]) {
    let [key, rest @ ..] = path else { return };
    match map.get_mut(key) {
        Some(Value::Object(below)) if !rest.is_empty() => {
            remove(below, rest);
            if below.is_empty() {
                map.remove(key);
            }
        }
        _ => {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sheet(facts: Value) -> FactSheet {
        serde_json::from_value(facts).unwrap()
    }

    #[test]
    fn a_sheet_that_is_short_enough_stays_as_it_is() {
        let facts =
            sheet(json!({ "marketo": { "a": "x".repeat(500) }, "computed": { "baseline_score": 1 } }));
        let mut bounded = facts.clone();
        bound(&mut bounded);
        assert_eq!(bounded, facts);
    }

    #[test]
    fn the_largest_facts_are_left_out_and_the_sheet_says_how_many() {
        let list = |length: usize| json!(vec!["y".repeat(100); length]);
        let mut facts = sheet(json!({
            "marketo": { "big": list(200), "form": { "bigger": list(250) }, "activity": "demo_request" },
            "product": { "usage": list(10) },
            "enrichment": { "industry": "Fintech" },
            "computed": { "baseline_score": 85 },
        }));
        bound(&mut facts);
        let kept = json!({
            "marketo": { "big": list(200), "activity": "demo_request" },
            "product": { "usage": list(10) },
            "enrichment": { "industry": "Fintech" },
            "computed": { "baseline_score": 85, "facts_left_out": 1 },
        });
        assert_eq!(facts, sheet(kept));
        let before = facts.clone();
        bound(&mut facts);
        assert_eq!(facts, before, "once is enough");
    }

    #[test]
    fn what_is_escaped_counts_as_it_is_shown() {
        let texts: Map<String, Value> =
            (0..90).map(|n| (format!("field{n:02}"), "<\u{202e}".repeat(60).into())).collect();
        let mut facts = sheet(json!({ "marketo": texts, "product": { "plan": "pro" } }));
        bound(&mut facts);
        assert!(quoted(&facts.to_json()).len() <= MAX_SHEET_BYTES);
        let marketo = facts.namespace(Namespace::Marketo).unwrap();
        assert!(
            marketo.contains_key("field00") && !marketo.contains_key("field89"),
            "of equals the last goes"
        );
        assert_eq!(facts.namespace(Namespace::Product).unwrap()["plan"], "pro");
    }
}
