use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use assembly::Config;
use database::Database;
use lead::{Clock, SystemClock};
use pipeline::Pipeline;
use queue::{DatabaseLedger, Sqs, SqsClient, SqsQueue};
use runtime::aws::{AwsConfig, EmbeddedMetrics, Secrets};
use runtime::{LogFormat, Variables};
use secrecy::ExposeSecret as _;
use store::Store;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::RefusedCredentials;
use crate::database_url::DatabaseLocation;

/// Connections of one execution environment, which processes one batch at a time: one for the batch and one
/// for concurrent work.
const CONNECTIONS: u32 = 2;

/// The lifetime of the parts: less than the 15 minutes of an IAM token, which each new connection needs.
const RENEW_AFTER: Duration = Duration::from_secs(10 * 60);

/// The shortest lifetime when credentials were refused.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Unused, because each queue in the cloud has its own visibility timeout; local workers would use it.
const VISIBILITY: Duration = Duration::from_secs(60);

/// The execution environment of a function.
pub struct Cloud {
    aws: AwsConfig,
    secrets: Secrets,
    metrics: EmbeddedMetrics,
    refused: RefusedCredentials,
    parts: Mutex<Option<(Arc<Parts>, Instant)>>,
}

/// The components that process leads. Shared; a later call of [`Cloud::parts`] may return others.
pub struct Parts {
    /// The source of the time.
    pub clock: Arc<dyn Clock>,
    /// The configuration from the environment and the secrets.
    pub config: Config,
    /// The store of leads, deliveries and everything derived.
    pub store: Store,
    /// The attempts and pauses, which SQS cannot store.
    pub ledger: Arc<DatabaseLedger>,
    /// The steps of processing a lead.
    pub pipeline: Arc<Pipeline>,
    sqs: Option<Sqs>,
}

impl Cloud {
    /// Initialises logs and metrics, and reads the configuration of the AWS clients.
    pub fn start() -> anyhow::Result<Self> {
        let variables = Variables::of_process();
        runtime::init_logs(&variables, LogFormat::Json, std::io::stdout)?;
        runtime::log_panics();
        let metrics = runtime::aws::init_embedded_metrics(&variables);
        let aws = runtime::aws::aws_config(&variables)?;
        Ok(Self {
            secrets: Secrets::new(&aws)?,
            aws,
            metrics,
            refused: RefusedCredentials::default(),
            parts: Mutex::default(),
        })
    }

    /// The configuration of AWS clients.
    pub fn aws(&self) -> &AwsConfig {
        &self.aws
    }

    /// The client of Secrets Manager.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The record of refused credentials. Failures must be reported to it; after a refusal, the next parts
    /// read the secrets again.
    pub fn refused(&self) -> &RefusedCredentials {
        &self.refused
    }

    /// A required variable of the environment.
    pub fn variable(&self, name: &'static str) -> anyhow::Result<String> {
        Variables::of_process().text(name).ok_or_else(|| anyhow!("{name}: must be set"))
    }

    /// The queue of `QUEUE_URL` with the dead letter queue of `DLQ_URL`. Needs no database.
    pub fn sqs(&self) -> anyhow::Result<Sqs> {
        let dlq = Variables::of_process().text("DLQ_URL");
        Ok(Sqs::new(SqsClient::new(&self.aws), self.variable("QUEUE_URL")?, dlq))
    }

    /// Connects to the configured database.
    pub async fn database(&self) -> anyhow::Result<Database> {
        let location = DatabaseLocation::read(&Variables::of_process())?;
        // Boxed, here and below: otherwise the futures of all these clients form one type that is too deep to
        // compile.
        let url = Box::pin(location.url(&self.aws, &self.secrets)).await?;
        Box::pin(Database::connect(url.expose_secret(), CONNECTIONS))
            .await
            .context("cannot open the database")
    }

    /// The components that process leads, renewed after their lifetime.
    pub async fn parts(&self) -> anyhow::Result<Arc<Parts>> {
        let mut kept = self.parts.lock().await;
        let refused = self.refused.is_noted();
        let renew_after = if refused { REFUSED_AGAIN_AFTER } else { RENEW_AFTER };
        if let Some((parts, made)) = kept.as_ref()
            && made.elapsed() < renew_after
        {
            return Ok(Arc::clone(parts));
        }
        // Before the secrets are read: a refusal during the reading may concern newer secrets.
        self.refused.forget();
        match Box::pin(self.make(refused)).await {
            Ok(parts) => {
                let parts = Arc::new(parts);
                if let Some((old, _)) = kept.replace((Arc::clone(&parts), Instant::now())) {
                    old.store.database().close().await;
                }
                Ok(parts)
            }
            // The previous parts are better than none.
            Err(error) => match kept.as_ref() {
                Some((parts, _)) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "connections not renewed; the previous ones stay in use"
                    );
                    Ok(Arc::clone(parts))
                }
                None => Err(error),
            },
        }
    }

    /// Ends an invocation: writes all metrics.
    pub fn flush(&self) {
        self.metrics.flush();
    }

    async fn make(&self, refused: bool) -> anyhow::Result<Parts> {
        let secret = self.secret_variables(refused).await?;
        let config = Config::read(&Variables::from_fn(|name| {
            std::env::var(name).ok().or_else(|| secret.get(name).cloned())
        }))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let database = self.database().await?;
        let pipeline = Arc::new(assembly::pipeline(&config, &database, &clock, Some(&self.aws), None)?);
        Ok(Parts {
            ledger: Arc::new(DatabaseLedger::new(database, Arc::clone(&clock))),
            store: pipeline.store.clone(),
            pipeline,
            sqs: self.sqs().ok(),
            config,
            clock,
        })
    }

    /// The variables in the JSON objects of `CRM_SECRET_ARN`, `ENRICHMENT_SECRET_ARN` and `AI_SECRET_ARN`.
    async fn secret_variables(&self, refused: bool) -> anyhow::Result<HashMap<String, String>> {
        let mut all = HashMap::new();
        for name in ["CRM_SECRET_ARN", "ENRICHMENT_SECRET_ARN", "AI_SECRET_ARN"] {
            let Some(arn) = Variables::of_process().text(name) else { continue };
            let text = if refused {
                Box::pin(self.secrets.force_refresh(&arn)).await
            } else {
                Box::pin(self.secrets.get(&arn)).await
            };
            let text = text.context(name)?;
            // The parser's message would quote the secret.
            let object: HashMap<String, String> = serde_json::from_str(text.expose_secret())
                .map_err(|_| anyhow!("{name}: the secret is no JSON object of texts"))?;
            all.extend(object);
        }
        Ok(all)
    }
}

impl Parts {
    /// The queue for senders that send deliveries again: each delivery at most once in this interval.
    pub fn queue(&self, resending_after: Duration) -> anyhow::Result<SqsQueue> {
        let sqs = self.sqs.clone().context("QUEUE_URL: must be set")?;
        let ledger = Arc::clone(&self.ledger);
        Ok(SqsQueue::new(sqs, ledger, Arc::clone(&self.clock), VISIBILITY).resending_after(resending_after))
    }
}
