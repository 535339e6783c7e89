//! Domains of companies, and of the mail hosts below them.

/// Leading labels of a mail service or a regional office. They do not name a company.
const SERVICE_LABELS: &[&str] =
    &["mail", "email", "e", "smtp", "mx", "webmail", "corp", "www", "eu", "us", "uk", "emea", "apac"];

/// Second-level labels of country registries: `co.uk` is not a registered domain.
const REGISTRY_LABELS: &[&str] =
    &["co", "com", "org", "net", "ac", "gov", "edu", "or", "ne", "go", "gob", "gouv"];

/// The domain for the lookup of a company: `mail.stripe.com` becomes `stripe.com`.
///
/// Removes at most one leading service label. A full public suffix list is not worth its size here: a wrong
/// guess is a domain that no provider knows, never the domain of another company.
pub(crate) fn company_domain(domain: &str) -> &str {
    match domain.split_once('.') {
        Some((label, parent)) if SERVICE_LABELS.contains(&label) && is_registrable(parent) => parent,
        _ => domain,
    }
}

fn is_registrable(domain: &str) -> bool {
    match domain.split_once('.') {
        None => false,
        Some((label, rest)) => !(REGISTRY_LABELS.contains(&label) && rest.len() == 2),
    }
}

/// A domain and its parent domains, down to the last one with a dot.
pub(crate) fn with_parents(domain: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(domain), |domain| domain.split_once('.').map(|(_, parent)| parent))
        .filter(|domain| domain.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leading_service_label_is_removed() {
        for (given, expected) in [
            ("mail.stripe.com", "stripe.com"),
            ("eu.example.co.uk", "example.co.uk"),
            ("stripe.com", "stripe.com"),
            ("mail.eu.example.com", "eu.example.com"),
            ("research.example.com", "research.example.com"),
        ] {
            assert_eq!(company_domain(given), expected);
        }
    }

    #[test]
    fn bare_suffix_is_not_a_company_domain() {
        for domain in ["mail.com", "mail.co.uk", "us.com", "e.com.br", "localhost", ""] {
            assert_eq!(company_domain(domain), domain);
        }
    }

    #[test]
    fn parents_end_before_the_top_level() {
        assert_eq!(with_parents("a.b.com").collect::<Vec<_>>(), ["a.b.com", "b.com"]);
        assert_eq!(with_parents("com").count(), 0);
    }
}
