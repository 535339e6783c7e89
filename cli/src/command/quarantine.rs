//! `revenueflow quarantine`: listing, printing and removing rejected bodies.

use std::process::ExitCode;

use assembly::Config;
use clap::Subcommand;

use super::arguments::Paging;
use super::existing;
use super::format::{count, or_dash, short, utc};
use crate::output;

#[derive(Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List rejected bodies, newest first
    List(Paging),
    /// Print one body as received
    Show {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Remove one body, once its sender has been fixed
    ///
    /// The janitor removes bodies last received more than QUARANTINE_KEEP_DAYS ago, and the oldest beyond
    /// QUARANTINE_KEEP_ROWS.
    Remove {
        /// Its id, or the beginning of it
        id: String,
    },
}

/// Lists the rejected bodies, prints one, or removes one.
pub(crate) async fn run(config: &Config, command: QuarantineCommand) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    match command {
        QuarantineCommand::List(paging) => {
            let page = operations.quarantine(paging.cursor.as_ref(), paging.limit).await?;
            let titles = ["ID", "LAST RECEIVED", "TIMES", "ERROR", "FIELD", "MESSAGE"];
            paging.print(page, "quarantine list", "nothing is in quarantine", (titles, &[5]), |item| {
                let (field, last_at) = (or_dash(item.field), utc(item.last_at));
                [short(&item.id), last_at, item.times.to_string(), item.error, field, item.message]
            })?;
        }
        QuarantineCommand::Show { id } => {
            let item = operations.quarantined(&id).await?;
            let field = item.field.map(|field| format!(" ({field})")).unwrap_or_default();
            output::note(&format!("{}{field}: {}", item.error, item.message));
            let times = count(item.times, "time", "times");
            let size = count(item.body.len(), "byte", "bytes");
            let content_type = item.content_type.unwrap_or_else(|| "no content type".to_owned());
            output::note(&format!("{size}, {content_type}, received {times}, last {}", utc(item.last_at)));
            output::bytes(&item.body);
        }
        QuarantineCommand::Remove { id } => {
            let item = operations.remove_quarantined(&existing::actor(), &id).await?;
            output::note(&format!("{} removed", short(&item.id)));
        }
    }
    Ok(ExitCode::SUCCESS)
}
