//! Many leads and slow outside systems: an AI and a CRM that take their time for each call.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sandbox::{CATALOGUE, Exchange, Fake, Fault, Misbehaviour};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::crm::{variables_of, without_limits};
use crate::figures::{Column, Figure, Table};
use crate::load::saturate;
use crate::note;
use crate::servers::Servers;
use crate::system::{Instance, Running, System};

const LEADS: u64 = 2_000;

/// The systems, with the duration of each call.
const SYSTEMS: [(&str, Duration); 2] =
    [("gemini", Duration::from_millis(800)), ("salesforce", Duration::from_millis(300))];

/// The calls to the AI at the same time: the default of `AI_CONCURRENCY`.
const AI_CALLS: f64 = 64.0;

const LIMIT: Duration = Duration::from_mins(10);

/// Compares the duration with the ideal one: the AI is busy all the time with as many calls as may run.
pub(crate) async fn slow(servers: &Servers, table: &mut Table) -> anyhow::Result<()> {
    let (mut variables, mut fakes) = (without_limits().collect::<Vec<_>>(), Vec::new());
    for (name, duration) in SYSTEMS {
        let entry = CATALOGUE.iter().find(|entry| entry.name == name).context("a fake of that name")?;
        let fake = Fake::serve(entry.name, (entry.router)()).await?;
        fake.add_fault(Fault::on("", Misbehaviour::delay(duration)));
        variables.extend(variables_of(entry, &fake));
        fakes.push(fake);
    }
    let instance = Instance::create(System::Sqlite, servers, &variables).await?;
    let processes = instance.start(Running::IntakeAndWork).await?;
    let mut ai = fakes.first().context("a fake")?.follow();
    let began = Instant::now();
    saturate(processes.address()?, 64, 0..LEADS).await?;
    instance.finished(LEADS, LIMIT).await?;
    let took = began.elapsed().as_secs_f64();
    let calls = count(&mut ai);
    let ideal = calls / AI_CALLS * SYSTEMS[0].1.as_secs_f64();
    note(&format!("{LEADS} leads, {calls} calls to the AI: {took:.1} s, at best {ideal:.1} s"));
    table.record(Column::Sqlite, Figure::SlowRatio, took / ideal);
    table.record(Column::Sqlite, Figure::SlowMemory, processes.sum(crate::process::Process::peak_memory));
    processes.stop().await
}

fn count(exchanges: &mut UnboundedReceiver<Exchange>) -> f64 {
    let mut calls = 0_u32;
    while exchanges.try_recv().is_ok() {
        calls += 1;
    }
    f64::from(calls)
}
