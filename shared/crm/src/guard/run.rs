//! The run of an admitted plan: from the ledger's rows before it to those after it.

use futures::future::join_all;
use lead::{Failure, FailureClass};

use super::{Guard, NotExecuted, PlanOutcome, timeout_failure};
use crate::circuit_breaker::CrmPermit;
use crate::progress::Progress;
use crate::{Authority, Effect, Followed, Ledger, Outcome, Plan, PlannedAction};

/// The component that failed while a plan was prepared. Only CRM failures count towards the circuit breaker.
enum PrepareFailure {
    Crm(Failure),
    Ledger(Failure),
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
        let states = self.begin(ledger, plan, authority).await?;
        let mut progress = Progress::new(plan, states);
        let prepared = async {
            let followed = self.follow(ledger, plan, &progress).await?;
            self.resolve_unknown(plan, &mut progress).await.map_err(PrepareFailure::Crm)?;
            if self.settings.keep_old_values {
                self.keep_old_values(ledger, plan, &progress).await?;
            }
            Ok(followed)
        };
        let followed = match self.dropped_calls.track(&plan.lead_id, permit, prepared).await {
            Ok(followed) => followed,
            Err(failure) => {
                progress.skip_remaining();
                let finished = ledger.finish(&progress.outcomes()).await;
                return match failure {
                    PrepareFailure::Crm(failure) => Ok(finished.map(|()| Err(failure))?),
                    PrepareFailure::Ledger(failure) => Err(failure.into()),
                };
            }
        };

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

    /// Stores the values that the new actions are about to overwrite. An action with an unknown outcome is
    /// skipped: an earlier attempt has stored its values, and the present ones may be its own writes.
    async fn keep_old_values(
        &self,
        ledger: &dyn Ledger,
        plan: &Plan,
        progress: &Progress<'_>,
    ) -> Result<(), PrepareFailure> {
        let new_actions = progress.new_actions();
        if new_actions.is_empty() {
            return Ok(());
        }
        let preview = self.executor.preview(&plan.lead_id, &new_actions);
        let changes = self.with_timeout(preview).await.map_err(PrepareFailure::Crm)?;
        let of = |planned: &PlannedAction| {
            let its = changes.iter().filter(|change| change.position == planned.position);
            (planned.action_id.clone(), its.cloned().collect())
        };
        ledger.note(&new_actions.iter().map(of).collect::<Vec<_>>()).await.map_err(PrepareFailure::Ledger)
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
