//! `revenueflow migrate`.

use std::process::ExitCode;

use assembly::Config;
use database::{Backend, Database};

use super::existing;
use crate::output;

/// Brings the schema up to date. Creates a missing SQLite database.
pub(crate) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let database = Database::connect(&config.database_url, 1)
        .await
        .map_err(|error| existing::cannot_open(&error, &config.database_url))?;
    let was_migrated = database.is_migrated().await?;
    database.migrate().await?;
    let backend = match database.backend() {
        Backend::Sqlite => "sqlite",
        Backend::Postgres => "postgres",
    };
    database.close().await;
    let outcome = if was_migrated { "was up to date already" } else { "is up to date now" };
    output::note(&format!("{backend}: the schema {outcome}"));
    Ok(ExitCode::SUCCESS)
}
