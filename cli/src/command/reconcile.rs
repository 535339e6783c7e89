use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use queue::Spool;
use runtime::{Config, QueueKind};

use super::words::count;
use super::{existing, or_interrupted};
use crate::app::App;
use crate::output;
use crate::serve::build_janitor;
use crate::sink::DeadLetters;

/// Puts back into the queue what the database and the spools know to be accepted and not finished, and says
/// what it cannot find.
pub(crate) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let app = existing::app(config).await?;
    if config.queue != QueueKind::Database {
        spools(config, &app).await?;
    }
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {pos} open deliveries looked at")?);
    let reconciled =
        or_interrupted(build_janitor(config, &app).reconcile_all(|looked_at| bar.set_position(looked_at)))
            .await?;
    bar.finish_and_clear();
    let janitor::Reconciled { sent, waiting, elsewhere } = reconciled?;
    let leads = |number: u64| anyhow::Ok(count(usize::try_from(number)?, "lead", "leads"));
    output::note(&format!(
        "database: {} in no queue sent again, {waiting} waiting as they should",
        leads(sent)?
    ));
    if elsewhere > 0 {
        let closed = leads(elsewhere)?;
        output::note(&format!(
            "database: {closed} finished or given up by another application's workers, now closed"
        ));
    }
    if config.queue == QueueKind::Redis {
        output::note(
            "not found here, should Redis have lost them: leads taken in the moment before, whose note had not reached \
             the database, and jobs that other producers added and no worker had begun",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends what is in spools that no running server has.
async fn spools(config: &Config, app: &App) -> anyhow::Result<()> {
    let abandoned = Spool::abandoned(&config.spool_dir, config.spool_max_bytes)?;
    let (mut sent, parked) = (0, DeadLetters(app.store.clone()));
    for spool in &abandoned.spools {
        sent += or_interrupted(spool.drain(app.queue.as_ref(), &parked)).await??;
    }
    output::note(&format!("spool: {} sent", count(usize::try_from(sent)?, "lead", "leads")));
    if abandoned.held > 0 {
        let held = count(abandoned.held, "spool", "spools");
        output::note(&format!("spool: {held} left to the running servers that have them"));
    }
    let unreadable = Spool::unreadable(&config.spool_dir)?;
    if unreadable > 0 {
        let lines = count(unreadable, "line", "lines");
        let folder = config.spool_dir.display();
        output::note(&format!(
            "spool: {lines} that cannot be read, in the files N.unreadable.jsonl of {folder}"
        ));
    }
    Ok(())
}
