//! `revenueflow crm`: shadow mode, promotion, rollback, conversion and setup.

use std::process::ExitCode;
use std::sync::Arc;

use assembly::Config;
use clap::{ArgAction, Subcommand};
use crm::{CrmMode, CrmProvider, FieldChange, HubSpotCrm, Restored};
use jiff::Timestamp;
use lead::{LeadId, SystemClock};
use operations::{OperationError, Operations, RolledBackAction};

use super::arguments::Format;
use super::format::{age, count, short};
use super::plan::print_changes;
use super::{existing, failed_if, or_interrupted, table};
use crate::output;

#[derive(Subcommand)]
pub(crate) enum CrmCommand {
    /// Show whether plans are executed, and the number of planned leads
    Status,
    /// Write leads that were planned in shadow mode, each once, with a new plan against the CRM's present
    /// values
    Promote {
        /// The leads' ids, or the beginnings of them
        #[arg(required_unless_present = "all", value_name = "LEAD")]
        ids: Vec<String>,
        /// Every planned lead
        #[arg(long, conflicts_with = "ids", action = ArgAction::SetTrue)]
        all: bool,
    },
    /// Store plans from now on instead of executing them, and list past writes with the old values
    ///
    /// Takes effect at once in every process, whatever CRM_MODE says, until `crm resume`. Lists nothing
    /// without leads or --all. Created records stay: nothing is ever deleted.
    Rollback {
        /// The leads' ids, or the beginnings of them
        #[arg(value_name = "LEAD")]
        ids: Vec<String>,
        /// Every lead written to the CRM
        #[arg(long, conflicts_with = "ids", action = ArgAction::SetTrue)]
        all: bool,
        /// Restore the old values in fields that still hold the written ones
        #[arg(long)]
        restore: bool,
        /// The reason, shown by `crm status`
        #[arg(long, value_name = "TEXT", default_value = "rolled back")]
        reason: String,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Execute plans again after a rollback
    ///
    /// Does not end a pause of consumption while the CRM is unavailable: `revenueflow resume` does.
    Resume,
    /// Convert a lead to a contact in the CRM; only prints a preview without --yes
    ///
    /// A conversion cannot be undone, so it has to be allowed first: CRM_ALLOW_FILE must name convert_lead.
    /// In Salesforce, an Apex class in your org converts the lead: see docs/salesforce.md.
    Convert {
        /// The lead's id, or the beginning of it
        #[arg(value_name = "LEAD")]
        id: String,
        /// The status of the converted lead, as the CRM names it
        #[arg(long, value_name = "TEXT", default_value = "Closed - Converted")]
        status: String,
        /// Convert it
        #[arg(long)]
        yes: bool,
    },
    /// List the properties that the mapping needs and HubSpot lacks; creates them with --yes
    ///
    /// Covers only properties with names that begin with revenueflow_. For Salesforce, docs/salesforce.md
    /// lists the fields to create.
    Setup {
        /// Create them
        #[arg(long)]
        yes: bool,
    },
}

/// Runs one of the `crm` commands.
pub(crate) async fn run(config: &Config, command: CrmCommand) -> anyhow::Result<ExitCode> {
    let operations = || existing::operations(config);
    match command {
        CrmCommand::Status => status(&operations().await?).await,
        CrmCommand::Promote { ids, all } => {
            let operations = operations().await?;
            let ids = if all { operations.planned_leads().await? } else { resolve(&operations, ids).await? };
            or_interrupted(promote(&operations, ids)).await?
        }
        CrmCommand::Rollback { ids, all, restore, reason, format } => {
            let operations = operations().await?;
            let provider = operations.crm_status().await?.provider;
            // Hold the CRM first, so that nothing is written while past writes are listed.
            operations.hold_crm(&existing::actor(), &reason).await?;
            output::note(&format!(
                "{provider} is held from now on, in every process: plans are stored, not executed; `crm resume` ends it"
            ));
            let ids = if all { operations.written_leads().await? } else { resolve(&operations, ids).await? };
            or_interrupted(roll_back(&operations, ids, restore, format)).await?
        }
        CrmCommand::Resume => resume(&operations().await?).await,
        CrmCommand::Convert { id, status, yes } => convert(&operations().await?, &id, &status, yes).await,
        CrmCommand::Setup { yes } => setup(config, yes).await,
    }
}

/// Lists or creates missing properties. Needs no database, since an account is prepared before the first
/// start.
async fn setup(config: &Config, yes: bool) -> anyhow::Result<ExitCode> {
    let mapping = Arc::new(config.crm.mapping()?);
    let CrmProvider::HubSpot(account) = &config.crm.provider else {
        anyhow::bail!("CRM_PROVIDER: is not hubspot");
    };
    let hubspot = HubSpotCrm::new(account.clone(), mapping, Arc::new(SystemClock))?;
    let missing = hubspot.missing_properties().await?;
    if missing.is_empty() {
        output::note("HubSpot has every property that the mapping needs");
        return Ok(ExitCode::SUCCESS);
    }
    let rows = missing.iter().map(|property| {
        let unique = if property.unique { "unique" } else { "" };
        [property.object.clone(), property.name.clone(), property.kind.to_owned(), unique.to_owned()]
    });
    table::print(["OBJECT", "PROPERTY", "TYPE", ""], &[], rows.collect());
    if !yes {
        output::note("nothing was created; `--yes` creates them");
        return Ok(ExitCode::SUCCESS);
    }
    for property in &missing {
        hubspot.create_property(property).await?;
    }
    output::note(&format!("{} created", count(missing.len(), "property", "properties")));
    Ok(ExitCode::SUCCESS)
}

async fn status(operations: &Operations) -> anyhow::Result<ExitCode> {
    let status = operations.crm_status().await?;
    let mode = match status.mode {
        CrmMode::Live => "live: plans are executed",
        CrmMode::Shadow => "shadow: plans are stored, nothing is written",
    };
    output::line(&format!("crm      {}", status.provider));
    output::line(&format!("mode     {mode}"));
    output::line(&format!("mapping  {}", status.mapping_version));
    match status.hold {
        Some(hold) => {
            let since = age(hold.since, Timestamp::now());
            output::line(&format!("held     for {since}: {}; `revenueflow crm resume` ends it", hold.reason));
        }
        None => output::line("held     no"),
    }
    output::line(&format!("planned  {}", count(status.planned, "lead", "leads")));
    Ok(ExitCode::SUCCESS)
}

/// Resolves the given ids.
async fn resolve(operations: &Operations, ids: Vec<String>) -> anyhow::Result<Vec<LeadId>> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.push(operations.resolve(&id).await?);
    }
    Ok(found)
}

/// Promotes planned leads. If the process dies between the two steps for a lead, its delivery is open and in
/// no queue, and the janitor sends it.
async fn promote(operations: &Operations, ids: Vec<LeadId>) -> anyhow::Result<ExitCode> {
    let ((mut sent, mut others), actor) = ((0, 0), existing::actor());
    for id in &ids {
        match operations.promote(&actor, id).await {
            Ok(()) => sent += 1,
            Err(OperationError::Conflict(_)) => others += 1,
            Err(error) => return Err(error.into()),
        }
    }
    output::note(&format!(
        "{} queued for writing; workers plan them against the CRM's present values",
        count(sent, "lead is", "leads are")
    ));
    if others > 0 {
        output::note(&format!(
            "{} not planned, and nothing was done",
            count(others, "lead was", "leads were")
        ));
    }
    Ok(failed_if(sent == 0 && others > 0))
}

async fn resume(operations: &Operations) -> anyhow::Result<ExitCode> {
    let was_held = operations.resume_crm(&existing::actor()).await?;
    let mode = operations.crm_status().await?.mode;
    output::note(match (was_held, mode) {
        (false, _) => "the CRM was not held",
        (true, CrmMode::Shadow) => {
            "the hold has ended; CRM_MODE is shadow, so plans are still stored, not executed"
        }
        (true, CrmMode::Live) => {
            "new plans are executed again; `revenueflow crm promote --all` executes the plans stored meanwhile"
        }
    });
    Ok(ExitCode::SUCCESS)
}

async fn convert(operations: &Operations, id: &str, status: &str, yes: bool) -> anyhow::Result<ExitCode> {
    let id = operations.resolve(id).await?;
    let conversion = operations.convert(&existing::actor(), &id, status, yes).await?;
    if let Some(refusal) = &conversion.refusal {
        output::line(&format!("REFUSED convert_lead: {} ({})", refusal.message, refusal.code));
        return Ok(failed_if(true));
    }
    if let Some(record) = conversion.record_id {
        output::note(&format!("converted: it is record {record} in {} now", conversion.provider));
    } else {
        print_changes(&conversion.changes);
        output::note("nothing was done; `--yes` converts it, which cannot be undone");
    }
    Ok(ExitCode::SUCCESS)
}

async fn roll_back(
    operations: &Operations,
    ids: Vec<LeadId>,
    restore: bool,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let (mut leads, actor) = (Vec::with_capacity(ids.len()), existing::actor());
    for lead_id in ids {
        leads.push(operations.roll_back(&actor, &lead_id, restore).await?);
    }
    if format == Format::Json {
        output::json(&leads)?;
        return Ok(ExitCode::SUCCESS);
    }
    for lead in &leads {
        output::line(&format!("lead {}", short(lead.lead_id.as_str())));
        for RolledBackAction { action, restored } in &lead.actions {
            let unkept = match action.changes_removed_at {
                Some(_) => ", old values were removed by retention",
                None if action.changes.is_empty() => ", old values were not kept",
                None => "",
            };
            output::line(&format!("  {} {} ({}{unkept})", action.kind, action.record_id, action.updated_at));
            if restore {
                print_restored(&action.changes, restored);
            } else if !action.changes.is_empty() {
                print_changes(&action.changes);
            }
        }
    }
    if !restore && !leads.is_empty() {
        output::note(
            "nothing was restored; `--restore` restores the old values in fields that still hold the written ones",
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn print_restored(changes: &[FieldChange], restored: &[Restored]) {
    let rows = changes.iter().zip(restored).map(|(change, result)| {
        let outcome = match result {
            Restored::PutBack => "restored",
            Restored::BackAlready => "already has the old value",
            Restored::Unchanged => "never written",
            Restored::ChangedSince => "changed since the write: kept",
            Restored::Created => "created by us: kept",
            Restored::Gone => "no longer exists",
        };
        [change.object_name.clone(), change.field.clone(), outcome.to_owned()]
    });
    table::print(["OBJECT", "FIELD", ""], &[], rows.collect());
}
