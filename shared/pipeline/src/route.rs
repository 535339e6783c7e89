use std::collections::BTreeMap;
use std::time::Duration;

use crm::parameters::{LeadDetails, ReassignTask};
use crm::{Action, Effect, Object, OwnerStanding, Plan, Text};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use grounding::{FieldPath, GroundingStatus};
use lead::{Decision, Failure, FailureClass, Intent, LeadStatus};
use routing::{LeadFacts, OwnerId};
use serde_json::Value;
use store::{AnalysisRecord, Assignment, Breach, CrmFacts, Told, Work};
use tokio::time::Instant;

use crate::permission::{Denied, Permission};
use crate::{Pipeline, plan};

/// Where the rounds of reassignments begin: rounds of judgement are counted from 1 and never come this far, so that each
/// reassignment is an effect of its own.
const REASSIGNMENT_ROUNDS: u32 = 1_000_000_000;

/// How many overdue leads are looked at, or told to the CRM, at the same time: a look is one or two reads by the CRM.
const AT_ONCE: usize = 10;

/// How long a look at overdue leads begins anything new. The janitor drops a chore after 10 seconds: what is begun has the rest.
const BEGIN_WITHIN: Duration = Duration::from_secs(6);

/// What came of a look at the leads that nobody responded to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chased {
    /// Leads that nobody responded to in time.
    pub overdue: usize,
    /// Of those, given to somebody else.
    pub reassigned: usize,
    /// Leads that the CRM shows to have been responded to.
    pub responded: usize,
}

impl Chased {
    fn add(&mut self, other: Self) {
        self.overdue += other.overdue;
        self.reassigned += other.reassigned;
        self.responded += other.responded;
    }
}

/// Does `work` for each item, [`AT_ONCE`] at a time, and begins none after `until`.
async fn each<'a, T, R, F: Future<Output = R>>(
    items: &'a [T],
    until: Instant,
    work: impl Fn(&'a T) -> F,
) -> Vec<R> {
    let (mut items, mut running, mut results) = (items.iter(), FuturesUnordered::new(), Vec::new());
    loop {
        while running.len() < AT_ONCE && Instant::now() < until {
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
    /// Gives the lead to somebody, once for each round. A rejected analysis says nothing: rules that ask for a score, an
    /// intent or a decision do not match then.
    pub(crate) async fn route(&self, work: &Work, analysis: &AnalysisRecord) -> Result<Assignment, Failure> {
        let facts = self.routing_facts(work, analysis).await?;
        Ok(self.store.assign(work, &self.routing, &facts).await?)
    }

    /// Who would be given the lead now; nothing is kept.
    pub(crate) async fn would_route(
        &self,
        work: &Work,
        analysis: &AnalysisRecord,
    ) -> Result<Assignment, Failure> {
        let facts = self.routing_facts(work, analysis).await?;
        Ok(self.store.preview_assignment(work, &self.routing, &facts).await?)
    }

    /// Logs a warning for each owner of the routing that the CRM gives no leads to. They are passed over while that is so.
    pub async fn check_owners(&self) {
        let ids: Vec<String> = self.routing.owner_ids().map(ToString::to_string).collect();
        let standings = self.guard.owners(&ids).await;
        for (name, owner) in self.routing.owner_names() {
            let standing = standings.get(owner.as_str());
            if let Some(reason) = standing.and_then(|standing| standing.refuses(Object::Lead)) {
                tracing::warn!(name, %owner, reason = reason.code(), "owner of the routing unavailable");
            }
        }
    }

    /// What rules may ask, with what the CRM says of those who might be given the lead.
    async fn routing_facts(&self, work: &Work, analysis: &AnalysisRecord) -> Result<LeadFacts, Failure> {
        let mut facts = facts(work, analysis);
        let kept = self.store.assignment(&work.lead_id).await?.and_then(|kept| kept.owner);
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
        // Nobody has a lead that lies in a queue.
        if let Some(OwnerStanding::Queue { .. }) = existing {
            facts.existing_owner_problem = Some("is a queue".to_owned());
        }
        facts.unavailable = unavailable;
        Ok(facts)
    }

    /// What the CRM says of these owners, and those that it gives no leads to, each with the reason.
    async fn unavailable_owners(
        &self,
        ids: &[String],
    ) -> (BTreeMap<String, OwnerStanding>, BTreeMap<OwnerId, String>) {
        let standings = self.guard.owners(ids).await;
        let refused = standings.iter().filter_map(|(id, standing)| {
            let reason = standing.refuses(Object::Lead)?;
            Some((OwnerId::parse(id)?, format!("cannot be given it: {reason}")))
        });
        let unavailable = refused.collect();
        (standings, unavailable)
    }

    /// Looks at leads whose time to respond is over, at most `limit`, several at a time: asks the CRM whether somebody has
    /// responded, alerts, and gives the lead to somebody else where its rule says so. The CRM is told first of the owners that
    /// earlier rounds gave, then of those that this one gave; what could not be told is told by the next round.
    ///
    /// Nothing new is begun after `BEGIN_WITHIN`, so that what is under way can end: the next round goes on.
    ///
    /// Several processes may do it at once. One lead that fails does not keep the others waiting; the first failure is
    /// returned.
    pub async fn chase(&self, limit: u32) -> Result<Chased, Failure> {
        let until = Instant::now() + BEGIN_WITHIN;
        let mut failures = Vec::new();
        failures.extend(self.tell_new_owners(limit, until).await?);
        let overdue = self.store.overdue(limit).await?;
        let mut chased = Chased::default();
        let unavailable = if overdue.is_empty() {
            BTreeMap::new()
        } else {
            let ids: Vec<String> = self.routing.owner_ids().map(ToString::to_string).collect();
            self.unavailable_owners(&ids).await.1
        };
        for looked in each(&overdue, until, |lead| self.chase_one(lead, &unavailable)).await {
            match looked {
                Ok(one) => chased.add(one),
                Err(failure) => failures.push(failure),
            }
        }
        if chased.reassigned > 0 {
            failures.extend(self.tell_new_owners(limit, until).await?);
        }
        failures.into_iter().next().map_or(Ok(chased), Err)
    }

    /// Tells the CRM of owners that it does not know yet, and returns what failed. While the CRM is only shadowed it is told
    /// nothing; it is told afterwards.
    async fn tell_new_owners(&self, limit: u32, until: Instant) -> Result<Vec<Failure>, Failure> {
        if self.is_shadowed().await? {
            return Ok(Vec::new());
        }
        let untold = self.store.unwritten_assignments(limit).await?;
        let told = each(&untold, until, |given| self.tell_crm(given)).await;
        Ok(told.into_iter().filter_map(Result::err).collect())
    }

    async fn chase_one(
        &self,
        lead: &Assignment,
        unavailable: &BTreeMap<OwnerId, String>,
    ) -> Result<Chased, Failure> {
        let mut chased = Chased::default();
        if self.has_responded(lead).await? {
            self.store.record_response(&lead.lead_id, "crm").await?;
            chased.responded += 1;
            return Ok(chased);
        }
        let breach = self.store.record_breach(&lead.lead_id, &self.routing, unavailable).await?;
        let (lead_id, rule) = (&lead.lead_id, lead.routed.rule.as_deref().unwrap_or("fallback"));
        let outcome = match &breach {
            Breach::Nothing => return Ok(chased),
            Breach::Alert { owner } => {
                let owner = owner.as_ref().map_or("nobody", OwnerId::as_str);
                tracing::error!(%lead_id, rule, owner, "nobody responded to a lead in time");
                "alert"
            }
            Breach::Reassigned { from, to } => {
                let from = from.as_ref().map_or("nobody", OwnerId::as_str);
                tracing::error!(%lead_id, rule, from, %to, "nobody responded to a lead in time: it goes to somebody else");
                chased.reassigned += 1;
                "reassigned"
            }
        };
        chased.overdue += 1;
        // Without labels, as an alarm watches it; the rules' names are the user's own, and as many as there are.
        metrics::counter!("revenueflow_overdue_leads_total").increment(1);
        metrics::counter!("revenueflow_overdue_leads_by_rule_total", "rule" => rule.to_owned(), "outcome" => outcome)
            .increment(1);
        Ok(chased)
    }

    /// Whether the CRM shows that somebody took the lead up: our record was converted, or has another owner than we gave it.
    /// Whom we gave it to before is not another one while the CRM has not taken the new owner. A CRM that knows only what we
    /// wrote shows nothing, and about a person on the suppression list it is not asked.
    async fn has_responded(&self, lead: &Assignment) -> Result<bool, Failure> {
        let Some(record) = self.store.lead(&lead.lead_id).await? else { return Ok(false) };
        let about = crm::About {
            lead_id: lead.lead_id.clone(),
            email: record.content.email.clone(),
            company_domain: None,
        };
        let permission = match Permission::of(&self.store, &about.email).await {
            Ok(permission) => permission,
            Err(Denied::Suppressed(_)) => return Ok(false),
            Err(Denied::Failed(failure)) => return Err(failure),
        };
        let Some(known) = self.crm_facts(&permission, &about).await? else { return Ok(false) };
        let has_other_owner = match (&lead.owner, known.owner_of_ours()) {
            (Some(ours), Some(theirs)) => {
                let had_it =
                    || lead.had_it.iter().any(|before| Some(before) == OwnerId::parse(theirs).as_ref());
                OwnerId::parse(theirs).as_ref() != Some(ours) && (lead.told == Told::Yes || !had_it())
            }
            _ => false,
        };
        Ok(known.is_ours_converted() || has_other_owner)
    }

    /// Tells the CRM who a lead was given to, on its record and on the task to call it: the same writes however often it is
    /// tried. What the CRM refuses for good is not tried again, and an alert.
    async fn tell_crm(&self, given: &Assignment) -> Result<(), Failure> {
        // A hold may have come since this round began.
        if self.is_shadowed().await? {
            return Ok(());
        }
        let record = self.store.lead(&given.lead_id).await?;
        let (Some(record), Some(owner)) = (record, &given.owner) else { return Ok(()) };
        if record.status != LeadStatus::Synced {
            return Ok(()); // the plan of its next delivery has the owner
        }
        if self.store.suppressed(&record.content.email).await?.is_some() {
            return Ok(self.store.assignment_written(given, None).await?);
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
        let written = self.guard.submit(&plan_of(given, Action::UpsertLead(details))).await;
        match written {
            Ok(outcome) if outcome.effects.iter().any(|(_, effect)| has_no_owner(effect)) => {
                let failure = Failure::permanent("crm_owner_left_out", "the CRM does not take the owner");
                tracing::error!(lead_id = %given.lead_id, code = %failure.code, "the CRM does not take the new owner");
                Ok(self.store.assignment_written(given, Some(&failure)).await?)
            }
            Ok(_) => {
                self.hand_on_the_task(given, owner).await?;
                Ok(self.store.assignment_written(given, None).await?)
            }
            Err(failure) if failure.class == FailureClass::Permanent => {
                tracing::error!(lead_id = %given.lead_id, code = %failure.code, "the CRM does not take the new owner");
                Ok(self.store.assignment_written(given, Some(&failure)).await?)
            }
            Err(failure) => Err(failure),
        }
    }

    /// The call is the new owner's to make. Where the task is gone, there is nobody to tell.
    async fn hand_on_the_task(&self, given: &Assignment, owner: &OwnerId) -> Result<(), Failure> {
        let task = self.store.written_task(self.guard.provider(), &given.lead_id).await?;
        let (Some(task), Some(owner)) = (task, Text::fit(owner.as_str())) else { return Ok(()) };
        let plan = plan_of(given, Action::ReassignTask(ReassignTask { task, owner }));
        match self.guard.submit(&plan).await {
            Err(failure) if failure.class == FailureClass::Permanent => {
                tracing::warn!(lead_id = %given.lead_id, code = %failure.code, "the task stays with its old owner");
                Ok(())
            }
            Ok(outcome) if outcome.effects.iter().any(|(_, effect)| has_no_owner(effect)) => {
                let code = "crm_owner_left_out";
                tracing::warn!(lead_id = %given.lead_id, code, "the task stays with its old owner");
                Ok(())
            }
            submitted => submitted.map(drop),
        }
    }
}

/// Whether the record was written without the owner that the plan had for it.
fn has_no_owner(effect: &Effect) -> bool {
    effect.left_out.iter().any(crm::Omission::is_owner)
}

/// One action that a reassignment asks for.
fn plan_of(given: &Assignment, action: Action) -> Plan {
    let round = REASSIGNMENT_ROUNDS.saturating_add(u32::try_from(given.reassignments).unwrap_or(u32::MAX));
    Plan::new(given.lead_id.clone(), given.delivery_id.clone(), round, None, vec![action])
}

/// What rules may ask about the lead being worked on.
fn facts(work: &Work, analysis: &AnalysisRecord) -> LeadFacts {
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
        intent: verdict.map(|verdict| -> Intent { verdict.intent }),
        decision: verdict.map(|_| -> Decision { plan::decision(work, analysis) }),
        // A sender may say anything; only the CRM itself is believed.
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
    async fn slow_looks_go_side_by_side_until_the_time_is_over() {
        let (leads, began) = ((0..300).collect::<Vec<u32>>(), Instant::now());
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let look = |_| async {
            most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::time::sleep(Duration::from_millis(700)).await;
            running.fetch_sub(1, SeqCst);
        };
        let looked = each(&leads, began + BEGIN_WITHIN, look).await;
        assert_eq!((looked.len(), most.into_inner()), (90, AT_ONCE), "300 leads take four rounds");
        assert_eq!(running.into_inner(), 0, "nothing is left half way");
        assert!(began.elapsed() < Duration::from_secs(7));
    }
}
