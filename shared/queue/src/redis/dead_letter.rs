//! Dead letters, as they are stored in the dead letter queue.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The parts of a dead letter that a redrive needs.
pub(super) struct DeadLetter<'a> {
    /// The original job's id.
    pub(super) id: String,
    /// The lead id; empty if it was not known.
    pub(super) lead_id: String,
    /// The original job's data, byte for byte.
    pub(super) data: &'a str,
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(rename = "originalId")]
    id: String,
    #[serde(rename = "leadId")]
    lead_id: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl<'a> DeadLetter<'a> {
    pub(super) fn parse(letter: &'a str) -> Option<Self> {
        let Stored { id, lead_id, data } = serde_json::from_str(letter).ok()?;
        Some(Self { id, lead_id, data: data.get() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letter_data_is_preserved_byte_for_byte() {
        let letter = r#"{"originalId":"7","leadId":"","error":"x","data":{"b": 1.50, "a":[],"c":{}}}"#;
        let DeadLetter { id, lead_id, data } = DeadLetter::parse(letter).unwrap();
        assert_eq!((id.as_str(), lead_id.as_str(), data), ("7", "", r#"{"b": 1.50, "a":[],"c":{}}"#));
    }

    #[test]
    fn malformed_dead_letter_is_rejected() {
        for letter in ["", "{}", r#"{"leadId":"","data":{}}"#, r#"{"originalId":"7","leadId":"","data":}"#] {
            assert!(DeadLetter::parse(letter).is_none(), "{letter}");
        }
    }
}
