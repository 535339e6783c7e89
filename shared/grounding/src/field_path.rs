use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Namespace;

/// The path of one fact: a namespace and the keys below it, joined by dots, e.g.
/// `marketo.activity.last_page`.
///
/// Paths are case-sensitive. A key with dots is written unchanged: `{"utm.source": ..}` under `marketo` is
/// `marketo.utm.source`. If two facts of a sheet have the same path (`{"a.b": 1, "a": {"b": 2}}`), the path
/// names neither of them. A list is one fact: its members have no paths of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath {
    text: String,
    namespace: Namespace,
}

/// The reason why a text is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldPathError {
    /// Does not begin with a namespace and a dot.
    #[error("must begin with a known namespace and a dot")]
    Namespace,
    /// Two consecutive dots, or a dot at the end.
    #[error("must not have an empty segment")]
    EmptySegment,
    /// Contains a line break, NUL or another control character.
    #[error("must not contain control characters")]
    Control,
    /// Longer than [`FieldPath::MAX_BYTES`], or with more segments than [`FieldPath::MAX_SEGMENTS`].
    #[error("must be at most {} bytes in {} segments", FieldPath::MAX_BYTES, FieldPath::MAX_SEGMENTS)]
    TooLong,
}

impl FieldPath {
    /// The maximum length of a path, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// The maximum number of segments, including the namespace.
    pub const MAX_SEGMENTS: usize = 16;

    /// Parses a path. Nothing is trimmed or lower-cased: paths are copied, not typed.
    pub fn parse(text: &str) -> Result<Self, FieldPathError> {
        if text.len() > Self::MAX_BYTES || text.split('.').count() > Self::MAX_SEGMENTS {
            return Err(FieldPathError::TooLong);
        }
        let (first, rest) = text.split_once('.').ok_or(FieldPathError::Namespace)?;
        let namespace = Namespace::parse(first).ok_or(FieldPathError::Namespace)?;
        if rest.split('.').any(str::is_empty) {
            return Err(FieldPathError::EmptySegment);
        }
        if rest.chars().any(char::is_control) {
            return Err(FieldPathError::Control);
        }
        Ok(Self { text: text.to_owned(), namespace })
    }

    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The namespace of the path.
    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    /// The part after the namespace and its dot; never empty.
    pub fn within_namespace(&self) -> &str {
        &self.text[self.namespace.as_str().len() + 1..]
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for FieldPath {
    type Err = FieldPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for FieldPath {
    type Error = FieldPathError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_a_known_namespace_and_keys() {
        let path = FieldPath::parse("marketo.activity.last_page").unwrap();
        assert_eq!((path.namespace(), path.within_namespace()), (Namespace::Marketo, "activity.last_page"));
    }

    #[test]
    fn invalid_path_is_refused_with_the_reason() {
        for (text, error) in [
            ("", FieldPathError::Namespace),
            ("enrichment", FieldPathError::Namespace),
            ("industry", FieldPathError::Namespace),
            ("Enrichment.industry", FieldPathError::Namespace),
            (" enrichment.industry", FieldPathError::Namespace),
            ("web.search", FieldPathError::Namespace),
            ("enrichment.", FieldPathError::EmptySegment),
            ("enrichment..industry", FieldPathError::EmptySegment),
            ("enrichment.industry.", FieldPathError::EmptySegment),
            ("enrichment.in\ndustry", FieldPathError::Control),
        ] {
            assert_eq!(FieldPath::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn length_of_a_path_is_bounded() {
        let longest = format!("product.{}", "x".repeat(248));
        assert!(FieldPath::parse(&longest).is_ok());
        assert_eq!(FieldPath::parse(&format!("{longest}x")), Err(FieldPathError::TooLong));
        let deepest = format!("product{}", ".x".repeat(15));
        assert!(FieldPath::parse(&deepest).is_ok());
        assert_eq!(FieldPath::parse(&format!("{deepest}.x")), Err(FieldPathError::TooLong));
    }
}
