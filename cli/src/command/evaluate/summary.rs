//! Counts of an evaluation, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pipeline::{Basis, Evaluated, FailedEvaluation, NotEvaluated, Route};
use serde::Serialize;
use serde_json::Value;

use super::super::format::{count, flat, short};
use super::super::table;
use super::dollars;
use crate::args::{EvaluateOptions, With};
use crate::output;

/// Maximum number of failures that are listed. All are counted.
const MAX_FAILURES: usize = 20;
/// Maximum number of facts in a row of the table.
const MAX_FACTS: usize = 3;

/// The result of an evaluation. It holds a bounded number of leads, whatever the size of the store.
#[derive(Serialize)]
pub(super) struct Evaluation {
    with: Vec<String>,
    leads: u64,
    routed_differently: u64,
    pub(super) not_evaluated: u64,
    /// Leads of people on the suppression list, which are not evaluated.
    suppressed: u64,
    cost_microusd: u64,
    /// Number of leads by the basis of their judgement.
    basis: BTreeMap<&'static str, u64>,
    /// Number of leads by their present and their new route.
    routes: Vec<Flow>,
    /// The first leads that would be routed differently.
    differently: Vec<Evaluated>,
    /// The first leads that could not be judged.
    failures: Vec<FailedEvaluation>,
    #[serde(skip)]
    rows: usize,
}

#[derive(Serialize)]
struct Flow {
    from: Route,
    to: Route,
    leads: u64,
}

impl Evaluation {
    pub(super) fn new(options: &EvaluateOptions) -> Self {
        Self {
            with: options.with.iter().map(With::to_string).collect(),
            leads: 0,
            routed_differently: 0,
            not_evaluated: 0,
            suppressed: 0,
            cost_microusd: 0,
            basis: BTreeMap::new(),
            routes: Vec::new(),
            differently: Vec::new(),
            failures: Vec::new(),
            rows: options.rows as usize,
        }
    }

    pub(super) fn add(&mut self, evaluated: Result<Evaluated, NotEvaluated>) {
        self.leads += 1;
        let evaluated = match evaluated {
            Ok(evaluated) => evaluated,
            Err(NotEvaluated::Suppressed(_)) => {
                self.suppressed += 1;
                return;
            }
            Err(NotEvaluated::Failed(failure)) => {
                self.not_evaluated += 1;
                if self.failures.len() < MAX_FAILURES {
                    self.failures.push(failure);
                }
                return;
            }
        };
        self.cost_microusd = self.cost_microusd.saturating_add(evaluated.cost_microusd);
        *self.basis.entry(basis(evaluated.basis)).or_default() += 1;
        let (from, to) = (evaluated.from.route, evaluated.to.route);
        match self.routes.binary_search_by_key(&(from, to), |flow| (flow.from, flow.to)) {
            Ok(index) => self.routes[index].leads += 1,
            Err(index) => self.routes.insert(index, Flow { from, to, leads: 1 }),
        }
        if evaluated.is_routed_differently() {
            self.routed_differently += 1;
            if self.differently.len() < self.rows {
                self.differently.push(evaluated);
            }
        }
    }

    pub(super) fn print(&self) {
        if !self.differently.is_empty() {
            let rows = self.differently.iter().map(|lead| {
                let scores = format!("{} -> {}", lead.from.fit_score, lead.to.fit_score);
                let intents = format!("{} -> {}", lead.from.intent, lead.to.intent);
                let routes = [lead.from.route.as_str(), lead.to.route.as_str()].map(str::to_owned);
                let [from, to] = routes;
                [short(lead.lead_id.as_str()), from, to, scores, intents, causes(lead)]
            });
            table::print(["LEAD", "FROM", "TO", "SCORE", "INTENT", "WHY"], &[5], rows.collect());
            output::line("");
        }
        let flows = self.routes.iter().map(|flow| {
            let sign = if flow.from == flow.to { "=" } else { "->" };
            [
                flow.leads.to_string(),
                flow.from.as_str().to_owned(),
                sign.to_owned(),
                flow.to.as_str().to_owned(),
            ]
        });
        table::print(["LEADS", "FROM", "", "TO"], &[], flows.collect());
        for failed in &self.failures {
            output::note(&format!("{}: {}", short(failed.lead_id.as_str()), failed.failure));
        }
        let more = self.routed_differently.saturating_sub(self.differently.len() as u64);
        if more > 0 {
            output::note(&format!("{more} more would be routed differently; `--rows N` lists N"));
        }
        let mut sum = format!(
            "{} of {} would be routed differently",
            self.routed_differently,
            count(usize::try_from(self.leads).unwrap_or(usize::MAX), "lead", "leads")
        );
        if self.not_evaluated > 0 {
            let _ = write!(sum, "; {} could not be judged", self.not_evaluated); // cannot fail
        }
        if self.suppressed > 0 {
            let _ = write!(sum, "; {} are on the suppression list and were left out", self.suppressed);
        }
        if self.cost_microusd > 0 {
            let _ = write!(sum, "; AI calls cost {} US dollars", dollars(self.cost_microusd.into()));
        }
        output::note(&format!("{sum}; nothing was written"));
    }
}

fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Rules => "rules",
        Basis::StoredAnswer => "stored_answer",
        Basis::NewAnswer => "new_answer",
        Basis::NoAnswer => "no_answer",
    }
}

/// Lists the computed facts that changed, and the reason codes that were added or removed.
fn causes(lead: &Evaluated) -> String {
    let mut parts = Vec::new();
    let points =
        |path: &str| path.ends_with("_points") || path.ends_with("_score") || path.ends_with("_level");
    let (first, last): (Vec<_>, Vec<_>) = lead.facts.iter().partition(|fact| points(&fact.path));
    for fact in
        first.into_iter().chain(last).filter(|fact| fact.path != "computed.icp_version").take(MAX_FACTS)
    {
        let name = fact.path.strip_prefix("computed.").unwrap_or(&fact.path);
        parts.push(format!("{name} {} -> {}", or_none(&fact.from), or_none(&fact.to)));
    }
    if let Some(reasons) = lead.changes.iter().find(|change| change.field == "reasons") {
        let codes = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let (from, to) = (codes(&reasons.from), codes(&reasons.to));
        parts.extend(to.iter().filter(|code| !from.contains(code)).map(|code| format!("+{}", flat(code))));
        parts.extend(from.iter().filter(|code| !to.contains(code)).map(|code| format!("-{}", flat(code))));
    }
    if parts.is_empty() {
        parts.push(match lead.basis {
            Basis::NewAnswer => "another answer".to_owned(),
            Basis::Rules | Basis::StoredAnswer | Basis::NoAnswer => "other thresholds".to_owned(),
        });
    }
    parts.join(", ")
}

fn or_none(value: &Value) -> String {
    if value.is_null() { "none".to_owned() } else { flat(value) }
}
