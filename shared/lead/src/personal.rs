use std::fmt;

use serde::{Deserialize, Serialize};

/// Personal data. Serialised in clear, because the queue and the store need it, but redacted in `Debug`.
///
/// There is no `Display`: access to the value takes a call of [`expose`](Self::expose), which a reviewer can
/// see.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Marks a value as personal.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value in clear. Never log it.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value in clear, by value.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_redacted_in_debug_output_but_not_in_json() {
        let name = Personal::new("Ann".to_owned());
        assert_eq!(format!("{name:?}"), "[redacted]");
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"Ann\"");
    }
}
