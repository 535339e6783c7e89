//! Parts of a JSON text whose syntax was checked.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::rejection::Rejection;

/// How deep objects and lists of a valid JSON text are nested.
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

/// The text of a JSON string, and whether all of it could be read. A half of a surrogate pair, which is what cutting a text
/// between UTF-16 units leaves behind, is left out.
pub(crate) fn string(json: &str) -> (String, bool) {
    if let Ok(text) = serde_json::from_str(json) {
        return (text, true);
    }
    let bytes = serde_json::from_str::<Bytes>(json).map(|bytes| bytes.0).unwrap_or_default();
    (bytes.utf8_chunks().map(|chunk| chunk.valid()).collect(), false)
}

/// The syntax was checked, but for half surrogates, which may stand in names too.
fn unreadable() -> Rejection {
    Rejection::invalid_json("a field name is not Unicode text")
}

pub(crate) fn members(raw: &RawValue) -> Result<Vec<(String, &RawValue)>, Rejection> {
    serde_json::from_str::<Members<'_>>(raw.get()).map(|members| members.0).map_err(|_| unreadable())
}

pub(crate) fn items(raw: &RawValue) -> Result<Vec<&RawValue>, Rejection> {
    serde_json::from_str(raw.get()).map_err(|_| unreadable())
}

/// The members of an object, each value as its own text.
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

/// A JSON string as bytes: `serde_json` then checks no surrogates.
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
    fn brackets_in_texts_are_no_depth() {
        for (json, levels) in [(r#"{"a\"[[":"[[\\","b":[1]}"#, 2), ("[]", 1), ("1", 0), (r#""[""#, 0)] {
            assert_eq!(depth(json), levels, "{json}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_left_out() {
        assert_eq!(string(r#""\ud83d\ude00""#), ("😀".to_owned(), true));
        assert_eq!(string(r#""a\ud83d b\ude00""#), ("a b".to_owned(), false));
    }
}
