//! Access to the parts of a JSON text with already checked syntax.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::rejection::Rejection;

/// The nesting depth of objects and lists in a valid JSON text.
pub(crate) fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The text of a JSON string, and whether it is complete. Unpaired surrogates, which result from cutting a
/// text between UTF-16 units, are left out.
pub(crate) fn string(json: &str) -> (String, bool) {
    if let Ok(text) = serde_json::from_str(json) {
        return (text, true);
    }
    let bytes = serde_json::from_str::<Bytes>(json).map(|bytes| bytes.0).unwrap_or_default();
    (bytes.utf8_chunks().map(|chunk| chunk.valid()).collect(), false)
}

/// The error for an unpaired surrogate in a name: the only fault that the syntax check does not find.
fn unreadable() -> Rejection {
    Rejection::invalid_json("a field name is not Unicode text")
}

/// The members of a JSON object.
pub(crate) fn members(raw: &RawValue) -> Result<Vec<(String, &RawValue)>, Rejection> {
    serde_json::from_str::<Members<'_>>(raw.get()).map(|members| members.0).map_err(|_| unreadable())
}

/// The items of a JSON list.
pub(crate) fn items(raw: &RawValue) -> Result<Vec<&RawValue>, Rejection> {
    serde_json::from_str(raw.get()).map_err(|_| unreadable())
}

/// The members of an object, each value as raw text.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = source.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// A JSON string as bytes. In this mode, `serde_json` accepts unpaired surrogates.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_bytes(BytesVisitor)
    }
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes(bytes.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_inside_strings_add_no_depth() {
        for (json, levels) in [(r#"{"a\"[[":"[[\\","b":[1]}"#, 2), ("[]", 1), ("1", 0), (r#""[""#, 0)] {
            assert_eq!(depth(json), levels, "{json}");
        }
    }

    #[test]
    fn unpaired_surrogate_is_left_out() {
        assert_eq!(string(r#""\ud83d\ude00""#), ("😀".to_owned(), true));
        assert_eq!(string(r#""a\ud83d b\ude00""#), ("a b".to_owned(), false));
    }
}
