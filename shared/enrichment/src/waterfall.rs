use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use breaker::Open;
use lead::{Clock, Failure, Lead};

use crate::domain::company_domain;
use crate::source::Source;
use crate::{
    Enrichment, EnrichmentProvider, EnrichmentStatus, Firmographics, Mailbox, Provenance, ProviderError,
    SharedState, Terms,
};

/// Providers in query order, the most trusted first.
pub struct Waterfall {
    sources: Vec<Arc<Source>>,
}

/// The state of a provider.
pub struct ProviderState {
    /// [`EnrichmentProvider::name`].
    pub name: &'static str,
    /// The reason and the end of the pause while the circuit breaker is open.
    pub left_alone: Option<Open>,
    /// The result of a credentials check; none if a check would cost credits.
    pub check: Result<Option<String>, Failure>,
}

impl Waterfall {
    /// A waterfall that queries `providers` for every lead, each with the timeout `timeout`.
    pub fn new(
        providers: Vec<Arc<dyn EnrichmentProvider>>,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let source = move |provider| Arc::new(Source::new(provider, timeout, Arc::clone(&clock)));
        Self { sources: providers.into_iter().map(source).collect() }
    }

    /// A waterfall with a cache, circuit breakers and daily credits for its remote providers. `credits` holds
    /// the daily limit by provider name.
    pub fn with_shared_state(
        providers: Vec<Arc<dyn EnrichmentProvider>>,
        timeout: Duration,
        clock: &Arc<dyn Clock>,
        memory: &SharedState,
        terms: Terms,
        credits: &HashMap<&'static str, u32>,
    ) -> Self {
        let source = |provider: Arc<dyn EnrichmentProvider>| {
            let credits = credits.get(provider.name()).copied();
            Arc::new(
                Source::new(provider, timeout, Arc::clone(clock)).with_shared_state(memory, terms, credits),
            )
        };
        Self { sources: providers.into_iter().map(source).collect() }
    }

    /// Overrides the timeouts of some providers, by their names.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: &HashMap<&'static str, Duration>) -> Self {
        for source in &mut self.sources {
            if let (Some(timeout), Some(source)) =
                (timeouts.get(source.provider().name()), Arc::get_mut(source))
            {
                source.set_timeout(*timeout);
            }
        }
        self
    }

    /// The names of the providers, in query order.
    pub fn providers(&self) -> impl Iterator<Item = &'static str> {
        self.sources.iter().map(|source| source.provider().name())
    }

    /// The states of the providers. Checks credentials if that is free; looks up no company.
    pub async fn states(&self) -> Vec<ProviderState> {
        let mut states = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let left_alone = match source.breaker() {
                Some(breaker) => breaker.open().await.unwrap_or_default(),
                None => None,
            };
            let (name, check) = (source.provider().name(), source.provider().check().await);
            states.push(ProviderState { name, left_alone, check });
        }
        states
    }

    /// Looks up the company of the lead. Never fails: failures of providers are part of the result.
    ///
    /// Queries the providers one after another until industry, size and country are known, because each query
    /// costs money. The first provider with a value for a field wins.
    pub async fn enrich(&self, lead: &Lead) -> Enrichment {
        let domain = lead.email.domain();
        if Mailbox::of(domain) != Mailbox::Corporate {
            return Enrichment::nothing(EnrichmentStatus::PrivateMailbox);
        }
        let domain = company_domain(domain);
        let mut company = Firmographics::of(domain);
        let mut provenance = BTreeMap::new();
        let mut errors = Vec::new();
        for source in &self.sources {
            let provider = Cow::Borrowed(source.provider().name());
            match source.company(domain).await {
                Ok((Some(answer), fetched_at)) => {
                    // An answer without a single fact comes from a provider that is still looking, not from a
                    // match.
                    let filled = merge(&mut company, answer.normalised(domain));
                    let source = Provenance { provider, fetched_at };
                    if !filled.is_empty() {
                        provenance.entry("domain".to_owned()).or_insert_with(|| source.clone());
                    }
                    provenance.extend(filled.into_iter().map(|field| (field.to_owned(), source.clone())));
                    if company.is_sufficient() {
                        break;
                    }
                }
                Ok((None, _)) => {}
                Err(failure) => errors.push(ProviderError { provider, failure }),
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
}

/// Fills the missing fields of `company` from `answer` and returns the names of the filled fields.
///
/// The size is taken from one provider only, and a place is not completed from an answer in another country:
/// a mixture of contradicting answers would describe no real company.
fn merge(company: &mut Firmographics, answer: Firmographics) -> Vec<&'static str> {
    let has_size = company.employee_count.is_some() || company.employee_range.is_some();
    let is_elsewhere =
        company.country.is_some() && answer.country.is_some() && company.country != answer.country;
    let mut filled = Vec::new();
    macro_rules! fill {
        ($($field:ident),+) => {
            $(if company.$field.is_none() && answer.$field.is_some() {
                company.$field = answer.$field;
                filled.push(stringify!($field));
            })+
        };
    }
    fill!(name, industry, revenue_usd, founded_year);
    if !has_size {
        fill!(employee_count, employee_range);
    }
    if !is_elsewhere {
        fill!(city, region, country);
    }
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
        queries: AtomicUsize,
    }

    #[async_trait]
    impl EnrichmentProvider for Fake {
        fn name(&self) -> &'static str {
            self.name
        }

        async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
            self.queries.fetch_add(1, Ordering::SeqCst);
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
        Arc::new(Fake { name, answer: Box::new(answer), hangs: false, queries: AtomicUsize::new(0) })
    }

    fn hanging(name: &'static str) -> Arc<Fake> {
        Arc::new(Fake { name, answer: Box::new(|_| Ok(None)), hangs: true, queries: AtomicUsize::new(0) })
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
    async fn first_provider_with_a_field_wins() {
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
    async fn size_has_one_provider_and_place_one_country() {
        let size = |range| Firmographics { employee_range: range, ..Firmographics::of("") };
        let a = fake("a", move |_| {
            Ok(Some(Firmographics { country: Some("DE".into()), employee_count: Some(40), ..size(None) }))
        });
        let b = fake("b", move |_| {
            let range = crate::Range { min: 5001, max: None };
            Ok(Some(Firmographics {
                city: Some("Boston".into()),
                country: Some("US".into()),
                ..size(Some(range))
            }))
        });
        let c =
            fake("c", |d| Ok(Some(Firmographics { city: Some("Munich".into()), ..Firmographics::of(d) })));
        let outcome = waterfall(&[&a, &b, &c]).enrich(&lead("x@example.com")).await;
        let found = outcome.found().unwrap();
        assert_eq!((found.employee_count, found.employee_range), (Some(40), None));
        assert_eq!((found.city.as_deref(), found.country.as_deref()), (Some("Munich"), Some("DE")));
    }

    #[tokio::test]
    async fn sufficient_company_stops_the_waterfall() {
        let a = fake("a", |d| Ok(Some(company(d))));
        let b = fake("b", |_| panic!("must not be queried"));
        let outcome = waterfall(&[&a, &b]).enrich(&lead("x@example.com")).await;
        assert_eq!((outcome.status, outcome.errors.len()), (EnrichmentStatus::Found, 0));
        assert_eq!(b.queries.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn private_and_disposable_mailboxes_are_not_looked_up() {
        let a = fake("a", |d| Ok(Some(company(d))));
        for email in ["x@gmail.com", "x@mail.yahoo.com", "x@mailinator.com"] {
            let outcome = waterfall(&[&a]).enrich(&lead(email)).await;
            assert_eq!(outcome, Enrichment::nothing(EnrichmentStatus::PrivateMailbox));
        }
        assert_eq!(a.queries.load(Ordering::SeqCst), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn failing_provider_costs_only_its_own_facts() {
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
    async fn not_found_and_unavailable_are_distinguished() {
        let knows_not = fake("a", |_| Ok(None));
        let fails = fake("b", |_| Err(Failure::transient("http_500", "the provider answered 500")));
        let lead = lead("x@example.com");
        assert_eq!(waterfall(&[&knows_not]).enrich(&lead).await.status, EnrichmentStatus::NotFound);
        let empty = fake("c", |d| Ok(Some(Firmographics::of(d))));
        assert_eq!(waterfall(&[&empty]).enrich(&lead).await.status, EnrichmentStatus::NotFound);
        let outcome = waterfall(&[&knows_not, &fails]).enrich(&lead).await;
        assert_eq!((outcome.status, outcome.found()), (EnrichmentStatus::Unavailable, None));
    }

    #[tokio::test]
    async fn mail_host_is_looked_up_as_its_company_domain() {
        let a = fake("a", |d| Ok(Some(company(&format!("evil.{d}")))));
        let outcome = waterfall(&[&a]).enrich(&lead("x@mail.example.com")).await;
        assert_eq!(outcome.found().unwrap().domain, "example.com");
    }

    #[tokio::test]
    async fn outcome_survives_serialization() {
        let a = fake("a", |_| Err(Failure::transient("http_500", "the provider answered 500")));
        let b = fake("b", |d| Ok(Some(company(d))));
        let outcome = waterfall(&[&a, &b]).enrich(&lead("x@example.com")).await;
        let stored = serde_json::to_string(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<Enrichment>(&stored).unwrap(), outcome);
    }
}
