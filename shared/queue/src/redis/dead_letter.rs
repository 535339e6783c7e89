//! Dead letters, as they are stored in a queue of their own.

use serde::Deserialize;
use serde_json::value::RawValue;

/// What is needed of a dead letter to send it again.
pub(super) struct DeadLetter<'a> {
    /// The original job's id.
    pub(super) id: String,
    /// Empty where it was not known.
    pub(super) lead_id: String,
    /// The original job's data, as it was.
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
    fn the_data_of_a_dead_letter_is_what_it_was_to_the_character() {
        let letter = r#"{"originalId":"7","leadId":"","error":"x","data":{"b": 1.50, "a":[],"c":{}}}"#;
        let DeadLetter { id, lead_id, data } = DeadLetter::parse(letter).unwrap();
        assert_eq!((id.as_str(), lead_id.as_str(), data), ("7", "", r#"{"b": 1.50, "a":[],"c":{}}"#));
    }

    #[test]
    fn what_was_changed_by_hand_is_no_dead_letter() {
        for letter in ["", "{}", r#"{"leadId":"","data":{}}"#, r#"{"originalId":"7","leadId":"","data":}"#] {
            assert!(DeadLetter::parse(letter).is_none(), "{letter}");
        }
    }
}
