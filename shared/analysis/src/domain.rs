//! What the domain of an address says about the company that a person names.

use enrichment::{Firmographics, Mailbox};
use lead::Lead;
use unicode_security::{RestrictionLevel, RestrictionLevelDetection as _};

use crate::text::fold;

/// Words that say nothing about which company it is.
const COMMON_WORDS: [&str; 21] = [
    "ag",
    "and",
    "bv",
    "co",
    "company",
    "corp",
    "corporation",
    "gmbh",
    "group",
    "holding",
    "holdings",
    "inc",
    "limited",
    "llc",
    "ltd",
    "plc",
    "sa",
    "sas",
    "srl",
    "the",
    "www",
];
/// Parts of public suffixes, such as `co` in `co.uk`.
const SUFFIX_LABELS: [&str; 8] = ["ac", "co", "com", "edu", "gov", "net", "or", "org"];
/// The shortest word that identifies a company within a longer one.
const MIN_WORD: usize = 4;

/// How the company that a person names relates to the domain of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompanyDomain {
    /// The domain has the company's name, or enrichment found a company of that name at the domain.
    Agrees,
    /// Enrichment found a company with another name at the domain.
    Contradicts,
}

impl CompanyDomain {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Contradicts => "contradicts",
        }
    }

    /// None where nothing is known: no company is named, the mailbox is not a company's, or the names have
    /// nothing to compare.
    pub(crate) fn of(lead: &Lead, found: Option<&Firmographics>) -> Option<Self> {
        if Mailbox::of(lead.email.domain()) != Mailbox::Corporate {
            return None;
        }
        let named = words(lead.company.as_deref()?);
        if named.is_empty() {
            return None;
        }
        let is_in_domain = labels(lead.email.domain()).any(|label| is_name_of(&named, label));
        let found = found.and_then(|company| company.name.as_deref()).map(words).unwrap_or_default();
        let joined = found.concat();
        if is_in_domain || shares_word(&named, &found) || (!joined.is_empty() && is_name_of(&named, &joined))
        {
            Some(Self::Agrees)
        } else {
            (!found.is_empty()).then_some(Self::Contradicts)
        }
    }
}

/// Whether a label of a domain mixes scripts that no language mixes, such as Cyrillic and Latin: a way to
/// imitate another domain. <https://www.unicode.org/reports/tr39/#Restriction_Level_Detection>
pub(crate) fn mixes_scripts(domain: &str) -> bool {
    let (domain, _) = idna::domain_to_unicode(domain);
    domain.split('.').any(|label| label.detect_restriction_level() > RestrictionLevel::HighlyRestrictive)
}

/// The words of a name, in ASCII: those of other scripts are not in domains.
fn words(name: &str) -> Vec<String> {
    let folded = fold(name);
    let words = folded.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.filter(|word| !COMMON_WORDS.contains(word)).map(str::to_owned).collect()
}

/// The labels of a domain that can hold a name, without hyphens.
fn labels(domain: &str) -> impl Iterator<Item = String> {
    let labels: Vec<_> = domain.split('.').collect();
    let inner = labels[..labels.len().saturating_sub(1)].to_vec();
    let named = inner.into_iter().filter(|label| !SUFFIX_LABELS.contains(label));
    named.map(|label| label.replace('-', "")).collect::<Vec<_>>().into_iter()
}

fn is_name_of(named: &[String], label: impl AsRef<str>) -> bool {
    let (label, joined) = (label.as_ref(), named.concat());
    let initials: String = named.iter().filter_map(|word| word.chars().next()).collect();
    let is_within = |part: &str, whole: &str| part.len() >= MIN_WORD && whole.contains(part);
    joined == label
        || is_within(label, &joined)
        || named.iter().any(|word| is_within(word, label))
        || (initials.len() > 1 && initials == label)
}

fn shares_word(named: &[String], found: &[String]) -> bool {
    named.iter().any(|word| word.len() >= MIN_WORD && found.contains(word)) || (named == found)
}

#[cfg(test)]
mod tests {
    use lead::{CampaignId, EmailAddress};
    use serde_json::json;

    use super::*;

    fn of(address: &str, company: &str, found: Option<&str>) -> Option<&'static str> {
        let email = EmailAddress::parse(address).unwrap();
        let lead =
            Lead { company: Some(company.to_owned()), ..Lead::new(email, CampaignId::parse("c").unwrap()) };
        let found = found
            .map(|name| serde_json::from_value(json!({ "domain": "acme.example", "name": name })).unwrap());
        CompanyDomain::of(&lead, found.as_ref()).map(CompanyDomain::as_str)
    }

    #[test]
    fn company_in_its_domain_agrees() {
        for (address, company) in [
            ("a@acme.com", "ACME, Inc."),
            ("a@mail.acme-tools.co.uk", "Acme Tools Ltd"),
            ("a@ibm.com", "International Business Machines"),
            ("a@getstripe.io", "Stripe"),
            ("a@gm.com", "General Motors"),
            ("a@deutschebank.de", "Deutsche Bank AG"),
        ] {
            assert_eq!(of(address, company, None), Some("agrees"), "{company} at {address}");
        }
        assert_eq!(of("a@xy.example", "Alphabet", Some("Alphabet Inc.")), Some("agrees"));
    }

    #[test]
    fn company_of_another_name_at_the_domain_contradicts() {
        assert_eq!(of("a@acme.example", "Stripe", Some("Acme Corporation")), Some("contradicts"));
        assert_eq!(of("a@acme.example", "Stripe", None), None, "nothing is known about the domain");
        assert_eq!(of("a@gmail.com", "Stripe", Some("Google")), None, "a private mailbox");
        assert_eq!(of("a@acme.example", "The Company", Some("Acme")), None, "no name");
        assert_eq!(of("a@acme.example", "株式会社", Some("Acme")), None, "no comparable name");
    }

    #[test]
    fn mixed_scripts_are_found_within_a_label() {
        for domain in ["ѕtripe.com", "xn--tripe-r2e.com", "pаypal.com", "mail.gοοgle.com"] {
            assert!(mixes_scripts(domain), "{domain}");
        }
        for domain in [
            "stripe.com",
            "bücher.example",
            "xn--bcher-kva.example",
            "почта.рф",
            "почта.com",
            "東京タワー.jp",
            "shop東京.jp",
        ] {
            assert!(!mixes_scripts(domain), "{domain}");
        }
    }
}
