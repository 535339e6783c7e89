use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::text::{is_unseen, visible, without_zero_fraction};

/// The id of a lead's marketing campaign in its normal form: trimmed, 1 to 255 characters, Unicode NFC,
/// without control or invisible characters, a whole number without `.0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(pattern = r"^[A-Za-z0-9]([A-Za-z0-9 _.:/-]{0,252}[A-Za-z0-9])?$", max_length = 255)]
pub struct CampaignId(String);

/// The reason why a text is not a campaign id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CampaignIdError {
    /// Empty after trimming.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`CampaignId::MAX_CHARS`].
    #[error("must be at most {} characters", CampaignId::MAX_CHARS)]
    TooLong,
    /// Contains a line break, NUL or another control character.
    #[error("must not contain control characters")]
    Control,
}

impl CampaignId {
    /// Maximum length of a campaign id, in characters.
    pub const MAX_CHARS: usize = 255;

    /// Parses and normalises a campaign id, so that ids that look the same are equal.
    ///
    /// Surrounding blanks and all invisible characters are removed, and every blank becomes a plain space.
    /// Control characters inside are refused. `1042.0` becomes `1042`, since spreadsheets and some JSON
    /// writers add the `.0`.
    pub fn parse(text: &str) -> Result<Self, CampaignIdError> {
        let text = text.trim_matches(is_unseen);
        if text.chars().any(char::is_control) {
            return Err(CampaignIdError::Control);
        }
        let text: String =
            visible(text).chars().map(|c| if c.is_whitespace() { ' ' } else { c }).nfc().collect();
        let text = without_zero_fraction(&text);
        if text.is_empty() {
            Err(CampaignIdError::Empty)
        } else if text.chars().count() > Self::MAX_CHARS {
            Err(CampaignIdError::TooLong)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// Reads the campaign id of a stored or queued lead without normalising it by the present rules. An older
    /// version may have normalised it differently, and lead ids are derived from it.
    pub(crate) fn stored(text: String) -> Result<Self, CampaignIdError> {
        if text.is_empty() {
            Err(CampaignIdError::Empty)
        } else if text.chars().count() > Self::MAX_CHARS {
            Err(CampaignIdError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(CampaignIdError::Control)
        } else {
            Ok(Self(text))
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
    fn campaign_id_is_trimmed() {
        assert_eq!(CampaignId::parse("  launch_2024\n").unwrap().as_str(), "launch_2024");
    }

    #[test]
    fn ids_that_look_the_same_are_equal() {
        for (text, id) in [
            ("\u{3000}spring\u{a0}demo\u{feff}", "spring demo"),
            ("spring\u{200b}demo", "springdemo"),
            ("launch\u{202e}gnp.exe\u{202c}", "launchgnp.exe"),
            ("E\u{301}te\u{301}", "Été"),
            ("1042.0", "1042"),
            ("120210000000000000001.00", "120210000000000000001"),
            ("v1.0", "v1.0"),
            ("1.50", "1.50"),
            ("1.", "1."),
            (".0", ".0"),
        ] {
            let parsed = CampaignId::parse(text).unwrap();
            assert_eq!(parsed.as_str(), id, "{text:?}");
            assert_eq!(CampaignId::parse(id), Ok(parsed));
        }
    }

    #[test]
    fn stored_id_of_an_older_version_is_read_unchanged() {
        for old in ["launch\u{202e}x", "1042.0", "E\u{301}te\u{301}"] {
            assert_eq!(CampaignId::stored(old.to_owned()).unwrap().as_str(), old);
        }
        assert!(CampaignId::stored("a\u{0}b".to_owned()).is_err());
        let requested: CampaignId = serde_json::from_str("\"1042.0\"").unwrap();
        assert_eq!(requested.as_str(), "1042", "a request is normalised");
    }

    #[test]
    fn empty_long_and_control_ids_are_refused() {
        assert_eq!(CampaignId::parse(" \t "), Err(CampaignIdError::Empty));
        assert_eq!(CampaignId::parse("\u{200b}\u{3000}"), Err(CampaignIdError::Empty));
        assert_eq!(CampaignId::parse(&"x".repeat(256)), Err(CampaignIdError::TooLong));
        assert_eq!(CampaignId::parse("a\u{0}b"), Err(CampaignIdError::Control));
        assert!(CampaignId::parse(&"é".repeat(255)).is_ok());
    }
}
