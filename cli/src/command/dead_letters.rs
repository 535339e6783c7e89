//! `revenueflow dead-letters`: listing and redriving.

use std::process::ExitCode;

use assembly::Config;
use indicatif::{ProgressBar, ProgressStyle};
use operations::{Cursor, Operations};

use super::format::{count, short, utc};
use super::{existing, failed_if, or_interrupted, table};
use crate::args::{DeadLettersCommand, Format};
use crate::output;

/// Page size for reading all dead letters.
const PAGE: u32 = 500;
/// Minimum number of dead letters for a progress bar.
const PROGRESS_FROM: usize = 20;
/// Maximum number of failures that are printed individually.
const MAX_PRINTED_FAILURES: usize = 20;

/// Lists or redrives dead letters.
pub(crate) async fn run(config: &Config, command: DeadLettersCommand) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    match command {
        DeadLettersCommand::List { limit, cursor, format } => {
            list(&operations, cursor.as_ref(), limit, format).await
        }
        DeadLettersCommand::Redrive { ids, all } => {
            let ids = if all { all_ids(&operations).await? } else { ids };
            or_interrupted(redrive(&operations, ids)).await?
        }
    }
}

async fn list(
    operations: &Operations,
    before: Option<&Cursor>,
    limit: u32,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let page = operations.dead_letters(before, limit).await?;
    if format == Format::Json {
        output::json(&page)?;
        return Ok(ExitCode::SUCCESS);
    }
    if page.items.is_empty() {
        output::note("there are no dead letters");
        return Ok(ExitCode::SUCCESS);
    }
    let rows = page.items.into_iter().map(|letter| {
        // A message that names no lead has only the queue's id, which is not shortened: a prefix does not
        // find it.
        let id = letter.lead_id.map_or(letter.id, |lead| short(lead.as_str()));
        let failure = letter.failure;
        [id, utc(letter.failed_at), letter.attempts.to_string(), failure.code.into_owned(), failure.message]
    });
    table::print(["LEAD", "FAILED AT", "ATTEMPTS", "CODE", "REASON"], &[4], rows.collect());
    output::next_page("dead-letters list", limit, page.next_cursor.as_deref());
    if page.next_cursor.is_none() {
        output::note("redrive: revenueflow dead-letters redrive LEAD.. | --all");
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the ids of all dead letters. This happens before the first redrive, so that a lead that fails again
/// meanwhile is not redriven twice.
async fn all_ids(operations: &Operations) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = operations.dead_letters(cursor.as_ref(), PAGE).await?;
        ids.extend(page.items.into_iter().map(|letter| letter.id));
        match page.next_cursor.map(|next| next.parse()) {
            Some(Ok(next)) => cursor = Some(next),
            Some(Err(problem)) => anyhow::bail!("the next page {problem}"),
            None => return Ok(ids),
        }
    }
}

async fn redrive(operations: &Operations, ids: Vec<String>) -> anyhow::Result<ExitCode> {
    let all = ids.len();
    let bar = if all < PROGRESS_FROM { ProgressBar::hidden() } else { ProgressBar::new(all as u64) };
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} sent again, {eta} left")?);
    let mut failed = 0;
    for id in ids {
        if let Err(error) = operations.redrive(&id).await {
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
