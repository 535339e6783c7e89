//! The commands, one module each, with their arguments. They call [`operations::Operations`] and print the
//! result.

#![allow(clippy::doc_markdown, reason = "clap prints the comments of arguments without Markdown")]

pub(crate) mod audit;
pub(crate) mod crm;
pub(crate) mod dead_letters;
pub(crate) mod doctor;
pub(crate) mod erase;
pub(crate) mod evaluate;
pub(crate) mod leads;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod operators;
pub(crate) mod person;
pub(crate) mod plan;
pub(crate) mod quarantine;
pub(crate) mod reconcile;
pub(crate) mod replay;
pub(crate) mod resume;
pub(crate) mod retention;
pub(crate) mod review;
pub(crate) mod sandbox;
pub(crate) mod simulate;
pub(crate) mod sources;
pub(crate) mod suppress;

mod arguments;
mod existing;
mod format;
mod table;

use std::future::Future;
use std::process::ExitCode;

/// Runs a long operation until it ends or Ctrl-C interrupts it. Work done before the interrupt is kept.
async fn or_interrupted<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::select! {
        done = work => Ok(done),
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
    }
}

/// The exit code of a command: 1 if a part of it failed.
fn failed_if(failed: bool) -> ExitCode {
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
