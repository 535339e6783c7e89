//! A million waiting leads: the pages that operators read meanwhile, and the cost of a lead, compared with a
//! short backlog.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::arguments::Arguments;
use crate::load::{Connection, saturate};
use crate::servers::Servers;
use crate::system::{Instance, Running, System};
use crate::{note, reads};

const PAGES: [&str; 6] = [
    "/leads",
    "/leads?status=queued",
    "/leads?campaign_id=launch_7&status=queued",
    "/pauses",
    "/metrics",
    "/readyz",
];

/// The leads that a new process finishes before the cost is measured: its caches are filled then.
const BEFORE: u64 = 1_000;

/// The leads whose cost is measured.
const COST_LEADS: u64 = 5_000;

/// The backlog with which the other is compared: enough that the last of the measured leads still has others
/// behind it.
const SHORT: u64 = 10_000;

const LIMIT: Duration = Duration::from_mins(10);

/// Measures the product with each of its queues, and prints one table.
pub(crate) async fn waiting(servers: &Servers, arguments: &Arguments) -> anyhow::Result<()> {
    servers.check_durability().await?;
    let systems = [("SQLite", System::Sqlite), ("PostgreSQL", System::Postgres), ("Redis", System::Redis)];
    let mut columns = Vec::new();
    for (name, system) in systems {
        note(&format!("{} waiting leads on {name}", arguments.rows));
        columns.push(column(system, servers, arguments).await.context(name)?);
    }
    let names = systems.map(|(name, _)| name);
    reads::print(&format!("{} waiting leads", arguments.rows), &names, &columns)
}

/// The figures of one system, each with its label.
async fn column(
    system: System,
    servers: &Servers,
    arguments: &Arguments,
) -> anyhow::Result<Vec<(String, f64)>> {
    let few = Instance::create(system, servers, &[]).await?;
    post(&few, SHORT, arguments).await?;
    let short = drain_rate(&few).await?;
    let instance = Instance::create(system, servers, &[]).await?;
    let empty_doctor = reads::doctor(&instance).await?;
    let posts = post(&instance, arguments.rows, arguments).await?;
    let processes = instance.start(Running::Intake).await?;
    let mut connection = Connection::open(processes.address()?).await?;
    let mut figures = Vec::new();
    for page in PAGES {
        figures.push((page.to_owned(), reads::page(&mut connection, page).await?));
    }
    processes.stop().await?;
    let doctor = reads::doctor(&instance).await? - empty_doctor;
    figures.push(("revenueflow doctor, longer than without leads".to_owned(), doctor));
    figures.push(("posts/s while the backlog grew".to_owned(), posts));
    let cost = short / drain_rate(&instance).await?;
    figures.push((format!("cost of a lead, times that with {SHORT} waiting"), cost));
    Ok(figures)
}

/// Posts leads that nothing works on. Returns their rate.
async fn post(instance: &Instance<'_>, leads: u64, arguments: &Arguments) -> anyhow::Result<f64> {
    let processes = instance.start(Running::Intake).await?;
    let load = saturate(processes.address()?, arguments.connections, 0..leads).await?;
    processes.stop().await?;
    Ok(leads as f64 / load.took.as_secs_f64())
}

/// Finished leads a second, of the first of a backlog.
async fn drain_rate(instance: &Instance<'_>) -> anyhow::Result<f64> {
    let processes = instance.start(Running::IntakeAndWork).await?;
    let first = instance.finished(BEFORE, LIMIT).await?;
    let began = Instant::now();
    let last = instance.finished(first + COST_LEADS, LIMIT).await?;
    let rate = (last - first) as f64 / began.elapsed().as_secs_f64();
    drop(processes); // killed: the rest of the backlog is not worked off
    Ok(rate)
}
