use std::fmt;

use serde::{Deserialize, Serialize};

/// What the CRM calls one of its users: a Salesforce user or queue id, a `HubSpot` owner id. 1 to 64 ASCII letters, digits,
/// `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OwnerId(String);

impl OwnerId {
    /// The longest id, in characters.
    pub const MAX_CHARS: usize = 64;

    /// Reads an id; none where the text cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_sound = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let fits = (1..=Self::MAX_CHARS).contains(&text.len());
        (fits && text.bytes().all(is_sound)).then(|| Self(text.to_owned()))
    }

    /// The id as the CRM writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for OwnerId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("must be 1 to 64 ASCII letters, digits, - and _")
    }
}

impl From<OwnerId> for String {
    fn from(id: OwnerId) -> Self {
        id.0
    }
}
