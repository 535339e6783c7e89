//! Limits the size of a fact sheet, and with it the cost of a judgement.

use grounding::{FactSheet, Namespace};
use serde_json::{Map, Value};

use crate::quoted::quoted;

/// The maximum size of a fact sheet as a model receives it, in bytes. It bounds the cost of a lead,
/// independent of its sender.
pub(crate) const MAX_SHEET_BYTES: usize = 32 * 1024;

/// The computed fact that holds the number of dropped facts; absent without any.
const LEFT_OUT: &str = "facts_left_out";

/// The namespaces whose facts may be dropped. Computed facts are always kept.
const BOUNDED: [Namespace; 4] =
    [Namespace::Salesforce, Namespace::Marketo, Namespace::Product, Namespace::Enrichment];

/// Drops the largest facts until the sheet fits, the last one first among facts of equal size, and records
/// their number in the sheet.
pub(crate) fn bound(facts: &mut FactSheet) {
    let length = quoted(&facts.to_json()).len();
    // Room for the recorded number.
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

/// Collects the facts below a map that are not maps themselves, each with the number of bytes that the sheet
/// loses without it.
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

/// Removes a fact, and the maps that become empty.
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
    fn small_sheet_is_unchanged() {
        let facts =
            sheet(json!({ "marketo": { "a": "x".repeat(500) }, "computed": { "baseline_score": 1 } }));
        let mut bounded = facts.clone();
        bound(&mut bounded);
        assert_eq!(bounded, facts);
    }

    #[test]
    fn largest_facts_are_dropped_and_counted() {
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
        assert_eq!(facts, before, "a second pass changes nothing");
    }

    #[test]
    fn escaped_text_counts_in_its_escaped_form() {
        let texts: Map<String, Value> =
            (0..90).map(|n| (format!("field{n:02}"), "<\u{202e}".repeat(60).into())).collect();
        let mut facts = sheet(json!({ "marketo": texts, "product": { "plan": "pro" } }));
        bound(&mut facts);
        assert!(quoted(&facts.to_json()).len() <= MAX_SHEET_BYTES);
        let marketo = facts.namespace(Namespace::Marketo).unwrap();
        assert!(
            marketo.contains_key("field00") && !marketo.contains_key("field89"),
            "the last of equals is dropped"
        );
        assert_eq!(facts.namespace(Namespace::Product).unwrap()["plan"], "pro");
    }
}
