// Doc comments here are help texts: they are printed as they are written.
#![allow(clippy::doc_markdown)]

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use lead::{Decision, EmailAddress, Fit, LeadStatus};
use store::Cursor;

/// RevenueFlow: from a marketing lead to the CRM, with every claim checked.
///
/// Without a command it serves on http://127.0.0.1:3000. Configuration comes from environment variables, or from a file
/// .env in the current folder; .env.example documents them.
#[derive(Parser)]
#[command(name = "revenueflow", version, arg_required_else_help = false)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Take in leads and work on them (the default)
    Serve(ServeOptions),
    /// Look at leads
    #[command(subcommand)]
    Leads(LeadsCommand),
    /// Judge a lead again and print what would change; writes nothing unless told to
    Replay(ReplayOptions),
    /// Look at what was given up, and send it again
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Look at bodies that could not be accepted
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Post a realistic campaign of leads to a running server
    ///
    /// Names and addresses are invented; the same seed and campaign give the same leads. Where WEBHOOK_SECRETS holds a
    /// static token, the first one is sent. With a rate, latencies count from the moment a post was due, so that a slow
    /// answer is not hidden by the posts it delayed. The exit code is 1 when any lead was not acknowledged in the end.
    Simulate(SimulateOptions),
    /// Check the configuration and everything it points to
    ///
    /// One line a check: ok, warn or FAIL. Nothing is created. The exit code is 1 when anything fails.
    Doctor,
    /// Send again every accepted lead that is not finished and in no queue, after a queue was lost
    Reconcile,
    /// Bring the database's schema up to date
    Migrate,
    /// Print the OpenAPI description of the HTTP interface
    Openapi,
}

impl Default for Command {
    fn default() -> Self {
        Self::Serve(ServeOptions::default())
    }
}

#[derive(clap::Args, Default)]
pub(crate) struct ServeOptions {
    /// Address to listen on, instead of HOST
    #[arg(long)]
    pub(crate) host: Option<IpAddr>,
    /// Port to listen on, instead of PORT; 0 takes any free one
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Only take in leads; another process works on them
    #[arg(long, conflicts_with = "worker_only")]
    pub(crate) api_only: bool,
    /// Only work on leads; another process takes them in
    #[arg(long)]
    pub(crate) worker_only: bool,
}

// A table is for people, JSON (one document) for programs. Without help texts of their own the values take one line.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
}

#[derive(Subcommand)]
pub(crate) enum LeadsCommand {
    /// List leads, newest first
    List(ListOptions),
    /// Show one lead
    Show {
        /// The lead's id, or the beginning of it
        id: String,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Say why a lead was treated as it was
    Explain {
        /// The lead's id, or the beginning of it
        id: String,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print everything that happened to a lead
    Audit {
        /// The lead's id, or the beginning of it
        id: String,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

#[derive(clap::Args)]
pub(crate) struct ListOptions {
    /// Only leads in this status
    #[arg(long, ignore_case = true, value_parser = word(LeadStatus::ALL, LeadStatus::as_str))]
    pub(crate) status: Option<LeadStatus>,
    /// Only leads with this decision in force
    #[arg(long, ignore_case = true, value_parser = word(Decision::ALL, Decision::as_str))]
    pub(crate) decision: Option<Decision>,
    /// Only leads with this fit in force
    #[arg(long, ignore_case = true, value_parser = word(Fit::ALL, Fit::as_str))]
    pub(crate) fit: Option<Fit>,
    /// Only leads of this campaign
    #[arg(long, value_name = "ID")]
    pub(crate) campaign: Option<String>,
    /// Only leads of this person
    #[arg(long, value_name = "ADDRESS", value_parser = EmailAddress::parse)]
    pub(crate) email: Option<EmailAddress>,
    /// Only leads that came at this time or later, such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// How many, at most 500
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Where to go on: the cursor that the last page ended with
    #[arg(long)]
    pub(crate) cursor: Option<Cursor>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// One of a vocabulary's words, whatever its case.
fn word<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    as_str: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|value| as_str(*value))).try_map(move |text| {
        let known = all.iter().find(|value| as_str(**value).eq_ignore_ascii_case(&text));
        known.copied().ok_or("is not a known word")
    })
}

#[derive(clap::Args)]
pub(crate) struct ReplayOptions {
    /// The lead's id, or the beginning of it
    pub(crate) id: String,
    /// Put the lead up for judgement again; its CRM record is then updated
    #[arg(long)]
    pub(crate) apply: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List what was given up, newest first
    List {
        /// How many, at most 500
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Where to go on: the cursor that the last page ended with
        #[arg(long)]
        cursor: Option<Cursor>,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Send dead letters again, with all their attempts before them
    Redrive {
        /// The leads' ids, or the beginnings of them; for a message that names no lead, its own id
        #[arg(required_unless_present = "all", value_name = "LEAD")]
        ids: Vec<String>,
        /// Every dead letter there is
        #[arg(long, conflicts_with = "ids", action = ArgAction::SetTrue)]
        all: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List bodies that could not be accepted, newest first
    List {
        /// How many, at most 500
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Where to go on: the cursor that the last page ended with
        #[arg(long)]
        cursor: Option<Cursor>,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print one body as it came
    Show {
        /// Its id, or the beginning of it
        id: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct SimulateOptions {
    /// How many leads
    #[arg(default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) leads: u32,
    /// Posts a second; 0 is as fast as the server answers
    #[arg(long, default_value_t = 100)]
    pub(crate) rate: u32,
    /// Posts under way at the same time (Marketo keeps at most 20)
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) connections: u32,
    /// Percentage of leads that are posted twice
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) duplicates: u32,
    /// Percentage of leads that are followed by a revision
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) revisions: u32,
    /// The same seed gives the same leads
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The campaign's id; the ids of the leads follow from it
    #[arg(long, value_name = "ID", default_value = "launch_simulated")]
    pub(crate) campaign: String,
    /// The server's address, without /leads
    #[arg(long, default_value = "http://127.0.0.1:3000")]
    pub(crate) url: String,
    /// Post again what was not acknowledged, for this many seconds (for a server that is being restarted)
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) retry_for: u64,
    /// Write the ids of the leads that were acknowledged to a file, a line each
    #[arg(long, value_name = "FILE")]
    pub(crate) ids: Option<PathBuf>,
    /// How to print the summary
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}
