//! `revenueflow evaluate`: judges stored leads under another configuration and lists those that would be
//! routed differently. Writes nothing.

mod alternative;
mod summary;

use std::process::ExitCode;

use assembly::Config;
use indicatif::{ProgressBar, ProgressStyle};
use pipeline::{Selection, evaluate};
use store::Scope;

use self::summary::Evaluation;
use super::{existing, failed_if, or_interrupted};
use crate::args::{EvaluateOptions, Format};
use crate::output::{self, Advice};

/// Judges the stored leads under another configuration and lists those that would be routed differently.
pub(crate) async fn run(config: &Config, options: EvaluateOptions) -> anyhow::Result<ExitCode> {
    let app = existing::app(config).await?;
    let (alternative, candidate) = alternative::read(config, &options.with).await?;
    let selection = Selection { since: options.since, limit: options.limit };
    let leads = app.store.stored_analyses(Scope::InForce, options.since).count().await?;
    let leads = leads.min(options.limit.unwrap_or(u64::MAX));
    if let Some(candidate) = candidate {
        output::note(&candidate.estimate(&app.store, leads).await?);
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
    let mut summary = Evaluation::new(&options);
    let evaluated = evaluate(&app.store, &alternative, selection, |evaluated| {
        bar.inc(1);
        summary.add(evaluated);
    });
    let evaluated = or_interrupted(evaluated).await;
    bar.finish_and_clear();
    // Partial results are shown as well: they may have cost money.
    match options.format {
        Format::Json => output::json(&summary)?,
        Format::Table => summary.print(),
    }
    evaluated??;
    Ok(failed_if(summary.not_evaluated > 0))
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
