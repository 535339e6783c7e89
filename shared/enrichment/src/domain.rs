/// Leading labels that name a mail service or a regional office rather than a company.
const SERVICE_LABELS: &[&str] =
    &["mail", "email", "e", "smtp", "mx", "webmail", "corp", "www", "eu", "us", "uk", "emea", "apac"];

/// Second-level labels under which countries register names: `co.uk` is nobody's domain.
const REGISTRY_LABELS: &[&str] =
    &["co", "com", "org", "net", "ac", "gov", "edu", "or", "ne", "go", "gob", "gouv"];

/// The domain that providers are asked about: `mail.stripe.com` becomes `stripe.com`.
///
/// One leading service label is taken off, and nothing else. A full public suffix list is not worth its size here: a
/// domain that is guessed wrong is one that a provider does not know, never another company's.
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

/// A domain and the domains above it, down to the last that still has a dot.
pub(crate) fn with_parents(domain: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(domain), |domain| domain.split_once('.').map(|(_, parent)| parent))
        .filter(|domain| domain.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leading_service_label_is_taken_off() {
        for (given, asked) in [
            ("mail.stripe.com", "stripe.com"),
            ("eu.example.co.uk", "example.co.uk"),
            ("stripe.com", "stripe.com"),
            ("mail.eu.example.com", "eu.example.com"),
            ("research.example.com", "research.example.com"),
        ] {
            assert_eq!(company_domain(given), asked);
        }
    }

    #[test]
    fn what_would_leave_a_bare_suffix_is_kept() {
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
