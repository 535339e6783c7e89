//! The result of an evaluation as a table.

use std::fmt::Write as _;

use operations::{Basis, Evaluated, Evaluation};
use serde_json::Value;

use super::super::format::{count, flat, short};
use super::super::table;
use super::dollars;
use crate::output;

/// Maximum number of facts in a row of the table.
const MAX_FACTS: usize = 3;

/// Prints the routes, and the first leads that would be routed differently.
pub(super) fn print(evaluation: &Evaluation) {
    if !evaluation.differently.is_empty() {
        let rows = evaluation.differently.iter().map(|lead| {
            let scores = format!("{} -> {}", lead.from.fit_score, lead.to.fit_score);
            let intents = format!("{} -> {}", lead.from.intent, lead.to.intent);
            let routes = [lead.from.route.as_str(), lead.to.route.as_str()].map(str::to_owned);
            let [from, to] = routes;
            [short(lead.lead_id.as_str()), from, to, scores, intents, causes(lead)]
        });
        table::print(["LEAD", "FROM", "TO", "SCORE", "INTENT", "WHY"], &[5], rows.collect());
        output::line("");
    }
    let flows = evaluation.routes.iter().map(|flow| {
        let sign = if flow.from == flow.to { "=" } else { "->" };
        [flow.leads.to_string(), flow.from.as_str().to_owned(), sign.to_owned(), flow.to.as_str().to_owned()]
    });
    table::print(["LEADS", "FROM", "", "TO"], &[], flows.collect());
    for failed in &evaluation.failures {
        output::note(&format!("{}: {}", short(failed.lead_id.as_str()), failed.failure));
    }
    let more = evaluation.routed_differently.saturating_sub(evaluation.differently.len() as u64);
    if more > 0 {
        output::note(&format!("{more} more would be routed differently; `--rows N` lists N"));
    }
    let mut sum = format!(
        "{} of {} would be routed differently",
        evaluation.routed_differently,
        count(evaluation.leads, "lead", "leads")
    );
    if evaluation.not_evaluated > 0 {
        let _ = write!(sum, "; {} could not be judged", evaluation.not_evaluated); // cannot fail
    }
    if evaluation.suppressed > 0 {
        let _ = write!(sum, "; {} are on the suppression list and were left out", evaluation.suppressed);
    }
    if evaluation.cost_microusd > 0 {
        let _ = write!(sum, "; AI calls cost {} US dollars", dollars(evaluation.cost_microusd.into()));
    }
    output::note(&format!("{sum}; nothing was written"));
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
