// Doc comments here are help texts: they are printed as they are written.
#![allow(clippy::doc_markdown)]

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use lead::{Decision, EmailAddress, Fit, LeadStatus};
use store::{Awaits, Cursor};

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
    ///
    /// With --all or --since it goes through every stored judgement instead, makes each once more from what is stored
    /// with it, and compares the verdicts byte for byte. Nobody is asked, nothing is written, and the exit code is 1 when
    /// any of them cannot be trusted.
    Replay(ReplayOptions),
    /// Say who would have been routed differently under other rules, another prompt or another model
    ///
    /// Every lead's judgement in force is made again from what is stored, under the present configuration and what --with
    /// changes in it. Without provider, model or prompt nobody is asked: what an AI answered is checked again, with its
    /// quotations of computed facts brought up to date, and the rules are worked out again. With one of them the analyst
    /// is really asked about each lead. Nothing is written.
    Evaluate(EvaluateOptions),
    /// Print what would be written to the CRM for a lead, field by field with the old value; writes nothing
    ///
    /// The CRM is read. The exit code is 1 when the guard would refuse any of it.
    Plan(PlanOptions),
    /// Go live with the CRM lead by lead, and back
    #[command(subcommand)]
    Crm(CrmCommand),
    /// Look at what was given up, and send it again
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Decide about leads that are held, and say who was responded to
    #[command(subcommand)]
    Review(crate::command::review::ReviewCommand),
    /// Keep people from being written to the CRM
    #[command(subcommand)]
    Suppress(crate::command::suppress::SuppressCommand),
    /// Remove a person on request, and print a certificate; removes nothing unless told to
    ///
    /// Everything of the person's leads goes; the ledger and the audit trail keep hashes. What was received before and still
    /// waits in a queue is dropped when it turns up. A later post by the same person is a new lead, unless suppressed.
    Erase(crate::command::erase::EraseOptions),
    /// Look at bodies that could not be accepted
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Post a realistic campaign of leads to a running server
    ///
    /// Names and addresses are invented; the same seed and campaign give the same leads. Where WEBHOOK_SECRETS holds a
    /// static token, the first one is sent. With a rate, latencies count from the moment a post was due, so that a slow
    /// answer is not hidden by the posts it delayed. The exit code is 1 when any lead was not acknowledged in the end.
    Simulate(SimulateOptions),
    /// Start fakes of the outside systems on this machine, to try everything without an account
    ///
    /// Prints the variables that lead to them. docs/sandbox.md says what they know and how they are told to misbehave.
    Sandbox(SandboxOptions),
    /// Check the configuration and everything it points to
    ///
    /// One line a check: ok, warn or FAIL. Nothing is created. The exit code is 1 when anything fails.
    Doctor,
    /// Send again every accepted lead that is not finished and in no queue, after a queue was lost
    Reconcile,
    /// End a pause of consumption now, or list what is paused
    ///
    /// While the CRM or the AI cannot be used, no worker takes leads, until a probe succeeds. This ends the pause without
    /// waiting for that: the next lead tries the dependency. On AWS the janitor function starts the consumption within a
    /// minute. It does not end a rollback: `crm resume` does, which carries plans out again.
    Resume(crate::command::resume::ResumeOptions),
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
    /// Only leads that wait to be judged again: judged without an AI, or while enrichment was away
    #[arg(long, ignore_case = true, value_parser = word(Awaits::ALL, Awaits::as_str))]
    pub(crate) awaits: Option<Awaits>,
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
    #[arg(required_unless_present_any = ["all", "since"])]
    pub(crate) id: Option<String>,
    /// Put the lead up for judgement again; its CRM record is then updated
    #[arg(long, conflicts_with_all = ["all", "since"])]
    pub(crate) apply: bool,
    /// Every stored judgement
    #[arg(long, conflicts_with = "id")]
    pub(crate) all: bool,
    /// Every judgement stored since a time, such as 2026-01-31T00:00:00Z, or for as long as 90m, 24h or 7d
    #[arg(long, value_name = "TIME", value_parser = since, conflicts_with_all = ["id", "all"])]
    pub(crate) since: Option<Timestamp>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// A time, or how long ago it was.
fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let seconds = match text.char_indices().last() {
        Some((at, 'm')) => Some((at, 60)),
        Some((at, 'h')) => Some((at, 3_600)),
        Some((at, 'd')) => Some((at, 86_400)),
        _ => None,
    };
    let ago = seconds.and_then(|(at, unit)| text[..at].parse::<u64>().ok()?.checked_mul(unit));
    ago.and_then(|ago| Timestamp::now().checked_sub(std::time::Duration::from_secs(ago)).ok()).ok_or_else(
        || "must be a time such as 2026-01-31T00:00:00Z, or so long ago as 90m, 24h or 7d".to_owned(),
    )
}

#[derive(clap::Args)]
pub(crate) struct EvaluateOptions {
    /// Only judgements made since a time, such as 2026-01-31T00:00:00Z, or for as long as 90m, 24h or 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<Timestamp>,
    /// What is changed: icp=FILE, fit_high_from=N, fit_medium_from=N, score_band=N, intent_band=N,
    /// call_needs_facts=true|false, contract=VERSION, provider=NAME, model=NAME or prompt=FILE; may be given several times
    #[arg(long, value_name = "WHAT=VALUE")]
    pub(crate) with: Vec<With>,
    /// At most so many leads: always the same ones, spread evenly over all
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Ask a model about all of them, whatever it costs
    #[arg(long)]
    pub(crate) yes: bool,
    /// How many of the leads that would be routed differently to list, at most 100000; all are counted
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) rows: u32,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// One thing that an evaluation changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum With {
    Icp(PathBuf),
    FitHighFrom(i64),
    FitMediumFrom(i64),
    ScoreBand(u8),
    IntentBand(u8),
    CallNeedsFacts(bool),
    Contract(u8),
    Provider(String),
    Model(String),
    Prompt(PathBuf),
}

impl fmt::Display for With {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Icp(file) => write!(f, "icp={}", file.display()),
            Self::FitHighFrom(number) => write!(f, "fit_high_from={number}"),
            Self::FitMediumFrom(number) => write!(f, "fit_medium_from={number}"),
            Self::ScoreBand(number) => write!(f, "score_band={number}"),
            Self::IntentBand(number) => write!(f, "intent_band={number}"),
            Self::CallNeedsFacts(needs) => write!(f, "call_needs_facts={needs}"),
            Self::Contract(version) => write!(f, "contract={version}"),
            Self::Provider(name) => write!(f, "provider={name}"),
            Self::Model(name) => write!(f, "model={name}"),
            Self::Prompt(file) => write!(f, "prompt={}", file.display()),
        }
    }
}

impl FromStr for With {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (what, value) = text.split_once('=').ok_or("must be WHAT=VALUE")?;
        if value.is_empty() {
            return Err(format!("{what} needs a value"));
        }
        let number = || value.parse::<u8>().map_err(|_| format!("{what} must be a number from 0 to 100"));
        Ok(match what {
            "icp" => Self::Icp(value.into()),
            "fit_high_from" => Self::FitHighFrom(number()?.into()),
            "fit_medium_from" => Self::FitMediumFrom(number()?.into()),
            "score_band" => Self::ScoreBand(number()?),
            "intent_band" => Self::IntentBand(number()?),
            "call_needs_facts" => {
                let needs = value.parse().map_err(|_| "call_needs_facts must be true or false".to_owned());
                Self::CallNeedsFacts(needs?)
            }
            "contract" => Self::Contract(number()?),
            "provider" => Self::Provider(value.to_owned()),
            "model" => Self::Model(value.to_owned()),
            "prompt" => Self::Prompt(value.into()),
            _ => {
                let known = "icp, fit_high_from, fit_medium_from, score_band, intent_band, call_needs_facts, contract, provider, model \
                             and prompt";
                return Err(format!("{known} can be changed"));
            }
        })
    }
}

#[derive(clap::Args)]
pub(crate) struct PlanOptions {
    /// The lead's id, or the beginning of it
    pub(crate) id: String,
    /// Print one JSON document: the same as --format json
    #[arg(long)]
    pub(crate) json: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Subcommand)]
pub(crate) enum CrmCommand {
    /// Say whether plans are carried out, and how many are kept
    Status,
    /// Write what was planned in shadow mode, each lead once, planned anew against the CRM's present values
    Promote {
        /// The leads' ids, or the beginnings of them
        #[arg(required_unless_present = "all", value_name = "LEAD")]
        ids: Vec<String>,
        /// Every planned lead there is
        #[arg(long, conflicts_with = "ids", action = ArgAction::SetTrue)]
        all: bool,
    },
    /// Keep plans from now on instead of carrying them out, and list what was written with the old values
    ///
    /// Counts at once in every process, whatever CRM_MODE says, until `crm resume`. Without leads or --all nothing is
    /// listed. Records that were created stay: nothing is ever deleted.
    Rollback {
        /// The leads' ids, or the beginnings of them
        #[arg(value_name = "LEAD")]
        ids: Vec<String>,
        /// Every lead that was written
        #[arg(long, conflicts_with = "ids", action = ArgAction::SetTrue)]
        all: bool,
        /// Put the old values back wherever the CRM still holds what was written
        #[arg(long)]
        restore: bool,
        /// Why, for whoever reads `crm status`
        #[arg(long, value_name = "TEXT", default_value = "rolled back")]
        reason: String,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Carry plans out again after a rollback
    ///
    /// It does not end a pause of consumption while the CRM cannot be used: `revenueflow resume` does.
    Resume,
    /// Have the CRM turn a lead into a contact; says only what that would do until told to
    ///
    /// It cannot be undone, so it has to be allowed first: CRM_ALLOW_FILE must name convert_lead. In Salesforce an Apex class
    /// of yours does it: see docs/salesforce.md.
    Convert {
        /// The lead's id, or the beginning of it
        #[arg(value_name = "LEAD")]
        id: String,
        /// The status of a converted lead, in the CRM's own words
        #[arg(long, value_name = "TEXT", default_value = "Closed - Converted")]
        status: String,
        /// Convert it
        #[arg(long)]
        yes: bool,
    },
    /// List the properties that HubSpot lacks for the mapping, and create them when told to
    ///
    /// Only properties whose names begin with revenueflow_. For Salesforce, docs/salesforce.md says what to create.
    Setup {
        /// Create them
        #[arg(long)]
        yes: bool,
    },
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
    /// Remove one body, once its sender has been set right
    ///
    /// What came last longer ago than QUARANTINE_KEEP_DAYS goes by itself, and so do the oldest beyond QUARANTINE_KEEP_ROWS.
    Remove {
        /// Its id, or the beginning of it
        id: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct SandboxOptions {
    /// The port that theirs are counted from; 0 takes any free ones
    #[arg(long, value_name = "PORT", default_value_t = 4600, value_parser = clap::value_parser!(u16).range(..=65_000))]
    pub(crate) port_base: u16,
    /// Only these, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Write the variables to a file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Salesforce: switch State and Country/Territory picklists on
    #[arg(long)]
    pub(crate) address_picklists: bool,
    /// Salesforce: ids of users who have left, separated by commas
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub(crate) inactive_users: Vec<String>,
    /// Print what they are asked
    #[arg(long)]
    pub(crate) verbose: bool,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Every command with the words that lead to it.
    fn walk(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        found.push((path.to_owned(), command.clone()));
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            walk(sub, &format!("{path} {}", sub.get_name()), found);
        }
    }

    #[test]
    fn every_command_and_every_argument_explains_itself() {
        Args::command().debug_assert();
        let mut command = Args::command();
        command.build();
        let mut found = Vec::new();
        walk(&command, "revenueflow", &mut found);
        assert!(found.len() > 30, "all of them: {found:?}");
        for (path, mut command) in found {
            assert!(command.get_about().is_some(), "{path} says nothing of itself");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{path}: {} says nothing", argument.get_id());
            }
            let help = command.render_long_help().to_string();
            assert!(help.contains(&format!("Usage: {path}")), "{path}: {help}");
        }
    }

    #[test]
    fn every_command_is_in_the_readme() {
        let readme = include_str!("../../README.md");
        let (mut command, mut found) = (Args::command(), Vec::new());
        command.build();
        walk(&command, "revenueflow", &mut found);
        for (path, command) in found {
            // A command that only groups others is named by them.
            if command.get_subcommands().all(|sub| sub.get_name() == "help") {
                assert!(readme.contains(&format!("`{path}")), "README.md does not name `{path}`");
            }
        }
    }
}
