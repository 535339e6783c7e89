use std::sync::Arc;
use std::time::Duration;

use lead::{Clock, Dependency, Failure};

use crate::{Health, HealthChange, HealthRecord, Open};

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub threshold: u32,
    /// How long nobody asks the system again.
    pub open_for: Duration,
}

impl Default for BreakerSettings {
    /// Opens after 5 failures in a row, for 30 seconds.
    fn default() -> Self {
        Self { threshold: 5, open_for: Duration::from_secs(30) }
    }
}

/// Keeps work away from a system that is down, so that leads wait instead of using up their attempts.
///
/// Its state is in [`Health`], which processes share: one that opens it opens it for all.
pub struct Breaker {
    dependency: Dependency,
    health: Arc<dyn Health>,
    clock: Arc<dyn Clock>,
    settings: BreakerSettings,
}

/// How a breaker lets work through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// The system is in use; it has failed this often in a row.
    Closed(u32),
    /// The breaker was open long enough: this caller, and no other, is to try the system and tell the breaker.
    Trial,
}

impl Breaker {
    /// A breaker for one system.
    pub fn new(
        dependency: Dependency,
        health: Arc<dyn Health>,
        clock: Arc<dyn Clock>,
        settings: BreakerSettings,
    ) -> Self {
        Self { dependency, health, clock, settings }
    }

    /// Which system it is for.
    pub fn dependency(&self) -> &Dependency {
        &self.dependency
    }

    /// Asks to pass. While the breaker is open this is a deferral, `breaker_open`.
    pub async fn pass(&self) -> Result<Passage, Failure> {
        let record = self.health.load(&self.dependency).await?;
        let Some(open) = record.open else { return Ok(Passage::Closed(record.failures)) };
        let now = self.clock.now();
        if now < open.retry_at {
            return Err(self.refusal(&open));
        }
        let mut answer = Ok(Passage::Trial);
        self.health
            .update(&self.dependency, &mut |record| {
                answer = match &mut record.open {
                    None => Ok(Passage::Closed(record.failures)),
                    Some(open) if now < open.retry_at => Err(self.refusal(open)),
                    Some(open) => {
                        open.retry_at = self.retry_at(now);
                        open.trial = true;
                        Ok(Passage::Trial)
                    }
                };
            })
            .await?;
        answer
    }

    /// How long this caller is to leave the half-open probe to another one: its call failed last, and the breaker has not been
    /// half-open for half of the time that it stays open. None where it may ask at once.
    ///
    /// One caller whose calls always fail would otherwise win every probe, and keep the breaker open for all.
    pub async fn leaves_probe_to_others(&self, caller: &str) -> Result<Option<Duration>, Failure> {
        let record = self.health.load(&self.dependency).await?;
        let (Some(open), Some(failed)) = (record.open, record.failed_caller) else { return Ok(None) };
        let now = self.clock.now();
        if failed != caller || open.trial || now < open.retry_at {
            return Ok(None);
        }
        let waited = Duration::try_from(now.duration_since(open.retry_at)).unwrap_or_default();
        Ok((self.settings.open_for / 2).checked_sub(waited).filter(|left| !left.is_zero()))
    }

    /// The system works: closes the breaker and forgets the failures.
    pub async fn succeeded(&self) -> Result<(), Failure> {
        let now = self.clock.now();
        self.close(&mut |record| {
            if record.failures > 0 || record.open.is_some() {
                record.recovered_at = Some(now);
            }
        })
        .await
    }

    /// The system answered, if only by refusing what it was asked: closes the breaker and forgets the failures, and is no
    /// proof that it works for others.
    pub async fn replied(&self) -> Result<(), Failure> {
        self.close(&mut |_| ()).await
    }

    async fn close(&self, note: &mut HealthChange<'_>) -> Result<(), Failure> {
        let mut was_open = false;
        self.health
            .update(&self.dependency, &mut |record| {
                note(record);
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

    /// A call that `passage` let through went well. A trial closes the breaker. A call from before the breaker opened only ends the
    /// row of failures: what opened it was found out later.
    pub async fn answered(&self, passage: Passage) -> Result<(), Failure> {
        match passage {
            Passage::Closed(0) => Ok(()),
            Passage::Closed(_) => {
                let forget = &mut |record: &mut HealthRecord| {
                    if record.open.is_none() {
                        record.failures = 0;
                    }
                };
                self.health.update(&self.dependency, forget).await
            }
            Passage::Trial => self.succeeded().await,
        }
    }

    /// The call that `passage` let through was not made after all: a trial is for the next caller.
    pub async fn untried(&self, passage: Passage) -> Result<(), Failure> {
        if passage != Passage::Trial {
            return Ok(());
        }
        let now = self.clock.now();
        let given_back = &mut |record: &mut HealthRecord| {
            // One that was opened for longer since then stays so.
            if let Some(open) = &mut record.open
                && open.trial
                && open.retry_at <= self.retry_at(now)
            {
                (open.retry_at, open.trial) = (open.retry_at.min(now), false);
            }
        };
        self.health.update(&self.dependency, given_back).await
    }

    /// The system failed: counts, opens the breaker where that was one too many, and keeps it open where it was.
    pub async fn failed(&self, failure: &Failure) -> Result<(), Failure> {
        self.count(failure, None).await.map(drop)
    }

    /// [`failed`](Self::failed) with the name of the caller whose call it was; returns how the system stands now.
    pub async fn count(&self, failure: &Failure, caller: Option<&str>) -> Result<HealthRecord, Failure> {
        let now = self.clock.now();
        let retry_at = self.retry_at(now);
        let (mut opened, mut stands) = (false, HealthRecord::default());
        self.health
            .update(&self.dependency, &mut |record| {
                record.failures = record.failures.saturating_add(1);
                record.failed_caller = caller.map(str::to_owned);
                opened = record.open.is_none() && record.failures >= self.settings.threshold;
                if opened || record.open.is_some() {
                    keep_open(record, failure, now, retry_at);
                }
                stands = record.clone();
            })
            .await?;
        if opened {
            tracing::warn!(dependency = %self.dependency, code = %failure.code, "breaker opened");
        }
        Ok(stands)
    }

    /// A probe says that the system may work: where the breaker is open, the next caller is to try it, unless somebody does.
    pub async fn half_open(&self) -> Result<(), Failure> {
        if self.open().await?.is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        let may_try = &mut |record: &mut HealthRecord| {
            if let Some(open) = record.open.as_mut().filter(|open| !open.trial || now >= open.retry_at) {
                (open.retry_at, open.trial) = (now, false);
            }
        };
        self.health.update(&self.dependency, may_try).await
    }

    /// Opens the breaker, or keeps it open, until a moment: the system said itself how long to leave it alone, or is of no
    /// use until a person has done something. One that is open for longer stays so.
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

    /// Why it is open and until when, where it is. Asks for nothing and changes nothing.
    pub async fn open(&self) -> Result<Option<Open>, Failure> {
        Ok(self.record().await?.open)
    }

    /// How the system has been doing. Asks for nothing and changes nothing.
    pub async fn record(&self) -> Result<HealthRecord, Failure> {
        self.health.load(&self.dependency).await
    }

    /// The deferral that everyone gets while the breaker is open.
    pub fn refusal(&self, open: &Open) -> Failure {
        let wait = Duration::try_from(open.retry_at.duration_since(self.clock.now())).unwrap_or_default();
        Failure::deferral(
            self.dependency.clone(),
            "breaker_open",
            format!("{} is not asked for now, after {}", self.dependency, open.reason),
            Some(wait),
        )
    }

    fn retry_at(&self, now: jiff::Timestamp) -> jiff::Timestamp {
        now.saturating_add(self.settings.open_for).unwrap_or(now)
    }
}

/// Leaves a system alone until a moment, or for as long as it was to be left alone already. The reason is that of the longer wait.
fn keep_open(record: &mut HealthRecord, failure: &Failure, now: jiff::Timestamp, retry_at: jiff::Timestamp) {
    let reason = failure.code.to_string();
    match &mut record.open {
        Some(open) if open.retry_at > retry_at => open.trial = false,
        Some(open) => *open = Open { reason, retry_at, opened_at: open.opened_at, trial: false },
        None => record.open = Some(Open { reason, opened_at: now, retry_at, trial: false }),
    }
}

#[cfg(test)]
mod tests {
    use lead::{FailureClass, ManualClock};

    use super::*;
    use crate::testing::MemoryHealth;

    fn breaker() -> (Breaker, ManualClock) {
        let clock = ManualClock::default();
        let health = Arc::new(MemoryHealth::default());
        let dependency = Dependency::new("system.test");
        let breaker = Breaker::new(dependency, health, Arc::new(clock.clone()), BreakerSettings::default());
        (breaker, clock)
    }

    async fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.failed(&Failure::transient("http_timeout", "no answer")).await.unwrap();
        }
    }

    #[tokio::test]
    async fn five_failures_in_a_row_open_it() {
        let (breaker, _) = breaker();
        fail(&breaker, 4).await;
        assert_eq!(breaker.pass().await, Ok(Passage::Closed(4)));
        breaker.succeeded().await.unwrap();
        fail(&breaker, 4).await;
        assert_eq!(breaker.pass().await, Ok(Passage::Closed(4)));
        fail(&breaker, 1).await;
        let refusal = breaker.pass().await.unwrap_err();
        assert_eq!((refusal.class, refusal.code.as_ref()), (FailureClass::Deferral, "breaker_open"));
        assert_eq!(refusal.dependency, Some(Dependency::new("system.test")));
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(30)));
    }

    #[tokio::test]
    async fn after_thirty_seconds_one_caller_tries_and_the_others_wait() {
        let (breaker, clock) = breaker();
        fail(&breaker, 5).await;
        clock.advance(Duration::from_secs(29));
        assert_eq!(breaker.pass().await.unwrap_err().retry_after, Some(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(breaker.pass().await, Ok(Passage::Trial));
        assert_eq!(breaker.pass().await.unwrap_err().retry_after, Some(Duration::from_secs(30)));
    }

    #[tokio::test]
    async fn a_trial_that_succeeds_closes_it_and_one_that_fails_keeps_it_open() {
        let (breaker, clock) = breaker();
        fail(&breaker, 5).await;
        clock.advance(Duration::from_secs(30));
        breaker.pass().await.unwrap();
        fail(&breaker, 1).await;
        clock.advance(Duration::from_secs(29));
        assert!(breaker.pass().await.is_err());
        clock.advance(Duration::from_secs(1));
        assert_eq!(breaker.pass().await, Ok(Passage::Trial));
        breaker.succeeded().await.unwrap();
        assert_eq!(breaker.pass().await, Ok(Passage::Closed(0)));
    }

    #[tokio::test]
    async fn a_trial_whose_caller_died_is_given_to_another_later() {
        let (breaker, clock) = breaker();
        fail(&breaker, 5).await;
        clock.advance(Duration::from_secs(30));
        assert_eq!(breaker.pass().await, Ok(Passage::Trial));
        clock.advance(Duration::from_secs(30));
        assert_eq!(breaker.pass().await, Ok(Passage::Trial));
    }

    #[tokio::test]
    async fn after_a_probe_one_caller_tries_at_once_and_no_second_one_while_it_does() {
        let (breaker, _) = breaker();
        breaker.half_open().await.unwrap();
        assert_eq!(breaker.pass().await, Ok(Passage::Closed(0)), "there is nothing to try");
        fail(&breaker, 5).await;
        breaker.half_open().await.unwrap();
        assert_eq!(breaker.pass().await, Ok(Passage::Trial));
        breaker.half_open().await.unwrap();
        assert!(breaker.pass().await.is_err(), "somebody tries it");
        breaker.untried(Passage::Trial).await.unwrap();
        assert_eq!(breaker.pass().await, Ok(Passage::Trial), "who was to has not");
        fail(&breaker, 1).await;
        breaker.untried(Passage::Trial).await.unwrap();
        assert!(breaker.pass().await.is_err(), "who was to has, in vain");
    }

    #[tokio::test]
    async fn only_a_success_after_failures_is_a_recovery() {
        let (breaker, clock) = breaker();
        let recovered_at = async || breaker.record().await.unwrap().recovered_at;
        breaker.succeeded().await.unwrap();
        assert_eq!(recovered_at().await, None);
        fail(&breaker, 1).await;
        breaker.replied().await.unwrap();
        assert_eq!((breaker.pass().await, recovered_at().await), (Ok(Passage::Closed(0)), None));
        fail(&breaker, 5).await;
        clock.advance(Duration::from_secs(30));
        breaker.succeeded().await.unwrap();
        assert_eq!((breaker.pass().await, recovered_at().await), (Ok(Passage::Closed(0)), Some(clock.now())));
        fail(&breaker, 1).await;
        assert_eq!(recovered_at().await, Some(clock.now()));
    }

    #[tokio::test]
    async fn a_system_that_says_how_long_is_left_alone_so_long() {
        let (breaker, clock) = breaker();
        let spent = Failure::permanent("quota", "no more today");
        let retry_at = clock.now() + Duration::from_hours(2);
        breaker.open_until(&spent, retry_at).await.unwrap();
        assert_eq!(breaker.pass().await.unwrap_err().retry_after, Some(Duration::from_hours(2)));
        fail(&breaker, 1).await;
        let open = breaker.open().await.unwrap().unwrap();
        assert_eq!((open.reason.as_str(), open.retry_at), ("quota", retry_at), "the longer wait counts");
        let busy = Failure::permanent("rate", "not so fast");
        breaker.open_until(&busy, clock.now() + Duration::from_secs(15)).await.unwrap();
        let open = breaker.open().await.unwrap().unwrap();
        assert_eq!((open.reason.as_str(), open.retry_at), ("quota", retry_at), "and is not cut short");
        clock.advance(Duration::from_hours(2));
        assert_eq!(breaker.pass().await, Ok(Passage::Trial));
        breaker.succeeded().await.unwrap();
        assert_eq!(breaker.open().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_call_from_before_it_opened_does_not_close_it() {
        let (breaker, clock) = breaker();
        fail(&breaker, 1).await;
        let passage = breaker.pass().await.unwrap();
        let spent = Failure::permanent("quota", "no more today");
        breaker.open_until(&spent, clock.now() + Duration::from_hours(2)).await.unwrap();
        breaker.answered(passage).await.unwrap();
        assert!(breaker.pass().await.is_err(), "the quota is still used up");
        clock.advance(Duration::from_hours(2));
        let passage = breaker.pass().await.unwrap();
        assert_eq!(passage, Passage::Trial);
        breaker.answered(passage).await.unwrap();
        assert_eq!(breaker.pass().await, Ok(Passage::Closed(0)));
        fail(&breaker, 4).await;
        breaker.answered(Passage::Closed(4)).await.unwrap();
        assert_eq!(breaker.pass().await, Ok(Passage::Closed(0)), "it ends the row of failures");
    }

    #[tokio::test]
    async fn a_trial_that_was_not_made_is_for_the_next_caller() {
        let (breaker, clock) = breaker();
        fail(&breaker, 5).await;
        clock.advance(Duration::from_secs(30));
        let passage = breaker.pass().await.unwrap();
        breaker.untried(passage).await.unwrap();
        assert_eq!(breaker.pass().await, Ok(Passage::Trial));
        let spent = Failure::permanent("quota", "no more today");
        breaker.open_until(&spent, clock.now() + Duration::from_hours(2)).await.unwrap();
        breaker.untried(Passage::Trial).await.unwrap();
        assert!(breaker.pass().await.is_err(), "what was found out since stands");
    }
}
