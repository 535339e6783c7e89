//! What other rules, another analyst or another contract would have made of the leads that were judged. Nothing is written.

use std::sync::Arc;
use std::time::Duration;

use analysis::{Analysis, Analyst, Icp, Rules, fact_sheet};
use enrichment::Enrichment;
use futures::{StreamExt as _, stream};
use grounding::{Answer, Claim, Contract, FactSheet, GroundingStatus, Namespace, Verdict, check};
use jiff::Timestamp;
use lead::{Decision, EmailAddress, Failure, Fit, FitScore, Intent, Lead, LeadId};
use serde::Serialize;
use serde_json::{Value, json};
use store::{AnalysisRecord, Scope, Store, StoredAnalysis};

use crate::judge;
use crate::permission::{Denied, Permission};
use crate::replay::{Change, changes};

/// How many leads are judged at the same time: an AI takes seconds for each.
const AT_ONCE: usize = 8;

/// Failures to answer that would be everybody's.
const FOR_EVERYBODY: [&str; 3] = ["ai_credentials_refused", "ai_model_retired", "ai_quota_exhausted"];

/// How often one lead waits for a service that wants to be asked more slowly, how long where it does not say, and how long at most.
const MAX_WAITS: u32 = 5;
const WAIT: Duration = Duration::from_secs(15);
const MAX_WAIT: Duration = Duration::from_mins(2);

/// What the leads are judged by in the simulation.
pub struct Alternative {
    /// The ideal customer, which also holds the contract.
    pub icp: Icp,
    /// Who is asked anew. None: the stored answers of an AI stand, and the rules are worked out again.
    pub analyst: Option<Arc<dyn Analyst>>,
}

/// Which leads, by their judgement in force.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection {
    /// Judged at or after.
    pub since: Option<Timestamp>,
    /// At most so many: the same ones each time, spread evenly over all.
    pub limit: Option<u64>,
}

/// What would have become of one lead.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluated {
    /// The lead.
    pub lead_id: LeadId,
    /// When the judgement in force was made.
    pub judged_at: Timestamp,
    /// What the simulated judgement rests on.
    pub basis: Basis,
    /// The judgement in force.
    pub from: Judgement,
    /// The simulated one.
    pub to: Judgement,
    /// How the verdicts differ.
    pub changes: Vec<Change>,
    /// How the computed facts differ, which is where a changed profile shows first.
    pub facts: Vec<FactChange>,
    /// What asking for it cost, in millionths of a US dollar.
    pub cost_microusd: u64,
}

/// What a simulated judgement rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The rules, worked out again.
    Rules,
    /// The answer that an AI gave then, checked again. What it quoted of the computed facts is brought up to
    /// date: it would have been shown the new ones.
    StoredAnswer,
    /// An answer asked for just now.
    NewAnswer,
    /// No answer: none was given that can be read, and nobody was asked.
    NoAnswer,
}

/// The part of a verdict that decides what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// What happens.
    pub route: Route,
    /// Score.
    pub fit_score: FitScore,
    /// Level of fit.
    pub fit: Fit,
    /// Intent.
    pub intent: Intent,
    /// Whether the answer stood.
    pub grounding: GroundingStatus,
}

/// What happens to a lead: what was decided, or nothing of it where the answer was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// Acted on.
    Decided(Decision),
    /// Held, or written without what was judged: `REJECTED_LEADS`.
    Rejected,
}

impl Route {
    /// As it is written: a decision, or `REJECTED`.
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

/// One computed fact that would be another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FactChange {
    /// Its path.
    pub path: String,
    /// What it is; null where it is not there.
    pub from: Value,
    /// What it would be; null where it would not be there.
    pub to: Value,
}

/// A lead that was not judged in the simulation.
#[derive(Clone, Debug)]
pub enum NotEvaluated {
    /// The person is on the suppression list, and nobody is asked about them.
    Suppressed(LeadId),
    /// It could not be judged.
    Failed(FailedEvaluation),
}

/// A lead that could not be judged in the simulation.
#[derive(Clone, Debug, Serialize)]
pub struct FailedEvaluation {
    /// The lead.
    pub lead_id: LeadId,
    /// Why.
    pub failure: Failure,
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
    /// Whether something else would happen to the lead.
    pub fn is_routed_differently(&self) -> bool {
        self.from.route != self.to.route
    }
}

/// Judges the selected leads under an alternative, a few at a time, and hands each to `each` in a stable order. Holds one page
/// at a time.
///
/// Where an analyst is asked anew, a person on the suppression list is left out. A lead that cannot be judged is handed over with
/// its failure, and the next one taken up; but when an analyst will answer
/// nobody (its key is refused, its model is gone, its quota of the day is used up), the whole ends with that failure.
pub async fn evaluate(
    store: &Store,
    alternative: &Alternative,
    selection: Selection,
    mut each: impl FnMut(Result<Evaluated, NotEvaluated>),
) -> Result<(), Failure> {
    let rules = Rules::new(alternative.icp.clone());
    let mut analyses = store.stored_analyses(Scope::InForce, selection.since);
    let mut left = selection.limit.unwrap_or(u64::MAX);
    loop {
        let page = analyses.next_page().await?;
        if page.is_empty() {
            return Ok(());
        }
        let wanted = page.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX));
        let judged = wanted.map(|stored| async {
            let lead_id = stored.lead_id.clone();
            (lead_id, one(store, stored, alternative, &rules).await)
        });
        let mut judged = stream::iter(judged).buffered(AT_ONCE);
        while let Some((lead_id, judged)) = judged.next().await {
            left -= 1;
            match judged {
                Ok(evaluated) => each(Ok(evaluated)),
                Err(Stop::Suppressed) => each(Err(NotEvaluated::Suppressed(lead_id))),
                Err(Stop::Lead(failure)) => {
                    each(Err(NotEvaluated::Failed(FailedEvaluation { lead_id, failure })));
                }
                Err(Stop::All(failure)) => return Err(failure),
            }
        }
        if left == 0 {
            return Ok(());
        }
    }
}

/// How much of an evaluation a failure ends.
enum Stop {
    /// Nothing may be asked about the person.
    Suppressed,
    Lead(Failure),
    All(Failure),
}

impl From<Denied> for Stop {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Suppressed(_) => Self::Suppressed,
            Denied::Failed(failure) => Self::All(failure),
        }
    }
}

impl Stop {
    /// Asking about the next lead goes no better only where nobody is answered.
    fn of_asking(failure: Failure) -> Self {
        if FOR_EVERYBODY.contains(&failure.code.as_ref()) { Self::All(failure) } else { Self::Lead(failure) }
    }
}

/// Asks, and where the service wants to be asked more slowly waits as long as it says and asks again. Permission is asked
/// for before each time.
async fn ask_patiently(
    store: &Store,
    person: &EmailAddress,
    analyst: &dyn Analyst,
    facts: &FactSheet,
) -> Result<(Permission, Analysis), Stop> {
    let mut waits = 0;
    loop {
        let permission = Permission::of(store, person).await?;
        match analyst.analyse(facts).await.map_err(|no| no.failure) {
            Err(failure) if failure.code == "ai_rate_limited" && waits < MAX_WAITS => {
                waits += 1;
                tokio::time::sleep(failure.retry_after.unwrap_or(WAIT).min(MAX_WAIT)).await;
            }
            asked => return asked.map(|analysis| (permission, analysis)).map_err(Stop::of_asking),
        }
    }
}

async fn one(
    store: &Store,
    stored: StoredAnalysis,
    alternative: &Alternative,
    rules: &Rules,
) -> Result<Evaluated, Stop> {
    let unreadable =
        || Stop::Lead(Failure::permanent("stored_data_unreadable", "what is stored of it cannot be read"));
    let (Ok(analysis), Ok(basis)) = (stored.analysis, stored.basis) else { return Err(unreadable()) };
    let enrichment: Enrichment = serde_json::from_value(basis.enrichment).map_err(|_| unreadable())?;
    let icp = &alternative.icp;
    let facts = facts_anew(&basis.content, &enrichment, icp, &analysis.facts);

    let contract = &icp.contract;
    let mut cost_microusd = 0;
    let judged = |answer: Answer| Some(check(&facts, &answer, contract));
    let (verdict, basis) = if let Some(analyst) = &alternative.analyst {
        let (analyst, person) = (analyst.as_ref(), &basis.content.email);
        let (permission, answered) = ask_patiently(store, person, analyst, &facts).await?;
        let verdict = check(&facts, &read(&answered, contract).map_err(Stop::Lead)?, contract);
        let checked = judge::correct(analyst, &permission, contract, &facts, answered, verdict).await;
        cost_microusd = checked.analysis.usage.cost_microusd;
        (Some(checked.verdict), Basis::NewAnswer)
    } else if analysis.fallback {
        (None, Basis::NoAnswer)
    } else if analysis.provider == rules.provider() {
        let answered = rules.analyse(&facts).await.map_err(|no| Stop::of_asking(no.failure))?;
        (judged(read(&answered, contract).map_err(Stop::Lead)?), Basis::Rules)
    } else {
        Answer::parse(&analysis.raw_answer, &analysis.contract).map_err(|_| unreadable())?;
        // An answer in a shape that this version does not read would have been none.
        match Answer::parse(&analysis.raw_answer, contract) {
            Ok(answer) => (judged(brought_up_to_date(answer, &analysis, &facts)), Basis::StoredAnswer),
            Err(_) => (None, Basis::NoAnswer),
        }
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

/// The facts of a judgement as a profile makes them from what the sources said then. What the CRM knew is taken from the
/// facts that were judged: it was read for them, and is not in the delivery.
pub(crate) fn facts_anew(
    content: &Lead,
    enrichment: &Enrichment,
    icp: &Icp,
    judged: &FactSheet,
) -> FactSheet {
    let mut facts = fact_sheet(content, enrichment, icp);
    facts.set(Namespace::Salesforce, judged.namespace(Namespace::Salesforce).cloned().unwrap_or_default());
    facts
}

fn read(analysis: &Analysis, contract: &Contract) -> Result<Answer, Failure> {
    Answer::parse(&analysis.raw_answer, contract)
        .map_err(|error| Failure::transient("ai_answer_unreadable", error.to_string()))
}

/// The answer with its true quotations of computed facts replaced by what these would have been; one of a fact that would
/// not have been there is left out. Its judgement and its lies stay what they were.
fn brought_up_to_date(mut answer: Answer, analysis: &AnalysisRecord, facts: &FactSheet) -> Answer {
    let claims = std::mem::take(&mut answer.evidence);
    answer.evidence = claims
        .into_iter()
        .filter_map(|claim| {
            if Namespace::from_source(&claim.source) != Some(Namespace::Computed) {
                return Some(claim);
            }
            let alone = Answer { evidence: vec![claim.clone()], ..answer.clone() };
            let was = check(&analysis.facts, &alone, &analysis.contract).evidence;
            let Some(was) = was.into_iter().next() else { return Some(claim) };
            quoted_anew(was, facts)
        })
        .collect();
    answer
}

/// A claim that was true, about the same fact as it would have been.
fn quoted_anew(claim: Claim, facts: &FactSheet) -> Option<Claim> {
    let fact = facts.get(&claim.field_path.parse().ok()?)?;
    match fact {
        Value::Array(members) if members.contains(&claim.value) => Some(claim),
        // Another member, or a fact of another kind, is not what it quoted.
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
