//! `revenueflow resume`: listing and ending pauses of consumption.

use std::process::ExitCode;

use assembly::{Backend, Config};
use operations::{OperationError, Operations, Resumed};

use super::format::utc;
use super::{existing, table};
use crate::output::{self, Advice};

#[derive(clap::Args)]
pub(crate) struct ResumeOptions {
    /// The dependency that consumption waits for, such as crm.salesforce or ai.gemini; lists the pauses
    /// without it
    dependency: Option<String>,
}

/// Ends a pause of consumption, or lists the pauses.
pub(crate) async fn run(config: &Config, options: ResumeOptions) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    let Some(dependency) = options.dependency else {
        list(&operations).await?;
        return Ok(ExitCode::SUCCESS);
    };
    match operations.resume(&existing::actor(), &dependency).await {
        Ok(Resumed::Now) => output::note(&format!("{dependency}: consumption resumed")),
        Ok(Resumed::Before) => output::note(&format!("{dependency}: consumption was not paused")),
        Err(error @ OperationError::NotPaused { .. }) => {
            list(&operations).await?;
            let hint = "`revenueflow resume` without a name lists the pauses";
            return Err(Advice::new(error.to_string(), hint).into());
        }
        Err(error) => return Err(error.into()),
    }
    let others = operations.pauses().await?;
    if !others.is_empty() {
        let names: Vec<_> = others.iter().map(|pause| pause.dependency.as_str()).collect();
        output::note(&format!("still paused for {}", names.join(", ")));
    }
    if matches!(config.queue.backend, Backend::Sqs(_)) {
        output::note("on AWS, the janitor function resumes consumption within a minute");
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(operations: &Operations) -> anyhow::Result<()> {
    let pauses = operations.pauses().await?;
    if pauses.is_empty() {
        output::note("nothing is paused");
        return Ok(());
    }
    let rows = pauses.into_iter().map(|pause| {
        [pause.dependency.as_str().to_owned(), utc(pause.since), utc(pause.until), pause.reason]
    });
    table::print(["DEPENDENCY", "SINCE", "NEXT PROBE", "REASON"], &[], rows.collect());
    Ok(())
}
