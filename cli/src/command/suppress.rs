use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use api::{OperationError, Operations};
use clap::Subcommand;
use runtime::Config;
use store::Cursor;

use super::words::{count, utc};
use super::{existing, failed_if, table};
use crate::args::Format;
use crate::output;

/// How many lines of an import that are no entry are told one by one.
const TOLD: usize = 20;

#[derive(Subcommand)]
pub(crate) enum SuppressCommand {
    /// List who is never written to the CRM, newest first; addresses are shown as hashes
    List {
        /// How many, at most 500
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Where to go on: the cursor that the last page ended with
        #[arg(long)]
        cursor: Option<Cursor>,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Put an address or a domain on the list; a domain stands for those below it too
    Add {
        /// The address or the domain
        who: String,
        #[command(flatten)]
        words: Words,
    },
    /// Take an address, a domain or an entry as the list shows it off the list
    Remove {
        /// The address, the domain, or the whole hash
        who: String,
    },
    /// Put every line of a file on the list: an address or a domain each; # begins a comment
    Import {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        words: Words,
    },
}

#[derive(clap::Args)]
pub(crate) struct Words {
    /// Why; nothing personal
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The name of who adds it
    #[arg(long, value_name = "NAME")]
    by: String,
}

/// Shows or changes the suppression list.
pub(crate) async fn run(config: &Config, command: SuppressCommand) -> anyhow::Result<ExitCode> {
    let operations = existing::app(config).await?.operations;
    match command {
        SuppressCommand::List { limit, cursor, format } => {
            let page = operations.suppressions(cursor.as_ref(), limit).await?;
            if format == Format::Json {
                output::json(&page)?;
                return Ok(ExitCode::SUCCESS);
            }
            if page.items.is_empty() {
                output::note("nobody is on the suppression list");
                return Ok(ExitCode::SUCCESS);
            }
            let rows = page.items.into_iter().map(|item| {
                let kind = item.kind.as_str().to_owned();
                [kind, item.entry, utc(item.added_at), item.added_by, item.reason]
            });
            table::print(["KIND", "ENTRY", "ADDED", "BY", "REASON"], &[1, 4], rows.collect());
            output::next_page("suppress list", limit, page.next_cursor.as_deref());
            Ok(ExitCode::SUCCESS)
        }
        SuppressCommand::Add { who, words } => {
            let is_new = operations.suppress(&who, &words.reason, &words.by).await?;
            output::note(if is_new { "added" } else { "was on the list already; nothing has changed" });
            Ok(ExitCode::SUCCESS)
        }
        SuppressCommand::Remove { who } => {
            operations.unsuppress(&who).await?;
            output::note("removed");
            Ok(ExitCode::SUCCESS)
        }
        SuppressCommand::Import { file, words } => import(&operations, &file, &words).await,
    }
}

async fn import(operations: &Operations, file: &Path, words: &Words) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (mut added, mut known, mut bad) = (0, 0, 0);
    for (place, line) in text.lines().enumerate() {
        let who = line.split('#').next().unwrap_or_default().trim();
        if who.is_empty() {
            continue;
        }
        match operations.suppress(who, &words.reason, &words.by).await {
            Ok(true) => added += 1,
            Ok(false) => known += 1,
            Err(OperationError::Invalid(problem)) => {
                bad += 1;
                if bad <= TOLD {
                    output::note(&format!("line {}: {problem}", place + 1));
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
