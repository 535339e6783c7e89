use std::process::ExitCode;

use crate::output;

/// Prints the description of the HTTP interface, as `docs/openapi.json` has it.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    output::json(&api::openapi())?;
    Ok(ExitCode::SUCCESS)
}
