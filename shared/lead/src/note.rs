use serde::{Deserialize, Serialize};

use crate::vocabulary;

vocabulary! {
    /// The problem with a field of an accepted lead.
    FieldIssue {
        /// The value has the wrong type. It is dropped, or stored under `attributes` without a meaning.
        WrongType = "wrong_type",
        /// The value is too long and useless if cut. It is dropped.
        TooLong = "too_long",
        /// The text is too long. It is cut.
        Cut = "cut",
        /// The value is nested too deeply. It is dropped.
        TooDeep = "too_deep",
        /// The list is too long. The excess items are dropped.
        TooMany = "too_many",
        /// The field is given more than once with different values. Only the value of the documented spelling
        /// counts, or none.
        Repeated = "repeated",
        /// The value is a `{{token}}` that the sender's template did not replace. It is dropped.
        UnreplacedToken = "unreplaced_token",
        /// The number cannot be represented exactly. It is dropped.
        InexactNumber = "inexact_number",
        /// The value is not valid UTF-8 in whole or in part. The invalid part is dropped.
        NotText = "not_text",
        /// The name of the field is empty. The field is dropped.
        NoName = "no_name",
        /// The name of the field is too long. The name is cut.
        LongName = "long_name",
        /// The sender may not set this fact. It is stored under `attributes` without a meaning.
        NotAllowed = "not_allowed",
        /// The body has fields that the sender's template does not have, so its facts may be a person's. They
        /// are stored under `attributes` without a meaning.
        NotInTemplate = "not_in_template",
    }
}

/// A field of an accepted lead that was dropped or cut. Contains no value of the lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldNote {
    /// The path of the field, such as `company` or `attributes.utm.source`. Names that may contain personal
    /// data are replaced by `*`.
    pub field: String,
    /// The problem with the field.
    pub issue: FieldIssue,
}

impl FieldNote {
    /// Maximum number of notes of a delivery.
    pub const MAX_NOTES: usize = 32;

    /// Maximum length of a path, in bytes.
    pub const MAX_BYTES: usize = 512;

    /// The top-level field. One of a fixed set, so it can be the label of a metric.
    pub fn group(&self) -> &str {
        self.field.split(['.', '[']).next().unwrap_or_default()
    }
}
