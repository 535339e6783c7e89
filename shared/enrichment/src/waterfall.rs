use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use lead::{Clock, Dependency, Failure, Lead};

use crate::domain::company_domain;
use crate::{
    Enrichment, EnrichmentProvider, EnrichmentStatus, Firmographics, Mailbox, Provenance, ProviderError,
};

/// Providers in the order they are asked, the most trusted first.
pub struct Waterfall {
    providers: Vec<Arc<dyn EnrichmentProvider>>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl Waterfall {
    /// A waterfall over `providers`; each gets `timeout` for its answer.
    pub fn new(
        providers: Vec<Arc<dyn EnrichmentProvider>>,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { providers, timeout, clock }
    }

    /// The names of the providers, in the order they are asked.
    pub fn providers(&self) -> impl Iterator<Item = &'static str> {
        self.providers.iter().map(|provider| provider.name())
    }

    /// Finds out about the lead's company. Never fails: what went wrong is part of the outcome.
    ///
    /// Providers are asked one after another until industry, size and country are known; each costs money. For every field the
    /// first provider that has it wins.
    pub async fn enrich(&self, lead: &Lead) -> Enrichment {
        let domain = lead.email.domain();
        if Mailbox::of(domain) != Mailbox::Corporate {
            return Enrichment::nothing(EnrichmentStatus::PrivateMailbox);
        }
        let domain = company_domain(domain);
        let mut company = Firmographics::of(domain);
        let mut provenance = BTreeMap::new();
        let mut errors = Vec::new();
        for provider in &self.providers {
            match self.ask(provider.as_ref(), domain).await {
                Ok(Some(answer)) => {
                    // An answer without a single fact is a provider still looking, not a company found.
                    let filled = merge(&mut company, answer.normalised(domain));
                    let source =
                        Provenance { provider: Cow::Borrowed(provider.name()), fetched_at: self.clock.now() };
                    if !filled.is_empty() {
                        provenance.entry("domain".to_owned()).or_insert_with(|| source.clone());
                    }
                    provenance.extend(filled.into_iter().map(|field| (field.to_owned(), source.clone())));
                    if company.is_sufficient() {
                        break;
                    }
                }
                Ok(None) => {}
                Err(failure) => {
                    errors.push(ProviderError { provider: Cow::Borrowed(provider.name()), failure });
                }
            }
        }
        let found = !provenance.is_empty();
        let status = match (found, errors.is_empty()) {
            (true, _) => EnrichmentStatus::Found,
            (false, true) => EnrichmentStatus::NotFound,
            (false, false) => EnrichmentStatus::Unavailable,
        };
        Enrichment { status, firmographics: found.then_some(company), provenance, errors }
    }

    /// One provider's answer, with a hang and a panic turned into failures.
    async fn ask(
        &self,
        provider: &dyn EnrichmentProvider,
        domain: &str,
    ) -> Result<Option<Firmographics>, Failure> {
        // The provider is not touched again after a panic in this call by anything that could see a half-made
        // change: adapters hold a client and configuration only.
        let answer = AssertUnwindSafe(async { provider.company(domain).await }).catch_unwind();
        let dependency = || Dependency::named(format!("enrichment.{}", provider.name()));
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            // The panic's message is left out: it may quote what the provider sent.
            Ok(Err(_)) => {
                Err(Failure::transient("enrichment_panic", "the provider's adapter panicked")
                    .on(dependency()))
            }
            Err(_) => Err(Failure::transient(
                "enrichment_timeout",
                format!("no answer within {} ms", self.timeout.as_millis()),
            )
            .on(dependency())),
        }
    }
}

/// Fills what `company` lacks from `answer`, and names the fields filled.
fn merge(company: &mut Firmographics, answer: Firmographics) -> Vec<&'static str> {
    let mut filled = Vec::new();
    macro_rules! fill {
        ($($field:ident),+) => {
            $(if company.$field.is_none() && answer.$field.is_some() {
                company.$field = answer.$field;
                filled.push(stringify!($field));
            })+
        };
    }
    fill!(name, industry, employee_count, employee_range, revenue_usd, city, region, country, founded_year);
    if company.technologies.is_empty() && !answer.technologies.is_empty() {
        company.technologies = answer.technologies;
        filled.push("technologies");
    }
    filled
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use lead::{CampaignId, EmailAddress, ManualClock};

    use super::*;

    type Answer = Box<dyn Fn(&str) -> Result<Option<Firmographics>, Failure> + Send + Sync>;

    struct Fake {
        name: &'static str,
        answer: Answer,
        hangs: bool,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl EnrichmentProvider for Fake {
        fn name(&self) -> &'static str {
            self.name
        }

        async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.hangs {
                std::future::pending::<()>().await;
            }
            (self.answer)(domain)
        }
    }

    fn fake(
        name: &'static str,
        answer: impl Fn(&str) -> Result<Option<Firmographics>, Failure> + Send + Sync + 'static,
    ) -> Arc<Fake> {
        Arc::new(Fake { name, answer: Box::new(answer), hangs: false, asked: AtomicUsize::new(0) })
    }

    fn hanging(name: &'static str) -> Arc<Fake> {
        Arc::new(Fake { name, answer: Box::new(|_| Ok(None)), hangs: true, asked: AtomicUsize::new(0) })
    }

    fn waterfall(providers: &[&Arc<Fake>]) -> Waterfall {
        let providers = providers.iter().map(|p| Arc::clone(p) as Arc<dyn EnrichmentProvider>).collect();
        Waterfall::new(providers, Duration::from_secs(5), Arc::new(ManualClock::default()))
    }

    fn lead(email: &str) -> Lead {
        Lead::new(EmailAddress::parse(email).unwrap(), CampaignId::parse("c").unwrap())
    }

    fn company(domain: &str) -> Firmographics {
        Firmographics {
            industry: Some("Software".into()),
            employee_count: Some(10),
            country: Some("US".into()),
            ..Firmographics::of(domain)
        }
    }

    #[tokio::test]
    async fn the_first_provider_that_has_a_field_wins_it() {
        let a = fake("a", |d| Ok(Some(Firmographics { name: Some("A".into()), ..Firmographics::of(d) })));
        let b = fake("b", |d| Ok(Some(Firmographics { name: Some("B".into()), ..company(d) })));
        let outcome = waterfall(&[&a, &b]).enrich(&lead("x@example.com")).await;
        assert_eq!(outcome.status, EnrichmentStatus::Found);
        let found = outcome.found().unwrap();
        assert_eq!((found.name.as_deref(), found.industry.as_deref()), (Some("A"), Some("Software")));
        assert_eq!(outcome.provenance["name"].provider, "a");
        assert_eq!(outcome.provenance["industry"].provider, "b");
        assert_eq!(outcome.provenance["domain"].provider, "a");
        let fields = serde_json::to_value(found).unwrap();
        assert!(
            outcome.provenance.keys().eq(fields.as_object().unwrap().keys()),
            "one source for each field"
        );
    }

    #[tokio::test]
    async fn nobody_more_is_asked_once_enough_is_known() {
        let a = fake("a", |d| Ok(Some(company(d))));
        let b = fake("b", |_| panic!("must not be asked"));
        let outcome = waterfall(&[&a, &b]).enrich(&lead("x@example.com")).await;
        assert_eq!((outcome.status, outcome.errors.len()), (EnrichmentStatus::Found, 0));
        assert_eq!(b.asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn private_and_throw_away_mailboxes_are_asked_of_nobody() {
        let a = fake("a", |d| Ok(Some(company(d))));
        for email in ["x@gmail.com", "x@mail.yahoo.com", "x@mailinator.com"] {
            let outcome = waterfall(&[&a]).enrich(&lead(email)).await;
            assert_eq!(outcome, Enrichment::nothing(EnrichmentStatus::PrivateMailbox));
        }
        assert_eq!(a.asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_fails_hangs_or_panics_costs_only_its_own_facts() {
        let fails = fake("fails", |_| Err(Failure::permanent("bad_key", "the key was refused")));
        let panics = fake("panics", |_| panic!("secret@example.com"));
        let hangs = hanging("hangs");
        let good = fake("good", |d| Ok(Some(company(d))));
        let outcome = waterfall(&[&fails, &panics, &hangs, &good]).enrich(&lead("x@example.com")).await;
        assert_eq!(outcome.status, EnrichmentStatus::Found);
        let errors: Vec<_> = outcome.errors.iter().map(|e| (&*e.provider, &*e.failure.code)).collect();
        assert_eq!(
            errors,
            [("fails", "bad_key"), ("panics", "enrichment_panic"), ("hangs", "enrichment_timeout")]
        );
        assert!(!format!("{outcome:?}").contains("secret"));
    }

    #[tokio::test]
    async fn nothing_found_is_told_from_nobody_could_say() {
        let knows_not = fake("a", |_| Ok(None));
        let fails = fake("b", |_| Err(Failure::transient("http_500", "the provider answered 500")));
        let asked = lead("x@example.com");
        assert_eq!(waterfall(&[&knows_not]).enrich(&asked).await.status, EnrichmentStatus::NotFound);
        let empty = fake("c", |d| Ok(Some(Firmographics::of(d))));
        assert_eq!(waterfall(&[&empty]).enrich(&asked).await.status, EnrichmentStatus::NotFound);
        let outcome = waterfall(&[&knows_not, &fails]).enrich(&asked).await;
        assert_eq!((outcome.status, outcome.found()), (EnrichmentStatus::Unavailable, None));
    }

    #[tokio::test]
    async fn a_mail_host_is_asked_about_as_its_company_and_named_as_such() {
        let a = fake("a", |d| Ok(Some(company(&format!("evil.{d}")))));
        let outcome = waterfall(&[&a]).enrich(&lead("x@mail.example.com")).await;
        assert_eq!(outcome.found().unwrap().domain, "example.com");
    }

    #[tokio::test]
    async fn an_outcome_survives_being_stored() {
        let a = fake("a", |_| Err(Failure::transient("http_500", "the provider answered 500")));
        let b = fake("b", |d| Ok(Some(company(d))));
        let outcome = waterfall(&[&a, &b]).enrich(&lead("x@example.com")).await;
        let stored = serde_json::to_string(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<Enrichment>(&stored).unwrap(), outcome);
    }
}
