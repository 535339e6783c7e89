//! Circuit breaking for CRM calls, and attribution of a failure to the CRM or to the lead.

use std::sync::Arc;
use std::time::Duration;

use lead::{Cause, Clock, Dependency, Failure, FailureClass, LeadId};
use tokio::time::{Instant, sleep};

use crate::Ledger;
use breaker::{BreakerSettings, CircuitBreaker, Health, NoPermit, Permit};

/// How long callers wait for the half-open probe to finish, and how often they check. Without the wait they
/// would be deferred, lose their positions in the queue, and pause it just as it resumes.
const HALF_OPEN_WAIT: Duration = Duration::from_secs(5);
const HALF_OPEN_POLL: Duration = Duration::from_millis(100);

/// The longest wait of a lead after a CRM failure, as a power of two of seconds.
const MAX_WAIT_EXPONENT: u32 = 5;

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
    reads: CircuitBreaker,
    writes: CircuitBreaker,
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
        let reads = CircuitBreaker::new(reads, Arc::clone(&health), Arc::clone(&clock), settings);
        let writes = CircuitBreaker::new(dependency.clone(), health, clock, settings);
        Self { dependency, reads, writes, ledger }
    }

    pub(crate) fn dependency(&self) -> &Dependency {
        &self.dependency
    }

    fn breaker(&self, purpose: Purpose) -> &CircuitBreaker {
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
            && let Some(wait) = breaker.probe_backoff(lead.as_str()).await?
        {
            let message = format!(
                "the last call to {} for this lead failed: the half-open probe is left to another lead",
                self.dependency
            );
            return Err(Failure::lead_deferral("crm_probe_reserved", message, wait));
        }
        let until = Instant::now() + HALF_OPEN_WAIT;
        loop {
            match breaker.acquire().await {
                Ok(Permit::Closed(failures)) => {
                    return Ok(CrmPermit { purpose, failures, half_open: false });
                }
                Ok(Permit::HalfOpen) => return Ok(CrmPermit { purpose, failures: 0, half_open: true }),
                Err(NoPermit::Open { open, .. }) if open.probing && Instant::now() < until => {
                    sleep(HALF_OPEN_POLL).await;
                }
                Err(NoPermit::Open { failure, .. }) => return Err(failure.on(self.dependency.clone())),
                Err(NoPermit::Unknown(failure)) => return Err(failure),
            }
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
            self.log_failed_update(self.breaker(permit.purpose).release(Permit::HalfOpen).await);
        }
    }

    /// Reports a failed call, and returns the failure that applies to the lead.
    pub(crate) async fn failed(&self, permit: CrmPermit, lead: Option<&LeadId>, failure: Failure) -> Failure {
        let breaker = self.breaker(permit.purpose);
        match failure.class() {
            FailureClass::Deferral => self.cancel(permit).await,
            FailureClass::Transient if self.is_crm_failure(&failure) => {
                let is_caused_by_lead = self.is_caused_by_lead(breaker, lead).await;
                if let Some(lead) = lead
                    && let Err(failure) = self.ledger.record_outage(lead).await
                {
                    tracing::warn!(dependency = %self.dependency, code = %failure.code, "outage not recorded");
                }
                if !is_caused_by_lead {
                    return self.record_outage(breaker, lead, &failure).await;
                }
                if permit.half_open {
                    self.cancel(permit).await;
                } else {
                    self.log_failed_update(breaker.failed(&failure).await);
                }
            }
            // A failure of another dependency says nothing about the CRM.
            FailureClass::Transient if failure.dependency() != Some(&self.dependency) => {
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
        if failure.class() == FailureClass::Deferral {
            return Ok(());
        }
        self.reads.failed(failure).await?;
        self.writes.failed(failure).await
    }

    /// Whether a failure is the CRM's. A failure without a known cause counts as one;
    /// [`is_caused_by_lead`](Self::is_caused_by_lead) limits the damage if it in fact concerns a single
    /// record.
    fn is_crm_failure(&self, failure: &Failure) -> bool {
        failure.dependency() == Some(&self.dependency) && failure.cause != Cause::Record
    }

    /// Whether the CRM has recovered for other leads since it last failed for this lead.
    async fn is_caused_by_lead(&self, breaker: &CircuitBreaker, lead: Option<&LeadId>) -> bool {
        let Some(lead) = lead else { return false };
        let recovered_at = breaker.record().await.ok().and_then(|record| record.recovered_at);
        let failed_at = self.ledger.last_outage(lead).await.ok().flatten();
        matches!((recovered_at, failed_at), (Some(recovered), Some(failed)) if recovered > failed)
    }

    /// Counts a CRM failure, and turns it into a deferral, which costs the lead no attempt. The lead waits,
    /// twice as long with each consecutive failure; all leads wait if the breaker opens.
    async fn record_outage(
        &self,
        breaker: &CircuitBreaker,
        lead: Option<&LeadId>,
        failure: &Failure,
    ) -> Failure {
        let updated = breaker.count(failure, lead.map(LeadId::as_str)).await;
        if let Ok(record) = &updated
            && let Some(open) = &record.open
        {
            return breaker.refusal(open).on(self.dependency.clone());
        }
        let failures = updated.as_ref().map_or(1, |record| record.failures);
        self.log_failed_update(updated.map(drop));
        let wait = Duration::from_secs(1 << failures.clamp(1, MAX_WAIT_EXPONENT));
        let message =
            format!("{} failed, which does not count against this lead ({failure})", self.dependency);
        Failure::lead_deferral("crm_outage", message, wait)
    }

    /// Logs a breaker update that failed. The result of the plan matters more than the count.
    fn log_failed_update(&self, update: Result<(), Failure>) {
        if let Err(failure) = update {
            tracing::warn!(dependency = %self.dependency, code = %failure.code, "breaker not updated");
        }
    }
}
