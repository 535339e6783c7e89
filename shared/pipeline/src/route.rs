use std::collections::BTreeMap;
use std::time::Duration;

use crm::parameters::{LeadDetails, ReassignTask};
use crm::{Action, Authority, Effect, NotExecuted, Object, OwnerStatus, Plan, Round, Text};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use grounding::{FieldPath, GroundingStatus};
use lead::{Actor, Failure, FailureClass, LeadStatus};
use routing::{LeadFacts, OwnerId};
use serde_json::Value;
use store::{AnalysisRecord, Assignment, Breach, CrmFacts, CrmSync, Work};
use tokio::time::Instant;

use crate::Pipeline;
use crate::permission::{Denied, Permission};

/// Number of overdue leads that are checked, or written to the CRM, at the same time. A check takes one or
/// two CRM reads.
const CONCURRENCY: usize = 10;

/// Time in which an escalation run starts new work. The janitor cancels a task after 10 seconds, which leaves
/// 4 seconds for work in progress.
const START_WINDOW: Duration = Duration::from_secs(6);

/// The result of an escalation run over leads without a response in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EscalationSummary {
    /// Number of leads whose response deadline was missed.
    pub overdue: usize,
    /// Number of overdue leads that were given to another owner.
    pub reassigned: usize,
    /// Number of leads that have a response according to the CRM.
    pub responded: usize,
}

impl EscalationSummary {
    fn add(&mut self, other: Self) {
        self.overdue += other.overdue;
        self.reassigned += other.reassigned;
        self.responded += other.responded;
    }
}

/// Runs `work` for each item, [`CONCURRENCY`] at a time, and starts none after `until`.
async fn run_until<'a, T, R, F: Future<Output = R>>(
    items: &'a [T],
    until: Instant,
    work: impl Fn(&'a T) -> F,
) -> Vec<R> {
    let (mut items, mut running, mut results) = (items.iter(), FuturesUnordered::new(), Vec::new());
    loop {
        while running.len() < CONCURRENCY && Instant::now() < until {
            let Some(item) = items.next() else { break };
            running.push(work(item));
        }
        match running.next().await {
            Some(result) => results.push(result),
            None => return results,
        }
    }
}

impl Pipeline {
    /// Assigns the lead to an owner, once for each round. Rules with a condition on score, intent or decision
    /// do not match a lead whose analysis was rejected.
    pub(crate) async fn route(
        &self,
        work: &mut Work,
        analysis: &AnalysisRecord,
    ) -> Result<Assignment, Failure> {
        let facts = self.routing_facts(work, analysis).await?;
        Ok(self.steps.assign(work, &self.routing, facts).await?)
    }

    /// The assignment that the lead would get now. Nothing is stored.
    pub(crate) async fn preview_route(
        &self,
        work: &Work,
        analysis: &AnalysisRecord,
    ) -> Result<Assignment, Failure> {
        let facts = self.routing_facts(work, analysis).await?;
        Ok(self.store.preview_assignment(work, &self.routing, &facts).await?)
    }

    /// Logs a warning for each owner in the routing file that cannot own leads in the CRM. Routing skips such
    /// owners until the CRM accepts them.
    pub async fn check_owners(&self) {
        let ids: Vec<String> = self.routing.owner_ids().map(ToString::to_string).collect();
        let standings = self.guard.owners(&ids).await;
        for (name, owner) in self.routing.owner_names() {
            let standing = standings.get(owner.as_str());
            if let Some(reason) = standing.and_then(|standing| standing.refuses(Object::Lead)) {
                tracing::warn!(name, %owner, reason = reason.code(), "routing owner unavailable");
            }
        }
    }

    /// The facts that routing rules match on, with the CRM's status of every possible owner.
    async fn routing_facts(&self, work: &Work, analysis: &AnalysisRecord) -> Result<LeadFacts, Failure> {
        let mut facts = lead_facts(work, analysis);
        let kept = if work.known.assignment { self.store.assignment(&work.lead_id).await? } else { None };
        let kept = kept.and_then(|kept| kept.owner);
        let mut ids: Vec<String> = self
            .routing
            .owner_ids()
            .chain(&facts.existing_owner)
            .chain(&kept)
            .map(ToString::to_string)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(facts);
        }
        let (standings, unavailable) = self.unavailable_owners(&ids).await;
        let existing = facts.existing_owner.as_ref().and_then(|owner| standings.get(owner.as_str()));
        // A lead in a queue has no owner.
        if let Some(OwnerStatus::Queue { .. }) = existing {
            facts.existing_owner_problem = Some("is a queue".to_owned());
        }
        facts.unavailable = unavailable;
        Ok(facts)
    }

    /// The CRM's status of these owners, and those that cannot own leads, each with the reason.
    async fn unavailable_owners(
        &self,
        ids: &[String],
    ) -> (BTreeMap<String, OwnerStatus>, BTreeMap<OwnerId, String>) {
        let standings = self.guard.owners(ids).await;
        let refused = standings.iter().filter_map(|(id, standing)| {
            let reason = standing.refuses(Object::Lead)?;
            Some((OwnerId::parse(id)?, format!("cannot be given it: {reason}")))
        });
        let unavailable = refused.collect();
        (standings, unavailable)
    }

    /// Escalates leads whose response deadline has passed, at most `limit`, several at a time: checks in the
    /// CRM whether there is a response, and if not raises an alert and, if the lead's rule says so, reassigns
    /// the lead. New owners from earlier runs are written to the CRM first, and those from this run last. The
    /// next run retries the writes that failed.
    ///
    /// No work starts after `START_WINDOW`, so that work in progress can finish. The next run does the rest.
    ///
    /// Several processes may call this at the same time. A failure of one lead does not stop the others. The
    /// first failure is returned.
    pub async fn escalate_overdue(&self, limit: u32) -> Result<EscalationSummary, Failure> {
        let until = Instant::now() + START_WINDOW;
        let mut failures = Vec::new();
        failures.extend(self.sync_new_owners(limit, until).await?);
        let overdue = self.store.overdue(limit).await?;
        let mut total = EscalationSummary::default();
        let unavailable = if overdue.is_empty() {
            BTreeMap::new()
        } else {
            let ids: Vec<String> = self.routing.owner_ids().map(ToString::to_string).collect();
            self.unavailable_owners(&ids).await.1
        };
        for result in run_until(&overdue, until, |lead| self.escalate_lead(lead, &unavailable)).await {
            match result {
                Ok(one) => total.add(one),
                Err(failure) => failures.push(failure),
            }
        }
        if total.reassigned > 0 {
            failures.extend(self.sync_new_owners(limit, until).await?);
        }
        failures.into_iter().next().map_or(Ok(total), Err)
    }

    /// Writes new owners to the CRM and returns the failures. While the CRM is in shadow mode or held,
    /// nothing is written. The writes follow after that.
    async fn sync_new_owners(&self, limit: u32, until: Instant) -> Result<Vec<Failure>, Failure> {
        if self.is_shadowed().await? {
            return Ok(Vec::new());
        }
        let pending = self.store.pending_crm_syncs(limit).await?;
        let results = run_until(&pending, until, |assignment| self.sync_owner(assignment)).await;
        Ok(results.into_iter().filter_map(Result::err).collect())
    }

    async fn escalate_lead(
        &self,
        lead: &Assignment,
        unavailable: &BTreeMap<OwnerId, String>,
    ) -> Result<EscalationSummary, Failure> {
        let mut result = EscalationSummary::default();
        if self.has_responded(lead).await? {
            self.store.record_response(&Actor::janitor(), &lead.lead_id, Some("crm")).await?;
            result.responded += 1;
            return Ok(result);
        }
        let breach = self.store.record_breach(&lead.lead_id, &self.routing, unavailable).await?;
        let (lead_id, rule) = (&lead.lead_id, lead.routed.rule.as_deref().unwrap_or("fallback"));
        let outcome = match &breach {
            Breach::Nothing => return Ok(result),
            Breach::Alert { owner } => {
                let owner = owner.as_ref().map_or("nobody", OwnerId::as_str);
                tracing::error!(%lead_id, rule, owner, "response deadline missed");
                "alert"
            }
            Breach::Reassigned { from, to } => {
                let from = from.as_ref().map_or("nobody", OwnerId::as_str);
                tracing::error!(%lead_id, rule, from, %to, "response deadline missed: lead reassigned");
                result.reassigned += 1;
                "reassigned"
            }
        };
        result.overdue += 1;
        // The counter of the alarm has no labels. The second counter has one series for each rule name, and
        // the number of rules is up to the user.
        metrics::counter!("revenueflow_overdue_leads_total").increment(1);
        metrics::counter!("revenueflow_overdue_leads_by_rule_total", "rule" => rule.to_owned(), "outcome" => outcome)
            .increment(1);
        Ok(result)
    }

    /// Whether the CRM shows a response: our record was converted, or its owner differs from the assigned
    /// owner. Until the new owner is written to the CRM, a previous owner on the record does not count as a
    /// response. A CRM that holds only our own writes never shows a response. The CRM is not queried about a
    /// person on the suppression list.
    async fn has_responded(&self, lead: &Assignment) -> Result<bool, Failure> {
        let Some(record) = self.store.lead(&lead.lead_id).await? else { return Ok(false) };
        let about = crm::About {
            lead_id: lead.lead_id.clone(),
            email: record.content.email.clone(),
            company_domain: None,
        };
        let permission = match Permission::of(&self.steps, &about.email).await {
            Ok(permission) => permission,
            Err(Denied::Suppressed(_)) => return Ok(false),
            Err(Denied::Failed(failure)) => return Err(failure),
        };
        let Some(known) = self.crm_facts(&permission, &about).await? else { return Ok(false) };
        let has_other_owner = match (&lead.owner, known.our_record_owner()) {
            (Some(ours), Some(theirs)) => {
                let is_previous_owner =
                    || lead.had_it.iter().any(|owner| Some(owner) == OwnerId::parse(theirs).as_ref());
                OwnerId::parse(theirs).as_ref() != Some(ours)
                    && (lead.crm_sync == CrmSync::Yes || !is_previous_owner())
            }
            _ => false,
        };
        Ok(known.is_our_record_converted() || has_other_owner)
    }

    /// Writes a lead's new owner to its CRM record and to its call task. Retries are idempotent. A permanent
    /// refusal by the CRM is logged as an error and not retried.
    async fn sync_owner(&self, assignment: &Assignment) -> Result<(), Failure> {
        let record = self.store.lead(&assignment.lead_id).await?;
        let (Some(record), Some(owner)) = (record, &assignment.owner) else { return Ok(()) };
        if record.status != LeadStatus::Synced {
            return Ok(()); // the plan of the next delivery contains the owner
        }
        if self.store.suppressed(&record.content.email).await?.is_some() {
            return Ok(self.store.record_crm_sync(assignment, None).await?);
        }
        let details = LeadDetails {
            email: record.content.email,
            campaign_id: record.content.campaign_id,
            first_name: None,
            last_name: None,
            company: None,
            title: None,
            phone: None,
            owner: Text::fit(owner.as_str()),
            earlier: None,
            facts: crm::Facts::default(),
        };
        let plan = reassignment_plan(assignment, Action::UpsertLead(details));
        match self.guard.submit(&plan, Authority::Normal).await {
            Ok(outcome) if outcome.effects.iter().any(|(_, effect)| lacks_owner(effect)) => {
                let failure = Failure::permanent("crm_owner_left_out", "the CRM rejected the owner");
                tracing::error!(lead_id = %assignment.lead_id, code = %failure.code, "CRM rejected the new owner");
                Ok(self.store.record_crm_sync(assignment, Some(&failure)).await?)
            }
            Ok(_) => {
                if self.reassign_task(assignment, owner).await? {
                    self.store.record_crm_sync(assignment, None).await?;
                }
                Ok(())
            }
            Err(NotExecuted::Failed(failure)) if failure.class() == FailureClass::Permanent => {
                tracing::error!(lead_id = %assignment.lead_id, code = %failure.code, "CRM rejected the new owner");
                Ok(self.store.record_crm_sync(assignment, Some(&failure)).await?)
            }
            Err(NotExecuted::Failed(failure)) => Err(failure),
            // Held since this run began, or revised: a later run or the plan of the next delivery writes it.
            Err(NotExecuted::Held | NotExecuted::Superseded | NotExecuted::Raced) => Ok(()),
        }
    }

    /// Reassigns the lead's call task, if it has one, to the new owner. A permanent refusal is logged as a
    /// warning and ignored. False if nothing may be written now.
    async fn reassign_task(&self, assignment: &Assignment, owner: &OwnerId) -> Result<bool, Failure> {
        let lead_id = &assignment.lead_id;
        let task = self.store.written_task(self.guard.provider(), lead_id).await?;
        let (Some(task), Some(owner)) = (task, Text::fit(owner.as_str())) else { return Ok(true) };
        let plan = reassignment_plan(assignment, Action::ReassignTask(ReassignTask { task, owner }));
        match self.guard.submit(&plan, Authority::Normal).await {
            Err(NotExecuted::Failed(failure)) if failure.class() == FailureClass::Permanent => {
                tracing::warn!(%lead_id, code = %failure.code, "CRM rejected the new task owner: task not reassigned");
                Ok(true)
            }
            Ok(outcome) if outcome.effects.iter().any(|(_, effect)| lacks_owner(effect)) => {
                let code = "crm_owner_left_out";
                tracing::warn!(%lead_id, code, "CRM rejected the new task owner: task not reassigned");
                Ok(true)
            }
            Ok(_) => Ok(true),
            Err(NotExecuted::Held | NotExecuted::Superseded | NotExecuted::Raced) => Ok(false),
            Err(NotExecuted::Failed(failure)) => Err(failure),
        }
    }
}

/// Whether the record was written without the planned owner.
fn lacks_owner(effect: &Effect) -> bool {
    effect.left_out.iter().any(crm::Omission::is_owner)
}

/// A plan with one action of a reassignment.
fn reassignment_plan(assignment: &Assignment, action: Action) -> Plan {
    let round = Round::Reassignment(u32::try_from(assignment.reassignments).unwrap_or(u32::MAX));
    Plan::new(assignment.lead_id.clone(), assignment.delivery_id.clone(), round, None, vec![action])
}

/// The facts of the lead itself that routing rules match on.
fn lead_facts(work: &Work, analysis: &AnalysisRecord) -> LeadFacts {
    let fact = |path: &str| FieldPath::parse(path).ok().and_then(|path| analysis.facts.get(&path));
    let text = |path: &str| fact(path).and_then(Value::as_str).map(str::to_owned);
    let verdict = Some(&analysis.verdict).filter(|verdict| verdict.status != GroundingStatus::Rejected);
    LeadFacts {
        country: text("enrichment.country"),
        region: text("enrichment.region"),
        industry: text("enrichment.industry"),
        employees: fact("enrichment.employee_count")
            .or_else(|| fact("enrichment.employee_range.min"))
            .and_then(Value::as_u64),
        campaign: work.lead.campaign_id.as_str().to_owned(),
        fit_score: verdict.map(|verdict| verdict.fit_score.get().unsigned_abs()),
        intent: verdict.map(|verdict| verdict.intent),
        decision: verdict.map(|verdict| verdict.decision),
        // Only the CRM itself is trusted: a sender may claim any owner.
        existing_owner: match &work.crm_facts {
            Some(CrmFacts::Known(known)) => {
                known.facts().get("owner").and_then(Value::as_str).and_then(OwnerId::parse)
            }
            _ => None,
        },
        existing_owner_problem: None,
        unavailable: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slow_work_runs_concurrently_until_the_start_window_ends() {
        let (leads, began) = ((0..300).collect::<Vec<u32>>(), Instant::now());
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |_| async {
            most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::time::sleep(Duration::from_millis(700)).await;
            running.fetch_sub(1, SeqCst);
        };
        let results = run_until(&leads, began + START_WINDOW, work).await;
        assert_eq!((results.len(), most.into_inner()), (90, CONCURRENCY), "300 leads take four runs");
        assert_eq!(running.into_inner(), 0, "all started work has finished");
        assert!(began.elapsed() < Duration::from_secs(7));
    }
}
