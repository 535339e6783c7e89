//! The measurements of one system.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::arguments::Arguments;
use crate::counters::Counters;
use crate::figures::{Column, Figure, Table};
use crate::leads;
use crate::load::{paced, saturate};
use crate::servers::Servers;
use crate::system::{Instance, Running, System};

/// The longest wait for leads to be finished.
const FINISH_LIMIT: Duration = Duration::from_mins(10);

/// Pushes of the plain list.
const PUSHES: u64 = 100_000;

/// Measures a system and records its figures.
pub(crate) async fn system(
    system: System,
    servers: &Servers,
    arguments: &Arguments,
    table: &mut Table,
) -> anyhow::Result<()> {
    servers.check_durability().await?;
    backlog(system, servers, arguments, table).await?;
    finished(system, servers, arguments, table).await
}

/// Intake alone at full speed; then paced posts while the accepted leads are worked on.
async fn backlog(
    system: System,
    servers: &Servers,
    arguments: &Arguments,
    table: &mut Table,
) -> anyhow::Result<()> {
    let column = Column::from(system);
    let instance = Instance::create(system, servers, &[]).await?;
    let intake = instance.start(Running::Intake).await?;
    let mut load = saturate(intake.address()?, arguments.connections, 0..arguments.backlog).await?;
    table.record(column, Figure::Posts, arguments.backlog as f64 / load.took.as_secs_f64());
    table.record(column, Figure::PostP50, load.latencies.percentile(0.5));
    table.record(column, Figure::PostP99, load.latencies.percentile(0.99));
    intake.stop().await?;

    let whole = instance.start(Running::IntakeAndWork).await?;
    let drained = async {
        // A backlog that outlasts the paced posts is not worked off.
        let limit = Duration::from_secs(arguments.paced_seconds);
        let finished = timeout(limit, instance.finished(arguments.backlog, FINISH_LIMIT)).await;
        finished.map_or(Ok(()), |finished| finished.map(drop))
    };
    let mut latencies = paced(whole.address()?, arguments.pace, arguments.backlog, drained).await?;
    table.record(column, Figure::DrainP50, latencies.percentile(0.5));
    table.record(column, Figure::DrainP99, latencies.percentile(0.99));
    drop(whole); // killed: it may still have thousands of leads to finish
    Ok(())
}

/// Leads accepted at full speed and finished at the same time, with their cost; then paced posts to a system
/// that is otherwise idle.
async fn finished(
    system: System,
    servers: &Servers,
    arguments: &Arguments,
    table: &mut Table,
) -> anyhow::Result<()> {
    let column = Column::from(system);
    let instance = Instance::create(system, servers, &[]).await?;
    let is_on_postgres = system != System::Sqlite;
    let before =
        if is_on_postgres { Some(Counters::read(servers, &instance.database_url).await?) } else { None };
    let whole = instance.start(Running::IntakeAndWork).await?;
    let usages = |whole: &crate::system::Processes| {
        (whole.sum(crate::process::Process::cpu_seconds), whole.sum(crate::process::Process::written_bytes))
    };
    let (cpu, written) = usages(&whole);
    let began = Instant::now();
    saturate(whole.address()?, arguments.connections, 0..arguments.leads).await?;
    instance.finished(arguments.leads, FINISH_LIMIT).await?;
    let leads = arguments.leads as f64;
    table.record(column, Figure::Finished, leads / began.elapsed().as_secs_f64());
    let (cpu_after, written_after) = usages(&whole);
    let per_lead = |before: Option<f64>, after: Option<f64>| Some((after? - before?) / leads);
    table.record(column, Figure::Cpu, per_lead(cpu, cpu_after).map(|seconds| seconds * 1000.0));
    table.record(column, Figure::Memory, whole.sum(crate::process::Process::peak_memory));
    whole.stop().await?;
    if let Some(before) = before {
        let after = Counters::read(servers, &instance.database_url).await?;
        table.record(column, Figure::Transactions, (after.transactions - before.transactions) / leads);
        table.record(column, Figure::Commits, (after.commits - before.commits) / leads);
        table.record(column, Figure::Wal, (after.wal_bytes - before.wal_bytes) / leads / 1000.0);
        table.record(column, Figure::Statements, per_lead(before.statements.or(Some(0.0)), after.statements));
        let cpu = per_lead(before.cpu_seconds, after.cpu_seconds).map(|seconds| seconds * 1000.0);
        table.record(column, Figure::DatabaseCpu, cpu);
    } else {
        table.record(column, Figure::Wal, per_lead(written, written_after).map(|bytes| bytes / 1000.0));
    }

    let whole = instance.start(Running::IntakeAndWork).await?;
    let seconds = Duration::from_secs(arguments.paced_seconds / 2);
    let enough = async {
        sleep(seconds).await;
        Ok(())
    };
    let mut latencies = paced(whole.address()?, arguments.pace, arguments.leads, enough).await?;
    table.record(column, Figure::IdleP99, latencies.percentile(0.99));
    whole.stop().await
}

/// Bodies a second that a plain list in Redis takes, each acknowledged.
pub(crate) async fn lpush(servers: &Servers, arguments: &Arguments) -> anyhow::Result<f64> {
    servers.empty_redis().await?;
    let connection = redis::Client::open(servers.redis.as_str())?.get_multiplexed_async_connection().await?;
    let body = Arc::new(leads::body(0));
    let lanes = u64::try_from(arguments.connections)?.max(1);
    let began = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..lanes {
        let (mut connection, body) = (connection.clone(), Arc::clone(&body));
        running.spawn(async move {
            for _ in 0..PUSHES / lanes {
                let push = redis::cmd("LPUSH").arg("bench").arg(body.as_str()).to_owned();
                push.query_async::<()>(&mut connection).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok((PUSHES / lanes * lanes) as f64 / began.elapsed().as_secs_f64())
}
