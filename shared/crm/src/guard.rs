//! The guard: the only way to the CRM.

mod reads;
mod report;
mod run;

use std::sync::Arc;
use std::time::Duration;

use breaker::BreakerSettings;
use lead::{Clock, Dependency, Failure, LeadId};
use serde::{Deserialize, Serialize};

use crate::allow_list::review;
use crate::circuit_breaker::{CrmBreaker, CrmPermit, Purpose};
use crate::dropped_calls::DroppedCalls;
use crate::limits::{Exceeded, LimitError, Limits, Scope};
use crate::{
    ActionId, AllowList, Authority, BegunPlan, Effect, Executor, FieldChange, Followed, Health, Ledger,
    LedgerState, Mapping, Outcome, Plan, Review,
};

/// The timeout of a probe. A CRM that takes longer to answer its cheapest call is not usable.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of a [`Guard`].
#[derive(Clone, Debug)]
pub struct GuardSettings {
    /// The allowed actions and fields.
    pub allow: AllowList,
    /// When the circuit breaker opens, and for how long.
    pub breaker: BreakerSettings,
    /// The longest time that the actions of one plan may take together before their outcome counts as
    /// unknown. This is a safety net: executors have shorter timeouts for each call.
    pub timeout: Duration,
    /// Whether the values that a plan overwrites are read and stored in the ledger before the write, so that
    /// they can be restored. Costs one more CRM call for each plan.
    pub keep_old_values: bool,
    /// Whether plans are executed that no operator has promoted.
    pub mode: CrmMode,
    /// The executor's mapping.
    pub mapping: Arc<Mapping>,
}

/// Whether plans are executed (`live`), or checked against the CRM and kept (`shadow`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrmMode {
    /// Plans are made, checked against the CRM, and stored, but not executed.
    Shadow,
    /// Plans are executed.
    Live,
}

impl Default for GuardSettings {
    /// The built-in allow-list, the default breaker, a timeout of one minute, old values not kept, live mode,
    /// and the mock CRM's mapping.
    fn default() -> Self {
        Self {
            allow: AllowList::default(),
            breaker: BreakerSettings::default(),
            timeout: Duration::from_mins(1),
            keep_old_values: false,
            mode: CrmMode::Live,
            mapping: Arc::new(Mapping::default_for("mock").expect("there is a mapping for the mock CRM")),
        }
    }
}

/// The result of a completed plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOutcome {
    /// The CRM's name, as in `CRM_PROVIDER`.
    pub provider: &'static str,
    /// The lead's own record, if the plan has an action for it.
    pub lead_record: Option<Effect>,
    /// The effect of each action, in the plan's order, including effects of earlier attempts.
    pub effects: Vec<(ActionId, Effect)>,
    /// The merge that was followed to the lead's record, if any.
    pub followed: Option<Followed>,
}

/// The reason why a submitted plan was not executed to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotExecuted {
    /// The CRM is in shadow mode, or an operator holds it. Nothing was written.
    Held,
    /// A newer delivery of the lead arrived during the work. Nothing was written, and the delivery is closed.
    Superseded,
    /// Another worker has worked on the lead meanwhile. Nothing was written.
    Raced,
    /// The guard refused the plan, or the CRM, the ledger or a limit failed.
    Failed(Failure),
}

impl From<Failure> for NotExecuted {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The writes that a plan would make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The guard's review of each action.
    pub reviews: Vec<Review>,
    /// The merge that would be followed to the lead's record, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<Followed>,
    /// The fields that the accepted actions would write or leave out.
    pub changes: Vec<FieldChange>,
}

/// The only component that submits actions to the CRM.
///
/// A plan passes these checks in order: the synthetic lead is refused, then shadow mode, the review
/// (allow-list, size, no effect twice), the circuit breaker, the rate limits, and the ledger, whose
/// transaction checks the hold of an operator. Then the executor runs it. A plan that is refused or deferred
/// before it reaches the executor has had no effect.
pub struct Guard {
    executor: Arc<dyn Executor>,
    ledger: Arc<dyn Ledger>,
    limits: Arc<dyn Limits>,
    breaker: CrmBreaker,
    dropped_calls: DroppedCalls,
    settings: GuardSettings,
}

impl Guard {
    /// A guard for one CRM. Its dependency is named `crm.` followed by the executor's name.
    pub fn new(
        executor: Arc<dyn Executor>,
        ledger: Arc<dyn Ledger>,
        health: Arc<dyn Health>,
        limits: Arc<dyn Limits>,
        clock: Arc<dyn Clock>,
        settings: GuardSettings,
    ) -> Self {
        let dependency = Dependency::named(format!("crm.{}", executor.provider()));
        let breaker = CrmBreaker::new(dependency, health, Arc::clone(&ledger), clock, settings.breaker);
        Self { executor, ledger, limits, breaker, dropped_calls: DroppedCalls::default(), settings }
    }

    /// The CRM's name, as in `CRM_PROVIDER`.
    pub fn provider(&self) -> &'static str {
        self.executor.provider()
    }

    /// The configured mode.
    pub fn mode(&self) -> CrmMode {
        self.settings.mode
    }

    /// The executor's mapping.
    pub fn mapping(&self) -> &Mapping {
        &self.settings.mapping
    }

    /// The dependency that failures of this CRM are reported under.
    pub fn dependency(&self) -> &Dependency {
        self.breaker.dependency()
    }

    /// Reviews each action: whether it would be refused, and why. Nothing is executed, counted or stored.
    pub fn review(&self, plan: &Plan) -> Vec<Review> {
        review(plan, &self.settings.allow, self.limits.largest_plan())
    }

    async fn record_result<T>(
        &self,
        permit: CrmPermit,
        lead: Option<&LeadId>,
        answer: Result<T, Failure>,
    ) -> Result<T, Failure> {
        match answer {
            Ok(answer) => {
                self.breaker.succeeded(permit).await;
                Ok(answer)
            }
            Err(failure) => Err(self.breaker.failed(permit, lead, failure).await),
        }
    }

    async fn with_timeout<T>(&self, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let answer = tokio::time::timeout(self.settings.timeout, call).await;
        answer.unwrap_or_else(|_| Err(timeout_failure())).map_err(|failure| self.with_dependency(failure))
    }

    /// Executes the actions of the plan that are not done yet, each effect once.
    ///
    /// After a failure or a crash, submit the plan again to continue it, as often as necessary.
    ///
    /// # Errors
    /// [`NotExecuted::Held`] and [`NotExecuted::Superseded`] as described there. Failures: permanent, if the
    /// guard refuses an action (`action_not_allowed`, `field_not_allowed`, `duplicate_action`,
    /// `plan_too_large`, `synthetic_lead`) or the CRM does; a deferral without a dependency, if only this
    /// lead must wait (`lead_rate_limit`, `account_rate_limit`, `crm_probe_reserved`, or `crm_outage`: the
    /// CRM failed, and the outcome may be unknown); a deferral on this CRM, if all leads must wait
    /// (`crm_rate_limit`, which ends by itself, `breaker_open`, or a deferral that the CRM requests);
    /// transient, if this lead's record cannot be written now.
    pub async fn submit(&self, plan: &Plan, authority: Authority) -> Result<PlanOutcome, NotExecuted> {
        self.submit_with(self.ledger.as_ref(), None, plan, authority).await
    }

    /// [`submit`](Self::submit), with a ledger that belongs to the work on this lead, and that may count the
    /// plan itself.
    pub async fn submit_with(
        &self,
        ledger: &dyn Ledger,
        limits: Option<&dyn Limits>,
        plan: &Plan,
        authority: Authority,
    ) -> Result<PlanOutcome, NotExecuted> {
        refuse_synthetic(&plan.lead_id)?;
        if self.settings.mode == CrmMode::Shadow && !authority.overrides_shadow_mode() {
            return Err(NotExecuted::Held);
        }
        self.refuse_disallowed_actions(ledger, plan, authority).await?;
        let permit = self.acquire_permit(Purpose::Write, Some(&plan.lead_id)).await?;
        let mut sent = 0;
        let outcome = match self
            .run_within_limits(
                ledger,
                limits.unwrap_or(self.limits.as_ref()),
                plan,
                authority,
                permit,
                &mut sent,
            )
            .await
        {
            Ok(outcome) => outcome,
            Err(not_executed) => {
                self.breaker.cancel(permit).await;
                return Err(not_executed);
            }
        };
        match outcome {
            Ok(outcome) if sent == 0 => {
                self.breaker.cancel(permit).await;
                Ok(outcome)
            }
            outcome => Ok(self.record_result(permit, Some(&plan.lead_id), outcome).await?),
        }
    }

    async fn run_within_limits(
        &self,
        ledger: &dyn Ledger,
        limits: &dyn Limits,
        plan: &Plan,
        authority: Authority,
        permit: CrmPermit,
        sent: &mut u32,
    ) -> Result<Result<PlanOutcome, Failure>, NotExecuted> {
        let planned = u32::try_from(plan.actions.len()).unwrap_or(u32::MAX);
        let reservation = limits.reserve(&plan.lead_id, plan.account.as_deref(), planned).await.map_err(
            |error| match error {
                LimitError::Exceeded(exceeded) => self.deferral(exceeded),
                LimitError::Uncounted(failure) => failure,
            },
        )?;
        let result = self.run(ledger, plan, authority, permit, sent).await;
        let unused = planned - (*sent).min(planned);
        if unused > 0 {
            limits.release(&plan.lead_id, plan.account.as_deref(), reservation, unused).await;
        }
        result
    }

    async fn refuse_disallowed_actions(
        &self,
        ledger: &dyn Ledger,
        plan: &Plan,
        authority: Authority,
    ) -> Result<(), NotExecuted> {
        let reviews = self.review(plan);
        let mut refused = Vec::new();
        for (planned, review) in plan.actions.iter().zip(&reviews) {
            if let Some(failure) = &review.refusal {
                self.report(plan, planned, "refused", Some(failure));
                refused.push((planned, failure));
            }
        }
        let Some(first) = refused.first().map(|(_, failure)| (*failure).clone()) else { return Ok(()) };
        // A duplicate action shares its id with the first action, whose row must not be marked as refused.
        refused.retain(|(planned, _)| {
            let first = plan.actions.iter().find(|action| action.action_id == planned.action_id);
            first.is_some_and(|first| first.position == planned.position)
        });
        let mut rows = plan.clone();
        rows.actions = refused.iter().map(|(planned, _)| (*planned).clone()).collect();
        self.begin(ledger, &rows, None, authority).await?;
        let outcomes: Vec<_> = refused
            .iter()
            .map(|(planned, failure)| (planned.action_id.clone(), Outcome::Refused((*failure).clone())))
            .collect();
        ledger.finish(&outcomes).await?;
        Err(first.into())
    }

    /// Begins the actions of a plan in the ledger.
    async fn begin(
        &self,
        ledger: &dyn Ledger,
        plan: &Plan,
        changes: Option<&[FieldChange]>,
        authority: Authority,
    ) -> Result<Vec<LedgerState>, NotExecuted> {
        match ledger.begin(self.provider(), plan, changes, authority).await? {
            BegunPlan::States(states) => Ok(states),
            BegunPlan::Superseded => Err(NotExecuted::Superseded),
            BegunPlan::Held => Err(NotExecuted::Held),
            BegunPlan::Raced => Err(NotExecuted::Raced),
            BegunPlan::Exceeded(exceeded) => Err(self.deferral(exceeded).into()),
            BegunPlan::Erased => {
                let message = "the person was erased while the lead was being worked on";
                Err(Failure::permanent("lead_erased", message).into())
            }
        }
    }

    /// Acquires a permit from the circuit breaker. A half-open permit is probed first with the cheapest call.
    async fn acquire_permit(&self, purpose: Purpose, lead: Option<&LeadId>) -> Result<CrmPermit, Failure> {
        let permit = self.breaker.acquire(purpose, lead).await?;
        if !permit.half_open {
            return Ok(permit);
        }
        match self.call_probe().await {
            Ok(()) => Ok(permit),
            Err(failure) => Err(self.breaker.failed(permit, None, failure).await),
        }
    }

    /// The failure of a lead whose work was cancelled because its time was over. If a CRM call was in flight,
    /// the CRM did not answer in time, and this is treated like any other timeout. None if no CRM call was in
    /// flight.
    pub async fn interrupted(&self, lead: &LeadId) -> Option<Failure> {
        let permit = self.dropped_calls.take(lead)?;
        Some(self.breaker.failed(permit, Some(lead), self.with_dependency(timeout_failure())).await)
    }

    async fn call_probe(&self) -> Result<(), Failure> {
        let answer = tokio::time::timeout(PROBE_TIMEOUT, self.executor.probe()).await;
        answer.unwrap_or_else(|_| Err(timeout_failure())).map_err(|failure| self.with_dependency(failure))
    }

    fn deferral(&self, exceeded: Exceeded) -> Failure {
        let (code, whose) = match exceeded.scope {
            Scope::Lead => ("lead_rate_limit", "for this lead"),
            Scope::Account => ("account_rate_limit", "for this account"),
            Scope::Global => ("crm_rate_limit", "in all"),
        };
        let message = format!("too many CRM actions {whose}");
        match exceeded.scope {
            Scope::Global => Failure::limit(self.dependency().clone(), code, message, exceeded.retry_after),
            Scope::Lead | Scope::Account => Failure::lead_deferral(code, message, exceeded.retry_after),
        }
    }

    fn with_dependency(&self, failure: Failure) -> Failure {
        if failure.dependency().is_some() { failure } else { failure.on(self.dependency().clone()) }
    }
}

/// The synthetic lead is never written or looked up, whatever the caller. It gets no ledger row either.
fn refuse_synthetic(lead: &LeadId) -> Result<(), Failure> {
    if lead.is_synthetic() {
        return Err(Failure::permanent("synthetic_lead", "the synthetic lead is never written to a CRM"));
    }
    Ok(())
}

fn timeout_failure() -> Failure {
    Failure::transient("crm_timeout", "the CRM did not answer in time")
}
