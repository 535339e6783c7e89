//! The checks of the CRM: access, mode, owners, omitted fields and mapping.

use std::collections::BTreeMap;

use assembly::Config;
use crm::{CrmMode, Object, Omission, OwnerStatus};
use jiff::{SignedDuration, Timestamp};

use super::report::Report;
use crate::app::App;
use crate::command::format::{age, count};
use crate::output::Advice;

/// Checks the CRM's access and mode, its owners and recent omissions and, with `mapping_is_readable`, the
/// mapping.
pub(super) async fn crm(report: &mut Report, config: &Config, app: &App, mapping_is_readable: bool) {
    const CHECK: &str = "crm";
    let guard = &app.pipeline.guard;
    let provider = guard.provider();
    let answered = match guard.probe().await {
        Ok(()) => guard.account().await,
        Err(failure) => Err(failure),
    };
    let found = match answered {
        Ok(account) => {
            let account = account.map(|account| format!(", {account}")).unwrap_or_default();
            format!("{provider}, answers{account}")
        }
        Err(failure) => return report.fail(CHECK, &anyhow::Error::new(failure).context(provider)),
    };
    let mode = match config.crm.mode {
        CrmMode::Live => "live",
        CrmMode::Shadow => "shadow: nothing is written",
    };
    match app.store.crm_hold(provider).await {
        Ok(None) => report.ok(CHECK, format!("{found}, {mode}")),
        Ok(Some(hold)) => {
            let (since, now) = (hold.since, app.clock.now());
            let found = format!("{found}, held for {}: {}", age(since, now), hold.reason);
            report.warn(CHECK, found, "nothing is written; `revenueflow crm resume` ends it");
        }
        Err(error) => return report.fail(CHECK, &error.into()),
    }
    if mapping_is_readable {
        mapping(report, app).await;
    }
    owners(report, app).await;
    left_out(report, app).await;
}

/// Checks that the owners in the routing can own leads and tasks.
async fn owners(report: &mut Report, app: &App) {
    const CHECK: &str = "crm owners";
    let routing = &app.pipeline.routing;
    let ids: Vec<String> = routing.owner_ids().map(ToString::to_string).collect();
    if ids.is_empty() {
        return report.ok(CHECK, "the routing names none");
    }
    let standings = app.pipeline.guard.owners(&ids).await;
    let hint = "correct the owner in ROUTING_FILE; until then the next rule applies to its leads";
    let mut unknown = 0;
    for (name, id) in routing.owner_names() {
        let standing = standings.get(id.as_str()).copied().unwrap_or(OwnerStatus::Unknown);
        if let Some(problem) = standing.refuses(Object::Lead) {
            report.warn(CHECK, format!("{name} ({id}): {problem}"), hint);
        } else if let Some(problem) = standing.refuses(Object::Task) {
            let hint = "tasks are written without an owner; give the queue the object Task, or name a user";
            report.warn(CHECK, format!("{name} ({id}), tasks: {problem}"), hint);
        }
        unknown += usize::from(standing == OwnerStatus::Unknown);
    }
    let found = count(ids.len(), "owner", "owners");
    report.ok(CHECK, format!("{found} in the routing, {unknown} of them unknown to the CRM or not checked"));
}

/// Reports the fields that recent writes omitted, each with its reason and count.
async fn left_out(report: &mut Report, app: &App) {
    const CHECK: &str = "crm left out";
    const DAYS: i32 = 7;
    /// Maximum number of effects that are counted, from the newest.
    const MAX_EFFECTS: u32 = 1_000;
    let since = app.clock.now().saturating_sub(SignedDuration::from_hours(24 * i64::from(DAYS)));
    let since = since.unwrap_or(Timestamp::UNIX_EPOCH);
    let found = match app.store.left_out(app.pipeline.guard.provider(), since, MAX_EFFECTS).await {
        Ok(found) => found,
        Err(error) => return report.fail(CHECK, &error.into()),
    };
    let mut counts: BTreeMap<&Omission, usize> = BTreeMap::new();
    for omission in found.iter().flat_map(|effect| &effect.left_out) {
        *counts.entry(omission).or_default() += 1;
    }
    let Some(newest) = found.first() else {
        return report.ok(CHECK, format!("no field in the last {DAYS} days"));
    };
    let lead: String = newest.lead_id.as_str().chars().take(12).collect();
    let hint = format!("`revenueflow leads explain {lead}` shows the newest; docs/crm.md says what to do");
    for (omission, times) in counts {
        let Omission { object, field, source, reason } = omission;
        let times = count(times, "time", "times");
        let object = object.as_str();
        report.warn(CHECK, format!("{object}.{field} ({source}), {times}: {reason}"), &hint);
    }
}

/// Checks that the CRM has the fields that the mapping names, and lets us write them.
async fn mapping(report: &mut Report, app: &App) {
    const CHECK: &str = "crm mapping";
    let guard = &app.pipeline.guard;
    let problems = match guard.schema_problems().await {
        Ok(problems) => problems,
        Err(failure) => return report.fail(CHECK, &anyhow::Error::new(failure).context(guard.provider())),
    };
    let page = guard.provider();
    let hint = format!("docs/{page}.md says how to create the fields, docs/crm.md how to change the mapping");
    for problem in &problems {
        if problem.blocks {
            report.fail(CHECK, &Advice::new(problem.message.clone(), hint.as_str()).into());
        } else {
            report.warn(CHECK, format!("{}; it is left out", problem.message), &hint);
        }
    }
    if problems.is_empty() {
        let mapping = guard.mapping();
        let rules: usize = mapping.objects().map(|(_, object)| object.rules().len()).sum();
        report.ok(CHECK, format!("version {}, {rules} fields, the CRM has them all", mapping.version()));
    }
}
