use std::fmt;

use serde::{Deserialize, Serialize};

/// What the CRM calls one of its users: a Salesforce user or queue id, a `HubSpot` owner id. 1 to 64 ASCII letters, digits,
/// `-` and `_`.
///
/// Salesforce writes the same id with 15 characters, which count by case, or with three more that keep the case of the others.
/// Ids of its users and queues are kept with 18, so that the same id is equal whichever way it came.
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
        (fits && text.bytes().all(is_sound)).then(|| Self(long_id(text).unwrap_or_else(|| text.to_owned())))
    }

    /// The id as the CRM writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the last three characters are made of: five bits each, for which of five characters are upper case.
const CHECK: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// The 18 characters of the id of a Salesforce user (`005`) or queue (`00G`) that is given with 15; none for any other text.
///
/// Source: Salesforce's documentation of record ids.
fn long_id(text: &str) -> Option<String> {
    let is_salesforce = text.starts_with("005") || text.starts_with("00G");
    let is_short = text.len() == 15 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_salesforce && is_short).then(|| format!("{text}{}", suffix_of(text)))
}

fn suffix_of(short: &str) -> String {
    let bits = |part: &[u8]| {
        let upper = |(place, byte): (usize, &u8)| usize::from(byte.is_ascii_uppercase()) << place;
        part.iter().enumerate().map(upper).sum::<usize>()
    };
    short.as_bytes().chunks(5).map(|part| char::from(CHECK[bits(part)])).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_salesforce_id_is_equal_with_15_and_18_characters() {
        let id = |text: &str| OwnerId::parse(text).unwrap();
        // The suffix is made as in Salesforce's example 001A0000006Vm9uIAC.
        assert_eq!(suffix_of("001A0000006Vm9u"), "IAC");
        let long = id("0055g00000ABCDE");
        assert_eq!(long.as_str().len(), 18);
        assert_eq!(id(long.as_str()), long);
        assert_ne!(id("0055g00000abcde"), long, "the case counts");
    }

    #[test]
    fn other_ids_stay_as_they_are() {
        // An id of no user, one of a HubSpot owner, names.
        for text in ["41629779", "001A0000006Vm9u", "005OWNER", "desk_1"] {
            assert_eq!(OwnerId::parse(text).unwrap().as_str(), text);
        }
    }
}
