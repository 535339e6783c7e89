use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The beginning of each token, by which scanners for leaked secrets recognise it.
const PREFIX: &str = "rfop_";

/// A new token: `rfop_` and 32 random bytes as hexadecimal digits. It is printed once and never stored.
pub struct NewToken(SecretString);

impl NewToken {
    /// Draws a token from the operating system's generator of random numbers.
    pub fn random() -> Self {
        let bytes: [u8; 32] = rand::random();
        Self(format!("{PREFIX}{}", Hex(&bytes)).into())
    }

    /// The text of the token.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The hash for the file.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.expose())
    }
}

/// The SHA-256 of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Compares two hashes in constant time.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// The text is not a SHA-256 in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashError {
    /// The text is a token.
    IsToken,
    Malformed,
}

impl TokenHash {
    /// Parses the hexadecimal digits of a SHA-256, in any case.
    pub(crate) fn parse(text: &str) -> Result<Self, HashError> {
        if contains_token(text) {
            return Err(HashError::IsToken);
        }
        let text = text.as_bytes();
        let (pairs, []) = text.as_chunks::<2>() else { return Err(HashError::Malformed) };
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(HashError::Malformed)
    }
}

/// Whether a text holds a token, so that it must not be quoted.
pub(crate) fn contains_token(text: &str) -> bool {
    text.contains(PREFIX)
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_have_the_prefix() {
        let (one, other) = (NewToken::random(), NewToken::random());
        assert_ne!(one.expose(), other.expose());
        assert_eq!((one.expose().len(), &one.expose()[..5]), (5 + 64, "rfop_"));
        assert!(one.hash().is(&TokenHash::of(one.expose())) && !one.hash().is(&other.hash()));
    }

    #[test]
    fn hash_is_read_as_sha256sum_prints_it() {
        let text = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(TokenHash::of("hello").to_string(), text);
        assert_eq!(TokenHash::parse(&text.to_uppercase()), Ok(TokenHash::of("hello")));
        for wrong in ["", "2cf2", &text[1..], &text.replace('c', "x"), &format!("{text}00"), "é"] {
            assert_eq!(TokenHash::parse(wrong), Err(HashError::Malformed), "{wrong}");
        }
        assert_eq!(TokenHash::parse(NewToken::random().expose()), Err(HashError::IsToken));
    }
}
