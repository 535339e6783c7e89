use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a configured sender of leads: 1 to 32 characters of `a-z`, `0-9` and `-`, the first a letter.
/// It can be the label of a metric.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[a-z][a-z0-9-]{0,31}$")]
pub struct SenderName(String);

/// A text is not the name of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {} characters of a-z, 0-9 and -, the first a letter", SenderName::MAX_CHARS)]
pub struct SenderNameError;

impl SenderName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 32;

    /// Parses a name.
    ///
    /// # Errors
    /// For a text with other characters, or that is too long.
    pub fn parse(text: &str) -> Result<Self, SenderNameError> {
        let is_sound = (1..=Self::MAX_CHARS).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if is_sound { Ok(Self(text.to_owned())) } else { Err(SenderNameError) }
    }

    /// The sender of a product without a sources file, and of messages that other producers put into a queue.
    pub fn unnamed() -> Self {
        Self("default".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SenderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for SenderName {
    type Error = SenderNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<SenderName> for String {
    fn from(name: SenderName) -> Self {
        name.0
    }
}

/// The sender of a delivery, as it proved itself when the delivery was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sender {
    /// Its name in the sources file.
    pub name: SenderName,
    /// Whether it states that the person has proved to own the address.
    #[serde(default, skip_serializing_if = "is_false")]
    pub email_verified: bool,
}

impl Sender {
    /// The sender of a product without a sources file.
    pub fn unnamed() -> Self {
        Self { name: SenderName::unnamed(), email_verified: false }
    }

    /// Whether nothing distinguishes it from [`unnamed`](Self::unnamed).
    pub fn is_unnamed(&self) -> bool {
        *self == Self::unnamed()
    }
}

impl Default for Sender {
    fn default() -> Self {
        Self::unnamed()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_words() {
        for name in ["marketo", "demo-form", "a", "x2", &"a".repeat(32)] {
            assert_eq!(SenderName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", "-a", "2x", "Demo", "a b", "a_b", "ä", "a/b", &"a".repeat(33)] {
            assert_eq!(SenderName::parse(name), Err(SenderNameError), "{name}");
        }
    }

    #[test]
    fn unverified_sender_is_written_as_its_name_alone() {
        let json = serde_json::to_string(&Sender::unnamed()).unwrap();
        assert_eq!(json, r#"{"name":"default"}"#);
        assert!(serde_json::from_str::<Sender>(&json).unwrap().is_unnamed());
    }
}
