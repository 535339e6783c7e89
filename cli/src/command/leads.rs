//! `revenueflow leads`: listing and inspecting leads.

use std::fmt::Write as _;
use std::process::ExitCode;

use assembly::Config;
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use grounding::Claim;
use jiff::Timestamp;
use lead::{Decision, EmailAddress, Fit, LeadStatus};
use operations::{AuditEvent, Awaits, LeadFilter, LeadView, Operations, Page};
use serde_json::json;

use super::arguments::{Format, OneLead, Paging};
use super::format::{age, flat, or_dash, quoted, short, utc};
use super::{existing, table};
use crate::output::{self, visible};

/// Page size for reading audit events.
const PAGE: u32 = 500;

#[derive(Subcommand)]
pub(crate) enum LeadsCommand {
    /// List leads, newest first
    List(ListOptions),
    /// Show one lead
    Show(OneLead),
    /// Explain the decision about a lead
    Explain(OneLead),
    /// Print the audit trail of a lead
    Audit(OneLead),
}

#[derive(clap::Args)]
pub(crate) struct ListOptions {
    /// Only leads in this status
    #[arg(long, ignore_case = true, value_parser = word(LeadStatus::ALL, LeadStatus::as_str))]
    status: Option<LeadStatus>,
    /// Only leads with this decision in force
    #[arg(long, ignore_case = true, value_parser = word(Decision::ALL, Decision::as_str))]
    decision: Option<Decision>,
    /// Only leads with this fit in force
    #[arg(long, ignore_case = true, value_parser = word(Fit::ALL, Fit::as_str))]
    fit: Option<Fit>,
    /// Only leads of this campaign
    #[arg(long, value_name = "ID")]
    campaign: Option<String>,
    /// Only leads of this person
    #[arg(long, value_name = "ADDRESS", value_parser = EmailAddress::parse)]
    email: Option<EmailAddress>,
    /// Only leads that await a rescore: judged without an AI, or while enrichment was unavailable
    #[arg(long, ignore_case = true, value_parser = word(Awaits::ALL, Awaits::as_str))]
    awaits: Option<Awaits>,
    /// Only leads received at this time or later, such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    #[command(flatten)]
    paging: Paging,
}

/// A parser that accepts one of a fixed set of words, in any letter case.
fn word<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    as_str: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|value| as_str(*value))).try_map(move |text| {
        let known = all.iter().find(|value| as_str(**value).eq_ignore_ascii_case(&text));
        known.copied().ok_or("is not a known word")
    })
}

/// Lists leads, or shows one.
pub(crate) async fn run(config: &Config, command: LeadsCommand) -> anyhow::Result<ExitCode> {
    let operations = &existing::operations(config).await?;
    match command {
        LeadsCommand::List(options) => list(operations, options).await?,
        LeadsCommand::Show(OneLead { id, format }) => {
            let lead = operations.lead(&operations.resolve(&id).await?).await?;
            match format {
                Format::Json => output::json(&lead)?,
                Format::Table => show(&lead),
            }
        }
        LeadsCommand::Explain(OneLead { id, format }) => {
            let explanation = operations.explain(&operations.resolve(&id).await?).await?;
            match format {
                Format::Json => output::json(&explanation)?,
                Format::Table => output::line(explanation.to_string().trim_end()),
            }
        }
        LeadsCommand::Audit(OneLead { id, format }) => audit(operations, &id, format).await?,
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
    let paging = &options.paging;
    let page = page(operations, &filter, paging).await?;
    let empty = if command == COMMAND { "there are no leads" } else { "no lead matches" };
    let titles = ["ID", "STATUS", "DECISION", "SCORE", "FIT", "INTENT", "EMAIL", "CAMPAIGN", "AGE"];
    let now = Timestamp::now();
    paging.print(page, &command, empty, (titles, &[6, 7]), |lead| {
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
    })
}

/// Reads until the page is full or the list ends: one read of a list with several filters ends early if few
/// leads match.
async fn page(
    operations: &Operations,
    filter: &LeadFilter,
    paging: &Paging,
) -> anyhow::Result<Page<LeadView>> {
    let (mut items, mut cursor) = (Vec::new(), paging.cursor.clone());
    loop {
        let missing = paging.limit - u32::try_from(items.len())?;
        let read = operations.leads(filter, cursor.as_ref(), missing).await?;
        items.extend(read.items);
        cursor = match read.next_cursor {
            Some(next) if items.len() < paging.limit as usize => {
                Some(next.parse().map_err(anyhow::Error::msg)?)
            }
            next_cursor => return Ok(Page { items, next_cursor }),
        };
    }
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
    option("status", options.status.map(LeadStatus::as_str));
    option("decision", options.decision.map(Decision::as_str));
    option("fit", options.fit.map(Fit::as_str));
    option("campaign", options.campaign.as_deref());
    option("awaits", options.awaits.map(Awaits::as_str));
    option("since", options.since.map(|since| since.to_string()).as_deref());
    option("email", options.email.as_ref().map(EmailAddress::expose));
    command
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
        [
            event.seq.to_string(),
            utc(event.at),
            kind,
            or_dash(event.actor),
            or_dash(delivery),
            flat(&event.detail),
        ]
    });
    table::print(["SEQ", "AT", "EVENT", "ACTOR", "DELIVERY", "DETAIL"], &[], rows.collect());
    Ok(())
}
