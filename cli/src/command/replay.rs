//! `revenueflow replay`: judges one lead again, or verifies stored judgements.

use std::process::ExitCode;

use assembly::Config;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use operations::{Operations, Replay};
use serde_json::Value;

use super::arguments::{Format, since};
use super::format::{count, flat, short, utc};
use super::{existing, failed_if, or_interrupted, table};
use crate::output;

#[derive(clap::Args)]
pub(crate) struct ReplayOptions {
    /// The lead's id, or the beginning of it
    #[arg(required_unless_present_any = ["all", "since"])]
    id: Option<String>,
    /// Requeue the lead for another judgement; its CRM record is then updated
    #[arg(long, conflicts_with_all = ["all", "since"])]
    apply: bool,
    /// Verify every stored judgement
    #[arg(long, conflicts_with = "id")]
    all: bool,
    /// Verify judgements stored since a time, such as 2026-01-31T00:00:00Z, or within a period of 90m, 24h or
    /// 7d
    #[arg(long, value_name = "TIME", value_parser = since, conflicts_with_all = ["id", "all"])]
    since: Option<Timestamp>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Judges a lead again and prints the differences. With `--apply`, requeues the lead for another judgement.
pub(crate) async fn run(config: &Config, options: ReplayOptions) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    let Some(id) = &options.id else { return verify_all(&operations, &options).await };
    let id = operations.resolve(id).await?;
    let lead = operations.lead(&id).await?;
    let replay = operations.replay(&id).await?;
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
        operations.rejudge(&existing::actor(), &id, "replay").await?;
        output::note("the lead is queued for another judgement by the next free worker");
    } else {
        output::note(&format!("the lead is {}: it will be judged anyway", lead.status));
    }
    Ok(ExitCode::SUCCESS)
}

/// Computes every stored judgement again. The exit code is 1 if one is not reproduced.
async fn verify_all(operations: &Operations, options: &ReplayOptions) -> anyhow::Result<ExitCode> {
    let bar = ProgressBar::no_length();
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} judgements, {eta} left")?);
    let verifying = operations.verify(options.since, |verified, total| {
        bar.set_length(total);
        bar.set_position(verified);
    });
    let verified = or_interrupted(verifying).await;
    bar.finish_and_clear();
    let sum = verified??;
    match options.format {
        Format::Json => output::json(&sum)?,
        Format::Table => {
            let rows = sum.problems.iter().map(|found| {
                let problem = found.problem.as_str().to_owned();
                [short(found.lead_id.as_str()), found.analysis_id.clone(), problem]
            });
            if !sum.problems.is_empty() {
                table::print(["LEAD", "JUDGEMENT", "PROBLEM"], &[1], rows.collect());
            }
            output::line(&format!(
                "{} of {} reproduced byte for byte",
                sum.reproduced,
                count(sum.judgements, "stored judgement", "stored judgements")
            ));
        }
    }
    if sum.removed > 0 {
        let removed = count(sum.removed, "judgement", "judgements");
        output::note(&format!("{removed} left out: retention has removed the raw answers"));
    }
    if sum.not_reproduced > 0 {
        output::note(&format!("{} not reproduced: do not trust their verdicts", sum.not_reproduced));
    }
    Ok(failed_if(sum.not_reproduced > 0))
}

fn print(replay: &Replay) {
    let stored = &replay.stored;
    let sum =
        format!("{} (fit {} {}, intent {})", stored.decision, stored.fit, stored.fit_score, stored.intent);
    output::line(&format!("in force: {sum}"));
    output::line(&match (replay.reproducible, replay.answer_removed_at) {
        (Some(true), _) => {
            "reproducible: yes, the stored facts and answer give the stored verdict again".to_owned()
        }
        (None, Some(at)) => {
            format!("reproducible: not any more, retention removed the answer at {}", utc(at))
        }
        _ => "reproducible: NO, the stored facts and answer do not give the stored verdict; do not trust it"
            .to_owned(),
    });
    if let Some(failure) = &replay.not_now {
        output::line(&format!("it cannot be judged again now: {failure}"));
        return;
    }
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
                let removed = only(from, to).into_iter().map(|item| ("-", item));
                let added = only(to, from).into_iter().map(|item| ("+", item));
                for (sign, item) in removed.chain(added) {
                    rows.push([format!("  {}", change.field), format!("{sign} {item}")]);
                }
            }
            (from, to) => {
                rows.push([format!("  {}", change.field), format!("{} -> {}", flat(from), flat(to))]);
            }
        }
    }
    table::print(["  FIELD", "CHANGE"], &[], rows);
}

/// Formats an item of a list: a reason is a code, a piece of evidence is a pair of path and value.
fn item(item: &Value) -> String {
    match item.as_array().map(Vec::as_slice) {
        Some([path, value]) => format!("{} = {value}", flat(path)),
        _ => flat(item),
    }
}
