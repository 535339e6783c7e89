//! The checks of the queue, the enrichment providers and the spool.

use std::fmt::Write as _;

use assembly::{Backend, Config};
use jiff::Timestamp;
use operations::{Operations, QueueState};

use super::report::Report;
use crate::command::format::{age, count};
use crate::output::Advice;

/// Checks the queue: its depth, pauses of consumption and dead letters.
pub(super) async fn queue(report: &mut Report, operations: &Operations) {
    const CHECK: &str = "queue";
    let QueueState { backend, depth, pauses, dead_letters } = match operations.queue_state().await {
        Ok(state) => state,
        Err(error) => return report.fail(CHECK, error),
    };
    let now = Timestamp::now();
    let mut found = format!("{backend}, {} waiting", depth.messages - depth.in_flight.min(depth.messages));
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
    } else if dead_letters > 0 {
        let dead = count(dead_letters, "dead letter", "dead letters");
        report.warn(CHECK, format!("{found}, {dead}"), "`revenueflow dead-letters list` says why");
    } else {
        report.ok(CHECK, format!("{found}, no dead letters"));
    }
}

/// Checks the credentials of the enrichment providers that offer a free call. A call to another provider
/// would cost a credit.
pub(super) async fn enrichment(report: &mut Report, operations: &Operations) {
    const CHECK: &str = "enrichment";
    let now = Timestamp::now();
    for state in operations.enrichment_states().await {
        let name = state.name;
        let open = state.left_alone.filter(|open| now < open.retry_at);
        match (state.check, open) {
            (Err(failure), _) => {
                let hint = "docs/enrichment.md says what each provider needs";
                report.fail(CHECK, Advice::new(format!("{name}: {failure}"), hint));
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
            (Ok(None), None) => {
                report.ok(CHECK, format!("{name}, key not checked, since a call costs a credit"));
            }
        }
    }
}

/// Reports which data has no limit of its retention.
pub(super) fn retention(report: &mut Report, config: &Config) {
    const CHECK: &str = "retention";
    let retention = &config.retention;
    let limits = [
        ("leads", retention.leads),
        ("held leads", retention.held),
        ("superseded contents", retention.content),
        ("dead letters", retention.dead_letters),
    ];
    let kept: Vec<_> = limits.iter().filter(|(_, limit)| limit.is_none()).map(|(data, _)| *data).collect();
    let limited = limits.iter().filter_map(|(data, limit)| {
        limit.map(|limit| format!("{data} for {}", count(limit.as_secs() / (24 * 60 * 60), "day", "days")))
    });
    let mut found: Vec<_> = limited.collect();
    if !kept.is_empty() {
        found.push(format!("{} until erased (RETAIN_..._DAYS: docs/people.md)", kept.join(", ")));
    }
    report.ok(CHECK, format!("kept: {}", found.join("; ")));
}

/// Checks the spool of the Redis queue for unreadable lines.
pub(super) fn spool(report: &mut Report, config: &Config) {
    const CHECK: &str = "spool";
    if !matches!(config.queue.backend, Backend::Redis(_)) {
        return;
    }
    let folder = config.queue.spool_dir.display();
    match Operations::unreadable_spool_lines(&config.queue.spool_dir) {
        Ok(0) => report.ok(CHECK, format!("{folder}, every line could be read")),
        Ok(lines) => {
            let lines = count(lines, "line", "lines");
            let hint = "they are kept in its files N.unreadable.jsonl: repair the lines, post the leads again, delete the files";
            report.warn(CHECK, format!("{folder}, {lines} could not be read"), hint);
        }
        Err(error) => report.fail(CHECK, error),
    }
}
