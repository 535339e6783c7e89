//! A database with a million leads: the duration of every list, of `/metrics` and of `revenueflow doctor`.
//!
//! One lead is posted and finished; its rows are then copied by the database itself, with other ids, times
//! and states, so that every row has the form that the product writes.

pub(crate) mod rows;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use crate::arguments::Arguments;
use crate::load::{Connection, saturate};
use crate::note;
use crate::reads;
use crate::servers::Servers;
use crate::system::{Instance, Running, System};

/// The pages that are read. `{lead}` is the sample, `{cursor}` the position of a copy.
const PAGES: [&str; 27] = [
    "/leads",
    "/leads?cursor={cursor}",
    "/leads?limit=500",
    "/leads?status=held",
    "/leads?status=synced",
    "/leads?status=permanently_failed",
    "/leads?status=planned",
    "/leads?decision=MANUAL_REVIEW",
    "/leads?fit=HIGH",
    "/leads?fit=HIGH&decision=NURTURE&status=held",
    "/leads?fit=LOW&decision=ROUTE_TO_SDR&status=planned",
    "/leads?campaign_id=campaign7",
    "/leads?campaign_id=none",
    "/leads?campaign_id=campaign7&status=planned",
    "/leads?campaign_id=campaign7&fit=HIGH&since={now}",
    "/leads?email=nobody@company.example",
    "/leads?since={now}",
    "/leads?awaits=ai",
    "/leads?awaits=enrichment",
    "/leads/{lead}",
    "/leads/{lead}/audit",
    "/leads/{lead}/explain",
    "/dead-letters",
    "/reviews",
    "/quarantine",
    "/pauses",
    "/metrics",
];

/// The leads whose cost is compared with that in an empty database.
const COST_LEADS: u64 = 1_000;

const LIMIT: Duration = Duration::from_mins(10);

/// Measures both databases and prints one table.
pub(crate) async fn scale(servers: &Servers, arguments: &Arguments) -> anyhow::Result<()> {
    servers.check_durability().await?;
    let mut columns = Vec::new();
    for (name, system) in [("SQLite", System::Sqlite), ("PostgreSQL", System::Postgres)] {
        note(&format!("{} leads on {name}", arguments.rows));
        columns.push(column(system, servers, arguments.rows).await.context(name)?);
    }
    reads::print(&format!("{} leads", arguments.rows), &["SQLite", "PostgreSQL"], &columns)
}

/// The figures of one database, each with its label.
async fn column(system: System, servers: &Servers, rows: u64) -> anyhow::Result<Vec<(String, f64)>> {
    let instance = Instance::create(system, servers, &[]).await?;
    let processes = instance.start(Running::IntakeAndWork).await?;
    saturate(processes.address()?, 1, 0..1).await?;
    instance.finished(1, LIMIT).await?;
    processes.stop().await?;
    let empty_doctor = reads::doctor(&instance).await?;
    rows::copy(&instance.database_url, rows).await?;

    let processes = instance.start(Running::IntakeAndWork).await?;
    let mut connection = Connection::open(processes.address()?).await?;
    let (_, copies) = connection.get("/leads?campaign_id=campaign7&limit=1").await?;
    let page: Value = serde_json::from_str(&copies)?;
    let cursor = page["next_cursor"].as_str().with_context(|| format!("copies in the list: {copies}"))?;
    // The sample: the judgement of a copy is left out.
    let (_, sample) = connection.get("/leads?campaign_id=launch_0").await?;
    let page: Value = serde_json::from_str(&sample)?;
    let lead = page["items"][0]["lead_id"].as_str().with_context(|| format!("a sample: {sample}"))?;
    let mut figures = Vec::new();
    for page in PAGES {
        let path =
            page.replace("{lead}", lead).replace("{cursor}", cursor).replace("{now}", "2099-01-01T00:00:00Z");
        figures.push((page.to_owned(), reads::page(&mut connection, &path).await?));
    }
    processes.stop().await?;
    figures.push((
        "revenueflow doctor, longer than with one lead".to_owned(),
        reads::doctor(&instance).await? - empty_doctor,
    ));

    let full = finished_rate(&instance).await?;
    let empty = Instance::create(system, servers, &[]).await?;
    figures.push((
        "cost of a lead, times that in an empty database".to_owned(),
        finished_rate(&empty).await? / full,
    ));
    Ok(figures)
}

/// Accepted and finished leads a second.
async fn finished_rate(instance: &Instance<'_>) -> anyhow::Result<f64> {
    let processes = instance.start(Running::IntakeAndWork).await?;
    let began = Instant::now();
    saturate(processes.address()?, 64, 1..COST_LEADS + 1).await?;
    instance.drained(LIMIT).await?;
    let rate = COST_LEADS as f64 / began.elapsed().as_secs_f64();
    processes.stop().await?;
    Ok(rate)
}
