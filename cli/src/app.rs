use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::Operations;
use database::Database;
use jiff::Timestamp;
use lead::{Clock, SystemClock};
use pipeline::Pipeline;
use queue::{DatabaseQueue, LeadQueue, RedisOptions, RedisQueue};
use runtime::{Config, QueueKind};
use secrecy::ExposeSecret as _;
use store::Store;

/// Everything put together, as the configuration says.
pub(crate) struct App {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Store,
    pub(crate) queue: Arc<dyn LeadQueue>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) operations: Operations,
}

impl App {
    /// Connects, brings the schema up to date, and puts everything together.
    pub(crate) async fn assemble(config: &Config) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let database = Database::connect(&config.database_url, config.database_pool)
            .await
            .context("DATABASE_URL: cannot open the database")?;
        let pipeline = Arc::new(assembly::pipeline(config, &database, &clock)?);
        database.migrate().await?;
        let queue: Arc<dyn LeadQueue> = match config.queue {
            QueueKind::Database => {
                Arc::new(DatabaseQueue::new(database, Arc::clone(&clock), config.visibility_timeout))
            }
            QueueKind::Redis => Arc::new(redis_queue(config)?),
        };
        let operations = Operations::new(Arc::clone(&queue), Arc::clone(&pipeline));
        Ok(Self { clock, store: pipeline.store.clone(), queue, pipeline, operations })
    }
}

fn redis_queue(config: &Config) -> anyhow::Result<RedisQueue> {
    let url = config.redis_url.as_ref().context("REDIS_URL: must be set")?;
    let stalled_interval = RedisOptions::default().stalled_interval;
    let options = RedisOptions {
        visibility: config.visibility_timeout,
        // Who wants what a dead worker held to come back sooner wants it looked for sooner.
        stalled_interval: config.visibility_timeout.min(stalled_interval),
        rate_limit: config.worker_rate_limit.map(|limit| (limit, Duration::from_secs(1))),
        prefix: config.redis_prefix.clone(),
        read: |data| pipeline::read_event(data, Timestamp::UNIX_EPOCH).ok(),
    };
    RedisQueue::new(url.expose_secret(), options).context("REDIS_URL")
}
