//! `revenueflow openapi`.

use std::process::ExitCode;

use crate::output;

/// Prints the OpenAPI description of the HTTP API, equal to `docs/openapi.json`.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    output::json(&api::openapi())?;
    Ok(ExitCode::SUCCESS)
}
