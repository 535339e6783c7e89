//! The checks of the queue, the enrichment providers and the spool.

use std::fmt::Write as _;

use assembly::{Config, QueueKind};
use enrichment::Fixtures;
use queue::Spool;

use super::report::Report;
use crate::app::App;
use crate::command::format::{age, count};
use crate::output::Advice;

/// Checks the queue: its depth, pauses of consumption and dead letters.
pub(super) async fn queue(report: &mut Report, app: &App) {
    const CHECK: &str = "queue";
    let look = async {
        let depth = app.queue.depth().await?;
        let pauses = app.queue.pauses().await?;
        let dead = app.store.count_dead_letters().await?;
        anyhow::Ok((depth, pauses, dead))
    };
    let (depth, pauses, dead) = match look.await {
        Ok(found) => found,
        Err(error) => return report.fail(CHECK, &error),
    };
    let now = app.clock.now();
    let mut found =
        format!("{}, {} waiting", app.queue.backend(), depth.messages - depth.in_flight.min(depth.messages));
    if depth.in_flight > 0 {
        let _ = write!(found, ", {} being worked on", depth.in_flight);
    }
    if depth.messages > 0 {
        let _ = write!(found, ", the oldest for {}", age(now - depth.oldest_age, now));
    }
    if let Some(pause) = pauses.first() {
        let (dependency, since) = (&pause.dependency, age(pause.since, now));
        report.warn(
            CHECK,
            format!("{found}; paused for {since}, because of {dependency}: {}", pause.reason),
            "consumption resumes automatically when a probe succeeds",
        );
    } else if dead > 0 {
        let dead = count(usize::try_from(dead).unwrap_or_default(), "dead letter", "dead letters");
        report.warn(CHECK, format!("{found}, {dead}"), "`revenueflow dead-letters list` says why");
    } else {
        report.ok(CHECK, format!("{found}, no dead letters"));
    }
}

/// Checks the credentials of the enrichment providers that offer a free call. A call to another provider
/// would cost a credit.
pub(super) async fn enrichment(report: &mut Report, app: &App) {
    const CHECK: &str = "enrichment";
    let now = app.clock.now();
    for state in app.pipeline.enrichment.states().await {
        let name = state.name;
        let open = state.left_alone.filter(|open| now < open.retry_at);
        match (state.check, open) {
            (Err(failure), _) => {
                let hint = "docs/enrichment.md says what each provider needs";
                report.fail(CHECK, &Advice::new(format!("{name}: {failure}"), hint).into());
            }
            (Ok(_), Some(open)) => {
                let found = format!("{name}: circuit breaker open until {}: {}", open.retry_at, open.reason);
                report.warn(
                    CHECK,
                    found,
                    "it is retried automatically; the other providers are used meanwhile",
                );
            }
            (Ok(Some(works)), None) => report.ok(CHECK, format!("{name}, {works}")),
            (Ok(None), None) if name == "fixtures" => {
                let companies = Fixtures::built_in().domains().count();
                report.ok(CHECK, format!("fixtures, {companies} companies, offline"));
            }
            (Ok(None), None) => {
                report.ok(CHECK, format!("{name}, key not checked, since a call costs a credit"));
            }
        }
    }
}

/// Checks the spool of the Redis queue for unreadable lines.
pub(super) fn spool(report: &mut Report, config: &Config) {
    const CHECK: &str = "spool";
    if config.queue != QueueKind::Redis {
        return;
    }
    let folder = config.spool_dir.display();
    match Spool::unreadable(&config.spool_dir) {
        Ok(0) => report.ok(CHECK, format!("{folder}, every line could be read")),
        Ok(lines) => {
            let lines = count(lines, "line", "lines");
            let hint = "they are kept in its files N.unreadable.jsonl: repair the lines, post the leads again, delete the files";
            report.warn(CHECK, format!("{folder}, {lines} could not be read"), hint);
        }
        Err(error) => report.fail(CHECK, &error.into()),
    }
}
