//! `revenueflow plan`: a preview of the CRM writes for a lead.

use std::process::ExitCode;

use assembly::Config;
use crm::{CrmMode, FieldChange};
use operations::PlannedLead;
use serde_json::Value;

use super::arguments::Format;
use super::format::{count, short};
use super::{existing, failed_if, table};
use crate::output;

#[derive(clap::Args)]
pub(crate) struct PlanOptions {
    /// The lead's id, or the beginning of it
    id: String,
    /// Print one JSON document: the same as --format json
    #[arg(long)]
    json: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints the CRM writes for a lead as planned now, field by field with the present value. Writes nothing.
pub(crate) async fn run(config: &Config, options: PlanOptions) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    let id = operations.resolve(&options.id).await?;
    let planned = operations.plan(&id).await?;
    if options.json || options.format == Format::Json {
        output::json(&planned)?;
    } else {
        print(&planned);
    }
    Ok(failed_if(planned.actions.iter().any(|action| action.refusal.is_some())))
}

fn print(planned: &PlannedLead) {
    output::line(&format!("{}, mapping {}", planned.provider, planned.mapping_version));
    if planned.held {
        output::line("nothing: the analysis was rejected, and the lead is held for review");
        return;
    }
    if planned.suppressed {
        output::line("nothing: the person is on the suppression list");
        return;
    }
    if let Some(followed) = &planned.followed {
        output::line(&format!(
            "record {} was merged into {}, which represents the lead from now on",
            followed.from, followed.to
        ));
    }
    for action in &planned.actions {
        if let Some(refusal) = &action.refusal {
            output::line(&format!("REFUSED {}: {} ({})", action.kind, refusal.message, refusal.code));
        }
    }
    print_changes(&planned.changes);
    let written = planned.changes.iter().filter(|change| change.left_out.is_none()).count();
    output::note(&match (written, planned.mode) {
        (0, _) => "nothing would be written: the CRM has these values already, or keeps its own".to_owned(),
        (_, CrmMode::Shadow) => format!(
            "{} would be written; the CRM is in shadow mode: `revenueflow crm promote {}` writes them",
            count(written, "field", "fields"),
            short(planned.lead_id.as_str()),
        ),
        (_, CrmMode::Live) => format!("{} would be written", count(written, "field", "fields")),
    });
}

/// Prints a table of changes. Within a record, they are in the order of writing.
pub(crate) fn print_changes(changes: &[FieldChange]) {
    let rows = changes.iter().map(|change| {
        let record = match &change.record_id {
            Some(id) => format!("{} {id}", change.object_name),
            None => format!("{} (new)", change.object_name),
        };
        let note = match (change.left_out, change.cut) {
            (Some(reason), _) => format!("left out: {reason}"),
            (None, true) => "written, cut to the field's length".to_owned(),
            (None, false) => "written".to_owned(),
        };
        [record, change.field.clone(), value(change.old.as_ref()), value(change.new.as_ref()), note]
    });
    table::print(["RECORD", "FIELD", "NOW", "PLANNED", ""], &[2, 3, 4], rows.collect());
}

fn value(value: Option<&Value>) -> String {
    match value {
        None => "-".to_owned(),
        Some(Value::String(text)) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Some(other) => other.to_string(),
    }
}
