use std::collections::HashSet;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::domain::with_parents;

/// The kind of mailbox of an e-mail domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mailbox {
    /// Neither of the kinds below; taken for the domain of an employer.
    Corporate,
    /// Open to anyone (gmail.com); says nothing about an employer.
    Private,
    /// For short-term use only (mailinator.com).
    Disposable,
}

impl Mailbox {
    /// Classifies a domain by the lists in `data/`. A subdomain of a listed domain counts as listed.
    ///
    /// `domain` is the lower-case domain of a [`lead::EmailAddress`].
    pub fn of(domain: &str) -> Self {
        if with_parents(domain).any(|domain| DISPOSABLE.contains(domain)) {
            Self::Disposable
        } else if with_parents(domain).any(|domain| PRIVATE.contains(domain)) {
            Self::Private
        } else {
            Self::Corporate
        }
    }

    /// The kind as it is written in facts and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Corporate => "corporate",
            Self::Private => "private",
            Self::Disposable => "disposable",
        }
    }
}

static PRIVATE: LazyLock<HashSet<&str>> = LazyLock::new(|| domains(include_str!("../data/free-mail.txt")));
static DISPOSABLE: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let mut all = domains(include_str!("../data/disposable-email-domains.txt"));
    all.extend(domains(include_str!("../data/disposable-mail.txt")));
    all
});

/// Reads one domain per line; `#` starts a comment.
fn domains(text: &str) -> HashSet<&str> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or("").trim())
        .filter(|line| !line.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_and_disposable_domains_are_classified() {
        for (domain, mailbox) in [
            ("gmail.com", Mailbox::Private),
            ("proton.me", Mailbox::Private),
            ("mail.com", Mailbox::Private),
            ("me.fastmail.com", Mailbox::Private),
            ("mailinator.com", Mailbox::Disposable),
            ("x.y.mailinator.com", Mailbox::Disposable),
            ("yopmail.com", Mailbox::Disposable),
            ("burnermail.io", Mailbox::Disposable),
            ("stripe.com", Mailbox::Corporate),
            ("notgmail.com", Mailbox::Corporate),
            ("gmail.com.example.com", Mailbox::Corporate),
        ] {
            assert_eq!(Mailbox::of(domain), mailbox, "{domain}");
        }
    }

    #[test]
    fn lists_are_lower_case_and_disjoint() {
        assert!(PRIVATE.len() > 100 && DISPOSABLE.len() > 10_000);
        for domain in PRIVATE.iter().chain(DISPOSABLE.iter()) {
            assert!(domain.contains('.') && *domain == domain.to_lowercase(), "{domain}");
        }
        assert_eq!(PRIVATE.intersection(&DISPOSABLE).count(), 0);
    }
}
