//! `revenueflow dead-letters`: listing and redriving.

use std::process::ExitCode;

use assembly::Config;
use clap::{ArgAction, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use operations::Operations;

use super::arguments::{Format, Paging};
use super::format::{count, short, utc};
use super::{existing, failed_if, or_interrupted};
use crate::output;

/// Minimum number of dead letters for a progress bar.
const PROGRESS_FROM: usize = 20;
/// Maximum number of failures that are printed individually.
const MAX_PRINTED_FAILURES: usize = 20;

#[derive(Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List dead letters, newest first
    List(Paging),
    /// Redrive dead letters; their attempts are counted from zero again
    Redrive {
        /// The leads' ids, or the beginnings of them; for a message that names no lead, its own id
        #[arg(required_unless_present = "all", value_name = "LEAD")]
        ids: Vec<String>,
        /// Every dead letter
        #[arg(long, conflicts_with = "ids", action = ArgAction::SetTrue)]
        all: bool,
    },
}

/// Lists or redrives dead letters.
pub(crate) async fn run(config: &Config, command: DeadLettersCommand) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    match command {
        DeadLettersCommand::List(paging) => list(&operations, &paging).await,
        DeadLettersCommand::Redrive { ids, all } => {
            let ids = if all { operations.dead_letter_ids().await? } else { ids };
            or_interrupted(redrive(&operations, ids)).await?
        }
    }
}

async fn list(operations: &Operations, paging: &Paging) -> anyhow::Result<ExitCode> {
    let page = operations.dead_letters(paging.cursor.as_ref(), paging.limit).await?;
    let is_end = page.next_cursor.is_none() && !page.items.is_empty();
    let columns = (["LEAD", "FAILED AT", "ATTEMPTS", "CODE", "REASON"], &[4][..]);
    paging.print(page, "dead-letters list", "there are no dead letters", columns, |letter| {
        // A message that names no lead has only the queue's id, which is not shortened: a prefix does not
        // find it.
        let id = letter.lead_id.map_or(letter.id, |lead| short(lead.as_str()));
        let failure = letter.failure;
        [id, utc(letter.failed_at), letter.attempts.to_string(), failure.code.into_owned(), failure.message]
    })?;
    if is_end && paging.format == Format::Table {
        output::note("redrive: revenueflow dead-letters redrive LEAD.. | --all");
    }
    Ok(ExitCode::SUCCESS)
}

async fn redrive(operations: &Operations, ids: Vec<String>) -> anyhow::Result<ExitCode> {
    let (all, actor) = (ids.len(), existing::actor());
    let bar = if all < PROGRESS_FROM { ProgressBar::hidden() } else { ProgressBar::new(all as u64) };
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} sent again, {eta} left")?);
    let mut failed = 0;
    for id in ids {
        if let Err(error) = operations.redrive(&actor, &id).await {
            failed += 1;
            if failed <= MAX_PRINTED_FAILURES {
                let line = format!("{}: {}", short(&id), output::one_line(&error.into()));
                bar.suspend(|| output::note(&line));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if failed > MAX_PRINTED_FAILURES {
        output::note(&format!("... and {} more that failed", failed - MAX_PRINTED_FAILURES));
    }
    let sent = count(all - failed, "dead letter", "dead letters");
    if failed == 0 {
        output::note(&format!("sent {sent} again"));
    } else {
        output::note(&format!("sent {sent} again, {failed} could not be sent"));
    }
    Ok(failed_if(failed > 0))
}
