//! Calls that only read from the CRM, the probe, and the restoring of old values.

use std::collections::BTreeMap;

use lead::{Failure, LeadId};

use super::{Guard, PROBE_TIMEOUT, Preview, refuse_synthetic};
use crate::circuit_breaker::Purpose;
use crate::{
    About, FieldChange, Known, OwnerStatus, Plan, PlannedAction, RecordPreview, Restored, SchemaProblem,
};

impl Guard {
    /// Reports the fields that a plan would write now, and the reason for each field that it would leave out.
    /// The call only reads from the CRM and does not count towards the rate limits.
    ///
    /// Failures: as for [`submit`](Self::submit), if the CRM cannot be read.
    pub async fn preview(&self, plan: &Plan) -> Result<Preview, Failure> {
        refuse_synthetic(&plan.lead_id)?;
        let reviews = self.review(plan);
        let passing = plan.actions.iter().zip(&reviews).filter(|(_, review)| review.refusal.is_none());
        let actions: Vec<PlannedAction> = passing.map(|(planned, _)| planned.clone()).collect();
        let lead = &plan.lead_id;
        let written = self.ledger.written_record(self.provider(), lead).await?;
        let foreseen = async {
            if let Some(record_id) = &written {
                return self.executor.preview_written(lead, record_id, &actions).await;
            }
            Ok(RecordPreview { followed: None, changes: self.executor.preview(lead, &actions).await? })
        };
        let RecordPreview { followed, changes } = self.query(Some(lead), foreseen).await?;
        Ok(Preview { reviews, followed, changes })
    }

    /// Looks up a person and their company. None for a CRM that holds only our own writes, and for the
    /// synthetic lead, which no CRM is queried for.
    ///
    /// Failures: as for [`submit`](Self::submit), if the CRM cannot be read.
    pub async fn facts(&self, about: &About) -> Result<Option<Known>, Failure> {
        if about.lead_id.is_synthetic() || !self.executor.has_external_facts() {
            return Ok(None);
        }
        let written = self.ledger.written_record(self.provider(), &about.lead_id).await?;
        let facts = async {
            match &written {
                Some(record_id) => self.executor.facts_of_written(about, record_id).await,
                None => self.executor.facts(about).await,
            }
        };
        self.query(Some(&about.lead_id), facts).await.map(Some)
    }

    /// The URL of a CRM record. None if it is not known.
    pub fn record_url(&self, record_id: &str) -> Option<String> {
        self.executor.record_url(record_id)
    }

    /// The CRM's information on possible owners. An owner is missing from the result if the CRM does not know
    /// it or cannot be queried.
    pub async fn owners(&self, ids: &[String]) -> BTreeMap<String, OwnerStatus> {
        let answer = tokio::time::timeout(PROBE_TIMEOUT, self.executor.owners(ids)).await;
        answer.unwrap_or_default()
    }

    /// A description of the account that the credentials open, if the CRM reports one.
    pub async fn account(&self) -> Result<Option<String>, Failure> {
        self.query(None, self.executor.account()).await
    }

    /// Mismatches between the CRM's schema and the mapping.
    pub async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure> {
        self.query(None, self.executor.schema_problems()).await
    }

    /// Restores old values in fields that still hold the value we wrote: see
    /// [`Executor::restore`](crate::Executor::restore). An operator starts it, one lead at a time. It is
    /// subject to the circuit breaker but not to the rate limits.
    pub async fn restore(&self, changes: &[FieldChange]) -> Result<Vec<Restored>, Failure> {
        let permit = self.acquire_permit(Purpose::Write, None).await?;
        let results = self.with_timeout(self.executor.restore(changes)).await;
        let results = self.record_result(permit, None, results).await?;
        let put_back = results.iter().filter(|result| **result == Restored::PutBack).count();
        tracing::info!(provider = self.provider(), fields = changes.len(), put_back, "old values put back");
        Ok(results)
    }

    /// Makes a read call, subject to the circuit breaker and the timeout, and records its result with the
    /// breaker.
    async fn query<T>(
        &self,
        lead: Option<&LeadId>,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let permit = self.acquire_permit(Purpose::Read, lead).await?;
        let call = self.with_timeout(call);
        let answer = match lead {
            Some(lead) => self.dropped_calls.track(lead, permit, call).await,
            None => call.await,
        };
        self.record_result(permit, lead, answer).await
    }

    /// Probes the CRM and records the result with the circuit breaker. For callers that wait to resume.
    ///
    /// A probe does not show that leads can be written. After a successful probe an open breaker is
    /// half-open: it admits one lead, and all others once that one has succeeded.
    pub async fn probe(&self) -> Result<(), Failure> {
        match self.call_probe().await {
            Ok(()) => self.breaker.probe_succeeded().await,
            Err(failure) => {
                self.breaker.probe_failed(&failure).await?;
                Err(failure)
            }
        }
    }
}
