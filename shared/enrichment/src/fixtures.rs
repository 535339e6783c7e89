use std::collections::HashMap;

use async_trait::async_trait;
use lead::Failure;

use crate::{EnrichmentProvider, Firmographics};

/// Companies from an embedded file. The answers never change, and need no network.
///
/// The embedded file holds public facts about well-known companies, rounded to bands, and invented companies
/// under the reserved `example` domains (RFC 2606). Any other domain is unknown.
pub struct Fixtures {
    companies: HashMap<String, Firmographics>,
}

impl Fixtures {
    /// The embedded companies.
    pub fn built_in() -> Self {
        Self::parse(include_str!("../data/companies.json")).unwrap_or_default() // the file is checked by a test
    }

    /// Companies from a JSON array of [`Firmographics`].
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        let companies: Vec<Firmographics> = serde_json::from_str(json)?;
        Ok(Self { companies: companies.into_iter().map(|c| (c.domain.clone(), c)).collect() })
    }

    /// The known domains, in no particular order.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.companies.keys().map(String::as_str)
    }
}

impl Default for Fixtures {
    /// No companies.
    fn default() -> Self {
        Self { companies: HashMap::new() }
    }
}

#[async_trait]
impl EnrichmentProvider for Fixtures {
    fn name(&self) -> &'static str {
        "fixtures"
    }

    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        Ok(self.companies.get(domain).cloned())
    }

    fn is_remote(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<Option<String>, Failure> {
        Ok(Some(format!("{} companies, offline", self.companies.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mailbox;

    #[test]
    fn built_in_companies_are_normalised_and_sufficient() {
        let json = include_str!("../data/companies.json");
        let listed: Vec<Firmographics> = serde_json::from_str(json).unwrap();
        assert!(listed.len() >= 40);
        assert_eq!(Fixtures::built_in().companies.len(), listed.len(), "no domain twice");
        for company in listed {
            assert_eq!(company, company.clone().normalised(&company.domain));
            assert!(company.is_sufficient(), "{}", company.domain);
            assert_eq!(Mailbox::of(&company.domain), Mailbox::Corporate, "{}", company.domain);
        }
    }

    #[tokio::test]
    async fn unknown_domain_is_not_found() {
        let fixtures = Fixtures::built_in();
        assert_eq!(fixtures.company("unknown.example").await.unwrap(), None);
        let stripe = fixtures.company("stripe.com").await.unwrap().unwrap();
        assert_eq!(stripe.industry.as_deref(), Some("Fintech"));
    }
}
