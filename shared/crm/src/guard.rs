use std::sync::Arc;
use std::time::Duration;

use lead::{Clock, Dependency, Failure, FailureClass};

use crate::allow_list::review;
use crate::limits::{Exceeded, Limits, Scope};
use crate::progress::Progress;
use crate::{ActionId, AllowList, Effect, Executor, Health, Ledger, Outcome, Plan, PlannedAction, Review};
use breaker::{Breaker, BreakerSettings, Passage};

/// How the guard guards.
#[derive(Clone, Debug)]
pub struct GuardSettings {
    /// What may be done at all.
    pub allow: AllowList,
    /// When to leave the CRM alone.
    pub breaker: BreakerSettings,
    /// How long the actions of one plan may take together before their outcome counts as unknown. A safety net:
    /// executors have shorter limits for each call.
    pub timeout: Duration,
}

impl Default for GuardSettings {
    /// The built-in allow-list, the default breaker, one minute.
    fn default() -> Self {
        Self {
            allow: AllowList::default(),
            breaker: BreakerSettings::default(),
            timeout: Duration::from_mins(1),
        }
    }
}

/// A plan that has had all of its effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOutcome {
    /// Which CRM.
    pub provider: &'static str,
    /// The lead's own record, where the plan touched it.
    pub lead_record: Option<Effect>,
    /// The effect of each action, in the plan's order, whether of this try or of an earlier one.
    pub effects: Vec<(ActionId, Effect)>,
}

/// The only way to the CRM.
///
/// A plan passes, in this order: the review (allow-list, size, no effect twice), the breaker, the limits, the ledger,
/// and then the executor. What is refused or deferred has had no effect, whole.
pub struct Guard {
    executor: Arc<dyn Executor>,
    ledger: Arc<dyn Ledger>,
    limits: Arc<dyn Limits>,
    breaker: Breaker,
    settings: GuardSettings,
}

impl Guard {
    /// A guard before one CRM. Its breaker's dependency is `crm.` and the executor's name.
    pub fn new(
        executor: Arc<dyn Executor>,
        ledger: Arc<dyn Ledger>,
        health: Arc<dyn Health>,
        limits: Arc<dyn Limits>,
        clock: Arc<dyn Clock>,
        settings: GuardSettings,
    ) -> Self {
        let dependency = Dependency::named(format!("crm.{}", executor.provider()));
        let breaker = Breaker::new(dependency, health, clock, settings.breaker);
        Self { executor, ledger, limits, breaker, settings }
    }

    /// Which CRM, as in `CRM_PROVIDER`.
    pub fn provider(&self) -> &'static str {
        self.executor.provider()
    }

    /// The name under which failures of this CRM are reported.
    pub fn dependency(&self) -> &Dependency {
        self.breaker.dependency()
    }

    /// Says of each action whether it would be refused, and why. Nothing is done, counted or written.
    pub fn review(&self, plan: &Plan) -> Vec<Review> {
        review(plan, &self.settings.allow, self.limits.largest_plan())
    }

    /// Asks the CRM whether it can be used, and tells the breaker. For whoever waits to resume.
    pub async fn probe(&self) -> Result<(), Failure> {
        match self.executor.probe().await {
            Ok(()) => self.breaker.succeeded().await,
            Err(failure) => {
                let failure = self.named(failure);
                self.breaker.failed(&failure).await?;
                Err(failure)
            }
        }
    }

    /// Does what of the plan has not been done yet, each effect once.
    ///
    /// Submitting a plan again is how it is continued, after a failure or a crash and as often as it takes.
    ///
    /// Failures: permanent, when an action is refused by the guard (`action_not_allowed`, `field_not_allowed`,
    /// `duplicate_action`, `plan_too_large`) or by the CRM; a deferral without a dependency, when only this lead must wait
    /// (`lead_rate_limit`, `account_rate_limit`); a deferral on this CRM, when all must (`crm_rate_limit`,
    /// `breaker_open`, or what the CRM asks for); transient, when the CRM failed or the outcome is unknown.
    pub async fn submit(&self, plan: &Plan) -> Result<PlanOutcome, Failure> {
        self.refuse_what_is_not_allowed(plan).await?;
        let past_failures = self.pass_breaker().await?;

        let planned = u32::try_from(plan.actions.len()).unwrap_or(u32::MAX);
        let reservation = self
            .limits
            .reserve(&plan.lead_id, plan.account.as_deref(), planned)
            .await
            .map_err(|exceeded| self.deferral(exceeded))?;
        let mut sent = 0;
        let result = self.run(plan, &mut sent).await;
        self.limits.give_back(reservation, planned - sent.min(planned)).await;

        let outcome = result?;
        self.tell_breaker(outcome.as_ref().err(), past_failures).await;
        outcome
    }

    async fn refuse_what_is_not_allowed(&self, plan: &Plan) -> Result<(), Failure> {
        let reviews = self.review(plan);
        let mut refused = Vec::new();
        for (planned, review) in plan.actions.iter().zip(&reviews) {
            if let Some(failure) = &review.refusal {
                self.report(plan, planned, "refused", Some(failure));
                refused.push((planned, failure));
            }
        }
        let Some(first) = refused.first().map(|(_, failure)| (*failure).clone()) else { return Ok(()) };
        // A second action for the same effect has no row of its own: the first one's row is not this one's to refuse.
        refused.retain(|(_, failure)| failure.code != "duplicate_action");
        let mut rows = plan.clone();
        rows.actions = refused.iter().map(|(planned, _)| (*planned).clone()).collect();
        self.ledger.begin(self.provider(), &rows).await?;
        let outcomes: Vec<_> = refused
            .iter()
            .map(|(planned, failure)| (planned.action_id.clone(), Outcome::Refused((*failure).clone())))
            .collect();
        self.ledger.finish(&outcomes).await?;
        Err(first)
    }

    /// How often the CRM has failed in a row; tries it first where the breaker is due.
    async fn pass_breaker(&self) -> Result<u32, Failure> {
        match self.breaker.pass().await? {
            Passage::Closed(failures) => Ok(failures),
            Passage::Trial => match self.probe().await {
                Ok(()) => Ok(0),
                Err(failure) if failure.class == FailureClass::Deferral => Err(failure),
                // The lead has not been tried: it waits with the others instead of losing an attempt.
                Err(failure) => Err(Failure::deferral(
                    self.dependency().clone(),
                    "breaker_open",
                    format!("{} still fails: {}", self.dependency(), failure.code),
                    Some(self.settings.breaker.open_for),
                )),
            },
        }
    }

    /// Runs a plan that was let through, and counts the actions that were sent.
    ///
    /// The outer failure is the ledger's, the inner one the CRM's.
    async fn run(&self, plan: &Plan, sent: &mut u32) -> Result<Result<PlanOutcome, Failure>, Failure> {
        let states = self.ledger.begin(self.provider(), plan).await?;
        let mut progress = Progress::new(plan, states);
        if let Err(failure) = self.settle(plan, &mut progress).await {
            progress.skip_the_rest();
            self.ledger.finish(&progress.outcomes()).await?;
            return Ok(Err(failure));
        }

        let open = progress.open();
        if !open.is_empty() {
            let results = self.execute(plan, &open).await;
            *sent = u32::try_from(results.len()).unwrap_or(u32::MAX);
            for (planned, result) in open.iter().zip(results) {
                let outcome = match result {
                    Ok(effect) => Outcome::Done(effect),
                    Err(failure) if failure.class == FailureClass::Transient => Outcome::Unknown(failure),
                    Err(failure) => Outcome::Failed(failure),
                };
                progress.set(planned.position, outcome);
            }
            progress.skip_the_rest();
        }
        for (planned, outcome) in progress.news() {
            self.report(plan, planned, label(outcome), outcome.failure());
        }
        self.ledger.finish(&progress.outcomes()).await?;
        Ok(progress.into_result(self.provider()))
    }

    /// Asks the CRM about every action whose outcome is unknown.
    async fn settle(&self, plan: &Plan, progress: &mut Progress<'_>) -> Result<(), Failure> {
        for planned in progress.unsettled() {
            match self.executor.find(&plan.lead_id, planned).await {
                Ok(Some(effect)) => progress.set(planned.position, Outcome::Done(effect)),
                Ok(None) => {}
                Err(failure) => {
                    let failure = self.named(failure);
                    self.report(plan, planned, "unknown", Some(&failure));
                    progress.set(planned.position, Outcome::Unknown(failure.clone()));
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    async fn execute(&self, plan: &Plan, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        let work = self.executor.execute(&plan.lead_id, actions);
        let answer = tokio::time::timeout(self.settings.timeout, work).await;
        let mut results = answer.unwrap_or_else(|_| {
            let failure = Failure::transient("crm_timeout", "the CRM did not answer in time");
            actions.iter().map(|_| Err(failure.clone())).collect()
        });
        if results.len() < actions.len() && results.iter().all(Result::is_ok) {
            let failure =
                Failure::transient("crm_incomplete_answer", "the CRM did not say what became of it");
            results.resize_with(actions.len(), || Err(failure.clone()));
        }
        for result in &mut results {
            if let Err(failure) = result {
                *failure = self.named(failure.clone());
            }
        }
        results
    }

    /// A success closes, a transient failure counts; a refusal by the CRM shows that it works, a deferral shows nothing.
    async fn tell_breaker(&self, failure: Option<&Failure>, past_failures: u32) {
        let told = match failure {
            Some(failure) if failure.class == FailureClass::Transient => self.breaker.failed(failure).await,
            Some(failure) if failure.class == FailureClass::Deferral => Ok(()),
            _ if past_failures > 0 => self.breaker.succeeded().await,
            _ => Ok(()),
        };
        if let Err(failure) = told {
            // The plan's own outcome matters more than the count.
            tracing::warn!(dependency = %self.dependency(), code = %failure.code, "breaker not updated");
        }
    }

    fn deferral(&self, exceeded: Exceeded) -> Failure {
        let (code, whose) = match exceeded.scope {
            Scope::Lead => ("lead_rate_limit", "for this lead"),
            Scope::Account => ("account_rate_limit", "for this account"),
            Scope::Global => ("crm_rate_limit", "in all"),
        };
        let message = format!("too many CRM actions {whose}");
        let all = Failure::deferral(self.dependency().clone(), code, message, Some(exceeded.retry_after));
        if exceeded.scope == Scope::Global { all } else { Failure { dependency: None, ..all } }
    }

    fn named(&self, failure: Failure) -> Failure {
        if failure.dependency.is_some() { failure } else { failure.on(self.dependency().clone()) }
    }

    /// One line and one count for each action. Ids and codes only: parameters are personal.
    fn report(&self, plan: &Plan, planned: &PlannedAction, outcome: &'static str, failure: Option<&Failure>) {
        let provider = self.provider();
        let kind = planned.action.kind();
        metrics::counter!(
            "revenueflow_crm_actions_total", "provider" => provider, "kind" => kind, "outcome" => outcome
        )
        .increment(1);
        let (lead_id, action_id) = (&plan.lead_id, &planned.action_id);
        if let Some(Failure { code, .. }) = failure {
            tracing::warn!(%lead_id, %action_id, provider, kind, outcome, %code, "crm action");
        } else {
            tracing::info!(%lead_id, %action_id, provider, kind, outcome, "crm action");
        }
    }
}

fn label(outcome: &Outcome) -> &'static str {
    if let Outcome::Unknown(_) = outcome { "unknown" } else { outcome.state() }
}
