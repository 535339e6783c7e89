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
        /// List removed entries instead, with the user and the reason of their removal
        #[arg(long)]
        removed: bool,
        #[command(flatten)]
        paging: Paging,
    },
    /// Add an address or a domain; a domain includes its subdomains
    Add {
        /// The address or the domain
        who: String,
        /// Why; nothing personal
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Remove an address, a domain or a listed entry; a record of the removed entry is kept
    Remove {
        /// The address, the domain, or the whole hash
        who: String,
        /// Why; nothing personal
        #[arg(long, value_name = "TEXT", default_value = "not given")]
        reason: String,
    },
    /// Add every line of a file: an address or a domain each; # begins a comment
    Import {
        /// The file
        file: PathBuf,
        /// Why; nothing personal
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
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
        SuppressCommand::Add { who, reason } => {
            let is_new = operations.suppress(&existing::actor(), &who, &reason).await?;
            output::note(if is_new { "added" } else { "was on the list already; nothing has changed" });
            Ok(ExitCode::SUCCESS)
        }
        SuppressCommand::Remove { who, reason } => {
            operations.unsuppress(&existing::actor(), &who, &reason).await?;
            output::note("removed");
            Ok(ExitCode::SUCCESS)
        }
        SuppressCommand::Import { file, reason } => import(&operations, &file, &reason).await,
    }
}

fn row(item: Suppression) -> [String; 5] {
    let kind = item.kind.as_str().to_owned();
    match item.removal {
        Some(end) => [kind, item.entry, utc(end.removed_at), end.removed_by.to_string(), end.removed_because],
        None => [kind, item.entry, utc(item.added_at), item.added_by.to_string(), item.reason],
    }
}

async fn import(operations: &Operations, file: &Path, reason: &str) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let actor = existing::actor();
    let (mut added, mut known, mut bad) = (0, 0, 0);
    for (index, line) in text.lines().enumerate() {
        let who = line.split('#').next().unwrap_or_default().trim();
        if who.is_empty() {
            continue;
        }
        match operations.suppress(&actor, who, reason).await {
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
