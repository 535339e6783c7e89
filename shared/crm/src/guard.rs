use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lead::{Clock, Dependency, Failure, FailureClass, LeadId};
use serde::{Deserialize, Serialize};

use crate::allow_list::review;
use crate::calls::Calls;
use crate::gate::{Gate, Pass, Purpose};
use crate::limits::{Exceeded, LimitError, Limits, Scope};
use crate::progress::Progress;
use crate::{
    About, ActionId, AllowList, Effect, Executor, FieldChange, Followed, Foreseen, Health, Known, Ledger,
    Mapping, Outcome, OwnerStanding, Plan, PlannedAction, Restored, Review, SchemaProblem,
};
use breaker::BreakerSettings;

/// How long a probe may take. What takes longer to answer the cheapest question cannot be used.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// Whether the values that a plan overwrites are read and kept in the ledger before it is done, so that they can be
    /// put back. It costs the CRM one more question a plan.
    pub keep_old_values: bool,
    /// Whether plans are carried out. The guard only says so; who plans keeps to it, since a promoted lead is carried out in
    /// shadow mode too.
    pub mode: CrmMode,
    /// The mapping that the executor works by.
    pub mapping: Arc<Mapping>,
}

/// Whether plans are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrmMode {
    /// They are made, checked against the CRM, and kept.
    Shadow,
    /// They are carried out.
    Live,
}

impl Default for GuardSettings {
    /// The built-in allow-list, the default breaker, one minute, no old values, live, and the mock CRM's mapping.
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

/// A plan that has had all of its effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOutcome {
    /// Which CRM.
    pub provider: &'static str,
    /// The lead's own record, where the plan touched it.
    pub lead_record: Option<Effect>,
    /// The effect of each action, in the plan's order, whether of this try or of an earlier one.
    pub effects: Vec<(ActionId, Effect)>,
    /// The merge that was followed to the lead's record, where there was one.
    pub followed: Option<Followed>,
}

/// What a plan would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// What the guard thinks of each action.
    pub reviews: Vec<Review>,
    /// The merge that would be followed to the lead's record, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<Followed>,
    /// What the actions that it lets pass would write, field by field.
    pub changes: Vec<FieldChange>,
}

/// The only way to the CRM.
///
/// A plan passes, in this order: the refusal of the synthetic lead, the review (allow-list, size, no effect twice), the
/// breaker, the limits, the ledger, and then the executor. What is refused or deferred has had no effect, whole.
pub struct Guard {
    executor: Arc<dyn Executor>,
    ledger: Arc<dyn Ledger>,
    limits: Arc<dyn Limits>,
    gate: Gate,
    calls: Calls,
    settings: GuardSettings,
}

impl Guard {
    /// A guard before one CRM. Its dependency is `crm.` and the executor's name.
    pub fn new(
        executor: Arc<dyn Executor>,
        ledger: Arc<dyn Ledger>,
        health: Arc<dyn Health>,
        limits: Arc<dyn Limits>,
        clock: Arc<dyn Clock>,
        settings: GuardSettings,
    ) -> Self {
        let dependency = Dependency::named(format!("crm.{}", executor.provider()));
        let gate = Gate::new(dependency, health, Arc::clone(&ledger), clock, settings.breaker);
        Self { executor, ledger, limits, gate, calls: Calls::default(), settings }
    }

    /// Which CRM, as in `CRM_PROVIDER`.
    pub fn provider(&self) -> &'static str {
        self.executor.provider()
    }

    /// Whether plans are to be carried out, as configured.
    pub fn mode(&self) -> CrmMode {
        self.settings.mode
    }

    /// The mapping that the executor works by.
    pub fn mapping(&self) -> &Mapping {
        &self.settings.mapping
    }

    /// The name under which failures of this CRM are reported.
    pub fn dependency(&self) -> &Dependency {
        self.gate.dependency()
    }

    /// Says of each action whether it would be refused, and why. Nothing is done, counted or written.
    pub fn review(&self, plan: &Plan) -> Vec<Review> {
        review(plan, &self.settings.allow, self.limits.largest_plan())
    }

    /// Says what a plan would write now, and why not, field by field. The CRM is read; nothing is written, and nothing counts
    /// against the limits.
    ///
    /// Failures: as of [`submit`](Self::submit), where the CRM cannot be read.
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
            Ok(Foreseen { followed: None, changes: self.executor.preview(lead, &actions).await? })
        };
        let Foreseen { followed, changes } = self.ask(Some(lead), foreseen).await?;
        Ok(Preview { reviews, followed, changes })
    }

    /// What the CRM knows of a person and their company; none for a CRM that knows only what we wrote, and for the synthetic
    /// lead, of which no CRM is asked.
    ///
    /// Failures: as of [`submit`](Self::submit), where the CRM cannot be read.
    pub async fn facts(&self, about: &About) -> Result<Option<Known>, Failure> {
        if about.lead_id.is_synthetic() || !self.executor.knows_more_than_we_wrote() {
            return Ok(None);
        }
        self.ask(Some(&about.lead_id), self.executor.facts(about)).await.map(Some)
    }

    /// Where people open a record of the CRM; none where that is not known.
    pub fn record_url(&self, record_id: &str) -> Option<String> {
        self.executor.record_url(record_id)
    }

    /// What the CRM says of those who may own records. One that is missing is not known, for whatever reason.
    pub async fn owners(&self, ids: &[String]) -> BTreeMap<String, OwnerStanding> {
        let answer = tokio::time::timeout(PROBE_TIMEOUT, self.executor.owners(ids)).await;
        answer.unwrap_or_default()
    }

    /// What can be said of the account that the credentials open.
    pub async fn account(&self) -> Result<Option<String>, Failure> {
        self.ask(None, self.executor.account()).await
    }

    /// What about the CRM's schema does not suit the mapping.
    pub async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure> {
        self.ask(None, self.executor.schema_problems()).await
    }

    /// Puts old values back where the CRM still holds what we wrote: see [`Executor::restore`]. An operator asks for it, lead
    /// by lead: it passes the breaker, and counts against no limit.
    pub async fn restore(&self, changes: &[FieldChange]) -> Result<Vec<Restored>, Failure> {
        let pass = self.pass(Purpose::Write, None).await?;
        let results = self.in_time(self.executor.restore(changes)).await;
        let results = self.told(pass, None, results).await?;
        let put_back = results.iter().filter(|result| **result == Restored::PutBack).count();
        tracing::info!(provider = self.provider(), fields = changes.len(), put_back, "old values put back");
        Ok(results)
    }

    /// Asks the CRM something, past the breaker and within the time, and tells the breaker what came of it.
    async fn ask<T>(
        &self,
        lead: Option<&LeadId>,
        question: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let pass = self.pass(Purpose::Read, lead).await?;
        let question = self.in_time(question);
        let answer = match lead {
            Some(lead) => self.calls.during(lead, pass, question).await,
            None => question.await,
        };
        self.told(pass, lead, answer).await
    }

    async fn told<T>(
        &self,
        pass: Pass,
        lead: Option<&LeadId>,
        answer: Result<T, Failure>,
    ) -> Result<T, Failure> {
        match answer {
            Ok(answer) => {
                self.gate.succeeded(pass).await;
                Ok(answer)
            }
            Err(failure) => Err(self.gate.failed(pass, lead, failure).await),
        }
    }

    async fn in_time<T>(&self, question: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let answer = tokio::time::timeout(self.settings.timeout, question).await;
        answer.unwrap_or_else(|_| Err(no_answer())).map_err(|failure| self.named(failure))
    }

    /// Asks the CRM whether it can be used, and tells the breaker. For whoever waits to resume.
    ///
    /// The cheapest question does not show that leads can be written: an open breaker lets one lead through then, and all
    /// others when it has succeeded.
    pub async fn probe(&self) -> Result<(), Failure> {
        match self.ask_the_cheapest().await {
            Ok(()) => self.gate.probed().await,
            Err(failure) => {
                self.gate.probed_in_vain(&failure).await?;
                Err(failure)
            }
        }
    }

    /// Does what of the plan has not been done yet, each effect once.
    ///
    /// Submitting a plan again is how it is continued, after a failure or a crash and as often as it takes.
    ///
    /// Failures: permanent, when an action is refused by the guard (`action_not_allowed`, `field_not_allowed`,
    /// `duplicate_action`, `plan_too_large`, `synthetic_lead`) or by the CRM; a deferral without a dependency, when only this
    /// lead must wait (`lead_rate_limit`, `account_rate_limit`, or `crm_outage`: the CRM failed, and the outcome may be unknown); a deferral
    /// on this CRM, when all must (`crm_rate_limit`, which ends by itself, `breaker_open`, or what the CRM asks for);
    /// transient, when this lead's record cannot be written now.
    pub async fn submit(&self, plan: &Plan) -> Result<PlanOutcome, Failure> {
        refuse_synthetic(&plan.lead_id)?;
        self.refuse_what_is_not_allowed(plan).await?;
        let pass = self.pass(Purpose::Write, Some(&plan.lead_id)).await?;
        let mut sent = 0;
        let outcome = match self.run_within_limits(plan, pass, &mut sent).await {
            Ok(outcome) => outcome,
            Err(failure) => {
                self.gate.untried(pass).await;
                return Err(failure);
            }
        };
        match outcome {
            Ok(outcome) if sent == 0 => {
                self.gate.untried(pass).await;
                Ok(outcome)
            }
            outcome => self.told(pass, Some(&plan.lead_id), outcome).await,
        }
    }

    async fn run_within_limits(
        &self,
        plan: &Plan,
        pass: Pass,
        sent: &mut u32,
    ) -> Result<Result<PlanOutcome, Failure>, Failure> {
        let planned = u32::try_from(plan.actions.len()).unwrap_or(u32::MAX);
        let reservation =
            self.limits.reserve(&plan.lead_id, plan.account.as_deref(), planned).await.map_err(|error| {
                match error {
                    LimitError::Exceeded(exceeded) => self.deferral(exceeded),
                    LimitError::Uncounted(failure) => failure,
                }
            })?;
        let result = self.run(plan, pass, sent).await;
        let unused = planned - (*sent).min(planned);
        if unused > 0 {
            self.limits.give_back(&plan.lead_id, plan.account.as_deref(), reservation, unused).await;
        }
        result
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

    /// Asks to pass the breaker. Who is to try a CRM that was down asks the cheapest question first.
    async fn pass(&self, purpose: Purpose, lead: Option<&LeadId>) -> Result<Pass, Failure> {
        let pass = self.gate.pass(purpose, lead).await?;
        if !pass.trial {
            return Ok(pass);
        }
        match self.ask_the_cheapest().await {
            Ok(()) => Ok(pass),
            Err(failure) => Err(self.gate.failed(pass, None, failure).await),
        }
    }

    /// What it means for a lead that its work was dropped because its time was over: where that fell into a call to the CRM,
    /// the CRM did not answer in time, and the failure is treated like any other without an answer. None where the CRM was not
    /// being asked.
    pub async fn interrupted(&self, lead: &LeadId) -> Option<Failure> {
        let pass = self.calls.take_dropped(lead)?;
        Some(self.gate.failed(pass, Some(lead), self.named(no_answer())).await)
    }

    async fn ask_the_cheapest(&self) -> Result<(), Failure> {
        let answer = tokio::time::timeout(PROBE_TIMEOUT, self.executor.probe()).await;
        answer.unwrap_or_else(|_| Err(no_answer())).map_err(|failure| self.named(failure))
    }

    /// Runs a plan that was let through, and counts the actions that were sent.
    ///
    /// The outer failure is the ledger's, the inner one the CRM's.
    async fn run(
        &self,
        plan: &Plan,
        pass: Pass,
        sent: &mut u32,
    ) -> Result<Result<PlanOutcome, Failure>, Failure> {
        let states = self.ledger.begin(self.provider(), plan).await?;
        let mut progress = Progress::new(plan, states);
        let prepared = async {
            let followed = self.follow(plan, &progress).await?;
            self.settle(plan, &mut progress).await.map_err(Side::Crm)?;
            if self.settings.keep_old_values {
                self.keep_old_values(plan, &progress).await?;
            }
            Ok(followed)
        };
        let followed = match self.calls.during(&plan.lead_id, pass, prepared).await {
            Ok(followed) => followed,
            Err(side) => {
                progress.skip_the_rest();
                let finished = self.ledger.finish(&progress.outcomes()).await;
                return match side {
                    Side::Crm(failure) => finished.map(|()| Err(failure)),
                    Side::Ledger(failure) => Err(failure),
                };
            }
        };

        let open = progress.open();
        if !open.is_empty() {
            let results = self.calls.during(&plan.lead_id, pass, self.execute(plan, &open)).await;
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
            self.report_omissions(plan, outcome);
        }
        self.ledger.finish(&progress.outcomes()).await?;
        Ok(progress.into_result(self.provider()).map(|outcome| PlanOutcome { followed, ..outcome }))
    }

    /// Finds the record that earlier plans wrote for the lead, where people have merged it meanwhile.
    async fn follow(&self, plan: &Plan, progress: &Progress<'_>) -> Result<Option<Followed>, Side> {
        if progress.open().is_empty() {
            return Ok(None);
        }
        let written = self.ledger.written_record(self.provider(), &plan.lead_id).await;
        let Some(record_id) = written.map_err(Side::Ledger)? else { return Ok(None) };
        let followed = self.executor.follow(&plan.lead_id, &record_id);
        let followed = self.in_time(followed).await.map_err(Side::Crm)?;
        if let Some(Followed { from, to }) = &followed {
            let provider = self.provider();
            metrics::counter!("revenueflow_crm_records_followed_total", "provider" => provider).increment(1);
            tracing::warn!(lead_id = %plan.lead_id, provider, %from, %to, "merged crm record followed");
        }
        Ok(followed)
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

    /// Keeps what the actions that begin now will overwrite. Of one that was begun before, the first try has kept it: the
    /// values of now may be its own.
    async fn keep_old_values(&self, plan: &Plan, progress: &Progress<'_>) -> Result<(), Side> {
        let beginning = progress.beginning();
        if beginning.is_empty() {
            return Ok(());
        }
        let preview = self.executor.preview(&plan.lead_id, &beginning);
        let changes = self.in_time(preview).await.map_err(Side::Crm)?;
        let of = |planned: &PlannedAction| {
            let its = changes.iter().filter(|change| change.position == planned.position);
            (planned.action_id.clone(), its.cloned().collect())
        };
        self.ledger.note(&beginning.iter().map(of).collect::<Vec<_>>()).await.map_err(Side::Ledger)
    }

    async fn execute(&self, plan: &Plan, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        let work = self.executor.execute(&plan.lead_id, actions);
        let answer = tokio::time::timeout(self.settings.timeout, work).await;
        let mut results = answer.unwrap_or_else(|_| {
            let failure = no_answer();
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

    fn deferral(&self, exceeded: Exceeded) -> Failure {
        let (code, whose) = match exceeded.scope {
            Scope::Lead => ("lead_rate_limit", "for this lead"),
            Scope::Account => ("account_rate_limit", "for this account"),
            Scope::Global => ("crm_rate_limit", "in all"),
        };
        let message = format!("too many CRM actions {whose}");
        let all = Failure::deferral(self.dependency().clone(), code, message, Some(exceeded.retry_after));
        match exceeded.scope {
            Scope::Global => all.ending_by_itself(),
            Scope::Lead | Scope::Account => Failure { dependency: None, ..all },
        }
    }

    fn named(&self, failure: Failure) -> Failure {
        if failure.dependency.is_some() { failure } else { failure.on(self.dependency().clone()) }
    }

    /// One line and one count for each field that was left out. The names are the mapping's, so there are few of them.
    fn report_omissions(&self, plan: &Plan, outcome: &Outcome) {
        let (provider, lead_id) = (self.provider(), &plan.lead_id);
        for omission in outcome.effect().into_iter().flat_map(|effect| &effect.left_out) {
            let (object, reason) = (omission.object.as_str(), omission.reason.code());
            metrics::counter!(
                "revenueflow_crm_fields_left_out_total", "provider" => provider, "object" => object,
                "field" => omission.field.clone(), "reason" => reason
            )
            .increment(1);
            tracing::warn!(%lead_id, provider, object, field = %omission.field, reason, "crm field left out");
        }
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

/// The side that failed while a plan was prepared. Only the CRM's failures concern its breaker.
enum Side {
    Crm(Failure),
    Ledger(Failure),
}

/// The synthetic lead is neither written nor looked up, whoever plans for it. No row of the ledger is written either.
fn refuse_synthetic(lead: &LeadId) -> Result<(), Failure> {
    if lead.is_synthetic() {
        return Err(Failure::permanent("synthetic_lead", "the synthetic lead is never written to a CRM"));
    }
    Ok(())
}

fn no_answer() -> Failure {
    Failure::transient("crm_timeout", "the CRM did not answer in time")
}

fn label(outcome: &Outcome) -> &'static str {
    if let Outcome::Unknown(_) = outcome { "unknown" } else { outcome.state() }
}
