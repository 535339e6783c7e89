use std::fmt;

use email_address::{EmailAddress as Parser, Options};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::text::{is_hidden, is_unseen};

/// A lead's e-mail address in its normal form: lower case, Unicode NFC, the domain in ASCII (IDNA A-labels).
/// The pattern of its schema covers plain addresses only.
// Its `Debug` shows only the domain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(
    pattern = r"^[A-Za-z0-9_'+-]{1,30}(\.[A-Za-z0-9_'+-]{1,30})?@([A-Za-z0-9]{1,30}(-[A-Za-z0-9]{1,30})?\.){1,3}[A-Za-z]{2,20}$",
    max_length = 254
)]
pub struct EmailAddress(String);

/// The reason why a text is not an accepted e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Empty after trimming.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`EmailAddress::MAX_BYTES`].
    #[error("must be at most {} bytes", EmailAddress::MAX_BYTES)]
    TooLong,
    /// The local part is in double quotes. Legal, but not used in real leads, and a way to smuggle text.
    #[error("must not have a quoted local part")]
    Quoted,
    /// `Ann <ann@example.com>` or `ann@example.com (Ann)`.
    #[error("must be the address alone; leave out the display name and the brackets")]
    DisplayName,
    /// `mailto:ann@example.com`.
    #[error("must be the address alone; leave out `mailto:`")]
    Mailto,
    /// More than one address, with a separator between them.
    #[error("must be one address; several were sent in one field")]
    Several,
    /// Contains a blank, in most cases a `+` that a form decoder turned into a blank.
    #[error("must be the address alone, without white space; a + in it has to be sent as %2B in a form")]
    Blank,
    /// Contains invisible or control characters, which make different addresses look the same.
    #[error("must not contain white space, control or invisible characters")]
    Invisible,
    /// Violates the address grammar, or the domain has no dot.
    #[error("is not a valid e-mail address")]
    Invalid,
}

impl EmailAddress {
    /// Maximum length of an address, in bytes (RFC 5321 4.5.3.1.3 leaves 254 for the address in a path).
    pub const MAX_BYTES: usize = 254;

    /// Parses and normalises an address. The check uses the address grammar, not a pattern.
    ///
    /// Blanks and invisible characters around the address are removed, and full-width letters become ASCII.
    /// The domain is mapped by UTS 46 (non-transitional), so that `münchen.example` and
    /// `xn--mnchen-3ya.example` are equal. Display names (`Ann <ann@example.com>`), domain literals
    /// (`ann@[192.0.2.1]`) and quoted local parts are refused.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim_matches(is_unseen);
        if text.is_empty() {
            return Err(EmailError::Empty);
        }
        // Normalisation can shorten a text: a full-width letter has three bytes, and NFC merges combining
        // marks.
        if text.len() > 4 * Self::MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        let text: String = text.chars().map(half_width).nfc().collect();
        let text: String = text.to_lowercase().nfc().collect();
        if let Some(error) = specific_error(&text) {
            return Err(if text.len() > Self::MAX_BYTES { EmailError::TooLong } else { error });
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError::Invalid)?;
        let domain = ascii_domain(domain)?;
        let address = format!("{local}@{domain}");
        if address.len() > Self::MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        check_grammar(&address)?;
        Ok(Self(address))
    }

    /// Reads the address of a stored or queued lead without normalising it by the present rules. An older
    /// version may have normalised it differently, and ids are derived from it.
    pub(crate) fn stored(text: &str) -> Result<Self, EmailError> {
        let address = text.trim().to_lowercase();
        if address.len() > Self::MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        check_grammar(&address)?;
        Ok(Self(address))
    }

    /// The address in clear. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The part before the `@`. Personal data, like the whole address.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// The ASCII equivalent of a full-width character (U+FF01 to U+FF5E), a small `@` (U+FE6B) or an ideographic
/// space. Other characters are unchanged.
fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => u32::from(c).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(c),
        '\u{fe6b}' => '@',
        '\u{3000}' => ' ',
        c => c,
    }
}

/// The reason why a text is not a single plain address, if it is more specific than the grammar's.
fn specific_error(text: &str) -> Option<EmailError> {
    let is_separator = |c: char| matches!(c, ';' | ',' | '|' | '/') || c.is_whitespace();
    let addresses = text.split(is_separator).filter(|part| part.contains('@')).count();
    let blanks = text.chars().any(char::is_whitespace);
    if addresses > 1 {
        Some(EmailError::Several)
    } else if (text.contains('<') && text.ends_with('>')) || (text.contains('(') && text.ends_with(')')) {
        Some(EmailError::DisplayName)
    } else if text.starts_with('"') {
        Some(EmailError::Quoted)
    } else if text.starts_with("mailto:") {
        Some(EmailError::Mailto)
    } else if blanks && addresses == 1 {
        Some(EmailError::Blank)
    } else if blanks || text.chars().any(is_hidden) {
        Some(EmailError::Invisible)
    } else {
        None
    }
}

/// The domain in A-labels. An ASCII domain is already in its normal form.
fn ascii_domain(domain: &str) -> Result<String, EmailError> {
    if domain.is_ascii() {
        return Ok(domain.to_owned());
    }
    idna::domain_to_ascii(domain).map_err(|_| EmailError::Invalid)
}

/// Checks the grammar of RFC 5321 and 5322 with the extension of RFC 6531, which permits any non-ASCII
/// character in a local part. The parser accepts only non-ASCII letters and digits there, so each non-ASCII
/// character is replaced by a plain letter first.
fn check_grammar(address: &str) -> Result<(), EmailError> {
    if address.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(EmailError::Invisible);
    }
    let (local, domain) = address.rsplit_once('@').ok_or(EmailError::Invalid)?;
    let local: String = local.chars().map(|c| if c.is_ascii() { c } else { 'x' }).collect();
    let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
    Parser::parse_with_options(&format!("{local}@{domain}"), options)
        .map(drop)
        .map_err(|_| EmailError::Invalid)
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
    fn address_is_trimmed_and_lower_cased() {
        let email = EmailAddress::parse("  Lead@Stripe.COM ").unwrap();
        assert_eq!(email.expose(), "lead@stripe.com");
        assert_eq!((email.local_part(), email.domain()), ("lead", "stripe.com"));
    }

    #[test]
    fn all_spellings_of_a_mailbox_give_one_address() {
        for (spelling, address) in [
            ("info@münchen.example", "info@xn--mnchen-3ya.example"),
            ("INFO@MÜNCHEN.example", "info@xn--mnchen-3ya.example"),
            ("info@mu\u{308}nchen.example", "info@xn--mnchen-3ya.example"),
            ("info@XN--MNCHEN-3YA.example", "info@xn--mnchen-3ya.example"),
            ("ann@例え\u{3002}テスト", "ann@xn--r8jz45g.xn--zckzah"),
            ("ann@straße.example", "ann@xn--strae-oqa.example"),
            ("jose\u{301}@example.com", "jos\u{e9}@example.com"),
            ("JOSÉ@example.com", "jos\u{e9}@example.com"),
            ("\u{feff}ann@example.com\u{200b}", "ann@example.com"),
            ("\u{3000}ann@example.com\u{a0}", "ann@example.com"),
            ("ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ", "ann@example.com"),
            ("ann﹫example.com", "ann@example.com"),
            ("अजय@example.com", "अजय@example.com"),
            ("किरण@example.com", "किरण@example.com"),
        ] {
            let parsed = EmailAddress::parse(spelling).unwrap();
            assert_eq!(parsed.expose(), address, "{spelling:?}");
            assert_eq!(EmailAddress::parse(address).as_ref(), Ok(&parsed));
        }
        assert_ne!(EmailAddress::parse("jose@example.com"), EmailAddress::parse("josé@example.com"));
    }

    #[test]
    fn stored_address_of_an_older_version_is_read_unchanged() {
        for old in ["info@münchen.example", "ann\u{e000}@example.com", "ann@example.com"] {
            assert_eq!(EmailAddress::stored(old).unwrap().expose(), old);
        }
        for wrong in ["ann", "ann b@example.com", "ann@exam\u{0}ple.com"] {
            assert!(EmailAddress::stored(wrong).is_err());
        }
        let requested: EmailAddress = serde_json::from_str("\"info@münchen.example\"").unwrap();
        assert_eq!(requested.domain(), "xn--mnchen-3ya.example", "a request is normalised");
    }

    #[test]
    fn debug_output_hides_the_local_part() {
        assert_eq!(
            format!("{:?}", EmailAddress::parse("ann@example.com").unwrap()),
            "[redacted]@example.com"
        );
    }

    #[test]
    fn invalid_address_is_refused_with_its_reason() {
        for (text, error) in [
            ("", EmailError::Empty),
            ("\"ann b\"@example.com", EmailError::Quoted),
            ("ann@exam\u{200b}ple.com", EmailError::Invisible),
            ("ann b@example.com", EmailError::Blank),
            ("ann demo@example.com ", EmailError::Blank),
            ("ann@ example.com", EmailError::Blank),
            ("ann@example.com; bob@example.org", EmailError::Several),
            ("ann@example.com,bob@example.org", EmailError::Several),
            ("ann@example.com bob@example.org", EmailError::Several),
            ("Ann Lee <ann@example.com>, Bob <bob@example.org>", EmailError::Several),
            ("Ann Lee <ann@example.com>", EmailError::DisplayName),
            ("\"Lee, Ann\" <ann@example.com>", EmailError::DisplayName),
            ("<ann@example.com>", EmailError::DisplayName),
            ("ann@example.com (Ann Lee)", EmailError::DisplayName),
            ("mailto:ann@example.com", EmailError::Mailto),
            ("MAILTO:ann@example.com?subject=x", EmailError::Mailto),
            ("not an address", EmailError::Invisible),
            ("ann\u{e0041}@example.com", EmailError::Invisible),
            ("ann@exam\u{202e}ple.com", EmailError::Invisible),
            ("ann@münchen..example", EmailError::Invalid),
            ("ann@example", EmailError::Invalid),
            ("ann.example.com", EmailError::Invalid),
            ("ann@b@example.com", EmailError::Invalid),
            ("Ann<ann@example.com>", EmailError::DisplayName),
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
