//! `revenueflow evaluate`: judges stored leads under another configuration and lists those that would be
//! routed differently. Writes nothing.

mod alternative;
mod summary;

use std::process::ExitCode;

use assembly::Config;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use operations::{Evaluation, Selection};
use serde::Serialize;

use self::alternative::With;
use super::arguments::{Format, since};
use super::{existing, failed_if, or_interrupted};
use crate::output::{self, Advice};

#[derive(clap::Args)]
pub(crate) struct EvaluateOptions {
    /// Only judgements made since a time, such as 2026-01-31T00:00:00Z, or within a period such as 90m, 24h
    /// or 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// A setting to change: icp=FILE, fit_high_from=N, fit_medium_from=N, score_band=N, intent_band=N,
    /// call_needs_facts=true|false, provider=NAME, model=NAME or prompt=FILE; may be given several times
    #[arg(long, value_name = "SETTING=VALUE")]
    with: Vec<With>,
    /// Maximum number of leads: always the same sample, spread evenly over all leads
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Call the model for all leads, whatever it costs
    #[arg(long)]
    yes: bool,
    /// Number of differently routed leads to list, at most 100000; all are counted
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    rows: u32,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Judges the stored leads under another configuration and lists those that would be routed differently.
pub(crate) async fn run(config: &Config, options: EvaluateOptions) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    let (alternative, candidate) = alternative::read(config, &options.with).await?;
    let selection = Selection { since: options.since, limit: options.limit };
    let leads = operations.count_selected(selection).await?;
    if let Some(candidate) = candidate {
        output::note(&candidate.estimate(&operations, leads).await?);
        if candidate.costs() && !options.yes && options.limit.is_none() {
            return Err(Advice::new(
                "no model was called yet: this would call it for every lead",
                "`--limit N` calls it for N leads, `--yes` for all",
            )
            .into());
        }
    }
    let bar = ProgressBar::new(leads);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} leads, {eta} left")?);
    let mut evaluation = Evaluation::listing(options.rows as usize);
    let evaluating = operations.evaluate(&alternative, selection, &mut evaluation, || bar.inc(1));
    let evaluated = or_interrupted(evaluating).await;
    bar.finish_and_clear();
    // Partial results are shown as well: they may have cost money.
    match options.format {
        Format::Json => {
            let with = options.with.into_iter().map(|with| with.text).collect();
            output::json(&Printed { with, evaluation: &evaluation })?;
        }
        Format::Table => summary::print(&evaluation),
    }
    evaluated??;
    Ok(failed_if(evaluation.not_evaluated > 0))
}

/// An evaluation with the changed settings, as JSON.
#[derive(Serialize)]
struct Printed<'a> {
    with: Vec<String>,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
}

/// Millionths of a dollar as dollars, rounded up to the hundredth of a cent.
fn dollars(microusd: u128) -> String {
    let hundredths = microusd.div_ceil(100);
    format!("{}.{:04}", hundredths / 10_000, hundredths % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_rounded_up_to_the_hundredth_of_a_cent() {
        assert_eq!(dollars(0), "0.0000");
        assert_eq!(dollars(1), "0.0001");
        assert_eq!(dollars(12_345_678), "12.3457");
    }
}
