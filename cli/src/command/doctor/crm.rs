//! The checks of the CRM: access, mode, owners, omitted fields and mapping.

use anyhow::Context as _;
use crm::{CrmMode, Object, Omission, OwnerStatus};
use jiff::{SignedDuration, Timestamp};
use operations::{CrmStatus, Operations};

use super::report::Report;
use crate::command::format::{age, count, short};
use crate::output::Advice;

/// Checks the CRM's access and mode, its owners and recent omissions and, with `mapping_is_readable`, the
/// mapping.
pub(super) async fn crm(report: &mut Report, operations: &Operations, mapping_is_readable: bool) {
    let access = access(report, operations).await;
    let Some(provider) = report.attempt(CRM, access.map(Some)) else { return };
    if mapping_is_readable {
        let mapping = mapping(report, operations, provider).await.context(provider);
        report.attempt(MAPPING, mapping);
    }
    owners(report, operations).await;
    let omissions = omissions(report, operations).await;
    report.attempt(OMISSIONS, omissions);
}

const CRM: &str = "crm";

/// Checks the access and the mode. Returns the CRM's name.
async fn access(report: &mut Report, operations: &Operations) -> anyhow::Result<&'static str> {
    let CrmStatus { provider, mode, hold, .. } = operations.crm_status().await?;
    let account = operations.crm_account().await.context(provider)?;
    let account = account.map(|account| format!(", {account}")).unwrap_or_default();
    let found = format!("{provider}, answers{account}");
    match (hold, mode) {
        (Some(hold), _) => {
            let since = age(hold.since, Timestamp::now());
            let found = format!("{found}, held for {since}: {}", hold.reason);
            report.warn(CRM, found, "nothing is written; `revenueflow crm resume` ends it");
        }
        (None, CrmMode::Live) => report.ok(CRM, format!("{found}, live")),
        (None, CrmMode::Shadow) => report.ok(CRM, format!("{found}, shadow: nothing is written")),
    }
    Ok(provider)
}

/// Checks that the owners in the routing can own leads and tasks.
async fn owners(report: &mut Report, operations: &Operations) {
    const CHECK: &str = "crm owners";
    let owners = operations.owners().await;
    if owners.is_empty() {
        return report.ok(CHECK, "the routing names none");
    }
    let hint = "correct the owner in ROUTING_FILE; until then the next rule applies to its leads";
    for owner in &owners {
        let (name, id) = (&owner.name, &owner.id);
        if let Some(problem) = owner.status.refuses(Object::Lead) {
            report.warn(CHECK, format!("{name} ({id}): {problem}"), hint);
        } else if let Some(problem) = owner.status.refuses(Object::Task) {
            let hint = "tasks are written without an owner; give the queue the object Task, or name a user";
            report.warn(CHECK, format!("{name} ({id}), tasks: {problem}"), hint);
        }
    }
    let unknown = owners.iter().filter(|owner| owner.status == OwnerStatus::Unknown).count();
    let found = count(owners.len(), "owner", "owners");
    report.ok(CHECK, format!("{found} in the routing, {unknown} of them unknown to the CRM or not checked"));
}

const OMISSIONS: &str = "crm left out";

/// Reports the fields that recent writes omitted, each with its reason and count.
async fn omissions(report: &mut Report, operations: &Operations) -> anyhow::Result<()> {
    const DAYS: i64 = 7;
    let Some(omissions) = operations.omissions(SignedDuration::from_hours(24 * DAYS)).await? else {
        report.ok(OMISSIONS, format!("no field in the last {DAYS} days"));
        return Ok(());
    };
    let lead = short(omissions.newest.as_str());
    let hint = format!("`revenueflow leads explain {lead}` shows the newest; docs/crm.md says what to do");
    for (Omission { object, field, source, reason }, times) in &omissions.counts {
        let times = count(*times, "time", "times");
        let object = object.as_str();
        report.warn(OMISSIONS, format!("{object}.{field} ({source}), {times}: {reason}"), &hint);
    }
    Ok(())
}

const MAPPING: &str = "crm mapping";

/// Checks that the CRM has the fields that the mapping names, and lets us write them.
async fn mapping(report: &mut Report, operations: &Operations, provider: &str) -> anyhow::Result<()> {
    let mapping = operations.mapping_state().await?;
    let hint =
        format!("docs/{provider}.md says how to create the fields, docs/crm.md how to change the mapping");
    for problem in &mapping.problems {
        if problem.blocks {
            report.fail(MAPPING, Advice::new(problem.message.clone(), hint.as_str()));
        } else {
            report.warn(MAPPING, format!("{}; it is left out", problem.message), &hint);
        }
    }
    if mapping.problems.is_empty() {
        let (version, fields) = (mapping.version, mapping.fields);
        report.ok(MAPPING, format!("version {version}, {fields} fields, the CRM has them all"));
    }
    Ok(())
}
