// Doc comments here are help texts: clap prints them verbatim, without Markdown.
#![allow(clippy::doc_markdown)]

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use lead::{Decision, EmailAddress, Fit, LeadStatus};
use operations::{Awaits, Cursor};

/// RevenueFlow: from a marketing lead to the CRM, with every claim checked.
///
/// Without a command it serves on http://127.0.0.1:3000. It reads its configuration from environment
/// variables, or from a file .env in the current folder; .env.example documents them.
#[derive(Parser)]
#[command(name = "revenueflow", version, arg_required_else_help = false)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Accept leads and process them (the default)
    Serve(ServeOptions),
    /// List and inspect leads
    #[command(subcommand)]
    Leads(LeadsCommand),
    /// Judge a lead again and print the differences; writes nothing without --apply
    ///
    /// With --all or --since it verifies the stored judgements instead: it computes each again from its
    /// stored input and compares the verdicts byte for byte. No AI is called, nothing is written, and the
    /// exit code is 1 when a judgement is not reproduced.
    Replay(ReplayOptions),
    /// List the leads that other rules, another prompt or another model would route differently
    ///
    /// Computes every lead's judgement in force again from its stored input, under the present configuration
    /// and the changes of --with. Without provider, model or prompt no analyst is called: stored AI answers
    /// are checked again, with their quotations of computed facts brought up to date, and the rules are
    /// evaluated again. With one of them the analyst is called for each lead. Nothing is written.
    Evaluate(EvaluateOptions),
    /// Print the planned CRM writes of a lead, field by field with the old value; writes nothing
    ///
    /// Reads the CRM. The exit code is 1 when the guard would refuse an action.
    Plan(PlanOptions),
    /// Go live with the CRM lead by lead, and roll back
    #[command(subcommand)]
    Crm(CrmCommand),
    /// List dead letters and redrive them
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Decide about held leads, and record responses to leads
    #[command(subcommand)]
    Review(crate::command::review::ReviewCommand),
    /// Manage the list of people who are never written to the CRM
    #[command(subcommand)]
    Suppress(crate::command::suppress::SuppressCommand),
    /// Erase a person's data on request, and print a certificate; erases nothing without --yes
    ///
    /// Removes all data of the person's leads; the ledger and the audit trail keep hashes. Deliveries that
    /// still wait in a queue are dropped when they are received. A later post by the same person creates a
    /// new lead, unless the person is suppressed.
    Erase(crate::command::erase::EraseOptions),
    /// List, print and remove rejected webhook bodies
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Post a realistic campaign of leads to a running server
    ///
    /// Names and addresses are invented; the same seed and campaign give the same leads. If WEBHOOK_SECRETS
    /// holds a static token, the first one is sent. With a rate, latencies are measured from the time at
    /// which a post was due, so that the delay that a slow answer causes to later posts counts. The exit code
    /// is 1 when a post was not made, or was not acknowledged in the end.
    Simulate(SimulateOptions),
    /// Start fakes of the outside systems on this machine, to try everything without an account
    ///
    /// Prints the environment variables that point to the fakes. docs/sandbox.md describes their data and how
    /// to make them fail.
    Sandbox(SandboxOptions),
    /// Check the configuration and everything it points to
    ///
    /// Prints one line for each check: ok, warn, FAIL or skip. Leaves nothing behind. The exit code is 1 when
    /// a check fails.
    Doctor,
    /// Requeue every accepted lead that is unfinished and in no queue, after the loss of a queue
    Reconcile,
    /// End a pause of consumption now, or list the pauses
    ///
    /// While the CRM or the AI is unavailable, workers receive no leads until a probe succeeds. This command
    /// ends the pause at once: the next lead calls the dependency. On AWS the janitor function resumes
    /// consumption within a minute. It does not end a CRM rollback: `crm resume` does, and plans are executed
    /// again.
    Resume(crate::command::resume::ResumeOptions),
    /// Bring the database's schema up to date
    Migrate,
    /// Print the OpenAPI description of the HTTP API
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
    /// Only accept leads; another process works on them
    #[arg(long, conflicts_with = "worker_only")]
    pub(crate) api_only: bool,
    /// Only work on leads; another process accepts them
    #[arg(long)]
    pub(crate) worker_only: bool,
}

// The table is for people, JSON (one document) for programs. The values have no help texts, so that clap
// lists them on one line.
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
    /// Explain the decision about a lead
    Explain {
        /// The lead's id, or the beginning of it
        id: String,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print the audit trail of a lead
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
    /// Only leads that await a rescore: judged without an AI, or while enrichment was unavailable
    #[arg(long, ignore_case = true, value_parser = word(Awaits::ALL, Awaits::as_str))]
    pub(crate) awaits: Option<Awaits>,
    /// Only leads received at this time or later, such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// How many, at most 500
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Where to continue: the cursor at the end of the previous page
    #[arg(long)]
    pub(crate) cursor: Option<Cursor>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
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

#[derive(clap::Args)]
pub(crate) struct ReplayOptions {
    /// The lead's id, or the beginning of it
    #[arg(required_unless_present_any = ["all", "since"])]
    pub(crate) id: Option<String>,
    /// Requeue the lead for another judgement; its CRM record is then updated
    #[arg(long, conflicts_with_all = ["all", "since"])]
    pub(crate) apply: bool,
    /// Verify every stored judgement
    #[arg(long, conflicts_with = "id")]
    pub(crate) all: bool,
    /// Verify judgements stored since a time, such as 2026-01-31T00:00:00Z, or within a period of 90m, 24h or
    /// 7d
    #[arg(long, value_name = "TIME", value_parser = since, conflicts_with_all = ["id", "all"])]
    pub(crate) since: Option<Timestamp>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Parses a time, or a period that ends now.
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
        || "must be a time such as 2026-01-31T00:00:00Z, or a period such as 90m, 24h or 7d".to_owned(),
    )
}

#[derive(clap::Args)]
pub(crate) struct EvaluateOptions {
    /// Only judgements made since a time, such as 2026-01-31T00:00:00Z, or within a period such as 90m, 24h
    /// or 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<Timestamp>,
    /// A setting to change: icp=FILE, fit_high_from=N, fit_medium_from=N, score_band=N, intent_band=N,
    /// call_needs_facts=true|false, provider=NAME, model=NAME or prompt=FILE; may be given several times
    #[arg(long, value_name = "SETTING=VALUE")]
    pub(crate) with: Vec<With>,
    /// Maximum number of leads: always the same sample, spread evenly over all leads
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Call the model for all leads, whatever it costs
    #[arg(long)]
    pub(crate) yes: bool,
    /// Number of differently routed leads to list, at most 100000; all are counted
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) rows: u32,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// One setting that an evaluation changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum With {
    Icp(PathBuf),
    FitHighFrom(i64),
    FitMediumFrom(i64),
    ScoreBand(u8),
    IntentBand(u8),
    CallNeedsFacts(bool),
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
            Self::Provider(name) => write!(f, "provider={name}"),
            Self::Model(name) => write!(f, "model={name}"),
            Self::Prompt(file) => write!(f, "prompt={}", file.display()),
        }
    }
}

impl FromStr for With {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (what, value) = text.split_once('=').ok_or("must be SETTING=VALUE")?;
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
            "provider" => Self::Provider(value.to_owned()),
            "model" => Self::Model(value.to_owned()),
            "prompt" => Self::Prompt(value.into()),
            _ => {
                return Err(
                    "icp, fit_high_from, fit_medium_from, score_band, intent_band, call_needs_facts, \
                            provider, model and prompt can be changed"
                        .to_owned(),
                );
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

#[derive(Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List dead letters, newest first
    List {
        /// How many, at most 500
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Where to continue: the cursor at the end of the previous page
        #[arg(long)]
        cursor: Option<Cursor>,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Redrive dead letters; their attempts are counted from zero again
    Redrive {
        /// The leads' ids, or the beginnings of them; for a message that names no lead, its own id
        #[arg(required_unless_present = "all", value_name = "LEAD")]
        ids: Vec<String>,
        /// Every dead letter
        #[arg(long, conflicts_with = "ids", action = ArgAction::SetTrue)]
        all: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List rejected bodies, newest first
    List {
        /// How many, at most 500
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Where to continue: the cursor at the end of the previous page
        #[arg(long)]
        cursor: Option<Cursor>,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print one body as received
    Show {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Remove one body, once its sender has been fixed
    ///
    /// The janitor removes bodies last received more than QUARANTINE_KEEP_DAYS ago, and the oldest beyond
    /// QUARANTINE_KEEP_ROWS.
    Remove {
        /// Its id, or the beginning of it
        id: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct SandboxOptions {
    /// Base port: each fake adds its own offset; 0 takes any free ports
    #[arg(long, value_name = "PORT", default_value_t = 4600, value_parser = clap::value_parser!(u16).range(..=65_000))]
    pub(crate) port_base: u16,
    /// Start only these fakes, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Also write the variables to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Salesforce: enable State and Country/Territory picklists
    #[arg(long)]
    pub(crate) address_picklists: bool,
    /// Salesforce: ids of inactive users, separated by commas
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub(crate) inactive_users: Vec<String>,
    /// Print the requests that the fakes receive
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
    /// Maximum number of concurrent posts (Marketo keeps at most 20)
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
    /// Retry unacknowledged posts for this many seconds (for a server that is being restarted)
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) retry_for: u64,
    /// Write the ids of acknowledged leads to a file, one id a line
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

    /// Collects every command with its full path.
    fn walk(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        found.push((path.to_owned(), command.clone()));
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            walk(sub, &format!("{path} {}", sub.get_name()), found);
        }
    }

    #[test]
    fn every_command_and_argument_has_a_help_text() {
        Args::command().debug_assert();
        let mut command = Args::command();
        command.build();
        let mut found = Vec::new();
        walk(&command, "revenueflow", &mut found);
        assert!(found.len() > 30, "all of them: {found:?}");
        for (path, mut command) in found {
            assert!(command.get_about().is_some(), "{path} has no help text");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{path}: {} has no help text", argument.get_id());
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
            // The README names the subcommands of a command that only groups others.
            if command.get_subcommands().all(|sub| sub.get_name() == "help") {
                assert!(readme.contains(&format!("`{path}")), "README.md does not name `{path}`");
            }
        }
    }
}
