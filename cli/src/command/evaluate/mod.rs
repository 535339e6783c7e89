//! Judges stored leads under another configuration, and says who would have been routed differently. Writes nothing.

mod alternative;
mod sum;

use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use pipeline::{Selection, evaluate};
use runtime::Config;
use store::Scope;

use self::sum::Evaluation;
use super::{existing, failed_if, or_interrupted};
use crate::args::{EvaluateOptions, Format};
use crate::output::{self, Advice};

/// Judges the leads of the store under another configuration, and says who would have been routed differently.
pub(crate) async fn run(config: &Config, options: EvaluateOptions) -> anyhow::Result<ExitCode> {
    let app = existing::app(config).await?;
    let (alternative, trial) = alternative::read(config, &options.with).await?;
    let selection = Selection { since: options.since, limit: options.limit };
    let leads = app.store.stored_analyses(Scope::InForce, options.since).count().await?;
    let leads = leads.min(options.limit.unwrap_or(u64::MAX));
    if let Some(trial) = trial {
        output::note(&trial.estimate(&app.store, leads).await?);
        if trial.costs() && !options.yes && options.limit.is_none() {
            return Err(Advice::new(
                "nobody was asked yet: this would ask about every lead",
                "`--limit N` asks about N of them, `--yes` about all",
            )
            .into());
        }
    }
    let bar = ProgressBar::new(leads);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} leads, {eta} left")?);
    let mut sum = Evaluation::new(&options);
    let evaluated = evaluate(&app.store, &alternative, selection, |evaluated| {
        bar.inc(1);
        sum.add(evaluated);
    });
    let evaluated = or_interrupted(evaluated).await;
    bar.finish_and_clear();
    // What was found out until then is shown as well: it may have cost money.
    match options.format {
        Format::Json => output::json(&sum)?,
        Format::Table => sum.print(),
    }
    evaluated??;
    Ok(failed_if(sum.not_evaluated > 0))
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
