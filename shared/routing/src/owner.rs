use std::fmt;

use serde::{Deserialize, Serialize};

/// A user or queue of the CRM that can own leads.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owner {
    pub(crate) id: OwnerId,
    pub(crate) max_per_day: Option<u64>,
    pub(crate) max_open: Option<u64>,
}

impl Owner {
    pub(crate) fn is_capped(&self) -> bool {
        self.max_per_day.is_some() || self.max_open.is_some()
    }
}

/// The CRM's id of an owner: a Salesforce user or queue id, or a `HubSpot` owner id. 1 to 64 ASCII letters,
/// digits, `-` and `_`.
///
/// Salesforce writes an id either with 15 case-sensitive characters, or with three more that encode the case
/// of the others. Ids of Salesforce users and queues are stored with 18 characters, so that both forms are
/// equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OwnerId(String);

impl OwnerId {
    /// Maximum length of an id, in characters.
    pub const MAX_CHARS: usize = 64;

    /// Parses an id. `None` if the text is not a valid id.
    pub fn parse(text: &str) -> Option<Self> {
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let fits = (1..=Self::MAX_CHARS).contains(&text.len());
        (fits && text.bytes().all(is_allowed)).then(|| Self(long_id(text).unwrap_or_else(|| text.to_owned())))
    }

    /// The id as text, with 18 characters for Salesforce users and queues.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The alphabet of the last three characters. Each encodes five bits, one for each of five characters that is
/// upper case.
const CASE_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// The 18-character form of a 15-character Salesforce user (`005`) or queue (`00G`) id. `None` for any other
/// text.
///
/// Source: Salesforce's documentation of record ids.
fn long_id(text: &str) -> Option<String> {
    let is_salesforce = text.starts_with("005") || text.starts_with("00G");
    let is_short = text.len() == 15 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_salesforce && is_short).then(|| format!("{text}{}", case_suffix(text)))
}

fn case_suffix(short: &str) -> String {
    let bits = |part: &[u8]| {
        let upper = |(index, byte): (usize, &u8)| usize::from(byte.is_ascii_uppercase()) << index;
        part.iter().enumerate().map(upper).sum::<usize>()
    };
    short.as_bytes().chunks(5).map(|part| char::from(CASE_ALPHABET[bits(part)])).collect()
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
    fn salesforce_ids_with_15_and_18_characters_are_equal() {
        let id = |text: &str| OwnerId::parse(text).unwrap();
        // Salesforce's own example of a suffix: 001A0000006Vm9uIAC.
        assert_eq!(case_suffix("001A0000006Vm9u"), "IAC");
        let long = id("0055g00000ABCDE");
        assert_eq!(long.as_str().len(), 18);
        assert_eq!(id(long.as_str()), long);
        assert_ne!(id("0055g00000abcde"), long, "the case counts");
    }

    #[test]
    fn other_ids_are_unchanged() {
        // A HubSpot owner id, the id of a Salesforce record that is no user, names.
        for text in ["41629779", "001A0000006Vm9u", "005OWNER", "desk_1"] {
            assert_eq!(OwnerId::parse(text).unwrap().as_str(), text);
        }
    }
}
