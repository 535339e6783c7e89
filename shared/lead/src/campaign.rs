use std::fmt;

use serde::{Deserialize, Serialize};

/// Identifies the marketing campaign a lead came from: trimmed, 1 to 255 characters, no control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CampaignId(String);

/// Why a text is not a campaign id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CampaignIdError {
    /// Nothing is left after trimming.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`CampaignId::MAX_CHARS`].
    #[error("must be at most {} characters", CampaignId::MAX_CHARS)]
    TooLong,
    /// Holds a line break, NUL or another control character.
    #[error("must not contain control characters")]
    Control,
}

impl CampaignId {
    /// The longest campaign id accepted, in characters.
    pub const MAX_CHARS: usize = 255;

    /// Parses a campaign id, trimming white space at both ends.
    pub fn parse(text: &str) -> Result<Self, CampaignIdError> {
        let text = text.trim();
        if text.is_empty() {
            Err(CampaignIdError::Empty)
        } else if text.chars().count() > Self::MAX_CHARS {
            Err(CampaignIdError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(CampaignIdError::Control)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CampaignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for CampaignId {
    type Error = CampaignIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<CampaignId> for String {
    fn from(id: CampaignId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_id_is_trimmed() {
        assert_eq!(CampaignId::parse("  launch_2024\n").unwrap().as_str(), "launch_2024");
    }

    #[test]
    fn empty_long_and_control_ids_are_refused() {
        assert_eq!(CampaignId::parse(" \t "), Err(CampaignIdError::Empty));
        assert_eq!(CampaignId::parse(&"x".repeat(256)), Err(CampaignIdError::TooLong));
        assert_eq!(CampaignId::parse("a\u{0}b"), Err(CampaignIdError::Control));
        assert!(CampaignId::parse(&"é".repeat(255)).is_ok());
    }
}
