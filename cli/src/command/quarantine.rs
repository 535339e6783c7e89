//! `revenueflow quarantine`: listing, printing and removing rejected bodies.

use std::process::ExitCode;

use assembly::Config;

use super::format::{count, or_dash, short, utc};
use super::{existing, table};
use crate::args::{Format, QuarantineCommand};
use crate::output;

/// Lists the rejected bodies, prints one, or removes one.
pub(crate) async fn run(config: &Config, command: QuarantineCommand) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    match command {
        QuarantineCommand::List { limit, cursor, format } => {
            let page = operations.quarantine(cursor.as_ref(), limit).await?;
            if format == Format::Json {
                output::json(&page)?;
                return Ok(ExitCode::SUCCESS);
            }
            if page.items.is_empty() {
                output::note("nothing is in quarantine");
                return Ok(ExitCode::SUCCESS);
            }
            let rows = page.items.into_iter().map(|item| {
                let (field, last_at) = (or_dash(item.field), utc(item.last_at));
                [short(&item.id), last_at, item.times.to_string(), item.error, field, item.message]
            });
            table::print(["ID", "LAST RECEIVED", "TIMES", "ERROR", "FIELD", "MESSAGE"], &[5], rows.collect());
            output::next_page("quarantine list", limit, page.next_cursor.as_deref());
        }
        QuarantineCommand::Show { id } => {
            let item = operations.quarantined(&id).await?;
            let field = item.field.map(|field| format!(" ({field})")).unwrap_or_default();
            output::note(&format!("{}{field}: {}", item.error, item.message));
            let times = count(usize::try_from(item.times).unwrap_or_default(), "time", "times");
            let size = count(item.body.len(), "byte", "bytes");
            let content_type = item.content_type.unwrap_or_else(|| "no content type".to_owned());
            output::note(&format!("{size}, {content_type}, received {times}, last {}", utc(item.last_at)));
            output::bytes(&item.body);
        }
        QuarantineCommand::Remove { id } => {
            let item = operations.remove_quarantined(&id).await?;
            output::note(&format!("{} removed", short(&item.id)));
        }
    }
    Ok(ExitCode::SUCCESS)
}
