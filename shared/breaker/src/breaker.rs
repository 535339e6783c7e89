//! The circuit breaker of an outside system.

use std::sync::Arc;
use std::time::Duration;

use lead::{Clock, Dependency, Failure, FailureClass};

use crate::{Health, HealthChange, HealthRecord, Open, OpenCause};

/// The failures that open a breaker, and the time that it stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// The number of consecutive failures that opens the breaker.
    pub threshold: u32,
    /// The time that an open breaker rejects all calls.
    pub open_for: Duration,
}

impl Default for BreakerSettings {
    /// Opens for 30 seconds after 5 consecutive failures.
    fn default() -> Self {
        Self { threshold: 5, open_for: Duration::from_secs(30) }
    }
}

/// A circuit breaker for one outside system. While it is open, leads are deferred and do not use up their
/// attempts.
///
/// The state is in [`Health`], which processes share: a breaker that one process opens is open for all of
/// them.
pub struct CircuitBreaker {
    dependency: Dependency,
    health: Arc<dyn Health>,
    clock: Arc<dyn Clock>,
    settings: BreakerSettings,
}

/// Permission for one call, with the state of the breaker at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// The breaker is closed; the number of consecutive failures so far.
    Closed(u32),
    /// The breaker is half-open. Only this caller holds a permit: it makes the probe and must report its
    /// outcome.
    HalfOpen,
}

/// The reason why a permit was not issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPermit {
    /// The breaker is open, or a half-open probe is running.
    Open {
        /// The state of the breaker.
        open: Open,
        /// The deferral `breaker_open` for the caller.
        failure: Failure,
    },
    /// The state of the breaker could not be read.
    Unknown(Failure),
}

impl From<Failure> for NoPermit {
    fn from(failure: Failure) -> Self {
        Self::Unknown(failure)
    }
}

impl From<NoPermit> for Failure {
    fn from(refusal: NoPermit) -> Self {
        match refusal {
            NoPermit::Open { failure, .. } | NoPermit::Unknown(failure) => failure,
        }
    }
}

impl CircuitBreaker {
    /// Creates the breaker of one outside system.
    pub fn new(
        dependency: Dependency,
        health: Arc<dyn Health>,
        clock: Arc<dyn Clock>,
        settings: BreakerSettings,
    ) -> Self {
        Self { dependency, health, clock, settings }
    }

    /// The system that this breaker protects.
    pub fn dependency(&self) -> &Dependency {
        &self.dependency
    }

    /// Acquires a permit for one call.
    ///
    /// # Errors
    /// [`NoPermit::Open`] while the breaker is open or another caller holds the half-open permit.
    pub async fn acquire(&self) -> Result<Permit, NoPermit> {
        let record = self.health.load(&self.dependency).await?;
        let Some(open) = record.open else { return Ok(Permit::Closed(record.failures)) };
        let now = self.clock.now();
        if now < open.retry_at {
            return Err(self.refuse(&open));
        }
        let mut answer = Ok(Permit::HalfOpen);
        self.health
            .update(&self.dependency, &mut |record| {
                answer = match &mut record.open {
                    None => Ok(Permit::Closed(record.failures)),
                    Some(open) if now < open.retry_at => Err(self.refuse(open)),
                    Some(open) => {
                        open.retry_at = self.retry_at(now);
                        open.probing = true;
                        Ok(Permit::HalfOpen)
                    }
                };
            })
            .await?;
        answer
    }

    /// The time for which this caller leaves the half-open probe to other callers: its call was the last to
    /// fail, and the breaker has been ready for a probe for less than half of `open_for`. `None` if the
    /// caller may call at once.
    ///
    /// Without this, one caller whose calls always fail could win every probe and keep the breaker open for
    /// all callers.
    pub async fn probe_backoff(&self, caller: &str) -> Result<Option<Duration>, Failure> {
        let record = self.health.load(&self.dependency).await?;
        let (Some(open), Some(failed)) = (record.open, record.failed_caller) else { return Ok(None) };
        let now = self.clock.now();
        if failed != caller || open.probing || now < open.retry_at {
            return Ok(None);
        }
        let waited = Duration::try_from(now.duration_since(open.retry_at)).unwrap_or_default();
        Ok((self.settings.open_for / 2).checked_sub(waited).filter(|left| !left.is_zero()))
    }

    /// Records that the system works: closes the breaker, resets the failures and notes the recovery.
    pub async fn succeeded(&self) -> Result<(), Failure> {
        let now = self.clock.now();
        self.close(&mut |record| {
            if record.failures > 0 || record.open.is_some() {
                record.recovered_at = Some(now);
            }
        })
        .await
    }

    /// Records an answer that does not prove that the system works for others, such as a refused request:
    /// closes the breaker and resets the failures, without noting a recovery.
    pub async fn replied(&self) -> Result<(), Failure> {
        self.close(&mut |_| ()).await
    }

    async fn close(&self, before: &mut HealthChange<'_>) -> Result<(), Failure> {
        let mut was_open = false;
        self.health
            .update(&self.dependency, &mut |record| {
                before(record);
                was_open = record.open.take().is_some();
                record.failures = 0;
                record.failed_caller = None;
            })
            .await?;
        if was_open {
            tracing::info!(dependency = %self.dependency, "breaker closed");
        }
        Ok(())
    }

    /// Reports that the call made with `permit` succeeded. A half-open probe closes the breaker. A call that
    /// began before the breaker opened only resets the failures, and only while the breaker is closed: the
    /// failure that opened the breaker is newer than the answer.
    pub async fn answered(&self, permit: Permit) -> Result<(), Failure> {
        match permit {
            Permit::Closed(0) => Ok(()),
            Permit::Closed(_) => {
                let reset = &mut |record: &mut HealthRecord| {
                    if record.open.is_none() {
                        record.failures = 0;
                    }
                };
                self.health.update(&self.dependency, reset).await
            }
            Permit::HalfOpen => self.succeeded().await,
        }
    }

    /// Releases a permit whose call was not made. A half-open probe then goes to the next caller.
    pub async fn release(&self, permit: Permit) -> Result<(), Failure> {
        if permit != Permit::HalfOpen {
            return Ok(());
        }
        let now = self.clock.now();
        let release = &mut |record: &mut HealthRecord| {
            // A breaker that was opened for longer in the meantime stays open.
            if let Some(open) = &mut record.open
                && open.probing
                && open.retry_at <= self.retry_at(now)
            {
                (open.retry_at, open.probing) = (open.retry_at.min(now), false);
            }
        };
        self.health.update(&self.dependency, release).await
    }

    /// Records a failure. Opens the breaker when the failures reach the threshold, and keeps an open breaker
    /// open.
    pub async fn failed(&self, failure: &Failure) -> Result<(), Failure> {
        self.count(failure, None).await.map(drop)
    }

    /// Records a failure as [`failed`](Self::failed) does, together with the name of the caller. Returns the
    /// record after the change.
    pub async fn count(&self, failure: &Failure, caller: Option<&str>) -> Result<HealthRecord, Failure> {
        let now = self.clock.now();
        let retry_at = self.retry_at(now);
        let (mut opened, mut current) = (false, HealthRecord::default());
        self.health
            .update(&self.dependency, &mut |record| {
                record.failures = record.failures.saturating_add(1);
                record.failed_caller = caller.map(str::to_owned);
                opened = record.open.is_none() && record.failures >= self.settings.threshold;
                if opened || record.open.is_some() {
                    keep_open(record, failure, now, retry_at);
                }
                current = record.clone();
            })
            .await?;
        if opened {
            tracing::warn!(dependency = %self.dependency, code = %failure.code, "breaker opened");
        }
        Ok(current)
    }

    /// Allows a probe at once if the breaker is open, unless a half-open probe is already running. For a
    /// health check that found the system reachable.
    pub async fn half_open(&self) -> Result<(), Failure> {
        if self.open().await?.is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        let allow_probe = &mut |record: &mut HealthRecord| {
            if let Some(open) = record.open.as_mut().filter(|open| !open.probing || now >= open.retry_at) {
                (open.retry_at, open.probing) = (now, false);
            }
        };
        self.health.update(&self.dependency, allow_probe).await
    }

    /// Opens the breaker, or keeps it open, until `retry_at`: the system named the time to wait, or it cannot
    /// be used before a person intervenes. A breaker that is open for longer keeps its time.
    pub async fn open_until(&self, failure: &Failure, retry_at: jiff::Timestamp) -> Result<(), Failure> {
        let now = self.clock.now();
        let mut opened = false;
        self.health
            .update(&self.dependency, &mut |record| {
                record.failures = record.failures.saturating_add(1);
                opened = record.open.is_none();
                keep_open(record, failure, now, retry_at);
            })
            .await?;
        if opened {
            tracing::warn!(dependency = %self.dependency, code = %failure.code, %retry_at, "breaker opened");
        }
        Ok(())
    }

    /// The reason and the end of the open state, or `None` if the breaker is closed. Neither calls the system
    /// nor changes the state.
    pub async fn open(&self) -> Result<Option<Open>, Failure> {
        Ok(self.record().await?.open)
    }

    /// The health record of the system. Neither calls the system nor changes the state.
    pub async fn record(&self) -> Result<HealthRecord, Failure> {
        self.health.load(&self.dependency).await
    }

    /// The deferral `breaker_open`, which every caller receives while the breaker is open.
    pub fn refusal(&self, open: &Open) -> Failure {
        let wait = Duration::try_from(open.retry_at.duration_since(self.clock.now())).unwrap_or_default();
        Failure::deferral(
            self.dependency.clone(),
            "breaker_open",
            format!("{}: circuit breaker is open after {}", self.dependency, open.reason),
            Some(wait),
        )
    }

    fn refuse(&self, open: &Open) -> NoPermit {
        NoPermit::Open { open: open.clone(), failure: self.refusal(open) }
    }

    fn retry_at(&self, now: jiff::Timestamp) -> jiff::Timestamp {
        now.saturating_add(self.settings.open_for).unwrap_or(now)
    }
}

/// Keeps the breaker open until the later of `retry_at` and the current end. The reason is that of the longer
/// wait.
fn keep_open(record: &mut HealthRecord, failure: &Failure, now: jiff::Timestamp, retry_at: jiff::Timestamp) {
    let reason = failure.code.to_string();
    let cause = match failure.class() {
        FailureClass::Transient => OpenCause::Failures,
        FailureClass::Deferral => OpenCause::Wait,
        FailureClass::Permanent => OpenCause::Operator,
    };
    match &mut record.open {
        Some(open) if open.retry_at > retry_at => open.probing = false,
        Some(open) => *open = Open { reason, cause, retry_at, opened_at: open.opened_at, probing: false },
        None => record.open = Some(Open { reason, cause, opened_at: now, retry_at, probing: false }),
    }
}

#[cfg(test)]
mod tests {
    use lead::ManualClock;

    use super::*;
    use crate::testing::MemoryHealth;

    fn breaker() -> (CircuitBreaker, ManualClock) {
        let clock = ManualClock::default();
        let health = Arc::new(MemoryHealth::default());
        let dependency = Dependency::new("system.test");
        let breaker =
            CircuitBreaker::new(dependency, health, Arc::new(clock.clone()), BreakerSettings::default());
        (breaker, clock)
    }

    async fn fail(breaker: &CircuitBreaker, times: u32) {
        for _ in 0..times {
            breaker.failed(&Failure::transient("http_timeout", "no answer")).await.unwrap();
        }
    }

    #[tokio::test]
    async fn five_consecutive_failures_open_the_breaker() {
        let (breaker, _) = breaker();
        fail(&breaker, 4).await;
        assert_eq!(breaker.acquire().await, Ok(Permit::Closed(4)));
        breaker.succeeded().await.unwrap();
        fail(&breaker, 4).await;
        assert_eq!(breaker.acquire().await, Ok(Permit::Closed(4)));
        fail(&breaker, 1).await;
        let refusal = Failure::from(breaker.acquire().await.unwrap_err());
        assert_eq!((refusal.class(), refusal.code.as_ref()), (FailureClass::Deferral, "breaker_open"));
        assert_eq!(refusal.dependency(), Some(&Dependency::new("system.test")));
        assert_eq!(refusal.retry_after(), Some(Duration::from_secs(30)));
    }

    #[tokio::test]
    async fn one_caller_gets_the_half_open_permit_after_thirty_seconds() {
        let (breaker, clock) = breaker();
        fail(&breaker, 5).await;
        clock.advance(Duration::from_secs(29));
        assert_eq!(
            Failure::from(breaker.acquire().await.unwrap_err()).retry_after(),
            Some(Duration::from_secs(1))
        );
        clock.advance(Duration::from_secs(1));
        assert_eq!(breaker.acquire().await, Ok(Permit::HalfOpen));
        assert_eq!(
            Failure::from(breaker.acquire().await.unwrap_err()).retry_after(),
            Some(Duration::from_secs(30))
        );
    }

    #[tokio::test]
    async fn half_open_probe_closes_or_reopens_the_breaker() {
        let (breaker, clock) = breaker();
        fail(&breaker, 5).await;
        clock.advance(Duration::from_secs(30));
        breaker.acquire().await.unwrap();
        fail(&breaker, 1).await;
        clock.advance(Duration::from_secs(29));
        assert!(breaker.acquire().await.is_err());
        clock.advance(Duration::from_secs(1));
        assert_eq!(breaker.acquire().await, Ok(Permit::HalfOpen));
        breaker.succeeded().await.unwrap();
        assert_eq!(breaker.acquire().await, Ok(Permit::Closed(0)));
    }

    #[tokio::test]
    async fn unreported_probe_passes_to_another_caller_later() {
        let (breaker, clock) = breaker();
        fail(&breaker, 5).await;
        clock.advance(Duration::from_secs(30));
        assert_eq!(breaker.acquire().await, Ok(Permit::HalfOpen));
        clock.advance(Duration::from_secs(30));
        assert_eq!(breaker.acquire().await, Ok(Permit::HalfOpen));
    }

    #[tokio::test]
    async fn health_check_allows_one_probe_at_once() {
        let (breaker, _) = breaker();
        breaker.half_open().await.unwrap();
        assert_eq!(breaker.acquire().await, Ok(Permit::Closed(0)), "nothing to probe");
        fail(&breaker, 5).await;
        breaker.half_open().await.unwrap();
        assert_eq!(breaker.acquire().await, Ok(Permit::HalfOpen));
        breaker.half_open().await.unwrap();
        assert!(breaker.acquire().await.is_err(), "a probe is running");
        breaker.release(Permit::HalfOpen).await.unwrap();
        assert_eq!(breaker.acquire().await, Ok(Permit::HalfOpen), "the permit was released");
        fail(&breaker, 1).await;
        breaker.release(Permit::HalfOpen).await.unwrap();
        assert!(breaker.acquire().await.is_err(), "the probe failed");
    }

    #[tokio::test]
    async fn only_success_after_failures_is_a_recovery() {
        let (breaker, clock) = breaker();
        let recovered_at = async || breaker.record().await.unwrap().recovered_at;
        breaker.succeeded().await.unwrap();
        assert_eq!(recovered_at().await, None);
        fail(&breaker, 1).await;
        breaker.replied().await.unwrap();
        assert_eq!((breaker.acquire().await, recovered_at().await), (Ok(Permit::Closed(0)), None));
        fail(&breaker, 5).await;
        clock.advance(Duration::from_secs(30));
        breaker.succeeded().await.unwrap();
        assert_eq!(
            (breaker.acquire().await, recovered_at().await),
            (Ok(Permit::Closed(0)), Some(clock.now()))
        );
        fail(&breaker, 1).await;
        assert_eq!(recovered_at().await, Some(clock.now()));
    }

    #[tokio::test]
    async fn breaker_stays_open_for_the_time_the_system_names() {
        let (breaker, clock) = breaker();
        let spent = Failure::permanent("quota", "no more today");
        let retry_at = clock.now() + Duration::from_hours(2);
        breaker.open_until(&spent, retry_at).await.unwrap();
        assert_eq!(
            Failure::from(breaker.acquire().await.unwrap_err()).retry_after(),
            Some(Duration::from_hours(2))
        );
        fail(&breaker, 1).await;
        let open = breaker.open().await.unwrap().unwrap();
        assert_eq!((open.reason.as_str(), open.retry_at), ("quota", retry_at), "the longer wait counts");
        let busy = Failure::permanent("rate", "not so fast");
        breaker.open_until(&busy, clock.now() + Duration::from_secs(15)).await.unwrap();
        let open = breaker.open().await.unwrap().unwrap();
        assert_eq!((open.reason.as_str(), open.retry_at), ("quota", retry_at), "and is not cut short");
        clock.advance(Duration::from_hours(2));
        assert_eq!(breaker.acquire().await, Ok(Permit::HalfOpen));
        breaker.succeeded().await.unwrap();
        assert_eq!(breaker.open().await.unwrap(), None);
    }

    #[tokio::test]
    async fn call_from_before_the_breaker_opened_does_not_close_it() {
        let (breaker, clock) = breaker();
        fail(&breaker, 1).await;
        let permit = breaker.acquire().await.unwrap();
        let spent = Failure::permanent("quota", "no more today");
        breaker.open_until(&spent, clock.now() + Duration::from_hours(2)).await.unwrap();
        breaker.answered(permit).await.unwrap();
        assert!(breaker.acquire().await.is_err(), "the quota is still used up");
        clock.advance(Duration::from_hours(2));
        let permit = breaker.acquire().await.unwrap();
        assert_eq!(permit, Permit::HalfOpen);
        breaker.answered(permit).await.unwrap();
        assert_eq!(breaker.acquire().await, Ok(Permit::Closed(0)));
        fail(&breaker, 4).await;
        breaker.answered(Permit::Closed(4)).await.unwrap();
        assert_eq!(breaker.acquire().await, Ok(Permit::Closed(0)), "the failures are reset");
    }

    #[tokio::test]
    async fn released_probe_goes_to_the_next_caller() {
        let (breaker, clock) = breaker();
        fail(&breaker, 5).await;
        clock.advance(Duration::from_secs(30));
        let permit = breaker.acquire().await.unwrap();
        breaker.release(permit).await.unwrap();
        assert_eq!(breaker.acquire().await, Ok(Permit::HalfOpen));
        let spent = Failure::permanent("quota", "no more today");
        breaker.open_until(&spent, clock.now() + Duration::from_hours(2)).await.unwrap();
        breaker.release(Permit::HalfOpen).await.unwrap();
        assert!(breaker.acquire().await.is_err(), "the newer failure keeps it open");
    }
}
