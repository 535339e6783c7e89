//! `revenueflow suppress`: the list of people who are never written to the CRM.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use assembly::Config;
use clap::Subcommand;
use operations::{OperationError, Operations, Suppression};

use super::arguments::Paging;
use super::format::{count, utc};
use super::{existing, failed_if};
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
        #[command(flatten)]
        paging: Paging,
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
        SuppressCommand::List { removed, paging } => {
            let (cursor, limit) = (paging.cursor.as_ref(), paging.limit);
            let (page, command, empty, when) = if removed {
                let empty = "no entry was removed from the suppression list";
                let page = operations.removed_suppressions(cursor, limit).await?;
                (page, "suppress list --removed", empty, "REMOVED")
            } else {
                let page = operations.suppressions(cursor, limit).await?;
                (page, "suppress list", "the suppression list is empty", "ADDED")
            };
            let columns = (["KIND", "ENTRY", when, "BY", "REASON"], &[1, 4][..]);
            paging.print(page, command, empty, columns, row)?;
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

fn row(item: Suppression) -> [String; 5] {
    let kind = item.kind.as_str().to_owned();
    match item.removal {
        Some(end) => [kind, item.entry, utc(end.removed_at), end.removed_by, end.removed_because],
        None => [kind, item.entry, utc(item.added_at), item.added_by, item.reason],
    }
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
