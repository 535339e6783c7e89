use std::sync::Arc;

use async_trait::async_trait;
use crm::{Authority, CrmMode, Effect, NotExecuted, Plan};
use enrichment::Enrichment;
use grounding::GroundingStatus;
use intake::read_event;
use lead::{Cause, Failure, LeadEvent, Stage};
use queue::{LeadHandler, Message, Receipt, Settlement};
use serde_json::{Value, json};
use store::{Acknowledgement, AnalysisRecord, Assignment, Begun, CrmSync, Finish, NotSaved, Work};
use trace::Span;

use crate::permission::{Denied, Permission};
use crate::plan::{self, Rejected};
use crate::source_rules::unenriched;
use crate::{Pipeline, judge};

/// How often the work on a message begins again because another worker was faster.
const MAX_BEGINS: u32 = 3;

#[async_trait]
impl LeadHandler for Pipeline {
    async fn handle(&self, message: &Message) -> Result<(), Failure> {
        let event = read(message)?;
        let span = Span::consumer("process lead", event.traceparent)
            .with("messaging.operation.type", "process")
            .with("lead_id", event.lead_id.as_str().to_owned())
            .with("delivery_id", event.delivery_id().as_str().to_owned())
            .with("attempt", message.attempt);
        span.try_run(self.work_on(message, &event)).await
    }

    async fn attempt(&self, message: &Message, failure: &Failure) -> Result<u32, Failure> {
        let Ok(event) = read(message) else { return Ok(message.attempt) };
        let before = self.store.attempts(&event).await?.at(failure.stage);
        Ok(before.saturating_add(1))
    }

    /// An interruption during a CRM call counts as a CRM call that was not answered in time.
    async fn interrupted(&self, message: &Message) -> Failure {
        let crm_failure = match read(message) {
            Ok(event) => self.guard.interrupted(&event.lead_id).await,
            Err(_) => None,
        };
        let out_of_time = || Failure::transient("out_of_time", "the work took longer than its time limit");
        crm_failure.unwrap_or_else(out_of_time)
    }

    async fn record(&self, message: &Message, outcome: &Settlement) -> Result<(), Failure> {
        let event = read(message).ok();
        match (outcome, &event) {
            (Settlement::DeadLetter { failure }, event) => {
                // A readable message is stored as a lead event, because a redrive sends the stored body.
                let event = event.as_ref();
                let body = event.map_or_else(|| message.body.clone(), |event| json!(event).to_string());
                self.store.record_dead_letter(&message.id, event, &body, message.attempt, failure).await?;
            }
            (Settlement::Retry { after, failure }, Some(event)) => {
                self.store.record_retry(event, message.attempt, failure, *after, false).await?;
            }
            (Settlement::Defer { after, failure }, Some(event)) => {
                self.store.record_retry(event, message.attempt, failure, *after, true).await?;
            }
            (Settlement::Done | Settlement::Retry { .. } | Settlement::Defer { .. }, _) => {}
        }
        Ok(())
    }
}

impl Pipeline {
    /// Processes an event, resuming after the last stored step. If another worker has stored a result of the
    /// same step first, the work begins again from there.
    async fn work_on(&self, message: &Message, event: &LeadEvent) -> Result<(), Failure> {
        if message.redriven && self.store.reopen_dead_lettered(event, "redrive").await? {
            tracing::info!("redriven dead letter accepted");
        }
        let mut begins = 0;
        loop {
            let mut work = match self.steps.begin(event, message.attempt).await? {
                Begun::Work(work) => work,
                // The process died after it recorded the dead letter and before it settled the message.
                Begun::DeadLettered(failure) => return Err(failure),
                Begun::Nothing => {
                    tracing::info!("nothing to do: finished or superseded");
                    return Ok(());
                }
            };
            begins += 1;
            match self.take_steps(message, event, &mut work).await {
                Err(failure) if failure.cause == Cause::Raced && begins < MAX_BEGINS => {}
                Err(failure) => {
                    // What was found out before the failure is not asked for again.
                    if let Err(NotSaved::Failed(error)) = self.steps.save(&mut work).await {
                        tracing::warn!(%error, "results before a failure not stored");
                    }
                    return Err(failure);
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Takes the steps that are left.
    async fn take_steps(&self, message: &Message, event: &LeadEvent, work: &mut Work) -> Result<(), Failure> {
        let Some(permission) = self.permission(message, work).await? else { return Ok(()) };
        self.await_turn(work).await?;
        let enriched = self.enrich(&permission, work);
        let enrichment = Span::internal("enrichment").try_run(enriched).await?;
        if work.analysis.is_none() {
            let Some(permission) = self.permission(message, work).await? else { return Ok(()) };
            let read = self.load_crm_facts(&permission, work, &enrichment);
            let read = Span::internal("crm_read").try_run(read).await;
            read.map_err(|failure| failure.at(Stage::CrmRead))?;
        }
        let analysis = if let Some(analysis) = &work.analysis {
            Arc::clone(analysis)
        } else {
            let Some(permission) = self.permission(message, work).await? else { return Ok(()) };
            let judged = judge::judge(self, &permission, work, &enrichment);
            let judged = Span::internal("analysis").try_run(judged).await;
            judged.map_err(|failure| failure.at(Stage::Analysis))?
        };
        if work.lead_id.is_synthetic() {
            return self.end_synthetic(message, work, event.received_at).await;
        }
        let written =
            Span::internal("crm_write").try_run(self.write(message, work, &enrichment, &analysis)).await;
        written.map_err(|failure| failure.at(Stage::CrmWrite))
    }

    /// Ends the work on a message. A queue in the same database removes the message together with the last
    /// write.
    pub(crate) async fn end(
        &self,
        message: &Message,
        work: &mut Work,
        finish: Finish,
        effects: Value,
    ) -> Result<(), Failure> {
        let Receipt { key, token } = message.receipt.clone();
        match self.steps.end(work, finish, effects, Some(Acknowledgement { key, token })).await {
            Ok(true) => message.removed.set(),
            // Of an erased person there is nothing to end.
            Ok(false) | Err(NotSaved::Erased) => {}
            Err(not_saved) => return Err(not_saved.into()),
        }
        Ok(())
    }

    /// Permission to query outside systems about the lead and to write it. If the person is on the
    /// suppression list, finishes the delivery as suppressed and returns `None`.
    async fn permission(&self, message: &Message, work: &mut Work) -> Result<Option<Permission>, Failure> {
        match Permission::of(&self.steps, &work.lead.email).await {
            Ok(permission) => Ok(Some(permission)),
            Err(Denied::Failed(failure)) => Err(failure),
            Err(Denied::Suppressed(by)) => {
                self.end(message, work, Finish::Suppressed { by }, json!([])).await?;
                tracing::info!(outcome = "suppressed", "lead settled");
                Ok(None)
            }
        }
    }

    /// The enrichment of the company. The providers are queried once for each delivery, and again for a
    /// delivery that is due for an enrichment retry.
    async fn enrich(&self, permission: &Permission, work: &mut Work) -> Result<Enrichment, Failure> {
        if let Some(stored) = work.enrichment.as_ref().filter(|_| !work.retry_enrichment) {
            return Ok(stored.clone());
        }
        let enrichment = match unenriched(work) {
            Some(nothing) => nothing,
            None => self.query_providers(permission, &work.lead).await,
        };
        let detail = self.enrichment_detail(&enrichment);
        work.enriched(enrichment.clone(), detail);
        Ok(enrichment)
    }

    /// Writes to the CRM as the verdict allows, or holds the lead.
    async fn write(
        &self,
        message: &Message,
        work: &mut Work,
        enrichment: &Enrichment,
        analysis: &AnalysisRecord,
    ) -> Result<(), Failure> {
        // Checked again: the person may have been suppressed during the judgement.
        let Some(_permission) = self.permission(message, work).await? else { return Ok(()) };
        let is_rejected = analysis.verdict.status == GroundingStatus::Rejected;
        if is_rejected && self.rejected == Rejected::Hold && !self.store.is_approved(work).await? {
            self.end(message, work, Finish::Held, json!([])).await?;
            tracing::info!(outcome = "held", "lead settled");
            return Ok(());
        }
        if self.is_plan_only(work).await? {
            let assignment = self.preview_route(work, analysis).await?;
            let plan = self.plan(work, enrichment, analysis, &assignment).await?;
            return self.finish_planned(message, work, &plan).await;
        }
        let assignment = self.route(work, analysis).await?;
        let plan = self.plan(work, enrichment, analysis, &assignment).await?;
        let authority = authority(work);
        let ledger = self.steps.ledger(work);
        let submitted = self.guard.submit_with(&ledger, ledger.limits(), &plan, authority).await;
        let outcome = match submitted {
            Ok(outcome) => outcome,
            Err(NotExecuted::Superseded) => {
                tracing::info!("CRM write skipped: superseded by a newer delivery");
                return Ok(());
            }
            // Held since the plan was made.
            Err(NotExecuted::Held) => return self.finish_planned(message, work, &plan).await,
            Err(NotExecuted::Raced) => return Err(NotSaved::Raced.into()),
            Err(NotExecuted::Failed(failure)) => return Err(failure),
        };
        if assignment.crm_sync == CrmSync::NotYet {
            // The plan that was just written contains the owner.
            self.store.record_crm_sync(&assignment, None).await?;
        }
        let record = outcome.lead_record.ok_or_else(|| {
            Failure::permanent(
                "no_crm_record",
                "the CRM executed the plan but returned no record for the lead",
            )
        })?;
        let mut effects: Vec<_> = (plan.actions.iter().zip(&outcome.effects))
            .map(|(planned, (_, effect))| audited(planned.action.kind(), effect))
            .collect();
        if let Some(followed) = &outcome.followed {
            effects
                .push(json!({ "action": "follow_merge", "from": followed.from, "record_id": followed.to }));
        }
        let finish = Finish::Synced { provider: outcome.provider, record_id: record.record_id };
        self.end(message, work, finish, json!(effects)).await?;
        tracing::info!(
            outcome = "synced",
            decision = %analysis.verdict.decision,
            grounding = %analysis.verdict.status,
            fallback = analysis.fallback,
            "lead settled"
        );
        Ok(())
    }
}

impl Pipeline {
    /// The CRM plan for a judgement and an assignment, without the actions whose effects are written already.
    pub(crate) async fn plan(
        &self,
        work: &Work,
        enrichment: &Enrichment,
        analysis: &AnalysisRecord,
        assignment: &Assignment,
    ) -> Result<Plan, Failure> {
        let earlier = self.earlier_leads(work).await?;
        let mapping = self.guard.mapping();
        let mut plan = plan::plan(work, enrichment, analysis, mapping, assignment, earlier.as_ref());
        if !work.known.actions {
            return Ok(plan);
        }
        let written = self.store.last_written(self.guard.provider(), &plan).await?;
        plan::remove_unchanged(&mut plan, &written);
        let owner = self.store.owner_written(self.guard.provider(), &plan).await?;
        plan::remove_unchanged_owner(&mut plan, owner.as_deref());
        Ok(plan)
    }

    /// Whether plans are stored instead of executed, because of `CRM_MODE` or because an operator holds the
    /// CRM. A hold takes effect in every process at once.
    pub(crate) async fn is_shadowed(&self) -> Result<bool, Failure> {
        Ok(self.guard.mode() == CrmMode::Shadow
            || self.store.crm_hold(self.guard.provider()).await?.is_some())
    }

    /// Whether this delivery's plan will be stored instead of executed. The guard has the last word: this
    /// only avoids that the lead takes a turn of an owner.
    async fn is_plan_only(&self, work: &Work) -> Result<bool, Failure> {
        let authority = authority(work);
        let is_shadowed = self.guard.mode() == CrmMode::Shadow && !authority.overrides_shadow_mode();
        let hold = self.steps.crm_hold(self.guard.provider()).await?;
        Ok(is_shadowed || hold.is_some_and(|hold| !authority.overrides_hold(hold.since)))
    }

    /// Ends the lead as planned, with the counts of its plan, instead of executing the plan.
    async fn finish_planned(&self, message: &Message, work: &mut Work, plan: &Plan) -> Result<(), Failure> {
        let preview = self.guard.preview(plan).await?;
        let mapping_version = self.guard.mapping().version().to_owned();
        let finish = Finish::Planned { provider: self.guard.provider(), mapping_version, preview };
        self.end(message, work, finish, json!([])).await?;
        tracing::info!(outcome = "planned", "lead settled");
        Ok(())
    }
}

/// The authority of a delivery's plan.
fn authority(work: &Work) -> Authority {
    work.promoted_at.map_or(Authority::Normal, |at| Authority::Promoted { at })
}

/// An effect in the format of the audit trail. `left_out` is present only if fields were left out.
fn audited(action: &str, effect: &Effect) -> Value {
    let mut detail = json!({ "action": action, "record_id": effect.record_id, "created": effect.created });
    if !effect.left_out.is_empty() {
        detail["left_out"] = json!(effect.left_out);
    }
    detail
}

fn read(message: &Message) -> Result<LeadEvent, Failure> {
    read_event(&message.body, message.sent_at)
}
