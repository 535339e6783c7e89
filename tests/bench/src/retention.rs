//! Retention over many expired leads while leads come in: the latency of intake with and without it.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::{AnyConnection, Connection as _};
use tokio::time::sleep;

use crate::arguments::Arguments;
use crate::latency::Latencies;
use crate::load::{paced, saturate};
use crate::note;
use crate::scale::rows;
use crate::servers::Servers;
use crate::system::{Instance, Running, System};

/// The most expired leads.
const MAX_LEADS: u64 = 100_000;

const LIMIT: Duration = Duration::from_mins(30);

/// Measures both databases and prints a line for each.
pub(crate) async fn retention(servers: &Servers, arguments: &Arguments) -> anyhow::Result<()> {
    servers.check_durability().await?;
    let leads = arguments.rows.min(MAX_LEADS);
    for (name, system) in [("SQLite", System::Sqlite), ("PostgreSQL", System::Postgres)] {
        note(&format!("retention of {leads} leads on {name}"));
        let [without, with, rate] = figures(system, servers, arguments, leads).await.context(name)?;
        writeln!(
            std::io::stdout(),
            "{name}, {} posts/s: acknowledged within {without} without retention; within {with} while {leads} expired \
             leads are removed, {rate}",
            arguments.pace,
        )?;
    }
    Ok(())
}

async fn figures(
    system: System,
    servers: &Servers,
    arguments: &Arguments,
    leads: u64,
) -> anyhow::Result<[String; 3]> {
    let mut instance = Instance::create(system, servers, &[]).await?;
    let processes = instance.start(Running::IntakeAndWork).await?;
    saturate(processes.address()?, 1, 0..1).await?;
    instance.finished(1, LIMIT).await?;
    processes.stop().await?;
    rows::copy(&instance.database_url, leads).await?;
    age(&instance.database_url).await?;

    let processes = instance.start(Running::IntakeAndWork).await?;
    let enough = async {
        sleep(Duration::from_secs(arguments.paced_seconds)).await;
        Ok(())
    };
    let mut without = paced(processes.address()?, arguments.pace, 1, enough).await?;
    processes.stop().await?;

    instance.set("RETAIN_LEADS_DAYS", "30");
    let processes = instance.start(Running::IntakeAndWork).await?;
    let began = Instant::now();
    let ended = async {
        let ended = "SELECT COUNT(*) FROM retention_pass WHERE ended_at IS NOT NULL";
        instance.counted(ended, |passes| passes > 0, LIMIT).await.map(drop)
    };
    let mut with = paced(processes.address()?, arguments.pace, 1_000_000, ended).await?;
    let rate = format!("{:.0}/s", leads as f64 / began.elapsed().as_secs_f64());
    processes.stop().await?;
    Ok([text(&mut without), text(&mut with), rate])
}

fn text(latencies: &mut Latencies) -> String {
    format!("{:.1} ms (p50), {:.1} ms (p99)", latencies.percentile(0.5), latencies.percentile(0.99))
}

/// Dates all leads 400 days back.
async fn age(url: &str) -> anyhow::Result<()> {
    let mut connection = AnyConnection::connect(url).await?;
    let back = "UPDATE lead SET created_at = created_at - 34560000000, updated_at = updated_at - 34560000000, \
                received_at = received_at - 34560000000";
    sqlx::query(back).execute(&mut connection).await?;
    Ok(())
}
