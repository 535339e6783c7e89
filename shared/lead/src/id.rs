use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{CampaignId, EmailAddress};

/// A text is not 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 64 lower-case hexadecimal digits")]
pub struct IdError;

/// The lower-case hex SHA-256 of a text.
fn sha256_hex(text: &str) -> String {
    use fmt::Write as _;
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // writing to a String cannot fail
        hex
    })
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(pattern = "^[0-9a-f]{64}$")]
        pub struct $name(String);

        impl $name {
            /// The 64 hexadecimal digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.to_owned().try_into()
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                if text.len() == 64 && text.bytes().all(is_hex) { Ok(Self(text)) } else { Err(IdError) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

hex_id! {
    /// The id of a lead: one person in one campaign. One lead = one row = one CRM record.
    LeadId
}

hex_id! {
    /// The hash of a lead's canonical content.
    ContentHash
}

hex_id! {
    /// The id of a delivery: one content of one lead, received once. Also the SQS deduplication id and the
    /// BullMQ job id.
    DeliveryId
}

impl LeadId {
    /// SHA-256 of `email:campaign_id`, both in normal form.
    pub fn derive(email: &EmailAddress, campaign: &CampaignId) -> Self {
        Self(sha256_hex(&format!("{}:{campaign}", email.expose())))
    }
}

impl ContentHash {
    /// The hash of a canonical text (see [`crate::canonical_json`]).
    pub fn of(canonical: &str) -> Self {
        Self(sha256_hex(canonical))
    }
}

impl DeliveryId {
    /// SHA-256 of the lead id and the content hash, for a delivery that only its content identifies.
    pub fn derive(lead: &LeadId, content: &ContentHash) -> Self {
        Self::identified(lead, content.as_str())
    }

    /// SHA-256 of the lead id and an identity that distinguishes this delivery from the lead's other
    /// deliveries.
    pub(crate) fn identified(lead: &LeadId, identity: &str) -> Self {
        Self(sha256_hex(&format!("{lead}:{identity}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lead_id_is_the_documented_hash() {
        // printf 'lead@stripe.com:launch_2024' | sha256sum
        let id = LeadId::derive(
            &EmailAddress::parse(" LEAD@stripe.com").unwrap(),
            &CampaignId::parse("launch_2024 ").unwrap(),
        );
        assert_eq!(id.as_str(), "841c48b1853396143bdcf7ab8e9a504b584cd9aca6dc83e2cfe2d421d5490e3a");
    }

    #[test]
    fn id_is_64_lower_case_hex_digits() {
        assert!("a".repeat(64).parse::<LeadId>().is_ok());
        for bad in ["", "abc", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
            assert_eq!(bad.parse::<LeadId>(), Err(IdError), "{bad:?}");
        }
    }
}
