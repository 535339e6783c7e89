use std::collections::BTreeSet;

use lead::EmailAddress;
use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

/// A person, identified by one address, for the suppression list and for erasures.
///
/// Addresses are equal if they differ only in case, in Unicode normal form, or in the form of the domain
/// (Unicode or A-labels). An address without a tag covers itself with any tag: `ann@x.io` covers
/// `ann+news@x.io` too. An address with a tag covers only itself. Has no `Debug`: it is personal data.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// Lower case, NFC.
    local: String,
    /// A-labels, lower case.
    domain: String,
    /// The address as it was given.
    given: String,
}

impl Person {
    pub(crate) fn of(email: &EmailAddress) -> Self {
        Self {
            local: email.local_part().to_lowercase().nfc().collect(),
            domain: ascii_domain(email.domain()),
            given: email.expose().to_owned(),
        }
    }

    pub(crate) fn local(&self) -> &str {
        &self.local
    }

    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// The SHA-256 of the normal form.
    pub(crate) fn hash(&self) -> String {
        sha256(&format!("{}@{}", self.local, self.domain))
    }

    /// The hashes under which this person may be stored: of the address, of the address without its tag, and
    /// of the address as hashed by versions before the normal form.
    pub(crate) fn hashes(&self) -> [String; 3] {
        let untagged = format!("{}@{}", self.untagged(), self.domain);
        [self.hash(), sha256(&untagged), sha256(&self.given)]
    }

    /// The spellings of this address that a row of `lead` may have, tags apart.
    pub(crate) fn spellings(&self) -> BTreeSet<String> {
        let unicode = unicode_domain(&self.domain);
        let locals = [self.local.clone(), self.local.nfd().collect()];
        let domains = [self.domain.clone(), unicode.nfd().collect(), unicode];
        let mut spellings = BTreeSet::from([self.given.clone()]);
        for local in &locals {
            spellings.extend(domains.iter().map(|domain| format!("{local}@{domain}")));
        }
        spellings
    }

    /// Whether the address has a tag.
    pub(crate) fn has_tag(&self) -> bool {
        self.local.contains('+')
    }

    /// Whether another address belongs to this person, in another spelling or with a tag.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.domain == other.domain && (self.local == other.local || self.local == other.untagged())
    }

    fn untagged(&self) -> &str {
        self.local.split_once('+').map_or(&self.local, |(untagged, _)| untagged)
    }
}

/// A domain in A-labels and lower case. A domain without an A-label form is only converted to lower case.
pub(crate) fn ascii_domain(domain: &str) -> String {
    idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_lowercase())
}

/// A domain in Unicode, the form of suppression list entries of versions before A-labels.
pub(crate) fn unicode_domain(domain: &str) -> String {
    idna::domain_to_unicode(domain).0
}

fn sha256(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // writing to a String cannot fail
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(text: &str) -> Person {
        Person::of(&EmailAddress::parse(text).unwrap())
    }

    #[test]
    fn spellings_of_one_address_have_one_hash() {
        let hash = person("jörg@bücher.example").hash();
        for same in ["JÖRG@Bücher.example", "jörg@xn--bcher-kva.example"] {
            assert_eq!(person(same).hash(), hash, "{same}");
        }
        assert_ne!(person("jorg@bücher.example").hash(), hash);
        assert_eq!(person("Ann@Example.com").hash(), sha256("ann@example.com"), "as before the normal form");
    }

    #[test]
    fn an_address_covers_its_tags_and_no_other_address() {
        let ann = person("ann@x.io");
        assert!(ann.covers(&person("ann+news@x.io")) && ann.covers(&person("ANN@x.io")));
        for other in ["anna@x.io", "an@x.io", "ann@y.io", "b+ann@x.io"] {
            assert!(!ann.covers(&person(other)), "{other}");
        }
        assert!(!person("ann+news@x.io").covers(&ann) && !person("ann+a@x.io").covers(&person("ann+b@x.io")));
    }
}
