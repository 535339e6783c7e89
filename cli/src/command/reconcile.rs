use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use queue::Spool;
use runtime::{Config, QueueKind};

use super::words::count;
use super::{existing, or_interrupted};
use crate::output;
use crate::serve::janitor;

/// Puts back into the queue what the database and the spool know to be accepted and not finished.
pub(crate) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let app = existing::app(config).await?;
    if config.queue == QueueKind::Redis && config.spool_dir.is_dir() {
        // A spool that a running server has is drained by that server.
        let spool = Spool::open(&config.spool_dir, config.spool_max_bytes)?;
        let sent = or_interrupted(spool.drain(app.queue.as_ref())).await??;
        output::note(&format!("spool: {} sent", count(usize::try_from(sent)?, "lead", "leads")));
    }
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {pos} open deliveries looked at")?);
    let reconciled =
        or_interrupted(janitor(config, &app).reconcile_all(|looked_at| bar.set_position(looked_at))).await?;
    bar.finish_and_clear();
    let (sent, waiting) = reconciled?;
    output::note(&format!(
        "database: {} in no queue sent again, {waiting} waiting as they should",
        count(usize::try_from(sent)?, "lead", "leads")
    ));
    Ok(ExitCode::SUCCESS)
}
