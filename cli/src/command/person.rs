//! `revenueflow person`: the data of one person.

use std::process::ExitCode;

use assembly::Config;
use clap::Subcommand;
use lead::EmailAddress;

use super::existing;
use super::format::count;
use crate::output;

#[derive(Subcommand)]
pub(crate) enum PersonCommand {
    /// Print everything that is stored about a person, as JSON
    Export {
        /// The person's address
        #[arg(value_parser = EmailAddress::parse)]
        email: EmailAddress,
    },
}

/// Prints the data of a person.
pub(crate) async fn run(config: &Config, command: PersonCommand) -> anyhow::Result<ExitCode> {
    let PersonCommand::Export { email } = command;
    let operations = existing::operations(config).await?;
    let export = operations.export_person(&existing::actor(), &email).await?;
    output::json(&export)?;
    let leads = count(export.person.leads.len(), "lead", "leads");
    output::note(&format!("{leads}; `elsewhere` lists the places that were not read"));
    Ok(ExitCode::SUCCESS)
}
