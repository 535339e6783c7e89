//! Evaluation of a judged lead under another profile or analyst. Writes nothing.

use std::sync::Arc;
use std::time::Duration;

use analysis::{Analysis, Analyst, Icp, Rules};
use enrichment::Enrichment;
use grounding::{Answer, Claim, FactSheet, GroundingStatus, Namespace, Verdict, check};
use jiff::Timestamp;
use lead::{Cause, Decision, EmailAddress, Failure, Fit, FitScore, Intent, LeadId};
use serde::Serialize;
use serde_json::{Value, json};
use store::{AnalysisRecord, Steps, StoredAnalysis};

use crate::judge;
use crate::permission::{Denied, Permission};
use crate::replay::{Change, changes, recomputed_facts};

/// Maximum number of rate limit waits for one lead.
const MAX_WAITS: u32 = 5;
/// Rate limit wait if the service does not state one.
const DEFAULT_WAIT: Duration = Duration::from_secs(15);
/// Upper bound for a rate limit wait that the service states.
const MAX_WAIT: Duration = Duration::from_mins(2);

/// The configuration that leads are judged by in an evaluation.
pub struct Alternative {
    /// The ideal customer profile, which also contains the contract.
    pub icp: Icp,
    /// The analyst to call for new answers. If `None`, stored AI answers are checked again and rule-based
    /// judgements are recomputed.
    pub analyst: Option<Arc<dyn Analyst>>,
}

/// The evaluation of one lead.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluated {
    /// The lead.
    pub lead_id: LeadId,
    /// When the judgement in force was made.
    pub judged_at: Timestamp,
    /// The source of the evaluated judgement.
    pub basis: Basis,
    /// The judgement in force.
    pub from: Judgement,
    /// The evaluated judgement.
    pub to: Judgement,
    /// The differences between the verdicts.
    pub changes: Vec<Change>,
    /// The differences between the computed facts, the first effect of a changed profile.
    pub facts: Vec<FactChange>,
    /// The cost of new answers, in millionths of a US dollar.
    pub cost_microusd: u64,
}

/// The source of an evaluated judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The rules, applied again.
    Rules,
    /// The stored answer of an AI, checked again. Its quotations of computed facts are updated to the new
    /// values, as the AI would have been given those.
    StoredAnswer,
    /// A new answer from the analyst.
    NewAnswer,
    /// No answer: there is no readable stored answer, and no analyst was called.
    NoAnswer,
}

/// The part of a verdict that determines the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The next step.
    pub route: Route,
    /// The fit score.
    pub fit_score: FitScore,
    /// The level of fit.
    pub fit: Fit,
    /// The intent.
    pub intent: Intent,
    /// The result of the grounding check.
    pub grounding: GroundingStatus,
}

/// The next step for a lead: the decision, unless the answer was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// The decision is acted on.
    Decided(Decision),
    /// The lead is held, or written without its verdict, as `REJECTED_LEADS` says.
    Rejected,
}

impl Route {
    /// The value in JSON: a decision, or `REJECTED`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decided(decision) => decision.as_str(),
            Self::Rejected => GroundingStatus::Rejected.as_str(),
        }
    }
}

impl Serialize for Route {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A computed fact with a different value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FactChange {
    /// The path of the fact.
    pub path: String,
    /// The value in force. Null if the fact is absent.
    pub from: Value,
    /// The evaluated value. Null if the fact is absent.
    pub to: Value,
}

/// The reason why a lead is not evaluated.
#[derive(Clone, Debug)]
pub enum NotEvaluated {
    /// The person is on the suppression list, so no analyst is called.
    Suppressed,
    /// The evaluation of this lead failed.
    Failed(Failure),
    /// A failure that recurs for every lead: the store fails, or the analyst answers no call (key refused,
    /// model retired, daily quota exhausted).
    FailedForAll(Failure),
}

impl From<&Verdict> for Judgement {
    fn from(verdict: &Verdict) -> Self {
        let route = match verdict.status {
            GroundingStatus::Rejected => Route::Rejected,
            GroundingStatus::Valid | GroundingStatus::Downgraded => Route::Decided(verdict.decision),
        };
        Self {
            route,
            fit_score: verdict.fit_score,
            fit: verdict.fit,
            intent: verdict.intent,
            grounding: verdict.status,
        }
    }
}

impl Evaluated {
    /// Whether the next step for the lead would change.
    pub fn is_routed_differently(&self) -> bool {
        self.from.route != self.to.route
    }
}

impl From<Denied> for NotEvaluated {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Suppressed(_) => Self::Suppressed,
            Denied::Failed(failure) => Self::FailedForAll(failure),
        }
    }
}

impl NotEvaluated {
    fn from_analyst(failure: Failure) -> Self {
        match failure.cause {
            Cause::CredentialsRefused | Cause::Misconfigured | Cause::QuotaExhausted => {
                Self::FailedForAll(failure)
            }
            _ => Self::Failed(failure),
        }
    }
}

/// Calls the analyst, and on a rate limit waits as long as the service says and retries. The suppression list
/// is checked before each call.
async fn analyse_with_waits(
    steps: &Steps,
    person: &EmailAddress,
    analyst: &dyn Analyst,
    facts: &FactSheet,
) -> Result<(Permission, Analysis), NotEvaluated> {
    let mut waits = 0;
    loop {
        let permission = Permission::of(steps, person).await?;
        match analyst.analyse(facts).await.map_err(|no_analysis| no_analysis.failure) {
            Err(failure) if failure.cause == Cause::RateLimited && waits < MAX_WAITS => {
                waits += 1;
                tokio::time::sleep(failure.retry_after().unwrap_or(DEFAULT_WAIT).min(MAX_WAIT)).await;
            }
            result => {
                return result.map(|analysis| (permission, analysis)).map_err(NotEvaluated::from_analyst);
            }
        }
    }
}

impl Alternative {
    /// Evaluates a stored judgement under this configuration.
    ///
    /// With an analyst, people on the suppression list are not evaluated. Waits while the analyst limits the
    /// rate of calls, up to five times.
    pub async fn evaluate(&self, steps: &Steps, stored: StoredAnalysis) -> Result<Evaluated, NotEvaluated> {
        let unreadable = || {
            let message = "the stored judgement cannot be read";
            NotEvaluated::Failed(Failure::permanent("stored_data_unreadable", message))
        };
        let (Ok(analysis), Ok(basis)) = (stored.analysis, stored.basis) else { return Err(unreadable()) };
        let enrichment: Enrichment = serde_json::from_value(basis.enrichment).map_err(|_| unreadable())?;
        let facts = recomputed_facts(&basis.content, &enrichment, &self.icp, &analysis.facts);

        let (contract, rules) = (&self.icp.contract, Rules::new(self.icp.clone()));
        let mut cost_microusd = 0;
        let judged = |answer: Answer| Some(check(&facts, &answer, contract));
        let (verdict, basis) = if let Some(analyst) = &self.analyst {
            let (analyst, person) = (analyst.as_ref(), &basis.content.email);
            let (permission, answered) = analyse_with_waits(steps, person, analyst, &facts).await?;
            let verdict = check(&facts, &read(&answered)?, contract);
            let checked = judge::correct(analyst, &permission, contract, &facts, answered, verdict).await;
            cost_microusd = checked.analysis.usage.cost_microusd;
            (Some(checked.verdict), Basis::NewAnswer)
        } else if analysis.fallback {
            (None, Basis::NoAnswer)
        } else if analysis.provider == rules.provider() {
            let answered = rules.analyse(&facts).await;
            let answered = answered.map_err(|error| NotEvaluated::from_analyst(error.failure))?;
            (judged(read(&answered)?), Basis::Rules)
        } else {
            let answer = Answer::parse(&analysis.raw_answer).map_err(|_| unreadable())?;
            (judged(with_current_facts(answer, &analysis, &facts)), Basis::StoredAnswer)
        };
        let verdict = verdict.unwrap_or_else(|| Verdict::fallback(contract));
        Ok(Evaluated {
            lead_id: stored.lead_id,
            judged_at: analysis.created_at,
            basis,
            from: Judgement::from(&analysis.verdict),
            to: Judgement::from(&verdict),
            changes: changes(&analysis.verdict, &verdict),
            facts: computed_changes(&analysis.facts, &facts),
            cost_microusd,
        })
    }
}

fn read(analysis: &Analysis) -> Result<Answer, NotEvaluated> {
    Answer::parse(&analysis.raw_answer)
        .map_err(|error| NotEvaluated::Failed(Failure::transient("ai_answer_unreadable", error.to_string())))
}

/// The answer with its true quotations of computed facts updated to the new values. A quotation of a fact
/// that no longer exists is removed. The judgement and false quotations are unchanged.
fn with_current_facts(mut answer: Answer, analysis: &AnalysisRecord, facts: &FactSheet) -> Answer {
    let claims = std::mem::take(&mut answer.evidence);
    answer.evidence = claims
        .into_iter()
        .filter_map(|claim| {
            if Namespace::from_source(&claim.source) != Some(Namespace::Computed) {
                return Some(claim);
            }
            let single = Answer { evidence: vec![claim.clone()], ..answer.clone() };
            let accepted = check(&analysis.facts, &single, &analysis.contract).evidence;
            let Some(accepted) = accepted.into_iter().next() else { return Some(claim) };
            updated_claim(accepted, facts)
        })
        .collect();
    answer
}

/// A true claim with the new value of its fact. `None` if the claim does not apply to the new value.
fn updated_claim(claim: Claim, facts: &FactSheet) -> Option<Claim> {
    let fact = facts.get(&claim.field_path.parse().ok()?)?;
    match fact {
        Value::Array(members) if members.contains(&claim.value) => Some(claim),
        // The claim quoted a member that is gone, or the fact has another type now.
        Value::Array(_) if !claim.value.is_array() => None,
        Value::Object(_) => None,
        fact => Some(Claim { value: fact.clone(), ..claim }),
    }
}

fn computed_changes(from: &FactSheet, to: &FactSheet) -> Vec<FactChange> {
    let none = serde_json::Map::new();
    let from = from.namespace(Namespace::Computed).unwrap_or(&none);
    let to = to.namespace(Namespace::Computed).unwrap_or(&none);
    let mut names: Vec<&String> = from.keys().chain(to.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| from.get(*name) != to.get(*name))
        .map(|name| FactChange {
            path: format!("computed.{name}"),
            from: json!(from.get(name)),
            to: json!(to.get(name)),
        })
        .collect()
}
