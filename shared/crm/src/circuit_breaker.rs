//! Circuit breaking for CRM calls, and attribution of a failure to the CRM or to the lead.

use std::sync::Arc;
use std::time::Duration;

use lead::{Clock, Dependency, Failure, FailureClass, LeadId};
use tokio::time::{Instant, sleep};

use crate::Ledger;
use breaker::{Breaker, BreakerSettings, Health, Passage};

/// The code of a deferral caused by a failure of the CRM, not of the lead.
pub const OUTAGE: &str = "crm_outage";

/// The code of a deferral while the circuit breaker is open.
const BREAKER_OPEN: &str = "breaker_open";

/// The code of a deferral that reserves the half-open probe for another lead, because this lead's call failed
/// last.
const PROBE_RESERVED: &str = "crm_probe_reserved";

/// How long callers wait for the half-open probe to finish, and how often they check. Without the wait they
/// would be deferred, lose their positions in the queue, and pause it just as it resumes.
const HALF_OPEN_WAIT: Duration = Duration::from_secs(5);
const HALF_OPEN_POLL: Duration = Duration::from_millis(100);

/// The longest wait of a lead after a CRM failure, as a power of two of seconds.
const MAX_WAIT_EXPONENT: u32 = 5;

/// Error codes that concern one record (row locks, uniqueness conflicts), returned by a CRM that works. They
/// do not count towards the circuit breaker. Codes not listed here count as CRM failures;
/// [`CrmBreaker::is_caused_by_lead`] limits the damage if one of them in fact concerns a single record.
const RECORD_LEVEL_ERRORS: &[&str] = &[
    "crm_unable_to_lock_row",
    "crm_entity_is_locked",
    "crm_cannot_insert_update_activate_entity", // a trigger that met a lock
    "crm_locked",
    "crm_conflict",
    "crm_row_refused",
    "crm_row_unanswered",
];

/// The kind of call. Each kind has its own circuit breaker, since a CRM may serve reads and fail writes, or
/// the reverse, and success of the one does not prove the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
}

/// Permission for one CRM call. Its outcome must be reported to the [`CrmBreaker`] that issued it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CrmPermit {
    purpose: Purpose,
    /// Consecutive failures of the CRM.
    failures: u32,
    /// Whether this call is the half-open probe, which all other callers wait for.
    pub(crate) half_open: bool,
}

/// The circuit breakers of one CRM.
///
/// A failure of the CRM itself (no answer, 5xx) is not attributed to the lead: the lead waits without losing
/// an attempt. At first only that lead waits; after five consecutive failures all leads do. The failure is
/// attributed to the lead if the CRM has recovered for other leads since it last failed for this one. A
/// record that the CRM cannot process is then not retried forever.
pub(crate) struct CrmBreaker {
    dependency: Dependency,
    reads: Breaker,
    writes: Breaker,
    ledger: Arc<dyn Ledger>,
}

impl CrmBreaker {
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

    /// Acquires a permit, and waits briefly for a half-open probe in progress. The lead whose call failed
    /// last leaves the half-open probe to others for a while: only this lead is deferred, and nothing is
    /// paused.
    pub(crate) async fn acquire(
        &self,
        purpose: Purpose,
        lead: Option<&LeadId>,
    ) -> Result<CrmPermit, Failure> {
        let breaker = self.breaker(purpose);
        if let Some(lead) = lead
            && let Some(wait) = breaker.leaves_probe_to_others(lead.as_str()).await?
        {
            let message = format!(
                "the last call to {} for this lead failed: the half-open probe is left to another lead",
                self.dependency
            );
            let all = Failure::deferral(self.dependency.clone(), PROBE_RESERVED, message, Some(wait));
            return Err(Failure { dependency: None, ..all });
        }
        let until = Instant::now() + HALF_OPEN_WAIT;
        loop {
            let refusal = match breaker.pass().await {
                Ok(Passage::Closed(failures)) => {
                    return Ok(CrmPermit { purpose, failures, half_open: false });
                }
                Ok(Passage::Trial) => return Ok(CrmPermit { purpose, failures: 0, half_open: true }),
                Err(refusal) => refusal,
            };
            let is_refused =
                refusal.code == BREAKER_OPEN && breaker.open().await?.is_some_and(|open| !open.trial);
            if is_refused || refusal.code != BREAKER_OPEN || Instant::now() >= until {
                return Err(self.with_crm_dependency(refusal));
            }
            sleep(HALF_OPEN_POLL).await;
        }
    }

    /// Reports that the call succeeded.
    pub(crate) async fn succeeded(&self, permit: CrmPermit) {
        if permit.failures > 0 || permit.half_open {
            self.log_failed_update(self.breaker(permit.purpose).succeeded().await);
        }
    }

    /// Reports that no call was made, or that its answer says nothing about the CRM's health.
    pub(crate) async fn cancel(&self, permit: CrmPermit) {
        if permit.half_open {
            self.log_failed_update(self.breaker(permit.purpose).untried(Passage::Trial).await);
        }
    }

    /// Reports a failed call, and returns the failure that applies to the lead.
    pub(crate) async fn failed(&self, permit: CrmPermit, lead: Option<&LeadId>, failure: Failure) -> Failure {
        let breaker = self.breaker(permit.purpose);
        match failure.class {
            FailureClass::Deferral => self.cancel(permit).await,
            FailureClass::Transient if self.is_crm_failure(&failure) => {
                if !self.is_caused_by_lead(breaker, lead).await {
                    return self.record_outage(breaker, lead, &failure).await;
                }
                if permit.half_open {
                    self.cancel(permit).await;
                } else {
                    self.log_failed_update(breaker.failed(&failure).await);
                }
            }
            // A failure of another dependency says nothing about the CRM.
            FailureClass::Transient if failure.dependency.as_ref() != Some(&self.dependency) => {
                self.cancel(permit).await;
            }
            // A CRM that refuses a request is up.
            FailureClass::Transient | FailureClass::Permanent if permit.failures > 0 || permit.half_open => {
                self.log_failed_update(breaker.replied().await);
            }
            FailureClass::Transient | FailureClass::Permanent => {}
        }
        failure
    }

    /// Reports that a probe succeeded: breakers that are open become half-open.
    pub(crate) async fn probe_succeeded(&self) -> Result<(), Failure> {
        self.reads.half_open().await?;
        self.writes.half_open().await
    }

    /// Reports that a probe failed. A deferral says nothing about the CRM's health.
    pub(crate) async fn probe_failed(&self, failure: &Failure) -> Result<(), Failure> {
        if failure.class == FailureClass::Deferral {
            return Ok(());
        }
        self.reads.failed(failure).await?;
        self.writes.failed(failure).await
    }

    fn is_crm_failure(&self, failure: &Failure) -> bool {
        failure.dependency.as_ref() == Some(&self.dependency)
            && !RECORD_LEVEL_ERRORS.contains(&failure.code.as_ref())
    }

    /// Whether the CRM has recovered for other leads since it last failed for this lead.
    async fn is_caused_by_lead(&self, breaker: &Breaker, lead: Option<&LeadId>) -> bool {
        let Some(lead) = lead else { return false };
        let recovered_at = breaker.record().await.ok().and_then(|record| record.recovered_at);
        let failed_at = self.ledger.last_outage(self.dependency(), lead).await.ok().flatten();
        matches!((recovered_at, failed_at), (Some(recovered), Some(failed)) if recovered > failed)
    }

    /// Counts a CRM failure, and turns it into a deferral, which costs the lead no attempt. The lead waits,
    /// twice as long with each consecutive failure; all leads wait if the breaker opens.
    async fn record_outage(&self, breaker: &Breaker, lead: Option<&LeadId>, failure: &Failure) -> Failure {
        let updated = breaker.count(failure, lead.map(LeadId::as_str)).await;
        if let Ok(record) = &updated
            && let Some(open) = &record.open
        {
            return self.with_crm_dependency(breaker.refusal(open));
        }
        let failures = updated.as_ref().map_or(1, |record| record.failures);
        self.log_failed_update(updated.map(drop));
        let wait = Duration::from_secs(1 << failures.clamp(1, MAX_WAIT_EXPONENT));
        let message =
            format!("{} failed, which does not count against this lead ({failure})", self.dependency);
        let all = Failure::deferral(self.dependency.clone(), OUTAGE, message, Some(wait));
        Failure { dependency: None, ..all }
    }

    /// Reports either breaker under the dependency of the CRM, which is the one that waiting callers probe.
    fn with_crm_dependency(&self, refusal: Failure) -> Failure {
        if refusal.class == FailureClass::Deferral { refusal.on(self.dependency.clone()) } else { refusal }
    }

    /// Logs a breaker update that failed. The result of the plan matters more than the count.
    fn log_failed_update(&self, update: Result<(), Failure>) {
        if let Err(failure) = update {
            tracing::warn!(dependency = %self.dependency, code = %failure.code, "breaker not updated");
        }
    }
}
