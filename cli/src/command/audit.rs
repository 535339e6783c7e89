//! `revenueflow audit`: the acts that concern no single lead, and the verification of the audit trail.

use std::process::ExitCode;

use assembly::Config;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use operations::{AuditBreak, AuditProblem, AuditVerification, Operations};
use serde_json::json;

use super::arguments::Format;
use super::format::{count, utc};
use super::{existing, failed_if, or_interrupted, table};
use crate::output;

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// List acts that concern no single lead, newest first: suppressions, holds, erasures and others
    ///
    /// `revenueflow leads audit ID` prints the events of a lead.
    List {
        /// How many, at most 500
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Only acts before the one with this number
        #[arg(long, value_name = "SEQ")]
        before: Option<i64>,
        /// How to print them
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Verify that no audit event is missing, changed, inserted or moved; the exit code is 1 if one is
    ///
    /// Follows the chain of hashes through the events of each lead, and the chain of the other acts. Prints
    /// the first break of each chain, and the hash of the newest act: kept elsewhere, it shows later whether
    /// the acts before it were rewritten.
    Verify {
        /// Only the events of this lead: its whole id, or for a lead that is not erased the beginning of it
        #[arg(long, value_name = "ID")]
        lead: Option<String>,
        /// How to print the result
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Lists acts, or verifies the audit trail.
pub(crate) async fn run(config: &Config, command: AuditCommand) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    match command {
        AuditCommand::List { limit, before, format } => list(&operations, limit, before, format).await,
        AuditCommand::Verify { lead, format } => verify(&operations, lead, format).await,
    }
}

async fn list(
    operations: &Operations,
    limit: u32,
    before: Option<i64>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let acts = operations.acts(before, limit).await?;
    if format == Format::Json {
        output::json(&json!({ "items": acts }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let last = acts.last().filter(|_| acts.len() >= limit as usize).map(|act| act.seq);
    let rows = acts.into_iter().map(|act| {
        let kind = serde_json::to_value(act.kind).unwrap_or_default();
        let kind = kind.as_str().unwrap_or_default().to_owned();
        [act.seq.to_string(), utc(act.at), kind, act.actor.to_string(), act.detail.to_string()]
    });
    table::print(["SEQ", "AT", "ACT", "ACTOR", "DETAIL"], &[4], rows.collect());
    if let Some(last) = last {
        output::note(&format!("more: revenueflow audit list --limit {limit} --before {last}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn verify(operations: &Operations, lead: Option<String>, format: Format) -> anyhow::Result<ExitCode> {
    let result = if let Some(id) = lead {
        operations.verify_audit_of(&operations.resolve(&id).await?).await?
    } else {
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {pos} events verified")?);
        let result = or_interrupted(operations.verify_audit(|events| bar.set_position(events))).await?;
        bar.finish_and_clear();
        result?
    };
    match format {
        Format::Json => output::json(&result)?,
        Format::Table => print(&result),
    }
    Ok(failed_if(!result.breaks.is_empty()))
}

fn print(result: &AuditVerification) {
    let (events, leads) = (count(result.events, "event", "events"), count(result.leads, "lead", "leads"));
    output::line(&format!("{events} of {leads}, {}", count(result.acts, "other act", "other acts")));
    if !result.acts_hash.is_empty() {
        output::line(&format!("newest act: {}", result.acts_hash));
    }
    for found in &result.breaks {
        output::line(&describe(found));
    }
    if result.breaks.is_empty() {
        output::note("the audit trail is intact");
    } else {
        output::note("the audit trail was changed; docs/security.md says what each line means");
    }
}

fn describe(found: &AuditBreak) -> String {
    let chain = found.lead_id.as_ref().map_or_else(|| "acts".to_owned(), |id| format!("lead {id}"));
    let at = found.at.map(|at| format!(" ({})", utc(at))).unwrap_or_default();
    let problem = match found.problem {
        AuditProblem::Missing => "is missing",
        AuditProblem::Changed => "does not match: it was changed, inserted or moved, or one before it was",
        AuditProblem::Redacted => "has lost its detail without an erasure",
        AuditProblem::End => "should end the chain or be in it, and is missing or was changed",
    };
    format!("BROKEN {chain}: event {}{at} {problem}", found.seq)
}
