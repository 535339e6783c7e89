mod connections;
mod house;
mod stop;
mod tasks;
mod webhook;
mod write_timeout;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::ApiState;
use ingest::LeadSink;
use queue::{Spool, Worker};
use runtime::{Config, QueueKind, Variables};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::connections::{Bounds, serve};
pub(crate) use self::house::janitor;
use self::house::{JANITOR_INTERVAL, keep_house};
use self::stop::StopSignals;
use self::tasks::Tasks;
use self::webhook::webhook;
use crate::app::App;
use crate::args::ServeOptions;
use crate::sink::{DatabaseSink, SpoolFolder, SpooledSink, keep_drained};

/// A worker that was not seen at work for so long hangs: it looks at its queue several times a second.
const LONGEST_SILENCE: Duration = Duration::from_mins(1);

/// How long the database may take to part with its connections at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until the process is told to stop (Ctrl-C or SIGTERM), then finishes what is running, within
/// `STOP_TIMEOUT_SECONDS` and unless it is told again.
///
/// # Errors
///
/// When it cannot start, and when the worker, the janitor or the server ends by itself: whoever runs the process is to
/// start it again.
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
        tracing::warn!("OTEL_EXPORTER_OTLP_ENDPOINT: this build exports no traces");
    }
    let metrics = runtime::init_metrics();
    // From here on: a signal that comes while everything is put together is not lost.
    let mut signals = StopSignals::listen()?;
    let app = App::assemble(&config).await?;
    let shutdown = CancellationToken::new();
    let mut tasks = Tasks::default();

    let worker = Worker::new(
        Arc::clone(&app.queue),
        Arc::clone(&app.pipeline) as _,
        Arc::clone(&app.clock),
        config.worker_concurrency,
    )
    .with_grace_period(config.stop_timeout);
    let (waker, pulse) = (worker.waker(), worker.pulse());
    let state = ApiState::new(app.operations.clone(), config.admin_token.clone(), move || {
        metrics.as_ref().map(runtime::Metrics::render).unwrap_or_default()
    });
    // A worker is asked for its health and metrics as well, on the same address.
    let state = if options.api_only {
        state.without_worker()
    } else {
        let token = shutdown.clone();
        tasks.spawn("the worker", async move { worker.run(token).await });
        let janitor = Arc::new(janitor(&config, &app));
        let round = move || {
            let janitor = Arc::clone(&janitor);
            async move { janitor.round().await.map(drop) }
        };
        tasks.spawn("the janitor", keep_house(JANITOR_INTERVAL, round, shutdown.clone()));
        // Once, beside the work: the CRM may not answer now.
        let pipeline = Arc::clone(&app.pipeline);
        tokio::spawn(async move { pipeline.check_owners().await });
        state.with_worker(move || pulse.age().is_none_or(|age| age < LONGEST_SILENCE))
    };
    let mut router = api::router(state);
    if !options.worker_only {
        let sink = sink(&config, &app, waker, &mut tasks, &shutdown)?;
        router = router.merge(webhook(&config, &app, sink)?);
    }
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!(
        address = %listener.local_addr()?,
        queue = app.queue.backend(),
        ready_ms = started.elapsed().as_millis(),
        "ready"
    );
    let bounds = Bounds { timeout: config.read_timeout, connections: config.max_connections };
    tasks.spawn("the server", serve(listener, router, bounds, shutdown.clone()));

    let ended_by_itself = tokio::select! {
        () = signals.next() => None,
        task = tasks.first_to_end() => Some(task),
    };
    match ended_by_itself {
        None => tracing::info!("stopping: finishing what is running"),
        Some(task) => tracing::error!(task, "stopping: it ended by itself"),
    }
    shutdown.cancel();
    tokio::select! {
        biased;
        unfinished = tasks.finish(config.stop_timeout) => {
            if !unfinished.is_empty() {
                tracing::warn!(?unfinished, "stopping with something unfinished");
            }
        }
        () = signals.next() => {
            tracing::warn!("stopping at once: told so twice");
            return Ok(ExitCode::FAILURE);
        }
    }
    // What still holds a connection was given up above.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, app.store.database().close()).await;
    #[cfg(feature = "otlp")]
    if let Some(traces) = traces {
        traces.finish().await;
    }
    if let Some(task) = ended_by_itself {
        anyhow::bail!("{task} ended by itself; the log says where");
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Where accepted leads go.
fn sink(
    config: &Config,
    app: &App,
    waker: Arc<Notify>,
    tasks: &mut Tasks,
    shutdown: &CancellationToken,
) -> anyhow::Result<Arc<dyn LeadSink>> {
    match config.queue {
        QueueKind::Database => {
            Ok(Arc::new(DatabaseSink { store: app.store.clone(), clock: Arc::clone(&app.clock), waker }))
        }
        QueueKind::Redis | QueueKind::Sqs => {
            let spool = Spool::open(&config.spool_dir, config.spool_max_bytes).context("SPOOL_DIR")?;
            let folder = SpoolFolder { path: config.spool_dir.clone(), max_bytes: config.spool_max_bytes };
            let draining = keep_drained(
                spool.clone(),
                folder,
                Arc::clone(&app.queue),
                app.store.clone(),
                shutdown.clone(),
            );
            tasks.spawn("the spool's sender", draining);
            Ok(Arc::new(SpooledSink::new(app.store.clone(), Arc::clone(&app.queue), spool, waker)))
        }
    }
}
