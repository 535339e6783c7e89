use serde::Deserialize;

/// The behaviour of a rule on a record that we did not create. It can only restrict [`Write`](super::Write)
/// further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adopted {
    /// As on a record that we created.
    Same,
    /// Write only if the field is empty in the CRM.
    IfEmpty,
    /// Do not write if the record's score is higher than the new one.
    NotLower,
    /// Never write.
    Never,
}
