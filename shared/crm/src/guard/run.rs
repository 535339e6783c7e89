//! The run of an admitted plan: from the ledger's rows before it to those after it.

use futures::future::join_all;
use lead::{Failure, FailureClass};

use super::{Guard, NotExecuted, PlanOutcome, timeout_failure};
use crate::circuit_breaker::CrmPermit;
use crate::progress::Progress;
use crate::{Authority, Effect, FieldChange, Followed, Ledger, Outcome, Plan, PlannedAction};

/// The component that failed while a plan was prepared. Only CRM failures count towards the circuit breaker.
enum PrepareFailure {
    Crm(Failure),
    Ledger(Failure),
}

/// What is known of the CRM before a plan begins.
struct Prepared {
    followed: Option<Followed>,
    /// The changes that the new actions are about to make, if they are kept.
    changes: Option<Vec<FieldChange>>,
}

impl Guard {
    /// Runs an admitted plan, and counts the actions that were sent.
    ///
    /// The outer error is the ledger's, the inner failure the CRM's.
    pub(super) async fn run(
        &self,
        ledger: &dyn Ledger,
        plan: &Plan,
        authority: Authority,
        permit: CrmPermit,
        sent: &mut u32,
    ) -> Result<Result<PlanOutcome, Failure>, NotExecuted> {
        let prepared = self.dropped_calls.track(&plan.lead_id, permit, self.prepare(ledger, plan)).await;
        let Prepared { followed, changes } = match prepared {
            Ok(prepared) => prepared,
            Err(PrepareFailure::Crm(failure)) => return Ok(Err(failure)),
            Err(PrepareFailure::Ledger(failure)) => return Err(failure.into()),
        };
        let states = self.begin(ledger, plan, changes.as_deref(), authority).await?;
        let mut progress = Progress::new(plan, states);
        let resolved = self.resolve_unknown(plan, &mut progress);
        if let Err(failure) = self.dropped_calls.track(&plan.lead_id, permit, resolved).await {
            progress.skip_remaining();
            return Ok(ledger.finish(&progress.outcomes()).await.map(|()| Err(failure))?);
        }

        let remaining = progress.remaining();
        if !remaining.is_empty() {
            let results =
                self.dropped_calls.track(&plan.lead_id, permit, self.execute(plan, &remaining)).await;
            *sent = u32::try_from(results.len()).unwrap_or(u32::MAX);
            for (planned, result) in remaining.iter().zip(results) {
                let outcome = match result {
                    Ok(effect) => Outcome::Done(effect),
                    Err(failure) if failure.class() == FailureClass::Transient => Outcome::Unknown(failure),
                    Err(failure) => Outcome::Failed(failure),
                };
                progress.set(planned.position, outcome);
            }
            progress.skip_remaining();
        }
        for (planned, outcome) in progress.new_outcomes() {
            self.report(plan, planned, label(outcome), outcome.failure());
            self.report_omissions(plan, outcome);
        }
        ledger.finish(&progress.outcomes()).await?;
        Ok(progress.into_result(self.provider()).map(|outcome| PlanOutcome { followed, ..outcome }))
    }

    /// Reads from the CRM what must be known before the plan begins.
    async fn prepare(&self, ledger: &dyn Ledger, plan: &Plan) -> Result<Prepared, PrepareFailure> {
        let states = ledger.states(plan).await.map_err(PrepareFailure::Ledger)?;
        let progress = Progress::new(plan, states);
        let followed = self.follow(ledger, plan, &progress).await?;
        let changes =
            if self.settings.keep_old_values { Some(self.old_values(plan, &progress).await?) } else { None };
        Ok(Prepared { followed, changes })
    }

    /// Finds the record that earlier plans wrote for the lead, if it has been merged into another one since.
    async fn follow(
        &self,
        ledger: &dyn Ledger,
        plan: &Plan,
        progress: &Progress<'_>,
    ) -> Result<Option<Followed>, PrepareFailure> {
        if progress.remaining().is_empty() {
            return Ok(None);
        }
        let written = ledger.written_record(self.provider(), &plan.lead_id).await;
        let Some(record_id) = written.map_err(PrepareFailure::Ledger)? else { return Ok(None) };
        let followed = self.executor.follow(&plan.lead_id, &record_id);
        let followed = self.with_timeout(followed).await.map_err(PrepareFailure::Crm)?;
        if let Some(Followed { from, to }) = &followed {
            let provider = self.provider();
            metrics::counter!("revenueflow_crm_records_followed_total", "provider" => provider).increment(1);
            tracing::warn!(lead_id = %plan.lead_id, provider, %from, %to, "merged crm record followed");
        }
        Ok(followed)
    }

    /// Looks up every action with an unknown outcome in the CRM.
    async fn resolve_unknown(&self, plan: &Plan, progress: &mut Progress<'_>) -> Result<(), Failure> {
        let unsettled = progress.unsettled();
        // At the same time, so that the lookups share calls.
        let found =
            join_all(unsettled.iter().map(|planned| self.executor.find(&plan.lead_id, planned))).await;
        for (planned, found) in unsettled.into_iter().zip(found) {
            match found {
                Ok(Some(effect)) => progress.set(planned.position, Outcome::Done(effect)),
                Ok(None) => {}
                Err(failure) => {
                    let failure = self.with_dependency(failure);
                    self.report(plan, planned, "unknown", Some(&failure));
                    progress.set(planned.position, Outcome::Unknown(failure.clone()));
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    /// The values that the new actions are about to overwrite. An action with an unknown outcome is skipped:
    /// an earlier attempt has stored its values, and the present ones may be its own writes.
    async fn old_values(
        &self,
        plan: &Plan,
        progress: &Progress<'_>,
    ) -> Result<Vec<FieldChange>, PrepareFailure> {
        let new_actions = progress.new_actions();
        if new_actions.is_empty() {
            return Ok(Vec::new());
        }
        let preview = self.executor.preview(&plan.lead_id, &new_actions);
        self.with_timeout(preview).await.map_err(PrepareFailure::Crm)
    }

    async fn execute(&self, plan: &Plan, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        let work = self.executor.execute(&plan.lead_id, actions);
        let answer = tokio::time::timeout(self.settings.timeout, work).await;
        let mut results = answer.unwrap_or_else(|_| {
            let failure = timeout_failure();
            actions.iter().map(|_| Err(failure.clone())).collect()
        });
        if results.len() < actions.len() && results.iter().all(Result::is_ok) {
            let failure =
                Failure::transient("crm_incomplete_answer", "the CRM returned no result for the action");
            results.resize_with(actions.len(), || Err(failure.clone()));
        }
        for result in &mut results {
            if let Err(failure) = result {
                *failure = self.with_dependency(failure.clone());
            }
        }
        results
    }
}

fn label(outcome: &Outcome) -> &'static str {
    if let Outcome::Unknown(_) = outcome { "unknown" } else { outcome.state().as_str() }
}
