use std::fmt;

use email_address::{EmailAddress as Parser, Options};
use serde::{Deserialize, Serialize};

/// A lead's e-mail address: syntactically valid, trimmed and lower-cased. Its `Debug` shows only the domain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

/// Why a text is not an e-mail address that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Nothing is left after trimming.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`EmailAddress::MAX_BYTES`].
    #[error("must be at most {} bytes", EmailAddress::MAX_BYTES)]
    TooLong,
    /// The local part is in double quotes: legal, never seen in real leads, and a way to smuggle text.
    #[error("must not have a quoted local part")]
    Quoted,
    /// Holds invisible or control characters, which make two addresses look the same.
    #[error("must not contain white space, control or invisible characters")]
    Invisible,
    /// Does not follow the address grammar, or its domain has no dot.
    #[error("is not a valid e-mail address")]
    Invalid,
}

impl EmailAddress {
    /// The longest address accepted, in bytes (RFC 5321 4.5.3.1.3 leaves 254 for the address in a path).
    pub const MAX_BYTES: usize = 254;

    /// Parses an address: trimmed, lower-cased, checked by a grammar rather than a pattern.
    ///
    /// Display names (`Ann <ann@example.com>`), domain literals (`ann@[192.0.2.1]`) and quoted local parts are refused.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(EmailError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        if text.starts_with('"') {
            return Err(EmailError::Quoted);
        }
        if text.chars().any(is_invisible) {
            return Err(EmailError::Invisible);
        }
        let address = text.to_lowercase();
        let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
        Parser::parse_with_options(&address, options).map_err(|_| EmailError::Invalid)?;
        // Lower-casing may lengthen non-ASCII text.
        if address.len() > Self::MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        Ok(Self(address))
    }

    /// The address in clear. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`. Personal, as the address is.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// What stands after the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// White space, control characters, and the zero-width, directional and filler code points of Unicode.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[redacted]@{}", self.domain())
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = EmailError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<EmailAddress> for String {
    fn from(email: EmailAddress) -> Self {
        email.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_trimmed_and_lower_cased() {
        let email = EmailAddress::parse("  Lead@Stripe.COM ").unwrap();
        assert_eq!(email.expose(), "lead@stripe.com");
        assert_eq!((email.local_part(), email.domain()), ("lead", "stripe.com"));
    }

    #[test]
    fn debug_output_hides_the_person() {
        assert_eq!(
            format!("{:?}", EmailAddress::parse("ann@example.com").unwrap()),
            "[redacted]@example.com"
        );
    }

    #[test]
    fn what_is_not_a_plain_address_is_refused_with_its_reason() {
        for (text, error) in [
            ("", EmailError::Empty),
            ("\"ann b\"@example.com", EmailError::Quoted),
            ("ann@exam\u{200b}ple.com", EmailError::Invisible),
            ("ann b@example.com", EmailError::Invisible),
            ("ann@example", EmailError::Invalid),
            ("ann.example.com", EmailError::Invalid),
            ("ann@b@example.com", EmailError::Invalid),
            ("Ann<ann@example.com>", EmailError::Invalid),
            ("ann@[192.0.2.1]", EmailError::Invalid),
            ("ann..b@example.com", EmailError::Invalid),
            (".ann@example.com", EmailError::Invalid),
            ("ann@-example.com", EmailError::Invalid),
            ("not-an-email", EmailError::Invalid),
        ] {
            assert_eq!(EmailAddress::parse(text).unwrap_err(), error, "{text:?}");
        }
        assert_eq!(
            EmailAddress::parse(&format!("{}@example.com", "a".repeat(250))),
            Err(EmailError::TooLong)
        );
    }
}
