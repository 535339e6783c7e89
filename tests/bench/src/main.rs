//! The benchmark of the product as its users run it: the real binary with real servers at full durability,
//! beside an ordinary Node application. It prints one table; `docs/performance.md` explains each row.
//!
//! Ratios within one run are the result: the absolute figures depend on the machine and its other load.
#![allow(clippy::cast_precision_loss, reason = "counts and durations far below 2^52")]

mod arguments;
mod counters;
mod crm;
mod figures;
mod latency;
mod leads;
mod load;
mod measure;
mod process;
mod reads;
mod retention;
mod scale;
mod servers;
mod slow;
mod system;
mod waiting;

use std::io::Write as _;

use clap::Parser as _;

use crate::arguments::{Arguments, Part};
use crate::figures::{Column, Table};
use crate::servers::Servers;
use crate::system::System;

/// One thread suffices for the requests, and leaves the processor to the measured programs.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let servers = Servers::of_environment()?;
    let mut table = Table::default();
    // A part that fails does not take the figures of the others with it.
    let measured = measure_parts(&arguments, &servers, &mut table).await;
    if !table.is_empty() {
        writeln!(std::io::stdout(), "\n{table}")?;
    }
    measured
}

async fn measure_parts(arguments: &Arguments, servers: &Servers, table: &mut Table) -> anyhow::Result<()> {
    for round in 1..=arguments.rounds {
        for part in arguments.parts() {
            note(&format!("round {round} of {}: {}", arguments.rounds, part.name()));
            match part {
                Part::Sqlite => measure::system(System::Sqlite, servers, arguments, table).await?,
                Part::Postgres => measure::system(System::Postgres, servers, arguments, table).await?,
                Part::Redis => measure::system(System::Redis, servers, arguments, table).await?,
                Part::Peer => measure::system(System::Peer, servers, arguments, table).await?,
                Part::Lpush => {
                    let rate = measure::lpush(servers, arguments).await?;
                    table.record(Column::Lpush, figures::Figure::Posts, rate);
                }
                // The same in every round.
                Part::Crm if round == 1 => crm::calls(servers, table).await?,
                Part::Slow => slow::slow(servers, table).await?,
                Part::Retention if round == 1 => retention::retention(servers, arguments).await?,
                Part::Scale if round == 1 => scale::scale(servers, arguments).await?,
                Part::Waiting if round == 1 => waiting::waiting(servers, arguments).await?,
                Part::Crm | Part::Retention | Part::Scale | Part::Waiting => {}
            }
        }
    }
    Ok(())
}

/// Reports progress, beside the table.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {text}"); // progress is not worth a failure
}
