//! Assembly of the process: store, queue, pipeline and operations, from the configuration.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use assembly::{Backend, Config};
use async_trait::async_trait;
use database::{Connection, Database, DatabaseError};
use lead::{Clock, SystemClock};
use operations::Operations;
use pipeline::Pipeline;
use queue::{
    DatabaseLedger, DatabaseQueue, LeadQueue, Receipt, RedisOptions, RedisQueue, RedisSettings, Sqs,
    SqsClient, SqsQueue, SqsSettings,
};
use runtime::ConfigError;
use runtime::aws::AwsConfig;
use secrecy::ExposeSecret as _;
use store::{Acknowledge, Acknowledgement, Store};

use crate::aws;

/// The assembled parts. The server uses all of them, other commands only the operations.
pub(crate) struct App {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Store,
    pub(super) queue: Arc<dyn LeadQueue>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(crate) operations: Operations,
}

impl App {
    /// Connects to the database, brings the schema up to date, and assembles all parts.
    ///
    /// # Errors
    ///
    /// Fails when the database, the queue or a configured file cannot be opened, or when AWS has no
    /// credentials.
    pub(crate) async fn assemble(config: &Config) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let database = Database::connect(&config.database_url, config.database_pool)
            .await
            .context("DATABASE_URL: cannot open the database")?
            .with_statement_limit(config.database_timeout);
        let aws = aws::config(config).await?;
        let acknowledge = || Arc::new(QueueOfStore(Arc::clone(&clock))) as Arc<dyn Acknowledge>;
        let same_database = matches!(config.queue.backend, Backend::Database).then(acknowledge);
        let pipeline = assembly::pipeline(config, &database, &clock, aws.as_ref(), same_database)?;
        let pipeline = Arc::new(pipeline);
        // A database user may have no right to change tables, like that of the Lambda functions. Migrations
        // run only when the schema is outdated.
        if !database.is_migrated().await? {
            database.migrate().await?;
        }
        let queue: Arc<dyn LeadQueue> = match &config.queue.backend {
            Backend::Database => {
                Arc::new(DatabaseQueue::new(database, Arc::clone(&clock), config.queue.visibility_timeout))
            }
            Backend::Redis(redis) => Arc::new(redis_queue(redis, config.queue.visibility_timeout)?),
            Backend::Sqs(urls) => {
                let sqs = sqs(urls, aws.as_ref())?;
                let ledger = Arc::new(DatabaseLedger::new(database, Arc::clone(&clock)));
                let visibility = config.queue.visibility_timeout;
                let queue = SqsQueue::new(sqs, ledger, Arc::clone(&clock), visibility);
                Arc::new(queue.resending_after(RESEND_AFTER))
            }
        };
        let operations =
            Operations::new(Arc::clone(&queue), Arc::clone(&pipeline)).with_retention(config.retention);
        Ok(Self { clock, store: pipeline.store.clone(), queue, pipeline, operations })
    }

    /// Closes the connections to the database.
    pub(crate) async fn close(&self) {
        self.store.database().close().await;
    }
}

/// The database queue, in the store's own database.
struct QueueOfStore(Arc<dyn Clock>);

#[async_trait]
impl Acknowledge for QueueOfStore {
    async fn acknowledge(
        &self,
        connection: &mut Connection,
        messages: &[&Acknowledgement],
    ) -> Result<Vec<bool>, DatabaseError> {
        let receipt =
            |message: &&Acknowledgement| Receipt { key: message.key.clone(), token: message.token.clone() };
        let receipts: Vec<_> = messages.iter().map(receipt).collect();
        DatabaseQueue::acknowledge_in(connection, &receipts, self.0.now()).await
    }
}

fn redis_queue(redis: &RedisSettings, visibility: Duration) -> Result<RedisQueue, ConfigError> {
    let stalled_interval = RedisOptions::default().stalled_interval;
    let options = RedisOptions {
        visibility,
        // A shorter visibility timeout also means a shorter interval between checks for stalled jobs.
        stalled_interval: visibility.min(stalled_interval),
        rate_limit: redis.rate_limit.map(|limit| (limit, Duration::from_secs(1))),
        prefix: redis.prefix.clone(),
    };
    RedisQueue::new(redis.url.expose_secret(), options)
        .map_err(|error| ConfigError::new("REDIS_URL", error.to_string()))
}

/// Width of the time window within which SQS drops a repeated send of one delivery, instead of its own five
/// minutes: a redrive and an operator's `reconcile` must get through right after the first send. The janitor
/// only resends lost deliveries.
const RESEND_AFTER: Duration = Duration::from_millis(1);

fn sqs(urls: &SqsSettings, aws: Option<&AwsConfig>) -> anyhow::Result<Sqs> {
    let aws = aws.context("AWS_REGION: must be set")?;
    Ok(Sqs::new(SqsClient::new(aws), urls.queue_url.clone(), Some(urls.dead_letters_url.clone())))
}
