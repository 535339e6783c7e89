//! `revenueflow suppress`: the list of people who are never written to the CRM.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use assembly::Config;
use clap::Subcommand;
use operations::{Cursor, OperationError, Operations, Suppression};

use super::format::{count, utc};
use super::{existing, failed_if, table};
use crate::args::Format;
use crate::output;

/// Maximum number of invalid lines of an import that are printed individually.
const MAX_PRINTED_LINES: usize = 20;

#[derive(Subcommand)]
pub(crate) enum SuppressCommand {
    /// List the entries, newest first; addresses are shown as hashes
    List {
        /// List removed entries instead, with the name and the reason of their removal
        #[arg(long)]
        removed: bool,
        /// How many, at most 500
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Where to continue: the cursor at the end of the previous page
        #[arg(long)]
        cursor: Option<Cursor>,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Add an address or a domain; a domain includes its subdomains
    Add {
        /// The address or the domain
        who: String,
        #[command(flatten)]
        attribution: Attribution,
    },
    /// Remove an address, a domain or a listed entry; a record of the removed entry is kept
    Remove {
        /// The address, the domain, or the whole hash
        who: String,
        /// Why; nothing personal
        #[arg(long, value_name = "TEXT", default_value = "not given")]
        reason: String,
        /// Name of the person who removes it
        #[arg(long, value_name = "NAME", default_value = "revenueflow suppress")]
        by: String,
    },
    /// Add every line of a file: an address or a domain each; # begins a comment
    Import {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        attribution: Attribution,
    },
}

#[derive(clap::Args)]
pub(crate) struct Attribution {
    /// Why; nothing personal
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Name of the person who adds it
    #[arg(long, value_name = "NAME")]
    by: String,
}

/// Lists or changes the suppression list.
pub(crate) async fn run(config: &Config, command: SuppressCommand) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    match command {
        SuppressCommand::List { removed, limit, cursor, format } => {
            let page = if removed {
                operations.removed_suppressions(cursor.as_ref(), limit).await?
            } else {
                operations.suppressions(cursor.as_ref(), limit).await?
            };
            if format == Format::Json {
                output::json(&page)?;
                return Ok(ExitCode::SUCCESS);
            }
            if page.items.is_empty() {
                let empty = "the suppression list is empty";
                output::note(if removed { "no entry was removed from the suppression list" } else { empty });
                return Ok(ExitCode::SUCCESS);
            }
            print(page.items, removed);
            let command = if removed { "suppress list --removed" } else { "suppress list" };
            output::next_page(command, limit, page.next_cursor.as_deref());
            Ok(ExitCode::SUCCESS)
        }
        SuppressCommand::Add { who, attribution } => {
            let is_new = operations.suppress(&who, &attribution.reason, &attribution.by).await?;
            output::note(if is_new { "added" } else { "was on the list already; nothing has changed" });
            Ok(ExitCode::SUCCESS)
        }
        SuppressCommand::Remove { who, reason, by } => {
            operations.unsuppress(&who, &reason, &by).await?;
            output::note("removed");
            Ok(ExitCode::SUCCESS)
        }
        SuppressCommand::Import { file, attribution } => import(&operations, &file, &attribution).await,
    }
}

fn print(items: Vec<Suppression>, removed: bool) {
    let rows = items.into_iter().map(|item| {
        let kind = item.kind.as_str().to_owned();
        match item.removal {
            Some(end) => [kind, item.entry, utc(end.removed_at), end.removed_by, end.removed_because],
            None => [kind, item.entry, utc(item.added_at), item.added_by, item.reason],
        }
    });
    let when = if removed { "REMOVED" } else { "ADDED" };
    table::print(["KIND", "ENTRY", when, "BY", "REASON"], &[1, 4], rows.collect());
}

async fn import(operations: &Operations, file: &Path, attribution: &Attribution) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (mut added, mut known, mut bad) = (0, 0, 0);
    for (index, line) in text.lines().enumerate() {
        let who = line.split('#').next().unwrap_or_default().trim();
        if who.is_empty() {
            continue;
        }
        match operations.suppress(who, &attribution.reason, &attribution.by).await {
            Ok(true) => added += 1,
            Ok(false) => known += 1,
            Err(OperationError::Invalid(problem)) => {
                bad += 1;
                if bad <= MAX_PRINTED_LINES {
                    output::note(&format!("line {}: {problem}", index + 1));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    output::note(&format!(
        "{} added, {known} on the list already, {} not read",
        count(added, "entry", "entries"),
        count(bad, "line", "lines")
    ));
    Ok(failed_if(bad > 0))
}
