//! `revenueflow migrate`.

use std::process::ExitCode;

use assembly::Config;

use super::existing;
use crate::output;

/// Brings the schema up to date. Creates a missing SQLite database.
pub(crate) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let database = existing::connect(config).await?;
    let was_migrated = database.is_migrated().await?;
    database.migrate().await?;
    let backend = database.backend().as_str();
    database.close().await;
    let outcome = if was_migrated { "was up to date already" } else { "is up to date now" };
    output::note(&format!("{backend}: the schema {outcome}"));
    Ok(ExitCode::SUCCESS)
}
