//! One module a command. A command asks [`operations::Operations`] and says on the terminal what it was told.

pub(crate) mod crm;
pub(crate) mod dead_letters;
pub(crate) mod doctor;
pub(crate) mod erase;
pub(crate) mod evaluate;
pub(crate) mod leads;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod plan;
pub(crate) mod quarantine;
pub(crate) mod reconcile;
pub(crate) mod replay;
pub(crate) mod resume;
pub(crate) mod review;
pub(crate) mod sandbox;
pub(crate) mod simulate;
pub(crate) mod suppress;

mod existing;
mod table;
mod words;

use std::future::Future;
use std::process::ExitCode;

/// Runs what can take long, and ends it on Ctrl-C: what was done until then stays done.
async fn or_interrupted<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::select! {
        done = work => Ok(done),
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
    }
}

/// The exit code of a command that could not do all it was asked to.
fn failed_if(failed: bool) -> ExitCode {
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
