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
mod scale;
mod servers;
mod system;

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
    for round in 1..=arguments.rounds {
        for part in arguments.parts() {
            note(&format!("round {round} of {}: {}", arguments.rounds, part.name()));
            match part {
                Part::Sqlite => measure::system(System::Sqlite, &servers, &arguments, &mut table).await?,
                Part::Postgres => measure::system(System::Postgres, &servers, &arguments, &mut table).await?,
                Part::Redis => measure::system(System::Redis, &servers, &arguments, &mut table).await?,
                Part::Peer => measure::system(System::Peer, &servers, &arguments, &mut table).await?,
                Part::Lpush => {
                    let rate = measure::lpush(&servers, &arguments).await?;
                    table.record(Column::Lpush, figures::Figure::Posts, rate);
                }
                // The same in every round.
                Part::Crm if round == 1 => crm::calls(&servers, &mut table).await?,
                Part::Scale if round == 1 => scale::scale(&servers, &arguments).await?,
                Part::Crm | Part::Scale => {}
            }
        }
    }
    writeln!(std::io::stdout(), "\n{table}")?;
    Ok(())
}

/// Reports progress, beside the table.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {text}"); // progress is not worth a failure
}
