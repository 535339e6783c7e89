use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Fallback, ResponseTimer, Rule, Target};
use crate::member::Member;
use crate::pool::at_cap;
use crate::{Counters, LeadFacts, OnBreach, OwnerId, Routing};

/// A routing decision and its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    /// The version of the routing file.
    pub version: String,
    /// The CRM's id of the owner. `None` leaves the lead to the CRM's own assignment.
    pub owner: Option<OwnerId>,
    /// The owner's name in the routing file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The rule that decided. `None` if no rule did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The pool that the owner was chosen from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The reason for the decision, in one sentence.
    pub because: String,
    /// The rules before the deciding rule, in file order, each with the reason why it did not decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    /// The members of the pools that were considered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// The response deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<Timer>,
    /// The new credits of the pool members. The caller must store all of them or none.
    #[serde(skip)]
    pub credits: BTreeMap<(String, String), i64>,
}

/// A rule that did not decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PassedOver {
    /// The name of the rule.
    pub rule: String,
    /// The reason why it did not decide.
    pub because: String,
}

/// The response deadline of an assignment, and the reaction to a missed deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Time to respond after the assignment, in seconds.
    pub respond_within_s: u32,
    /// The reaction to a missed deadline.
    pub on_breach: OnBreach,
    /// Maximum number of reassignments.
    pub max_reassignments: u32,
}

impl From<ResponseTimer> for Timer {
    fn from(timer: ResponseTimer) -> Self {
        Self {
            // The conversion cannot fail: the maximum is 30 days.
            respond_within_s: u32::try_from(timer.respond_within.as_secs()).unwrap_or(u32::MAX),
            on_breach: timer.on_breach,
            max_reassignments: timer.max_reassignments,
        }
    }
}

/// The intermediate results of a decision.
#[derive(Default)]
struct Trace {
    passed_over: Vec<PassedOver>,
    members: Vec<Member>,
    credits: BTreeMap<(String, String), i64>,
}

/// The owner chosen by a rule, with the reason. `owner` is `None` if the rule leaves the lead to the CRM.
struct Choice {
    owner: Option<OwnerId>,
    name: Option<String>,
    pool: Option<String>,
    because: String,
}

impl Routing {
    /// Routes a lead. The first rule that matches and has an available owner decides. The same facts and
    /// counters always give the same result.
    pub fn route(&self, facts: &LeadFacts, counters: &Counters) -> Routed {
        let mut trace = Trace::default();
        for rule in &self.rules {
            let because = match rule.when.unmet(facts) {
                Some(unmet) => unmet,
                None => match self.choose(rule, facts, counters, &mut trace) {
                    Ok(choice) => return self.routed(Some(&rule.name), choice, rule.timer, trace),
                    Err(problem) => format!("matched, but {problem}"),
                },
            };
            trace.passed_over.push(PassedOver { rule: rule.name.clone(), because });
        }
        self.route_to_fallback(facts, trace)
    }

    /// Reassigns a lead without a response to the next eligible member of its pool that is not in
    /// `previous_owners`. `unavailable` contains the owners that cannot own leads in the CRM, each with the
    /// reason. `None` if there is no such member, or the pool does not exist any more.
    pub fn reassign(
        &self,
        pool: &str,
        rule: Option<&str>,
        previous_owners: &[OwnerId],
        unavailable: &BTreeMap<OwnerId, String>,
        counters: &Counters,
    ) -> Option<Routed> {
        let mut trace = Trace::default();
        let (owner, name, pool) = self.turn(pool, previous_owners, unavailable, counters, &mut trace).ok()?;
        let because = format!("the response deadline was missed: the next turn in pool {pool} is {name}'s");
        let timer =
            self.rules.iter().find(|known| Some(known.name.as_str()) == rule).and_then(|rule| rule.timer);
        let choice = Choice { owner: Some(owner), name: Some(name), pool: Some(pool), because };
        Some(self.routed(rule, choice, timer, trace))
    }

    /// Routes a lead that already has an owner. The owner keeps the lead, the first matching rule sets the
    /// timer, and no turn is taken. `given_by` is the rule that assigned the owner.
    ///
    /// After our assignment is written to the CRM, the CRM reports that owner as the existing owner. A rule
    /// for existing owners is therefore skipped in that case, unless it is the rule that assigned the owner.
    pub fn keep(&self, owner: &OwnerId, given_by: Option<&str>, facts: &LeadFacts) -> Routed {
        let mut trace = Trace::default();
        let mut matched = None;
        for rule in &self.rules {
            let unmet = rule.when.unmet(facts);
            let Some(because) = unmet.or_else(|| reflects_own_assignment(rule, owner, given_by, facts))
            else {
                matched = Some(rule);
                break;
            };
            trace.passed_over.push(PassedOver { rule: rule.name.clone(), because });
        }
        let name = self.owners.iter().find(|(_, known)| known.id == *owner).map(|(name, _)| name.clone());
        let because = "the lead already has an owner, who keeps it".to_owned();
        // A reassignment takes a turn in the pool of the rule.
        let pool = matched.and_then(|rule| match &rule.to {
            Target::Pool(pool) => Some(pool.clone()),
            _ => None,
        });
        let timer = matched.map_or_else(|| self.fallback.as_ref().and_then(|f| f.timer), |rule| rule.timer);
        let choice = Choice { owner: Some(owner.clone()), name, pool, because };
        self.routed(matched.map(|rule| rule.name.as_str()), choice, timer, trace)
    }

    /// The ids of the owners in the routing file.
    pub fn owner_ids(&self) -> impl Iterator<Item = &OwnerId> {
        self.owners.values().map(|owner| &owner.id)
    }

    /// The owners in the routing file, as pairs of name and id.
    pub fn owner_names(&self) -> impl Iterator<Item = (&str, &OwnerId)> {
        self.owners.iter().map(|(name, owner)| (name.as_str(), &owner.id))
    }

    /// Whether the result of [`route`](Self::route) can depend on the counters.
    pub fn counts(&self) -> bool {
        !self.owners.is_empty()
    }

    /// Chooses the owner for a lead that matches a rule. The error is the reason why no owner is available.
    fn choose(
        &self,
        rule: &Rule,
        facts: &LeadFacts,
        counters: &Counters,
        trace: &mut Trace,
    ) -> Result<Choice, String> {
        let no_owner = |because: String| Choice { owner: None, name: None, pool: None, because };
        let rule_name = &rule.name;
        match &rule.to {
            Target::Crm => Ok(no_owner(format!("rule {rule_name} leaves it to the CRM"))),
            Target::ExistingOwner => {
                let owner = facts.existing_owner.as_ref().ok_or("the CRM names no owner")?;
                if let Some(problem) = facts.existing_owner_problem.as_ref().or(facts.unavailable.get(owner))
                {
                    return Err(format!("the owner that the CRM names, {owner}, {problem}"));
                }
                let because = format!("rule {rule_name} gives it to the existing owner in the CRM, {owner}");
                Ok(Choice { owner: Some(owner.clone()), name: None, pool: None, because })
            }
            Target::Owner(name) => {
                let owner = self.owners.get(name).ok_or("its owner is not known")?;
                let problem = facts.unavailable.get(&owner.id).cloned().or_else(|| at_cap(owner, counters));
                if let Some(problem) = problem {
                    return Err(format!("{name} {problem}"));
                }
                let because = format!("rule {rule_name} gives it to {name}");
                Ok(Choice { owner: Some(owner.id.clone()), name: Some(name.clone()), pool: None, because })
            }
            Target::Pool(pool) => {
                let (owner, name, pool) = self.turn(pool, &[], &facts.unavailable, counters, trace)?;
                let because = format!("rule {rule_name} gives it to pool {pool}, where it is {name}'s turn");
                Ok(Choice { owner: Some(owner), name: Some(name), pool: Some(pool), because })
            }
        }
    }

    /// Takes the next turn in a pool, or in the pools that it overflows into: the owner's id and name, and
    /// the pool.
    fn turn(
        &self,
        pool: &str,
        previous_owners: &[OwnerId],
        unavailable: &BTreeMap<OwnerId, String>,
        counters: &Counters,
        trace: &mut Trace,
    ) -> Result<(OwnerId, String, String), String> {
        let mut next = Some(pool);
        while let Some((name, entry)) = next.and_then(|name| self.pools.get_key_value(name)) {
            let turn = entry.turn(name, &self.owners, previous_owners, unavailable, counters);
            trace.members.extend(turn.members);
            if let Some((owner, id)) = turn.chosen {
                trace.credits.extend(turn.credits);
                return Ok((id, owner, name.clone()));
            }
            next = entry.overflow.as_deref();
        }
        Err(format!("no member of pool {pool} is available"))
    }

    /// Routes a lead that no rule assigns.
    fn route_to_fallback(&self, facts: &LeadFacts, trace: Trace) -> Routed {
        let Some(Fallback { owner, timer }) = &self.fallback else {
            let because = "no rule assigns an owner: it is left to the CRM".to_owned();
            let choice = Choice { owner: None, name: None, pool: None, because };
            return self.routed(None, choice, None, trace);
        };
        let id = self.owners.get(owner).map(|owner| owner.id.clone());
        if let Some(problem) = id.as_ref().and_then(|id| facts.unavailable.get(id)) {
            let because = format!("the fallback, {owner}, {problem}: it is left to the CRM");
            let choice = Choice { owner: None, name: None, pool: None, because };
            return self.routed(None, choice, None, trace);
        }
        let choice = Choice {
            owner: id,
            name: Some(owner.clone()),
            pool: None,
            because: format!("no rule assigns an owner: it is given to the fallback, {owner}"),
        };
        self.routed(None, choice, *timer, trace)
    }

    fn routed(
        &self,
        rule: Option<&str>,
        choice: Choice,
        timer: Option<ResponseTimer>,
        trace: Trace,
    ) -> Routed {
        Routed {
            version: self.version.clone(),
            owner: choice.owner,
            name: choice.name,
            rule: rule.map(str::to_owned),
            pool: choice.pool,
            because: choice.because,
            passed_over: trace.passed_over,
            members: trace.members,
            timer: timer.map(Timer::from),
            credits: trace.credits,
        }
    }
}

/// The reason why a rule for existing owners does not apply to a lead with an assigned owner: the CRM names
/// no owner, or names the owner that we assigned by another rule.
fn reflects_own_assignment(
    rule: &Rule,
    owner: &OwnerId,
    given_by: Option<&str>,
    facts: &LeadFacts,
) -> Option<String> {
    let is_candidate = rule.to == Target::ExistingOwner && given_by != Some(rule.name.as_str());
    match &facts.existing_owner {
        _ if !is_candidate => None,
        None => Some("the CRM names no owner".to_owned()),
        Some(existing) if existing == owner => {
            Some("the CRM names the owner that it was given to".to_owned())
        }
        Some(_) => None,
    }
}
