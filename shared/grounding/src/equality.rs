//! Equality of a claimed value and a fact.

use serde_json::Value;

use crate::decimal::Decimal;
use crate::text::{comparable, is_blank};

/// Whether a value is empty: null, blank, or a list or object of only empty values.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => is_blank(text),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The part of a fact that equals a claimed value, as the source wrote it: the fact, or the member of a list.
///
/// Texts are equal if they differ only in case, white space or Unicode form; numbers if they have the same
/// value in any notation; booleans also equal their words. A claim is one value, or a whole list in the same
/// order. An object and an empty value equal nothing, and a part of a text does not equal the text.
pub(crate) fn matching<'a>(fact: &'a Value, claimed: &Value) -> Option<&'a Value> {
    match (fact, claimed) {
        (Value::Array(members), Value::Array(items)) => {
            let equal = !is_empty(fact)
                && members.len() == items.len()
                && members.iter().zip(items).all(|(member, item)| equals(member, item));
            equal.then_some(fact)
        }
        // An identical member has priority: in `["1200", 1200]` each equals itself.
        (Value::Array(members), one) => {
            let equal = || members.iter().filter(|member| equals(member, one));
            equal().find(|member| *member == one).or_else(|| equal().next())
        }
        (one, claimed) => equals(one, claimed).then_some(one),
    }
}

/// Whether two single values are equal. The type of the fact decides on the rule, not the type of the claim.
fn equals(fact: &Value, claimed: &Value) -> bool {
    match (fact, claimed) {
        (Value::String(fact), Value::String(claimed)) => {
            !is_blank(fact)
                && (comparable(fact) == comparable(claimed)
                    || same_number(
                        Decimal::parse_canonical(fact.trim()),
                        Decimal::parse_canonical(claimed.trim()),
                    ))
        }
        (Value::String(fact), Value::Number(claimed)) => {
            same_number(Decimal::parse_canonical(fact.trim()), Decimal::of_json(claimed))
        }
        (Value::Number(fact), Value::Number(claimed)) => {
            same_number(Decimal::of_json(fact), Decimal::of_json(claimed))
        }
        (Value::Number(fact), Value::String(claimed)) => {
            same_number(Decimal::of_json(fact), Decimal::parse(claimed.trim()))
        }
        (Value::Bool(fact), Value::Bool(claimed)) => fact == claimed,
        (Value::Bool(truth), Value::String(word)) | (Value::String(word), Value::Bool(truth)) => {
            comparable(word) == if *truth { "true" } else { "false" }
        }
        _ => false,
    }
}

fn same_number(a: Option<Decimal>, b: Option<Decimal>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn assert_equal(cases: &[(Value, Value)]) {
        for (fact, claimed) in cases {
            assert!(matching(fact, claimed).is_some(), "fact {fact}, claimed {claimed}");
        }
    }

    fn assert_conflict(cases: &[(Value, Value)]) {
        for (fact, claimed) in cases {
            assert_eq!(matching(fact, claimed), None, "fact {fact}, claimed {claimed}");
        }
    }

    #[test]
    fn texts_are_equal_despite_case_and_white_space() {
        assert_equal(&[
            (json!("Fintech"), json!("fintech")),
            (json!("Fintech"), json!(" FINTECH\n")),
            (json!("Zero\u{200b}Width"), json!("zero\u{200b}width")),
        ]);
        assert_conflict(&[
            (json!("Fintech"), json!("Fin")),
            (json!("Fintech"), json!("Fintech and banking")),
            (json!("Fintech"), json!("\"Fintech\"")),
            (json!("Fintech"), json!("Fin\u{200b}tech")),
            (json!("Fin\u{200b}tech"), json!("Fintech")),
            (json!("Fintech"), json!("")),
            (json!("Fintech"), json!(null)),
        ]);
    }

    #[test]
    fn numbers_are_equal_in_any_notation() {
        assert_equal(&[
            (json!(1200), json!(1200)),
            (json!(1200), json!(1200.0)),
            (json!(1200), json!("1,200")),
            (json!(1200), json!("1200.0")),
            (json!(1200), json!("1.2e3")),
            (json!(1200), json!(" 1200 ")),
            (json!(1.2), json!("1.200")),
            (json!("1200"), json!(1200)),
            (json!("1,200"), json!(1200.0)),
            (json!("1200"), json!("1,200")),
            (json!(u64::MAX), json!("18446744073709551615")),
            (json!(0), json!(-0.0)),
        ]);
        assert_conflict(&[
            (json!(1200), json!("1.200")),
            (json!(1200), json!(1201)),
            (json!(1200), json!("1200 employees")),
            (json!(1200), json!("about 1200")),
            (json!(1200), json!("12")),
            (json!(7), json!("007")),
            (json!(7), json!(true)),
            (json!(7), json!("seven")),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64)),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992.0)),
            (json!(u64::MAX), json!(18_446_744_073_709_551_616.0)),
            (json!(1e300), json!(1e300)),
        ]);
    }

    #[test]
    fn identifiers_and_versions_are_texts() {
        assert_equal(&[(json!("007"), json!("007")), (json!("1.10"), json!("1.10"))]);
        assert_conflict(&[
            (json!("007"), json!("7")),
            (json!("007"), json!(7)),
            (json!("7"), json!("007")),
            (json!("1.10"), json!("1.1")),
            (json!("1.1"), json!("1.10")),
            (json!("1.10"), json!(1.1)),
            (json!("1e3"), json!(1000)),
            (json!("+41 44 000 00 00"), json!(41_440_000_000_u64)),
        ]);
    }

    #[test]
    fn booleans_equal_their_words_only() {
        assert_equal(&[
            (json!(true), json!(true)),
            (json!(true), json!("True")),
            (json!(false), json!("false")),
            (json!("true"), json!(true)),
            (json!("FALSE"), json!(false)),
        ]);
        assert_conflict(&[
            (json!(true), json!(false)),
            (json!(true), json!("yes")),
            (json!(true), json!(1)),
            (json!(1), json!(true)),
            (json!("true"), json!(false)),
        ]);
    }

    #[test]
    fn list_equals_its_members() {
        let list = json!(["Salesforce", "HubSpot", 42, true]);
        assert_eq!(matching(&list, &json!("hubspot")), Some(&json!("HubSpot")));
        assert_eq!(matching(&list, &json!("42")), Some(&json!(42)));
        assert_eq!(matching(&list, &list.clone()), Some(&list));
        let twice = json!(["1200", 1200]);
        assert_eq!(matching(&twice, &json!("1200.0")), Some(&json!(1200)));
        assert_eq!(matching(&twice, &json!(1200)), Some(&json!(1200)));
        assert_conflict(&[
            (list.clone(), json!("Hub")),
            (list.clone(), json!("Salesforce, HubSpot")),
            (list.clone(), json!(["Salesforce"])),
            (list.clone(), json!(["HubSpot", "Salesforce", 42, true])),
            (json!("Salesforce"), json!(["Salesforce"])),
            (json!([["Salesforce"]]), json!(["Salesforce"])),
            (json!([["Salesforce"]]), json!([["Salesforce"]])),
        ]);
    }

    #[test]
    fn empty_values_and_objects_equal_nothing() {
        let nothings = [
            json!(null),
            json!(""),
            json!(" "),
            json!("\u{200b}"),
            json!([]),
            json!([""]),
            json!([null]),
            json!({}),
        ];
        for fact in nothings.iter().chain([&json!("x"), &json!(0), &json!(["x", ""]), &json!({"a": 1})]) {
            for claimed in &nothings {
                assert_eq!(matching(fact, claimed), None, "fact {fact}, claimed {claimed}");
            }
        }
        assert_conflict(&[(json!({"a": 1}), json!({"a": 1})), (json!([{"a": 1}]), json!({"a": 1}))]);
        for nothing in &nothings {
            assert!(is_empty(nothing), "{nothing}");
        }
        assert!(!is_empty(&json!(0)) && !is_empty(&json!(false)) && !is_empty(&json!({"a": [null, 0]})));
    }
}
