use std::process::ExitCode;

use api::OperationError;
use pipeline::Replay;
use runtime::Config;
use serde_json::Value;

use super::words::{count, flat, short};
use super::{existing, table};
use crate::args::{Format, ReplayOptions};
use crate::output::{self, Advice};

/// Judges a lead again, and says what would change. With `--apply` it then happens.
pub(crate) async fn run(config: &Config, options: ReplayOptions) -> anyhow::Result<ExitCode> {
    let operations = existing::app(config).await?.operations;
    let id = operations.resolve(&options.id).await?;
    let lead = operations.lead(&id).await?;
    let replay = match operations.replay(&id).await {
        Err(OperationError::NotFound(_)) => {
            return Err(Advice::new(
                format!("the lead has not been judged yet: it is {}", lead.status),
                format!("`revenueflow leads explain {}` says what it waits for", short(id.as_str())),
            )
            .into());
        }
        replay => replay?,
    };
    match options.format {
        Format::Json => output::json(&replay)?,
        Format::Table => print(&replay),
    }
    if !options.apply {
        if !replay.changes.is_empty() {
            let id = short(id.as_str());
            output::note(&format!("nothing was written; `revenueflow replay {id} --apply` does it"));
        }
    } else if lead.status.is_settled() {
        operations.rejudge(&id, "replay from the command line").await?;
        output::note("the lead is up for judgement again; the next free worker takes it");
    } else {
        output::note(&format!("the lead is {}: it will be judged anyway", lead.status));
    }
    Ok(ExitCode::SUCCESS)
}

fn print(replay: &Replay) {
    let stored = &replay.stored;
    let sum =
        format!("{} (fit {} {}, intent {})", stored.decision, stored.fit, stored.fit_score, stored.intent);
    output::line(&format!("in force: {sum}"));
    output::line(if replay.reproducible {
        "reproducible: yes, the stored facts and answer give the stored verdict again"
    } else {
        "reproducible: NO, the stored facts and answer do not give the stored verdict; do not trust it"
    });
    if replay.changes.is_empty() {
        output::line("judged again now, nothing would change");
        return;
    }
    output::line(&format!(
        "judged again now, {} would change:",
        count(replay.changes.len(), "value", "values")
    ));
    let mut rows = Vec::new();
    for change in &replay.changes {
        match (&change.from, &change.to) {
            (Value::Array(from), Value::Array(to)) => {
                let only = |these: &[Value], others: &[Value]| -> Vec<String> {
                    these.iter().filter(|item| !others.contains(item)).map(item).collect()
                };
                let gone = only(from, to).into_iter().map(|item| ("-", item));
                let come = only(to, from).into_iter().map(|item| ("+", item));
                for (sign, item) in gone.chain(come) {
                    rows.push([format!("  {}", change.field), format!("{sign} {item}")]);
                }
            }
            (from, to) => {
                rows.push([format!("  {}", change.field), format!("{} -> {}", flat(from), flat(to))]);
            }
        }
    }
    table::print(["  WHAT", "CHANGE"], &[], rows);
}

/// A reason is a code, a piece of evidence a path and its value.
fn item(item: &Value) -> String {
    match item.as_array().map(Vec::as_slice) {
        Some([path, value]) => format!("{} = {value}", flat(path)),
        _ => flat(item),
    }
}
