//! `revenueflow reconcile`: requeues accepted leads after the loss of a queue.

use std::process::ExitCode;

use assembly::{Backend, Config};
use indicatif::{ProgressBar, ProgressStyle};
use operations::{Operations, Reconciled};

use super::format::count;
use super::{existing, or_interrupted};
use crate::output;

/// Requeues unfinished deliveries that the database and the spools know of, and prints which losses it cannot
/// repair.
pub(crate) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    if !config.queue.backend.is_database() {
        spools(config, &operations).await?;
    }
    let actor = existing::actor();
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {pos} open deliveries checked")?);
    let reconciled =
        or_interrupted(operations.reconcile(&actor, |checked| bar.set_position(checked))).await?;
    bar.finish_and_clear();
    let Reconciled { sent, waiting, elsewhere } = reconciled?;
    let leads = |number: u64| count(number, "lead", "leads");
    output::note(&format!(
        "database: {} missing from the queue sent again, {waiting} waiting in the queue",
        leads(sent)
    ));
    if elsewhere > 0 {
        let closed = leads(elsewhere);
        output::note(&format!(
            "database: {closed} finished or dead-lettered by another application's workers, now closed"
        ));
    }
    if matches!(config.queue.backend, Backend::Redis(_)) {
        output::note(
            "not recovered if Redis lost them: leads accepted just before the loss and not yet recorded in the database, \
             and jobs of other producers that no worker had started",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends the events in spools that no running server uses.
async fn spools(config: &Config, operations: &Operations) -> anyhow::Result<()> {
    let (actor, queue) = (existing::actor(), &config.queue);
    let draining = operations.drain_spools(&actor, &queue.spool_dir, queue.spool_max_bytes);
    let drained = or_interrupted(draining).await??;
    output::note(&format!("spool: {} sent", count(drained.sent, "lead", "leads")));
    if drained.in_use > 0 {
        let in_use = count(drained.in_use, "spool", "spools");
        output::note(&format!("spool: {in_use} skipped, in use by running servers"));
    }
    let unreadable = Operations::unreadable_spool_lines(&config.queue.spool_dir)?;
    if unreadable > 0 {
        let lines = count(unreadable, "line", "lines");
        let folder = config.queue.spool_dir.display();
        output::note(&format!("spool: {lines} unreadable, in the files N.unreadable.jsonl of {folder}"));
    }
    Ok(())
}
