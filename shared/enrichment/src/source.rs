use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use breaker::{Breaker, BreakerSettings, Budget, Health, Passage, Spending};
use futures::FutureExt as _;
use jiff::Timestamp;
use lead::{Clock, Dependency, Failure, FailureClass};

use crate::flights::Flights;
use crate::provider::NOT_YET;
use crate::{Answer, Cache, EnrichmentProvider, Firmographics, Kept};

/// How often it is looked whether another process has its answer by now.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How long a provider is left alone that refuses for now and does not say for how long.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);
/// How long a provider is left alone that refuses until somebody changes something, such as the key.
const REFUSED_WAIT: Duration = Duration::from_mins(5);
/// What a record costs, in the provider's credits. One that is not found costs nothing.
const CREDITS: u64 = 1;

/// How long answers are good for, and what they may cost.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// A company that was found.
    pub known_for: Duration,
    /// A company that the provider does not know.
    pub unknown_for: Duration,
    /// A company that the provider is still looking for.
    pub not_yet_for: Duration,
}

impl Default for Terms {
    /// 30 days, a day, 5 minutes.
    fn default() -> Self {
        Self {
            known_for: Duration::from_hours(30 * 24),
            unknown_for: Duration::from_hours(24),
            not_yet_for: Duration::from_mins(5),
        }
    }
}

/// What processes share about providers: their answers, how they are doing, and what they have cost today.
#[derive(Clone)]
pub struct Memory {
    /// Answers.
    pub cache: Arc<dyn Cache>,
    /// How the providers are doing.
    pub health: Arc<dyn Health>,
    /// What they have cost today, in credits.
    pub spending: Arc<dyn Spending>,
}

/// What a provider said, and when: just now, or as it is remembered.
pub(crate) type Said = Result<(Option<Firmographics>, Timestamp), Failure>;

/// One provider of a waterfall, with what is remembered about it.
pub(crate) struct Source {
    provider: Arc<dyn EnrichmentProvider>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    remembered: Option<Remembered>,
}

struct Remembered {
    cache: Arc<dyn Cache>,
    breaker: Breaker,
    budget: Option<Budget>,
    terms: Terms,
    flights: Flights<String, Said>,
}

impl Source {
    /// A provider that is asked every time.
    pub(crate) fn new(
        provider: Arc<dyn EnrichmentProvider>,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { provider, timeout, clock, remembered: None }
    }

    /// The same, asked only for what is not remembered, and within `credits` a day.
    pub(crate) fn remembering(self, memory: &Memory, terms: Terms, credits: Option<u32>) -> Self {
        if !self.provider.is_remote() {
            return self;
        }
        let clock = || Arc::clone(&self.clock);
        let settings = BreakerSettings { open_for: DEFAULT_WAIT, ..BreakerSettings::default() };
        let remembered = Remembered {
            cache: Arc::clone(&memory.cache),
            breaker: Breaker::new(self.dependency(), Arc::clone(&memory.health), clock(), settings),
            budget: credits.map(|credits| {
                Budget::new(self.dependency(), credits.into(), Arc::clone(&memory.spending), clock())
            }),
            terms,
            flights: Flights::new(),
        };
        Self { remembered: Some(remembered), ..self }
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub(crate) fn provider(&self) -> &dyn EnrichmentProvider {
        self.provider.as_ref()
    }

    pub(crate) fn breaker(&self) -> Option<&Breaker> {
        self.remembered.as_ref().map(|remembered| &remembered.breaker)
    }

    /// What the provider knows about a domain. Leads of one company that come at the same time ask once.
    pub(crate) async fn company(self: &Arc<Self>, domain: &str) -> Said {
        let Some(remembered) = &self.remembered else {
            let answer = self.ask(domain).await?;
            return Ok((answer, self.clock.now()));
        };
        let flight = remembered.flights.join(domain.to_owned(), || {
            let (source, domain) = (Arc::clone(self), domain.to_owned());
            async move {
                let Some(remembered) = &source.remembered else { return Ok((None, source.clock.now())) };
                source.remember_or_ask(remembered, &domain).await
            }
            .boxed()
        });
        flight.await
    }

    async fn remember_or_ask(&self, remembered: &Remembered, domain: &str) -> Said {
        let (name, patience) = (self.provider.name(), tokio::time::Instant::now() + self.timeout);
        loop {
            let now = self.clock.now();
            if let Some(kept) = self.remembered(remembered, domain).await? {
                return self.said(kept.answer, kept.fetched_at);
            }
            let passage = remembered.breaker.pass().await.inspect_err(|_| self.count("left_alone"))?;
            // A little longer than an answer may take: a process that dies gives nothing back.
            let until = now.saturating_add(self.timeout * 2).unwrap_or(now);
            if remembered.cache.claim(name, domain, now, until).await? {
                // Another process may have had its answer between our look and our claim.
                if let Some(kept) = self.remembered(remembered, domain).await? {
                    self.noted(remembered.breaker.untried(passage).await);
                    self.noted(remembered.cache.release(name, domain).await);
                    return self.said(kept.answer, kept.fetched_at);
                }
                let said = self.pay_and_ask(remembered, passage, domain).await;
                if let Err(failure) = &said
                    && failure.code != NOT_YET
                {
                    self.noted(remembered.cache.release(name, domain).await);
                }
                return said;
            }
            self.noted(remembered.breaker.untried(passage).await);
            // Another process is asking, and everyone is served by its answer.
            if tokio::time::Instant::now() >= patience {
                return Err(Failure::transient(
                    "enrichment_asked_elsewhere",
                    "another process asked, and had no answer in time",
                )
                .on(self.dependency()));
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// An answer that is still good.
    async fn remembered(&self, remembered: &Remembered, domain: &str) -> Result<Option<Kept>, Failure> {
        let kept = remembered.cache.load(self.provider.name(), domain).await?;
        let kept = kept.filter(|kept| self.clock.now() < kept.expires_at);
        if kept.is_some() {
            self.count("remembered");
        }
        Ok(kept)
    }

    /// Asks within the day's credits, keeps the answer, and tells the breaker how it went.
    async fn pay_and_ask(&self, remembered: &Remembered, passage: Passage, domain: &str) -> Said {
        let hold = match &remembered.budget {
            Some(budget) => match budget.hold(CREDITS).await {
                Ok(hold) => Some(hold),
                Err(failure) => {
                    self.count("budget_spent");
                    self.noted(remembered.breaker.untried(passage).await);
                    return Err(failure);
                }
            },
            None => None,
        };
        let result = self.ask(domain).await;
        if let (Some(budget), Some(hold)) = (&remembered.budget, hold) {
            // Where no answer came back, the record may have been charged for all the same.
            let charged = match &result {
                Ok(company) => company.is_some(),
                Err(failure) => failure.class == FailureClass::Transient && failure.code != NOT_YET,
            };
            self.noted(budget.settle(hold, if charged { CREDITS } else { 0 }).await);
        }
        let answer = match result {
            Ok(company) => {
                // An answer without a single fact is a company that is not known.
                let company = company.map(|company| company.normalised(domain));
                let company = company.filter(|company| *company != Firmographics::of(domain));
                company.map_or(Answer::Unknown, |company| Answer::Known(Box::new(company)))
            }
            Err(failure) if failure.code == NOT_YET => Answer::NotYet,
            Err(failure) => {
                self.count("failed");
                self.report(&failure);
                self.noted(self.tell(&remembered.breaker, &failure).await);
                return Err(failure);
            }
        };
        self.noted(remembered.breaker.answered(passage).await);
        let (outcome, good_for) = match &answer {
            Answer::Known(_) => ("known", remembered.terms.known_for),
            Answer::Unknown => ("unknown", remembered.terms.unknown_for),
            Answer::NotYet => ("not_yet", remembered.terms.not_yet_for),
        };
        self.count(outcome);
        let fetched_at = self.clock.now();
        let expires_at = fetched_at.saturating_add(good_for).unwrap_or(Timestamp::MAX);
        let kept = Kept { answer, fetched_at, expires_at };
        self.noted(remembered.cache.keep(self.provider.name(), domain, &kept).await);
        self.said(kept.answer, fetched_at)
    }

    /// What could not be written down about an answer must not cost the answer, which is paid for.
    fn noted(&self, written: Result<(), Failure>) {
        if let Err(failure) = written {
            tracing::warn!(provider = self.provider.name(), code = %failure.code, "what a provider said could not be noted");
        }
    }

    /// Logs and counts a failure with its code. The breaker logs only the first one, and a refusal of credentials or plan
    /// lasts until a person ends it, so each one is an error: the alarm `credentials-refused` is made of these lines.
    fn report(&self, failure: &Failure) {
        let (provider, code) = (self.provider.name(), failure.code.to_string());
        match &failure.dependency {
            Some(dependency) if failure.class == FailureClass::Permanent => {
                tracing::error!(%dependency, provider, code, "enrichment provider refuses the credentials or the plan");
            }
            _ => tracing::warn!(provider, code, class = ?failure.class, "enrichment provider did not answer"),
        }
        metrics::counter!("revenueflow_enrichment_failures_total", "provider" => provider, "code" => code)
            .increment(1);
    }

    /// A provider that is down, spent, or does not know us must not cost the next lead any time.
    async fn tell(&self, breaker: &Breaker, failure: &Failure) -> Result<(), Failure> {
        if failure.dependency.is_none() {
            return Ok(()); // about this company alone: a strange domain must not keep others from being looked up
        }
        let wait = match failure.class {
            FailureClass::Transient => return breaker.failed(failure).await,
            FailureClass::Deferral => failure.retry_after.unwrap_or(DEFAULT_WAIT),
            FailureClass::Permanent => REFUSED_WAIT,
        };
        let now = self.clock.now();
        breaker.open_until(failure, now.saturating_add(wait).unwrap_or(now)).await
    }

    fn said(&self, answer: Answer, at: Timestamp) -> Said {
        match answer {
            Answer::Known(company) => Ok((Some(*company), at)),
            Answer::Unknown => Ok((None, at)),
            Answer::NotYet => Err(Failure::transient(
                NOT_YET,
                format!("{} is looking for the company, and may know it later", self.provider.name()),
            )
            .on(self.dependency())),
        }
    }

    /// The provider's answer, with a hang and a panic turned into failures.
    async fn ask(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        // The provider is not touched again after a panic in this call by anything that could see a half-made
        // change: adapters hold a client and configuration only.
        let answer = AssertUnwindSafe(async { self.provider.company(domain).await }).catch_unwind();
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            // The panic's message is left out: it may quote what the provider sent.
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
