//! When a CRM is left alone, and whose failure it is.

use std::sync::Arc;
use std::time::Duration;

use lead::{Clock, Dependency, Failure, FailureClass, LeadId};
use tokio::time::{Instant, sleep};

use crate::Ledger;
use breaker::{Breaker, BreakerSettings, Health, Passage};

/// The code of a lead that waits because the CRM failed, not the lead.
pub const OUTAGE: &str = "crm_outage";

/// The code of a lead that waits because nobody asks the CRM now.
const OPEN: &str = "breaker_open";

/// The code of a lead that waits because its call failed last: another lead is to make the half-open probe.
const PROBE_RESERVED: &str = "crm_probe_reserved";

/// How long those who come while one lead tries the CRM wait for what it finds out, and how often they look. Sent away at
/// once, they would lose their places in the queue, and pause it just when it goes on.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The longest wait of a lead that met a failing CRM, as a power of two of seconds.
const LONGEST_WAIT: u32 = 5;

/// Failures of one record, in an answer by a CRM that works: several writers met at it, or at a value that is unique. Not
/// a reason to leave the CRM alone. What is missing here counts as the CRM's, which a lead that it is not true of survives
/// no longer than others do.
const OF_THE_RECORD: &[&str] = &[
    "crm_unable_to_lock_row",
    "crm_entity_is_locked",
    "crm_cannot_insert_update_activate_entity", // a trigger that met a lock
    "crm_locked",
    "crm_conflict",
    "crm_row_refused",
    "crm_row_unanswered",
];

/// What the CRM is asked for. Each has a breaker of its own, since a CRM may do the one and not the other, and what it does
/// is no proof that it does the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
}

/// The leave to ask the CRM once. What comes of it has to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    purpose: Purpose,
    /// How often the CRM has failed in a row.
    failures: u32,
    /// It is this lead that tries a CRM that was down; all others wait.
    pub(crate) trial: bool,
}

/// Stands before a CRM.
///
/// A failure of the CRM itself (no answer, 5xx) is not the lead's: it waits without losing an attempt, alone at first, and
/// with all others once five have failed in a row. It is the lead's own where the CRM has recovered for others since it
/// last failed for this lead: a record that the CRM cannot swallow must not be tried for ever.
pub(crate) struct Gate {
    dependency: Dependency,
    reads: Breaker,
    writes: Breaker,
    ledger: Arc<dyn Ledger>,
}

impl Gate {
    pub(crate) fn new(
        dependency: Dependency,
        health: Arc<dyn Health>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        settings: BreakerSettings,
    ) -> Self {
        let reads = Dependency::named(format!("{dependency}.reads"));
        let reads = Breaker::new(reads, Arc::clone(&health), Arc::clone(&clock), settings);
        let writes = Breaker::new(dependency.clone(), health, clock, settings);
        Self { dependency, reads, writes, ledger }
    }

    pub(crate) fn dependency(&self) -> &Dependency {
        &self.dependency
    }

    fn breaker(&self, purpose: Purpose) -> &Breaker {
        match purpose {
            Purpose::Read => &self.reads,
            Purpose::Write => &self.writes,
        }
    }

    /// Asks to pass, and waits a moment for the one who tries the CRM. The lead whose call failed last leaves the half-open
    /// probe to others for a while: it waits alone, and nothing is paused.
    pub(crate) async fn pass(&self, purpose: Purpose, lead: Option<&LeadId>) -> Result<Pass, Failure> {
        let breaker = self.breaker(purpose);
        if let Some(lead) = lead
            && let Some(wait) = breaker.leaves_probe_to_others(lead.as_str()).await?
        {
            let message =
                format!("{} failed for this lead last: another one tries it first", self.dependency);
            let all = Failure::deferral(self.dependency.clone(), PROBE_RESERVED, message, Some(wait));
            return Err(Failure { dependency: None, ..all });
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let refusal = match breaker.pass().await {
                Ok(Passage::Closed(failures)) => return Ok(Pass { purpose, failures, trial: false }),
                Ok(Passage::Trial) => return Ok(Pass { purpose, failures: 0, trial: true }),
                Err(refusal) => refusal,
            };
            let is_refused = refusal.code == OPEN && breaker.open().await?.is_some_and(|open| !open.trial);
            if is_refused || refusal.code != OPEN || Instant::now() >= until {
                return Err(self.for_all(refusal));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The CRM did what it was asked.
    pub(crate) async fn succeeded(&self, pass: Pass) {
        if pass.failures > 0 || pass.trial {
            self.heed(self.breaker(pass.purpose).succeeded().await);
        }
    }

    /// Nothing was asked of the CRM after all, or its answer shows nothing.
    pub(crate) async fn untried(&self, pass: Pass) {
        if pass.trial {
            self.heed(self.breaker(pass.purpose).untried(Passage::Trial).await);
        }
    }

    /// Notes what a failure shows of the CRM, and says what it is for the lead that met it.
    pub(crate) async fn failed(&self, pass: Pass, lead: Option<&LeadId>, failure: Failure) -> Failure {
        let breaker = self.breaker(pass.purpose);
        match failure.class {
            FailureClass::Deferral => self.untried(pass).await,
            FailureClass::Transient if self.is_of_the_crm(&failure) => {
                if !self.is_own(breaker, lead).await {
                    return self.outage(breaker, lead, &failure).await;
                }
                if pass.trial {
                    self.untried(pass).await;
                } else {
                    self.heed(breaker.failed(&failure).await);
                }
            }
            // A refusal is the answer of a CRM that works.
            FailureClass::Transient if failure.dependency.as_ref() != Some(&self.dependency) => {
                self.untried(pass).await;
            }
            FailureClass::Transient | FailureClass::Permanent if pass.failures > 0 || pass.trial => {
                self.heed(breaker.replied().await);
            }
            FailureClass::Transient | FailureClass::Permanent => {}
        }
        failure
    }

    /// A probe was answered: where a breaker is open, one lead is to try what the probe cannot show.
    pub(crate) async fn probed(&self) -> Result<(), Failure> {
        self.reads.half_open().await?;
        self.writes.half_open().await
    }

    /// A probe failed. A deferral shows nothing.
    pub(crate) async fn probed_in_vain(&self, failure: &Failure) -> Result<(), Failure> {
        if failure.class == FailureClass::Deferral {
            return Ok(());
        }
        self.reads.failed(failure).await?;
        self.writes.failed(failure).await
    }

    fn is_of_the_crm(&self, failure: &Failure) -> bool {
        failure.dependency.as_ref() == Some(&self.dependency)
            && !OF_THE_RECORD.contains(&failure.code.as_ref())
    }

    /// Whether the CRM has recovered for others since it last failed for this lead.
    async fn is_own(&self, breaker: &Breaker, lead: Option<&LeadId>) -> bool {
        let Some(lead) = lead else { return false };
        let recovered_at = breaker.record().await.ok().and_then(|record| record.recovered_at);
        let failed_at = self.ledger.last_outage(self.dependency(), lead).await.ok().flatten();
        matches!((recovered_at, failed_at), (Some(recovered), Some(failed)) if recovered > failed)
    }

    /// Counts a failure of the CRM, and makes it one that costs the lead no attempt: it waits, twice as long with each one in
    /// a row, and with all others where that was one too many.
    async fn outage(&self, breaker: &Breaker, lead: Option<&LeadId>, failure: &Failure) -> Failure {
        let stands = breaker.count(failure, lead.map(LeadId::as_str)).await;
        if let Ok(record) = &stands
            && let Some(open) = &record.open
        {
            return self.for_all(breaker.refusal(open));
        }
        let failures = stands.as_ref().map_or(1, |record| record.failures);
        self.heed(stands.map(drop));
        let wait = Duration::from_secs(1 << failures.clamp(1, LONGEST_WAIT));
        let message = format!("{} failed, and not this lead ({failure})", self.dependency);
        let all = Failure::deferral(self.dependency.clone(), OUTAGE, message, Some(wait));
        Failure { dependency: None, ..all }
    }

    /// One name for the CRM, whichever breaker speaks: who waits for it probes that.
    fn for_all(&self, refusal: Failure) -> Failure {
        if refusal.class == FailureClass::Deferral { refusal.on(self.dependency.clone()) } else { refusal }
    }

    /// What a plan came to matters more than the count.
    fn heed(&self, told: Result<(), Failure>) {
        if let Err(failure) = told {
            tracing::warn!(dependency = %self.dependency, code = %failure.code, "breaker not updated");
        }
    }
}
