//! `revenueflow serve`: the HTTP server, the worker and the janitor in one process.

mod app;
mod connections;
mod janitor;
mod stop;
mod tasks;
mod threads;
mod webhook;
mod write_timeout;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::ApiState;
use assembly::{Backend, Config};
use ingest::LeadSink;
use operators::Credentials;
use queue::{Spool, Worker};
use runtime::Variables;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(crate) use self::app::App;
use self::connections::{Bounds, serve};
use self::janitor::{JANITOR_INTERVAL, build_janitor, run_janitor};
use self::stop::StopSignals;
use self::tasks::Tasks;
use self::threads::Threads;
use self::webhook::webhook;
use crate::sink::{DatabaseSink, SpoolFolder, SpooledSink, drain_spools};

/// Age of the last heartbeat at which a worker counts as hanging. A working one polls its queue several times
/// a second.
const MAX_HEARTBEAT_AGE: Duration = Duration::from_mins(1);

/// Limit for closing the database connections at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(clap::Args, Default)]
pub(crate) struct ServeOptions {
    /// Address to listen on, instead of HOST
    #[arg(long)]
    host: Option<IpAddr>,
    /// Port to listen on, instead of PORT; 0 takes any free one
    #[arg(long)]
    port: Option<u16>,
    /// Only accept leads; another process works on them
    #[arg(long, conflicts_with = "worker_only")]
    api_only: bool,
    /// Only work on leads; another process accepts them
    #[arg(long)]
    worker_only: bool,
}

/// Serves until a stop signal (Ctrl-C or SIGTERM), then finishes running work within `STOP_TIMEOUT_SECONDS`.
/// A second signal stops the process at once.
///
/// # Errors
///
/// Fails when the process cannot start, and when the worker, the janitor, the server or the spool's sender
/// ends unexpectedly, so that the supervisor of the process restarts it.
pub(crate) async fn run(config: Config, options: ServeOptions) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let listen = SocketAddr::new(
        options.host.unwrap_or(config.listen.ip()),
        options.port.unwrap_or(config.listen.port()),
    );
    let config = config.listening_on(listen)?;
    runtime::init_logs(&Variables::of_process(), config.log_format, std::io::stderr)?;
    runtime::log_panics();
    #[cfg(feature = "otlp")]
    let traces = crate::otlp::Export::start(&Variables::of_process())?;
    #[cfg(not(feature = "otlp"))]
    if Variables::of_process().text("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
        tracing::warn!("OTEL_EXPORTER_OTLP_ENDPOINT is ignored: this build has no trace export");
    }
    let metrics = runtime::init_metrics();
    // Listens before the assembly, so that a signal that arrives meanwhile is not lost.
    let mut signals = StopSignals::listen()?;
    let shutdown = CancellationToken::new();
    let mut tasks = Tasks::default();
    let credentials = operators(&config, &mut tasks, &shutdown)?;
    let app = App::assemble(&config).await?;
    let worker_threads; // if this process has a worker

    let worker = Worker::new(
        Arc::clone(&app.queue),
        Arc::clone(&app.pipeline) as _,
        Arc::clone(&app.clock),
        config.queue.worker_concurrency,
    )
    .with_grace_period(config.stop_timeout);
    let (waker, heartbeat) = (worker.waker(), worker.heartbeat());
    let state = ApiState::new(app.operations.clone(), credentials, move || {
        metrics.as_ref().map(runtime::Metrics::render).unwrap_or_default()
    });
    // A worker-only process serves its health and metrics on the same address.
    let state = if options.api_only {
        state.without_worker()
    } else {
        // In SQLite, arriving leads wait for a transaction of the worker.
        let yield_to_others = app.store.database().backend() != database::Backend::Sqlite;
        worker_threads = Threads::of_worker(yield_to_others)?;
        let token = shutdown.clone();
        tasks.spawn_on(&worker_threads.handle(), "the worker", async move { worker.run(token).await });
        let janitor = Arc::new(build_janitor(&config, &app));
        let round = move || {
            let janitor = Arc::clone(&janitor);
            async move { janitor.round().await.map(drop) }
        };
        tasks.spawn("the janitor", run_janitor(JANITOR_INTERVAL, round, shutdown.clone()));
        // Runs once, in the background: the CRM may be unavailable now.
        let pipeline = Arc::clone(&app.pipeline);
        tokio::spawn(async move { pipeline.check_owners().await });
        state.with_worker(move || heartbeat.age().is_none_or(|age| age < MAX_HEARTBEAT_AGE))
    };
    let mut router = api::router(state);
    if !options.worker_only {
        let sink = sink(&config, &app, waker, &mut tasks, &shutdown)?;
        router = router.merge(webhook(&config, &app, sink)?);
    }
    let threads = Threads::of_server()?;
    let listener = threads.handle().spawn(TcpListener::bind(listen)).await?;
    let listener = listener.with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!(
        address = %listener.local_addr()?,
        queue = app.queue.backend(),
        ready_ms = started.elapsed().as_millis(),
        "ready"
    );
    let bounds = Bounds { timeout: config.read_timeout, connections: config.max_connections };
    let server = serve(listener, router, bounds, shutdown.clone());
    tasks.spawn_on(&threads.handle(), "the server", server);

    let ended_task = tokio::select! {
        () = signals.next() => None,
        task = tasks.first_to_end() => Some(task),
    };
    match ended_task {
        None => tracing::info!("stopping, waiting for running work"),
        Some(task) => tracing::error!(task, "stopping, a task ended unexpectedly"),
    }
    shutdown.cancel();
    tokio::select! {
        biased;
        unfinished = tasks.finish(config.stop_timeout) => {
            if !unfinished.is_empty() {
                tracing::warn!(?unfinished, "stopping with unfinished tasks");
            }
        }
        () = signals.next() => {
            tracing::warn!("stopping at once after a second stop signal");
            return Ok(ExitCode::FAILURE);
        }
    }
    // Tasks that still hold a connection were dropped above.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, app.close()).await;
    #[cfg(feature = "otlp")]
    if let Some(traces) = traces {
        traces.finish().await;
    }
    if let Some(task) = ended_task {
        anyhow::bail!("{task} ended unexpectedly; see the log");
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Reads the credentials of operators, and starts the task that reads them again when their file changes.
fn operators(
    config: &Config,
    tasks: &mut Tasks,
    shutdown: &CancellationToken,
) -> anyhow::Result<Credentials> {
    let (credentials, file) = assembly::credentials(config)?;
    if let Some(file) = file {
        let (watch, token) = (file.watch(credentials.clone()), shutdown.clone());
        let watch = async move { token.run_until_cancelled_owned(watch).await.unwrap_or_default() };
        tasks.spawn("the reader of the operators file", watch);
    }
    Ok(credentials)
}

/// Creates the sink for accepted leads, and the task that drains its spool, if it has one.
fn sink(
    config: &Config,
    app: &App,
    waker: Arc<Notify>,
    tasks: &mut Tasks,
    shutdown: &CancellationToken,
) -> anyhow::Result<Arc<dyn LeadSink>> {
    match config.queue.backend {
        Backend::Database => {
            Ok(Arc::new(DatabaseSink::new(app.store.clone(), Arc::clone(&app.clock), waker)))
        }
        Backend::Redis(_) | Backend::Sqs(_) => {
            let folder =
                SpoolFolder { path: config.queue.spool_dir.clone(), max_bytes: config.queue.spool_max_bytes };
            let spool = Spool::open(&folder.path, folder.max_bytes).context("SPOOL_DIR")?;
            let draining = drain_spools(spool.clone(), folder, app.operations.clone(), shutdown.clone());
            tasks.spawn("the spool's sender", draining);
            Ok(Arc::new(SpooledSink::new(app.store.clone(), Arc::clone(&app.queue), spool, waker)))
        }
    }
}
