//! Evaluation of stored leads under another configuration, and verification of stored judgements. Neither
//! writes anything, and both hold one page of judgements in memory.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use lead::{Failure, LeadId};
use pipeline::{Alternative, Basis, Evaluated, NotEvaluated, Problem, Route, verify};
use serde::Serialize;
use store::{Scope, Spent};

use crate::operations::{OperationError, Operations};

/// Number of leads that are evaluated at the same time. An AI takes seconds for each.
const CONCURRENCY: usize = 8;
/// Maximum number of failures that an evaluation lists. All are counted.
const MAX_FAILURES: usize = 20;
/// Maximum number of judgements that a verification lists as not reproduced. All are counted.
const MAX_PROBLEMS: usize = 100;

/// A selection of leads by their judgement in force.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection {
    /// Earliest time of the judgement, inclusive.
    pub since: Option<Timestamp>,
    /// Maximum number of leads. The sample is evenly distributed and the same on every call.
    pub limit: Option<u64>,
}

/// The result of an evaluation so far. It holds a bounded number of leads, whatever the size of the store.
#[derive(Debug, Default, Serialize)]
pub struct Evaluation {
    /// Leads so far.
    pub leads: u64,
    /// Leads that would be routed differently.
    pub routed_differently: u64,
    /// Leads that could not be judged.
    pub not_evaluated: u64,
    /// Leads of people on the suppression list, which are not evaluated.
    pub suppressed: u64,
    /// The cost of new answers, in millionths of a US dollar.
    pub cost_microusd: u64,
    /// Number of leads by the basis of their judgement.
    pub basis: BTreeMap<Basis, u64>,
    /// Number of leads by their present and their new route.
    pub routes: Vec<Flow>,
    /// The first leads that would be routed differently.
    pub differently: Vec<Evaluated>,
    /// The first leads that could not be judged, at most 20.
    pub failures: Vec<FailedEvaluation>,
    #[serde(skip)]
    max_differently: usize,
}

/// The number of leads with the same present and the same new route.
#[derive(Clone, Debug, Serialize)]
pub struct Flow {
    /// The present route.
    pub from: Route,
    /// The new route.
    pub to: Route,
    /// The number of leads.
    pub leads: u64,
}

/// A failed evaluation of a lead.
#[derive(Clone, Debug, Serialize)]
pub struct FailedEvaluation {
    /// The lead.
    pub lead_id: LeadId,
    /// The reason.
    pub failure: Failure,
}

/// The result of verifying stored judgements.
#[derive(Debug, Default, Serialize)]
pub struct Verification {
    /// Verified judgements.
    pub judgements: u64,
    /// Judgements that were reproduced byte for byte.
    pub reproduced: u64,
    /// Judgements that cannot be trusted.
    pub not_reproduced: u64,
    /// Judgements that were left out, because retention has removed their raw answers.
    pub removed: u64,
    /// The first judgements that were not reproduced, at most 100.
    pub problems: Vec<NotReproduced>,
}

/// A stored judgement that cannot be trusted.
#[derive(Clone, Debug, Serialize)]
pub struct NotReproduced {
    /// The id of the judgement: delivery and round.
    pub analysis_id: String,
    /// The lead.
    pub lead_id: LeadId,
    /// The reason.
    pub problem: Problem,
}

impl Evaluation {
    /// An empty result that will list at most `max_differently` leads with another route.
    pub fn listing(max_differently: usize) -> Self {
        Self { max_differently, ..Self::default() }
    }

    fn add(&mut self, evaluated: Evaluated) {
        self.cost_microusd = self.cost_microusd.saturating_add(evaluated.cost_microusd);
        *self.basis.entry(evaluated.basis).or_default() += 1;
        let (from, to) = (evaluated.from.route, evaluated.to.route);
        match self.routes.binary_search_by_key(&(from, to), |flow| (flow.from, flow.to)) {
            Ok(index) => self.routes[index].leads += 1,
            Err(index) => self.routes.insert(index, Flow { from, to, leads: 1 }),
        }
        if evaluated.is_routed_differently() {
            self.routed_differently += 1;
            if self.differently.len() < self.max_differently {
                self.differently.push(evaluated);
            }
        }
    }

    fn add_failure(&mut self, lead_id: LeadId, failure: Failure) {
        self.not_evaluated += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(FailedEvaluation { lead_id, failure });
        }
    }
}

impl Operations {
    /// The number of leads that [`evaluate`](Self::evaluate) visits.
    pub async fn count_selected(&self, selection: Selection) -> Result<u64, OperationError> {
        let leads = self.store().stored_analyses(Scope::InForce, selection.since).count().await?;
        Ok(leads.min(selection.limit.unwrap_or(u64::MAX)))
    }

    /// The total cost of a model so far, without judgements by the fallback.
    pub async fn spent_on(&self, provider: &str, model: &str) -> Result<Spent, OperationError> {
        Ok(self.store().spent_on(provider, model).await?)
    }

    /// Evaluates the selected leads under an alternative configuration, several at a time and in a stable
    /// order, and adds each result to `evaluation`, which keeps the results so far if the future is dropped.
    /// Calls `progress` after each lead.
    ///
    /// # Errors
    ///
    /// When the store fails, or the analyst fails for every lead (key refused, model retired, daily quota
    /// exhausted). Another failure of one lead is part of the result.
    pub async fn evaluate(
        &self,
        alternative: &Alternative,
        selection: Selection,
        evaluation: &mut Evaluation,
        progress: impl Fn(),
    ) -> Result<(), OperationError> {
        let mut analyses = self.store().stored_analyses(Scope::InForce, selection.since);
        let mut left = selection.limit.unwrap_or(u64::MAX);
        while left > 0 {
            let page = analyses.next_page().await?;
            if page.is_empty() {
                break;
            }
            let selected = page.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX));
            let evaluated = selected.map(|stored| async {
                (stored.lead_id.clone(), alternative.evaluate(&self.pipeline.steps, stored).await)
            });
            let mut evaluated = stream::iter(evaluated).buffered(CONCURRENCY);
            while let Some((lead_id, evaluated)) = evaluated.next().await {
                match evaluated {
                    Ok(evaluated) => evaluation.add(evaluated),
                    Err(NotEvaluated::Suppressed) => evaluation.suppressed += 1,
                    Err(NotEvaluated::Failed(failure)) => evaluation.add_failure(lead_id, failure),
                    Err(NotEvaluated::FailedForAll(failure)) => return Err(failure.into()),
                }
                evaluation.leads += 1;
                left -= 1;
                progress();
            }
        }
        Ok(())
    }

    /// Computes the verdict of every stored judgement, or of those made since a time, again from its own
    /// facts and answer under its own contract, and compares the verdicts byte for byte. Calls no outside
    /// system. Calls `progress` after each page with the number of verified judgements and their total.
    pub async fn verify(
        &self,
        since: Option<Timestamp>,
        progress: impl Fn(u64, u64),
    ) -> Result<Verification, OperationError> {
        let mut analyses = self.store().stored_analyses(Scope::Every, since);
        let total = analyses.count().await?;
        let removed = analyses.count_removed().await?;
        let mut verification = Verification { removed, ..Verification::default() };
        loop {
            progress(verification.judgements, total);
            let page = analyses.next_page().await?;
            if page.is_empty() {
                return Ok(verification);
            }
            for stored in page {
                verification.judgements += 1;
                let Some(problem) = verify(&stored) else {
                    verification.reproduced += 1;
                    continue;
                };
                verification.not_reproduced += 1;
                if verification.problems.len() < MAX_PROBLEMS {
                    let (analysis_id, lead_id) = (stored.analysis_id, stored.lead_id);
                    verification.problems.push(NotReproduced { analysis_id, lead_id, problem });
                }
            }
        }
    }
}
