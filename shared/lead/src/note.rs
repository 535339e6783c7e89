use std::fmt;

use serde::{Deserialize, Serialize};

use crate::judgement::vocabulary;

vocabulary! {
    /// What was wrong with a field of an accepted lead.
    FieldIssue {
        /// Of another type than the field has: dropped, or kept under `attributes` without a meaning.
        WrongType = "wrong_type",
        /// Longer than the field, and of no use in part: dropped.
        TooLong = "too_long",
        /// A text longer than the field: cut.
        Cut = "cut",
        /// Nested too deeply: dropped.
        TooDeep = "too_deep",
        /// More list items than are kept: the others are dropped.
        TooMany = "too_many",
        /// Given more than once with different values: none of them counts, or only that of the documented spelling.
        Repeated = "repeated",
        /// A `{{token}}` that the sender's template did not replace: dropped.
        UnreplacedToken = "unreplaced_token",
        /// A number that cannot be kept exactly: dropped.
        InexactNumber = "inexact_number",
        /// Not UTF-8 text, or not in full: what cannot be read is dropped.
        NotText = "not_text",
        /// The field's name is empty: dropped.
        NoName = "no_name",
        /// The field's name is too long: the name is cut.
        LongName = "long_name",
    }
}

/// A field of an accepted lead that was dropped or cut. Holds no value of the lead's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldNote {
    /// Where the field stood, such as `company` or `attributes.utm.source`. Names that may hold personal data are `*`.
    pub field: String,
    /// What was wrong with it.
    pub issue: FieldIssue,
}

impl FieldNote {
    /// How many notes a delivery has at most.
    pub const MAX_NOTES: usize = 32;

    /// The longest path, in bytes.
    pub const MAX_BYTES: usize = 512;

    /// The top-level field, one of a fixed set: fit for a metric's label.
    pub fn group(&self) -> &str {
        self.field.split(['.', '[']).next().unwrap_or_default()
    }
}
