use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::ApiState;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::post;
use bytes::Bytes;
use enrichment::{Enrichment, EnrichmentStatus};
use http_body_util::{BodyExt as _, Limited};
use ingest::{Ingest, LeadSink};
use intake::{Authenticator, MAX_BODY_BYTES};
use janitor::{Chase, Janitor, Overdue, Probe};
use lead::{Dependency, Failure};
use pipeline::Pipeline;
use queue::{Spool, Worker};
use runtime::{Config, QueueKind};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::args::ServeOptions;
use crate::sink::{DatabaseSink, SpooledSink, keep_drained};

/// How often the janitor makes its round. In production a schedule does, every minute.
const JANITOR_INTERVAL: Duration = Duration::from_secs(5);

/// Serves until the process is told to stop (Ctrl-C or SIGTERM), then finishes what is running.
pub(crate) async fn run(config: Config, options: ServeOptions) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let listen = SocketAddr::new(
        options.host.unwrap_or(config.listen.ip()),
        options.port.unwrap_or(config.listen.port()),
    );
    let config = config.listening_on(listen)?;
    runtime::init_logs(config.log_format, std::io::stderr);
    runtime::log_panics();
    let metrics = runtime::init_metrics();
    let app = App::assemble(&config).await?;
    let shutdown = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();

    let worker = Worker::new(
        Arc::clone(&app.queue),
        Arc::clone(&app.pipeline) as _,
        Arc::clone(&app.clock),
        config.worker_concurrency,
    );
    let waker = worker.waker();
    if !options.api_only {
        let token = shutdown.clone();
        tasks.spawn(async move { worker.run(token).await });
        let janitor = janitor(&app);
        let token = shutdown.clone();
        tasks.spawn(async move { keep_house(janitor, token).await });
    }

    // A worker is asked for its health and metrics as well, on the same address.
    let state = ApiState::new(app.operations.clone(), config.admin_token.clone(), move || {
        metrics.as_ref().map(runtime::Metrics::render).unwrap_or_default()
    })
    .with_worker(!options.api_only);
    let mut router = api::router(state);
    if !options.worker_only {
        let sink: Arc<dyn LeadSink> = match config.queue {
            QueueKind::Database => {
                Arc::new(DatabaseSink { store: app.store.clone(), clock: Arc::clone(&app.clock), waker })
            }
            QueueKind::Redis => {
                let spool = Spool::open(&config.spool_dir, config.spool_max_bytes).context("SPOOL_DIR")?;
                tasks.spawn(keep_drained(spool.clone(), Arc::clone(&app.queue), shutdown.clone()));
                Arc::new(SpooledSink::new(app.store.clone(), Arc::clone(&app.queue), spool, waker))
            }
        };
        router = router.merge(webhook(&config, &app, sink)?);
    }
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!(
        address = %listener.local_addr()?,
        queue = app.queue.backend(),
        ready_ms = started.elapsed().as_millis(),
        "ready"
    );
    let token = shutdown.clone();
    let stopping = async move {
        stop_signal().await;
        tracing::info!("stopping: finishing what is running");
        token.cancel();
    };
    axum::serve(listener, router).with_graceful_shutdown(stopping).await?;
    shutdown.cancel();
    while tasks.join_next().await.is_some() {}
    app.store.database().close().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// `POST /leads`.
fn webhook(config: &Config, app: &App, sink: Arc<dyn LeadSink>) -> anyhow::Result<Router> {
    let authenticator = if config.webhook_secrets.is_empty() {
        Authenticator::open()
    } else {
        Authenticator::new(config.webhook_secrets.clone())?
    };
    let ingest = Arc::new(Ingest::new(authenticator, sink, Arc::clone(&app.clock)));
    let router = Router::new().route("/leads", post(move |request: Request| take_in(ingest, request)));
    Ok(if config.webhook_secrets.is_empty() {
        router.layer(axum::middleware::from_fn(api::local_only))
    } else {
        router
    })
}

async fn take_in(ingest: Arc<Ingest>, request: Request) -> http::Response<Body> {
    let (parts, body) = request.into_parts();
    // One byte more than is accepted shows that the body is too large; the rest is not read.
    let body = match Limited::new(body, MAX_BODY_BYTES + 1).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::from(vec![b' '; MAX_BODY_BYTES + 1]),
    };
    ingest.handle(http::Request::from_parts(parts, body)).await.map(Body::from)
}

/// The janitor of this process.
pub(crate) fn janitor(app: &App) -> Janitor {
    let crm = app.pipeline.guard.dependency().clone();
    let mut probes: Vec<(Dependency, Arc<dyn Probe>)> =
        vec![(crm, Arc::new(CrmProbe(Arc::clone(&app.pipeline))))];
    probes.extend(janitor::ai_probes(&app.pipeline.analyst));
    Janitor::new(app.store.clone(), Arc::clone(&app.queue), probes, Arc::clone(&app.clock))
        .chasing(Arc::new(Chaser(Arc::clone(&app.pipeline))))
        .hot_first(hot_by_the_profile(&app.pipeline))
}

/// Ready to buy by what the sender said alone, since nobody is asked while leads wait.
fn hot_by_the_profile(pipeline: &Arc<Pipeline>) -> Arc<janitor::IsHot> {
    let icp = pipeline.icp.clone();
    let unknown = Enrichment::nothing(EnrichmentStatus::Unavailable);
    Arc::new(move |event| icp.computed(&event.lead, &unknown)["intent_level"] == "HIGH")
}

struct Chaser(Arc<Pipeline>);

#[async_trait::async_trait]
impl Chase for Chaser {
    async fn chase(&self, limit: u32) -> Result<Overdue, Failure> {
        let chased = self.0.chase(limit).await?;
        let pipeline::Chased { overdue, reassigned, responded } = chased;
        Ok(Overdue { overdue, reassigned, responded })
    }
}

struct CrmProbe(Arc<Pipeline>);

#[async_trait::async_trait]
impl Probe for CrmProbe {
    async fn probe(&self) -> Result<(), Failure> {
        self.0.guard.probe().await
    }
}

async fn keep_house(janitor: Janitor, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(JANITOR_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => {
                if let Err(failure) = janitor.round().await {
                    tracing::warn!(code = %failure.code, message = %failure.message, "the janitor could not finish its round");
                }
            }
            () = shutdown.cancelled() => return,
        }
    }
}

async fn stop_signal() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = interrupted.await;
}
