use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Clockwork, Fallback, Rule, Target};
use crate::pool::at_cap;
use crate::{Counters, LeadFacts, OnBreach, OwnerId, Routing};

/// Who gets a lead, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    /// The version of the rules.
    pub version: String,
    /// Who gets it, as the CRM calls them. None: it is left to the CRM's own assignment.
    pub owner: Option<OwnerId>,
    /// The name the file has for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The rule that decided; none where no rule did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The pool whose turn it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The decision in a sentence.
    pub because: String,
    /// The rules before it, in their order, each with the reason it did not decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    /// The members of the pools that were asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// How soon somebody is to respond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<Timer>,
    /// What is due to the members of the pools from now on: for the caller to keep, all or none.
    #[serde(skip)]
    pub credits: BTreeMap<(String, String), i64>,
}

/// A rule that did not decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Which.
    pub rule: String,
    /// Why.
    pub because: String,
}

/// A member of a pool that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The pool.
    pub pool: String,
    /// The name the file has for them.
    pub owner: String,
    /// Turns in proportion to the others.
    pub weight: u32,
    /// What was due to them before.
    pub credit: i64,
    /// Leads given to them since the day began, in UTC.
    pub today: u64,
    /// Leads given to them and not responded to.
    pub open: u64,
    /// What became of them.
    pub outcome: Outcome,
}

/// What became of a member of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Gets the lead.
    Chosen,
    /// More was due to somebody else.
    Waits,
    /// May not have it, and why.
    Skipped(String),
}

/// How soon somebody is to respond, and what happens when nobody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// From the moment the lead is given, in seconds.
    pub respond_within_s: u32,
    /// What happens then.
    pub on_breach: OnBreach,
    /// How often it is given to somebody else at most.
    pub max_reassignments: u32,
}

impl From<Clockwork> for Timer {
    fn from(clockwork: Clockwork) -> Self {
        Self {
            // At most thirty days.
            respond_within_s: u32::try_from(clockwork.respond_within.as_secs()).unwrap_or(u32::MAX),
            on_breach: clockwork.on_breach,
            max_reassignments: clockwork.max_reassignments,
        }
    }
}

/// What is found out on the way to a decision.
#[derive(Default)]
struct Trace {
    passed_over: Vec<PassedOver>,
    members: Vec<Member>,
    credits: BTreeMap<(String, String), i64>,
}

/// Who a rule's target is, or why nobody.
struct Taken {
    owner: Option<OwnerId>,
    name: Option<String>,
    pool: Option<String>,
    because: String,
}

impl Routing {
    /// Who gets a lead: the first rule that matches and has somebody to give it to decides. The same facts and counters
    /// always give the same answer.
    pub fn route(&self, facts: &LeadFacts, counters: &Counters) -> Routed {
        let mut trace = Trace::default();
        for rule in &self.rules {
            let passed = match rule.when.unmet(facts) {
                Some(unmet) => unmet,
                None => match self.take(rule, facts, counters, &mut trace) {
                    Ok(taken) => return self.routed(Some(&rule.name), taken, rule.timer, trace),
                    Err(full) => format!("matched, but {full}"),
                },
            };
            trace.passed_over.push(PassedOver { rule: rule.name.clone(), because: passed });
        }
        self.left_over(facts, trace)
    }

    /// Who gets a lead that nobody of its pool has responded to: the next of the pool that has not had it and whom the CRM
    /// gives leads to. `unavailable` holds the others, with the reason. None where there is nobody, or the pool is not there
    /// any more.
    pub fn reassign(
        &self,
        pool: &str,
        rule: Option<&str>,
        had_it: &[OwnerId],
        unavailable: &BTreeMap<OwnerId, String>,
        counters: &Counters,
    ) -> Option<Routed> {
        let mut trace = Trace::default();
        let (owner, name, pool) = self.turn(pool, had_it, unavailable, counters, &mut trace).ok()?;
        let because = format!("nobody responded in time: the next turn in pool {pool} is {name}'s");
        let timer =
            self.rules.iter().find(|known| Some(known.name.as_str()) == rule).and_then(|rule| rule.timer);
        let taken = Taken { owner: Some(owner), name: Some(name), pool: Some(pool), because };
        Some(self.routed(rule, taken, timer, trace))
    }

    /// What a lead that has an owner already is told by the rules: the first that matches sets the timer, nobody is asked
    /// for a turn. `given_by` is the rule that gave it to them.
    ///
    /// Once the CRM knows whom we gave the lead to, that is the owner it names: a rule for existing owners is passed over then,
    /// unless it was the one that decided.
    pub fn keep(&self, owner: &OwnerId, given_by: Option<&str>, facts: &LeadFacts) -> Routed {
        let mut trace = Trace::default();
        let mut matched = None;
        for rule in &self.rules {
            let Some(because) = rule.when.unmet(facts).or_else(|| names_ours(rule, owner, given_by, facts))
            else {
                matched = Some(rule);
                break;
            };
            trace.passed_over.push(PassedOver { rule: rule.name.clone(), because });
        }
        let name = self.owners.iter().find(|(_, known)| known.id == *owner).map(|(name, _)| name.clone());
        let because = "it has an owner already, who keeps it".to_owned();
        // Whoever is given it next takes a turn in the pool of the rule.
        let pool = matched.and_then(|rule| match &rule.to {
            Target::Pool(pool) => Some(pool.clone()),
            _ => None,
        });
        let timer = matched.map_or_else(|| self.fallback.as_ref().and_then(|f| f.timer), |rule| rule.timer);
        let taken = Taken { owner: Some(owner.clone()), name, pool, because };
        self.routed(matched.map(|rule| rule.name.as_str()), taken, timer, trace)
    }

    /// The owners that the rules may give a lead to.
    pub fn owner_ids(&self) -> impl Iterator<Item = &OwnerId> {
        self.owners.values().map(|owner| &owner.id)
    }

    /// The owners by the names that the file has for them.
    pub fn owner_names(&self) -> impl Iterator<Item = (&str, &OwnerId)> {
        self.owners.iter().map(|(name, owner)| (name.as_str(), &owner.id))
    }

    /// Whether what [`route`](Self::route) answers can depend on the counters.
    pub fn counts(&self) -> bool {
        !self.owners.is_empty()
    }

    fn take(
        &self,
        rule: &Rule,
        facts: &LeadFacts,
        counters: &Counters,
        trace: &mut Trace,
    ) -> Result<Taken, String> {
        let nobody = |because: String| Taken { owner: None, name: None, pool: None, because };
        let rule_name = &rule.name;
        match &rule.to {
            Target::Crm => Ok(nobody(format!("rule {rule_name} leaves it to the CRM"))),
            Target::ExistingOwner => {
                let owner = facts.existing_owner.as_ref().ok_or("the CRM names no owner")?;
                if let Some(problem) = facts.existing_owner_problem.as_ref().or(facts.unavailable.get(owner))
                {
                    return Err(format!("the owner that the CRM names, {owner}, {problem}"));
                }
                let because = format!("rule {rule_name} leaves it to whom the CRM has as owner, {owner}");
                Ok(Taken { owner: Some(owner.clone()), name: None, pool: None, because })
            }
            Target::Owner(name) => {
                let owner = self.owners.get(name).ok_or("its owner is not known")?;
                let kept_out = facts.unavailable.get(&owner.id).cloned().or_else(|| at_cap(owner, counters));
                if let Some(kept_out) = kept_out {
                    return Err(format!("{name} {kept_out}"));
                }
                let because = format!("rule {rule_name} gives it to {name}");
                Ok(Taken { owner: Some(owner.id.clone()), name: Some(name.clone()), pool: None, because })
            }
            Target::Pool(pool) => {
                let (owner, name, pool) = self.turn(pool, &[], &facts.unavailable, counters, trace)?;
                let because = format!("rule {rule_name} gives it to pool {pool}, where it is {name}'s turn");
                Ok(Taken { owner: Some(owner), name: Some(name), pool: Some(pool), because })
            }
        }
    }

    /// Whose turn it is in a pool, or in those that it overflows into.
    fn turn(
        &self,
        pool: &str,
        had_it: &[OwnerId],
        unavailable: &BTreeMap<OwnerId, String>,
        counters: &Counters,
        trace: &mut Trace,
    ) -> Result<(OwnerId, String, String), String> {
        let mut next = Some(pool);
        while let Some((name, entry)) = next.and_then(|name| self.pools.get_key_value(name)) {
            let turn = entry.turn(name, &self.owners, had_it, unavailable, counters);
            trace.members.extend(turn.members);
            if let Some((owner, id)) = turn.chosen {
                trace.credits.extend(turn.credits);
                return Ok((id, owner, name.clone()));
            }
            next = entry.overflow.as_deref();
        }
        Err(format!("nobody of pool {pool} may take it"))
    }

    fn left_over(&self, facts: &LeadFacts, trace: Trace) -> Routed {
        let Some(Fallback { owner, timer }) = &self.fallback else {
            let because = "no rule gives it to anybody: it is left to the CRM".to_owned();
            let taken = Taken { owner: None, name: None, pool: None, because };
            return self.routed(None, taken, None, trace);
        };
        let id = self.owners.get(owner).map(|owner| owner.id.clone());
        if let Some(problem) = id.as_ref().and_then(|id| facts.unavailable.get(id)) {
            let because = format!("the fallback, {owner}, {problem}: it is left to the CRM");
            let taken = Taken { owner: None, name: None, pool: None, because };
            return self.routed(None, taken, None, trace);
        }
        let taken = Taken {
            owner: id,
            name: Some(owner.clone()),
            pool: None,
            because: format!("no rule gives it to anybody: it goes to the fallback, {owner}"),
        };
        self.routed(None, taken, *timer, trace)
    }

    fn routed(&self, rule: Option<&str>, taken: Taken, timer: Option<Clockwork>, trace: Trace) -> Routed {
        Routed {
            version: self.version.clone(),
            owner: taken.owner,
            name: taken.name,
            rule: rule.map(str::to_owned),
            pool: taken.pool,
            because: taken.because,
            passed_over: trace.passed_over,
            members: trace.members,
            timer: timer.map(Timer::from),
            credits: trace.credits,
        }
    }
}

/// Why a rule for existing owners says nothing of a lead that was given to somebody.
fn names_ours(rule: &Rule, owner: &OwnerId, given_by: Option<&str>, facts: &LeadFacts) -> Option<String> {
    let is_about_owners = rule.to == Target::ExistingOwner && given_by != Some(rule.name.as_str());
    match &facts.existing_owner {
        _ if !is_about_owners => None,
        None => Some("the CRM names no owner".to_owned()),
        Some(existing) if existing == owner => Some("the CRM names whom it was given to".to_owned()),
        Some(_) => None,
    }
}
