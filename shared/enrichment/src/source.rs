//! One provider of the waterfall: cache, single flight, circuit breaker and daily credits.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use breaker::{BreakerSettings, Budget, CircuitBreaker, Health, Permit, Spending};
use futures::FutureExt as _;
use jiff::Timestamp;
use lead::{Cause, Clock, Dependency, Failure, FailureClass};
use tokio::sync::Semaphore;

use crate::provider::not_yet;
use crate::single_flight::SingleFlight;
use crate::{Answer, Cache, EnrichmentProvider, Firmographics, Kept};

/// How often a caller polls for the answer of another process.
const CLAIM_POLL: Duration = Duration::from_millis(200);
/// Pause after a refusal that does not say how long to wait.
const DEFAULT_PAUSE: Duration = Duration::from_secs(60);
/// Pause after a refusal that lasts until an operator acts, such as a rejected key.
const REFUSED_PAUSE: Duration = Duration::from_mins(5);
/// The requests of one process to one provider at the same time. More leads wait, but not within the timeout
/// of a request.
const MAX_REQUESTS: usize = 64;
/// The price of a record, in the provider's credits. An unknown company is free.
const CREDITS: u64 = 1;

/// How long cached answers are valid.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// A known company.
    pub known_for: Duration,
    /// A company that the provider does not know.
    pub unknown_for: Duration,
    /// A company that the provider is still looking up.
    pub not_yet_for: Duration,
}

impl Default for Terms {
    /// 30 days, a day and 5 minutes.
    fn default() -> Self {
        Self {
            known_for: Duration::from_hours(30 * 24),
            unknown_for: Duration::from_hours(24),
            not_yet_for: Duration::from_mins(5),
        }
    }
}

/// The state of the providers that processes share.
#[derive(Clone)]
pub struct SharedState {
    /// Cached answers.
    pub cache: Arc<dyn Cache>,
    /// State of the circuit breakers.
    pub health: Arc<dyn Health>,
    /// Credits used today.
    pub spending: Arc<dyn Spending>,
}

/// The result of a lookup, with the time at which the provider was queried.
pub(crate) type Lookup = Result<(Option<Firmographics>, Timestamp), Failure>;

/// One provider of a waterfall, with its cache, circuit breaker and budget.
pub(crate) struct Source {
    provider: Arc<dyn EnrichmentProvider>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    guards: Option<Guards>,
}

struct Guards {
    cache: Arc<dyn Cache>,
    breaker: CircuitBreaker,
    budget: Option<Budget>,
    terms: Terms,
    single_flight: SingleFlight<String, Lookup>,
    places: Semaphore,
}

impl Source {
    /// A provider that is queried every time.
    pub(crate) fn new(
        provider: Arc<dyn EnrichmentProvider>,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { provider, timeout, clock, guards: None }
    }

    /// Adds the cache, the circuit breaker and a budget of `credits` per day. A local provider needs none of
    /// them.
    pub(crate) fn with_shared_state(self, memory: &SharedState, terms: Terms, credits: Option<u32>) -> Self {
        if !self.provider.is_remote() {
            return self;
        }
        let clock = || Arc::clone(&self.clock);
        let settings = BreakerSettings { open_for: DEFAULT_PAUSE, ..BreakerSettings::default() };
        let guards = Guards {
            cache: Arc::clone(&memory.cache),
            breaker: CircuitBreaker::new(self.dependency(), Arc::clone(&memory.health), clock(), settings),
            budget: credits.map(|credits| {
                Budget::new(self.dependency(), credits.into(), Arc::clone(&memory.spending), clock())
            }),
            terms,
            single_flight: SingleFlight::new(),
            places: Semaphore::new(MAX_REQUESTS),
        };
        Self { guards: Some(guards), ..self }
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub(crate) fn provider(&self) -> &dyn EnrichmentProvider {
        self.provider.as_ref()
    }

    pub(crate) fn breaker(&self) -> Option<&CircuitBreaker> {
        self.guards.as_ref().map(|guards| &guards.breaker)
    }

    /// Looks up a company by its domain. Concurrent lookups of one domain share a single request.
    pub(crate) async fn company(self: &Arc<Self>, domain: &str) -> Lookup {
        let Some(guards) = &self.guards else {
            let answer = self.fetch(domain).await?;
            return Ok((answer, self.clock.now()));
        };
        let flight = guards.single_flight.join(domain.to_owned(), || {
            let (source, domain) = (Arc::clone(self), domain.to_owned());
            async move {
                let Some(guards) = &source.guards else { return Ok((None, source.clock.now())) };
                source.cached_or_fetched(guards, &domain).await
            }
            .boxed()
        });
        flight.await
    }

    async fn cached_or_fetched(&self, guards: &Guards, domain: &str) -> Lookup {
        let (name, deadline) = (self.provider.name(), tokio::time::Instant::now() + self.timeout);
        loop {
            if let Some(kept) = self.cached(guards, domain).await? {
                return self.to_lookup(kept.answer, kept.fetched_at);
            }
            // Before the guards, which hold something for the request. Nothing closes the semaphore.
            let place = guards.places.acquire().await.ok();
            let now = self.clock.now();
            let permit = guards.breaker.acquire().await.inspect_err(|_| self.count("left_alone"))?;
            // Longer than a query may take, because a process that dies does not release its claim.
            let until = now.saturating_add(self.timeout * 2).unwrap_or(now);
            if guards.cache.claim(name, domain, now, until).await? {
                // Another process may have stored its answer between the load and the claim.
                if let Some(kept) = self.cached(guards, domain).await? {
                    self.log_failure(guards.breaker.release(permit).await);
                    self.log_failure(guards.cache.release(name, domain).await);
                    return self.to_lookup(kept.answer, kept.fetched_at);
                }
                let lookup = self.fetch_within_budget(guards, permit, domain).await;
                if let Err(failure) = &lookup
                    && failure.cause != Cause::Pending
                {
                    self.log_failure(guards.cache.release(name, domain).await);
                }
                return lookup;
            }
            self.log_failure(guards.breaker.release(permit).await);
            drop(place);
            // Another process queries the provider; its answer serves all callers.
            if tokio::time::Instant::now() >= deadline {
                return Err(Failure::transient(
                    "enrichment_asked_elsewhere",
                    "another process queried the provider and had no answer in time",
                )
                .on(self.dependency()));
            }
            tokio::time::sleep(CLAIM_POLL).await;
        }
    }

    /// The cached answer, if it is still valid.
    async fn cached(&self, guards: &Guards, domain: &str) -> Result<Option<Kept>, Failure> {
        let kept = guards.cache.load(self.provider.name(), domain).await?;
        let kept = kept.filter(|kept| self.clock.now() < kept.expires_at);
        if kept.is_some() {
            self.count("remembered");
        }
        Ok(kept)
    }

    /// Queries the provider within the daily credits, stores the answer, and reports the outcome to the
    /// breaker.
    async fn fetch_within_budget(&self, guards: &Guards, permit: Permit, domain: &str) -> Lookup {
        let reservation = match &guards.budget {
            Some(budget) => match budget.hold(CREDITS).await {
                Ok(reservation) => Some(reservation),
                Err(failure) => {
                    self.count("budget_spent");
                    self.log_failure(guards.breaker.release(permit).await);
                    return Err(failure);
                }
            },
            None => None,
        };
        let result = self.fetch(domain).await;
        if let (Some(budget), Some(reservation)) = (&guards.budget, reservation) {
            // Without a reply, the record may have been charged for.
            let charged = match &result {
                Ok(company) => company.is_some(),
                Err(failure) => failure.class() == FailureClass::Transient && failure.cause != Cause::Pending,
            };
            self.log_failure(budget.settle(reservation, if charged { CREDITS } else { 0 }).await);
        }
        let answer = match result {
            Ok(company) => {
                // A reply without a single fact counts as an unknown company.
                let company = company.map(|company| company.normalised(domain));
                let company = company.filter(|company| *company != Firmographics::of(domain));
                company.map_or(Answer::Unknown, |company| Answer::Known(Box::new(company)))
            }
            Err(failure) if failure.cause == Cause::Pending => Answer::NotYet,
            Err(failure) => {
                self.count("failed");
                self.report(&failure);
                self.log_failure(self.record_failure(&guards.breaker, &failure).await);
                return Err(failure);
            }
        };
        self.log_failure(guards.breaker.answered(permit).await);
        let (outcome, good_for) = match &answer {
            Answer::Known(_) => ("known", guards.terms.known_for),
            Answer::Unknown => ("unknown", guards.terms.unknown_for),
            Answer::NotYet => ("not_yet", guards.terms.not_yet_for),
        };
        self.count(outcome);
        let fetched_at = self.clock.now();
        let expires_at = fetched_at.saturating_add(good_for).unwrap_or(Timestamp::MAX);
        let kept = Kept { answer, fetched_at, expires_at };
        self.log_failure(guards.cache.keep(self.provider.name(), domain, &kept).await);
        self.to_lookup(kept.answer, fetched_at)
    }

    /// Logs a failed update of the cache, the budget or the breaker. It must not discard the answer, which is
    /// paid for.
    fn log_failure(&self, result: Result<(), Failure>) {
        if let Err(failure) = result {
            tracing::warn!(provider = self.provider.name(), code = %failure.code, "enrichment cache, budget or circuit breaker not updated");
        }
    }

    /// Logs and counts a failure with its code. The breaker logs only the failure that opens it. A refusal of
    /// the credentials or the plan lasts until an operator acts, so each one is logged as an error: the alarm
    /// `credentials-refused` counts these lines.
    fn report(&self, failure: &Failure) {
        let (provider, code) = (self.provider.name(), failure.code.to_string());
        match failure.dependency() {
            Some(dependency) if failure.class() == FailureClass::Permanent => {
                tracing::error!(%dependency, provider, code, "enrichment provider refuses the credentials or the plan");
            }
            _ => {
                tracing::warn!(provider, code, class = ?failure.class(), "enrichment provider did not answer");
            }
        }
        metrics::counter!("revenueflow_enrichment_failures_total", "provider" => provider, "code" => code)
            .increment(1);
    }

    /// Reports a failure to the breaker, so that an unavailable provider does not delay the next leads.
    async fn record_failure(&self, breaker: &CircuitBreaker, failure: &Failure) -> Result<(), Failure> {
        if failure.dependency().is_none() {
            return Ok(()); // concerns this company only: lookups of other companies continue
        }
        let wait = match failure.class() {
            FailureClass::Transient => return breaker.failed(failure).await,
            FailureClass::Deferral => failure.retry_after().unwrap_or(DEFAULT_PAUSE),
            FailureClass::Permanent => REFUSED_PAUSE,
        };
        let now = self.clock.now();
        breaker.open_until(failure, now.saturating_add(wait).unwrap_or(now)).await
    }

    fn to_lookup(&self, answer: Answer, at: Timestamp) -> Lookup {
        match answer {
            Answer::Known(company) => Ok((Some(*company), at)),
            Answer::Unknown => Ok((None, at)),
            Answer::NotYet => {
                let message = format!("{} is still looking up the company", self.provider.name());
                Err(not_yet(message).on(self.dependency()))
            }
        }
    }

    /// Queries the provider. A hang and a panic become failures.
    async fn fetch(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        // Unwind safe: adapters hold only a client and configuration, so a panic leaves no inconsistent state
        // behind.
        let answer = AssertUnwindSafe(async { self.provider.company(domain).await }).catch_unwind();
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            // The panic message is dropped: it may quote the provider's reply.
            Ok(Err(_)) => Err(Failure::transient("enrichment_panic", "the provider's adapter panicked")
                .on(self.dependency())),
            Err(_) => Err(Failure::transient(
                "enrichment_timeout",
                format!("no answer within {} ms", self.timeout.as_millis()),
            )
            .on(self.dependency())),
        }
    }

    fn dependency(&self) -> Dependency {
        Dependency::named(format!("enrichment.{}", self.provider.name()))
    }

    fn count(&self, outcome: &'static str) {
        metrics::counter!("revenueflow_enrichment_total", "provider" => self.provider.name(), "outcome" => outcome)
            .increment(1);
    }
}
