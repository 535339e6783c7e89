//! `revenueflow retention`: counting and removing data whose retention is over.

use std::process::ExitCode;

use assembly::Config;
use indicatif::{ProgressBar, ProgressStyle};
use operations::{RetainedKind, RetentionReport};

use super::arguments::Format;
use super::format::{count, or_dash, utc};
use super::{existing, or_interrupted, table};
use crate::output;

#[derive(clap::Args)]
pub(crate) struct RetentionOptions {
    /// Remove the data now; without it nothing is changed
    #[arg(long)]
    apply: bool,
    /// How to print the counts
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Counts the data whose retention is over or, with `--apply`, removes it.
pub(crate) async fn run(config: &Config, options: RetentionOptions) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    let actor = existing::actor();
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {pos} leads checked")?);
    let retention = operations.retention(&actor, options.apply, |checked| bar.set_position(checked));
    let report = or_interrupted(retention).await;
    bar.finish_and_clear();
    let report = report??;
    match options.format {
        Format::Json => output::json(&report)?,
        Format::Table => print(&report),
    }
    if report.kinds.iter().all(|kind| kind.keep_days.is_none()) {
        output::note("no RETAIN_..._DAYS is set: everything is kept until it is erased");
    } else if options.apply {
        output::note(&format!("{} removed", count(report.due(), "row", "rows")));
    } else if report.due() > 0 {
        output::note("nothing was changed; the server removes it within half a day, --apply removes it now");
    }
    Ok(ExitCode::SUCCESS)
}

fn print(report: &RetentionReport) {
    let row = |kind: &RetainedKind| {
        let kept = kind.keep_days.map_or("until erased".to_owned(), |days| count(days, "day", "days"));
        let name = kind.kind.as_str().replace('_', " ");
        [name, kept, kind.due.to_string(), or_dash(kind.oldest.map(utc)), kind.setting.to_owned()]
    };
    let due = if report.applied { "REMOVED" } else { "DUE" };
    let rows = report.kinds.iter().map(row).collect();
    table::print(["DATA", "KEPT FOR", due, "OLDEST", "SETTING"], &[], rows);
}
