//! `revenueflow evaluate`: judges stored leads under another configuration and lists those that would be
//! routed differently. Writes nothing.

mod alternative;
mod summary;

use std::process::ExitCode;

use assembly::Config;
use indicatif::{ProgressBar, ProgressStyle};
use operations::{Evaluation, Selection};
use serde::Serialize;

use super::{existing, failed_if, or_interrupted};
use crate::args::{EvaluateOptions, Format};
use crate::output::{self, Advice};

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
            let with = options.with.iter().map(ToString::to_string).collect();
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
