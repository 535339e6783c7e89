//! `revenueflow leads`: listing and inspecting leads.

use std::fmt::Write as _;
use std::process::ExitCode;

use assembly::Config;
use grounding::Claim;
use jiff::Timestamp;
use operations::{AuditEvent, Awaits, LeadFilter, LeadView, Operations};
use serde_json::json;

use super::format::{age, flat, or_dash, short, utc};
use super::{existing, table};
use crate::args::{Format, LeadsCommand, ListOptions};
use crate::output::{self, visible};

/// Page size for reading audit events.
const PAGE: u32 = 500;

/// Lists leads, or shows one.
pub(crate) async fn run(config: &Config, command: LeadsCommand) -> anyhow::Result<ExitCode> {
    let operations = &existing::operations(config).await?;
    match command {
        LeadsCommand::List(options) => list(operations, options).await?,
        LeadsCommand::Show { id, format } => {
            let lead = operations.lead(&operations.resolve(&id).await?).await?;
            match format {
                Format::Json => output::json(&lead)?,
                Format::Table => show(&lead),
            }
        }
        LeadsCommand::Explain { id, format } => {
            let explanation = operations.explain(&operations.resolve(&id).await?).await?;
            match format {
                Format::Json => output::json(&explanation)?,
                Format::Table => output::line(explanation.to_string().trim_end()),
            }
        }
        LeadsCommand::Audit { id, format } => audit(operations, &id, format).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(operations: &Operations, options: ListOptions) -> anyhow::Result<()> {
    let command = same_command(&options);
    let filter = LeadFilter {
        status: options.status,
        decision: options.decision,
        fit: options.fit,
        campaign_id: options.campaign,
        email: options.email,
        awaits: options.awaits,
        since: options.since,
    };
    let page = operations.leads(&filter, options.cursor.as_ref(), options.limit).await?;
    if options.format == Format::Json {
        return output::json(&page);
    }
    if page.items.is_empty() {
        output::note(if command == COMMAND { "there are no leads" } else { "no lead matches" });
        return Ok(());
    }
    let now = Timestamp::now();
    let rows = page.items.into_iter().map(|lead| {
        [
            short(lead.lead_id.as_str()),
            lead.status.to_string(),
            or_dash(lead.decision),
            or_dash(lead.fit_score),
            or_dash(lead.fit),
            or_dash(lead.intent),
            lead.email.into_exposed(),
            lead.campaign_id,
            age(lead.created_at, now),
        ]
    });
    let titles = ["ID", "STATUS", "DECISION", "SCORE", "FIT", "INTENT", "EMAIL", "CAMPAIGN", "AGE"];
    table::print(titles, &[6, 7], rows.collect());
    output::next_page(&command, options.limit, page.next_cursor.as_deref());
    Ok(())
}

const COMMAND: &str = "leads list";

/// The same list command, without its limit and cursor.
fn same_command(options: &ListOptions) -> String {
    let mut command = COMMAND.to_owned();
    let mut option = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            let _ = write!(command, " --{name} {}", quoted(value));
        }
    };
    option("status", options.status.map(lead::LeadStatus::as_str));
    option("decision", options.decision.map(lead::Decision::as_str));
    option("fit", options.fit.map(lead::Fit::as_str));
    option("campaign", options.campaign.as_deref());
    option("awaits", options.awaits.map(Awaits::as_str));
    option("since", options.since.map(|since| since.to_string()).as_deref());
    option("email", options.email.as_ref().map(lead::EmailAddress::expose));
    command
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.@:+".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

fn show(lead: &LeadView) {
    let mut rows = Vec::new();
    let mut row = |name: &'static str, value: Option<String>| {
        rows.extend(value.map(|value| [name.to_owned(), value]));
    };
    row("lead", Some(lead.lead_id.to_string()));
    row("status", Some(lead.status.to_string()));
    row("email", Some(lead.email.expose().clone()));
    row("name", lead.name.as_ref().map(|name| name.expose().clone()));
    row("title", lead.title.clone());
    row("company", lead.company.clone());
    row("phone", lead.phone.as_ref().map(|phone| phone.expose().clone()));
    row("campaign", Some(lead.campaign_id.clone()));
    row("decision", lead.decision.map(|decision| decision.to_string()));
    row("fit", lead.fit.map(|fit| format!("{fit} (score {})", or_dash(lead.fit_score))));
    row("intent", lead.intent.map(|intent| intent.to_string()));
    row(
        "judged by",
        lead.analysis.as_ref().map(|by| {
            let fallback = if by.fallback { ", no answer: the neutral verdict stands in" } else { "" };
            format!("{} {}{fallback}", by.provider, by.model)
        }),
    );
    if let Some(grounding) = &lead.grounding {
        row("grounding", Some(grounding.status.to_string()));
        for reason in &grounding.reasons {
            row("", Some(format!("{}: {}", reason.code, reason.message)));
        }
    }
    let mut name = "evidence";
    for claim in lead.evidence.iter().flatten() {
        row(name, Some(evidence(claim)));
        name = "";
    }
    row("crm", lead.crm.as_ref().map(|crm| format!("{} record {}", crm.provider, crm.record_id)));
    row("failure", lead.failure.as_ref().map(ToString::to_string));
    row("revision", Some(lead.revision.to_string()));
    row("created", Some(utc(lead.created_at)));
    row("updated", Some(utc(lead.updated_at)));
    for [name, value] in rows {
        output::line(&format!("{name:<11}{}", visible(&value)));
    }
    output::note(&format!("why: revenueflow leads explain {}", short(lead.lead_id.as_str())));
}

fn evidence(claim: &Claim) -> String {
    format!("{} = {} ({})", claim.field_path, claim.value, claim.claim_type)
}

async fn audit(operations: &Operations, id: &str, format: Format) -> anyhow::Result<()> {
    let id = operations.resolve(id).await?;
    let mut events: Vec<AuditEvent> = Vec::new();
    loop {
        let after = events.last().map_or(0, |event| event.seq);
        let page = operations.audit(&id, after, PAGE).await?;
        if page.is_empty() {
            break;
        }
        events.extend(page);
    }
    if format == Format::Json {
        return output::json(&json!({ "items": events }));
    }
    let rows = events.into_iter().map(|event| {
        let kind = serde_json::to_value(event.kind).map(|kind| flat(&kind)).unwrap_or_default();
        let delivery = event.delivery_id.map(|id| short(id.as_str()));
        [event.seq.to_string(), utc(event.at), kind, or_dash(delivery), flat(&event.detail)]
    });
    table::print(["SEQ", "AT", "EVENT", "DELIVERY", "DETAIL"], &[], rows.collect());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_page_hint_can_be_pasted_into_a_shell() {
        assert_eq!(quoted("launch_2024"), "launch_2024");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
    }
}
