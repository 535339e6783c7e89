//! The commands. Each command declares its arguments beside its code.

#![allow(clippy::doc_markdown, reason = "clap prints these comments without Markdown")]

use clap::{Parser, Subcommand};

use crate::command;
use crate::serve::ServeOptions;

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
    Leads(command::leads::LeadsCommand),
    /// Judge a lead again and print the differences; writes nothing without --apply
    ///
    /// With --all or --since it verifies the stored judgements instead: it computes each again from its
    /// stored input and compares the verdicts byte for byte. No AI is called, nothing is written, and the
    /// exit code is 1 when a judgement is not reproduced.
    Replay(command::replay::ReplayOptions),
    /// List the leads that other rules, another prompt or another model would route differently
    ///
    /// Computes every lead's judgement in force again from its stored input, under the present configuration
    /// and the changes of --with. Without provider, model or prompt no analyst is called: stored AI answers
    /// are checked again, with their quotations of computed facts brought up to date, and the rules are
    /// evaluated again. With one of them the analyst is called for each lead. Nothing is written.
    Evaluate(command::evaluate::EvaluateOptions),
    /// Print the planned CRM writes of a lead, field by field with the old value; writes nothing
    ///
    /// Reads the CRM. The exit code is 1 when the guard would refuse an action.
    Plan(command::plan::PlanOptions),
    /// Go live with the CRM lead by lead, and roll back
    #[command(subcommand)]
    Crm(command::crm::CrmCommand),
    /// List dead letters and redrive them
    #[command(subcommand)]
    DeadLetters(command::dead_letters::DeadLettersCommand),
    /// Decide about held leads, and record responses to leads
    #[command(subcommand)]
    Review(command::review::ReviewCommand),
    /// Manage the list of people who are never written to the CRM
    #[command(subcommand)]
    Suppress(command::suppress::SuppressCommand),
    /// Erase a person's data on request, and print a certificate; erases nothing without --yes
    ///
    /// Removes all data of the person's leads; the ledger and the audit trail keep hashes. Deliveries that
    /// still wait in a queue are dropped when they are received. A later post by the same person creates a
    /// new lead, unless the person is suppressed.
    Erase(command::erase::EraseOptions),
    /// Manage the named operators of the HTTP API, and their tokens
    #[command(subcommand)]
    Operators(command::operators::OperatorsCommand),
    /// Print what is stored about a person
    #[command(subcommand)]
    Person(command::person::PersonCommand),
    /// Count the data whose retention is over; removes it with --apply
    ///
    /// RETAIN_LEADS_DAYS, RETAIN_HELD_DAYS, RETAIN_CONTENT_DAYS and RETAIN_DEAD_LETTERS_DAYS set how long
    /// data is kept; 0, the default, keeps it. A running server removes expired data by itself, within half a
    /// day.
    Retention(command::retention::RetentionOptions),
    /// List, print and remove rejected webhook bodies
    #[command(subcommand)]
    Quarantine(command::quarantine::QuarantineCommand),
    /// List the senders of leads, and try their mappings on payloads
    #[command(subcommand)]
    Sources(command::sources::SourcesCommand),
    /// List acts that concern no single lead, and verify the audit trail
    #[command(subcommand)]
    Audit(command::audit::AuditCommand),
    /// Post a realistic campaign of leads to a running server
    ///
    /// Names and addresses are invented; the same seed and campaign give the same leads. If WEBHOOK_SECRETS
    /// holds a static token, the first one is sent. With a rate, latencies are measured from the time at
    /// which a post was due, so that the delay that a slow answer causes to later posts counts. The exit code
    /// is 1 when a post was not made, or was not acknowledged in the end.
    Simulate(command::simulate::SimulateOptions),
    /// Start fakes of the outside systems on this machine, to try everything without an account
    ///
    /// Prints the environment variables that point to the fakes. docs/sandbox.md describes their data and how
    /// to make them fail.
    Sandbox(command::sandbox::SandboxOptions),
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
    Resume(command::resume::ResumeOptions),
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
