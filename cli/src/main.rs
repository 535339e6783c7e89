//! The `revenueflow` binary: the complete pipeline on one machine, and the operator's command line.

mod args;
mod aws;
mod command;
#[cfg(feature = "otlp")]
mod otlp;
mod output;
mod serve;
mod sink;

use std::process::ExitCode;

use assembly::Config;
use clap::Parser as _;
use mimalloc::MiMalloc;
use runtime::Variables;

use crate::args::{Args, Command};

/// Leads cause many small allocations on several threads: the system's allocator takes a tenth of their time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(args).await {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // A missing .env file is normal; an unreadable one is an error.
    match dotenvy::dotenv() {
        Err(error) if !error.not_found() => anyhow::bail!(".env: {error}"),
        _ => {}
    }
    let command = args.command.unwrap_or_default();
    let read_config = || Config::read(&Variables::of_process());
    match command {
        Command::Openapi => command::openapi::run(),
        Command::Sources(command) => command::sources::run(command),
        Command::Operators(command) => command::operators::run(command),
        Command::Simulate(options) => command::simulate::run(options).await,
        Command::Sandbox(options) => command::sandbox::run(options).await,
        Command::Doctor => command::doctor::run(read_config()).await,
        Command::Serve(options) => serve::run(read_config()?, options).await,
        Command::Reconcile => command::reconcile::run(&read_config()?).await,
        Command::Resume(options) => command::resume::run(&read_config()?, options).await,
        Command::Migrate => command::migrate::run(&read_config()?).await,
        Command::Leads(leads) => command::leads::run(&read_config()?, leads).await,
        Command::Replay(options) => command::replay::run(&read_config()?, options).await,
        Command::Evaluate(options) => command::evaluate::run(&read_config()?, options).await,
        Command::Plan(options) => command::plan::run(&read_config()?, options).await,
        Command::Crm(command) => command::crm::run(&read_config()?, command).await,
        Command::DeadLetters(letters) => command::dead_letters::run(&read_config()?, letters).await,
        Command::Review(command) => command::review::run(&read_config()?, command).await,
        Command::Suppress(command) => command::suppress::run(&read_config()?, command).await,
        Command::Erase(options) => command::erase::run(&read_config()?, options).await,
        Command::Audit(audit) => command::audit::run(&read_config()?, audit).await,
        Command::Person(command) => command::person::run(&read_config()?, command).await,
        Command::Retention(options) => command::retention::run(&read_config()?, options).await,
        Command::Quarantine(quarantine) => command::quarantine::run(&read_config()?, quarantine).await,
    }
}
