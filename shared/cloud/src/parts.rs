use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use database::Database;
use lead::{Clock, SystemClock};
use pipeline::Pipeline;
use queue::{DatabaseLedger, Sqs, SqsClient, SqsQueue};
use runtime::aws::{AwsConfig, EmbeddedMetrics, Secrets};
use runtime::{Config, LogFormat, Variables};
use secrecy::ExposeSecret as _;
use store::Store;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Refused;
use crate::database_url::Place;

/// Connections of one execution environment, which works on one batch at a time. One for the work, one beside it.
const CONNECTIONS: u32 = 2;

/// How long parts are used. Less than the 15 minutes of an IAM token, which is asked for at each new connection.
const RENEW_AFTER: Duration = Duration::from_secs(10 * 60);

/// How often they are made anew because credentials were refused, at most.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Unused: in the cloud, each queue has its own visibility timeout. Workers on a machine would take this.
const VISIBILITY: Duration = Duration::from_secs(60);

/// An execution environment of a function.
pub struct Cloud {
    aws: AwsConfig,
    secrets: Secrets,
    metrics: EmbeddedMetrics,
    refused: Refused,
    parts: Mutex<Option<(Arc<Parts>, Instant)>>,
}

/// What works on leads. Shared; a later call of [`Cloud::parts`] may give others.
pub struct Parts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// As the environment and the secrets say.
    pub config: Config,
    /// Everything that is kept.
    pub store: Store,
    /// What SQS cannot keep.
    pub ledger: Arc<DatabaseLedger>,
    /// The steps.
    pub pipeline: Arc<Pipeline>,
    sqs: Option<Sqs>,
}

impl Cloud {
    /// Starts logs and metrics, and reads what is needed to call AWS.
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
            refused: Refused::default(),
            parts: Mutex::default(),
        })
    }

    /// What AWS clients are made from.
    pub fn aws(&self) -> &AwsConfig {
        &self.aws
    }

    /// Secrets Manager.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// To be told of failures: when credentials were refused, the next parts are made with what the secrets say then.
    pub fn refused(&self) -> &Refused {
        &self.refused
    }

    /// A variable of the environment, which must be there.
    pub fn variable(&self, name: &'static str) -> anyhow::Result<String> {
        Variables::of_process().text(name).ok_or_else(|| anyhow!("{name}: must be set"))
    }

    /// The queue that `QUEUE_URL` names, and the dead letter queue of `DLQ_URL`. Needs no database.
    pub fn sqs(&self) -> anyhow::Result<Sqs> {
        let dlq = Variables::of_process().text("DLQ_URL");
        Ok(Sqs::new(SqsClient::new(&self.aws), self.variable("QUEUE_URL")?, dlq))
    }

    /// The database of the environment.
    pub async fn database(&self) -> anyhow::Result<Database> {
        let place = Place::read(&Variables::of_process())?;
        // Boxed, here and below: the futures of all these clients would otherwise be one type, too deep to compile.
        let url = Box::pin(place.url(&self.aws, &self.secrets)).await?;
        Box::pin(Database::connect(url.expose_secret(), CONNECTIONS))
            .await
            .context("cannot open the database")
    }

    /// The parts that work on leads.
    pub async fn parts(&self) -> anyhow::Result<Arc<Parts>> {
        let mut kept = self.parts.lock().await;
        let refused = self.refused.is_noted();
        let renew_after = if refused { REFUSED_AGAIN_AFTER } else { RENEW_AFTER };
        if let Some((parts, made)) = kept.as_ref()
            && made.elapsed() < renew_after
        {
            return Ok(Arc::clone(parts));
        }
        // Before the secrets are read: what is refused meanwhile may be newer than they are.
        self.refused.forget();
        match Box::pin(self.make(refused)).await {
            Ok(parts) => {
                let parts = Arc::new(parts);
                if let Some((old, _)) = kept.replace((Arc::clone(&parts), Instant::now())) {
                    old.store.database().close().await;
                }
                Ok(parts)
            }
            // Better with what worked until now than not at all.
            Err(error) => match kept.as_ref() {
                Some((parts, _)) => {
                    tracing::warn!(error = format!("{error:#}"), "the parts could not be made anew");
                    Ok(Arc::clone(parts))
                }
                None => Err(error),
            },
        }
    }

    /// Ends an invocation: whatever was measured is written.
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
        let pipeline = Arc::new(assembly::pipeline(&config, &database, &clock, Some(&self.aws))?);
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
                Box::pin(self.secrets.get_anew(&arn)).await
            } else {
                Box::pin(self.secrets.get(&arn)).await
            };
            let text = text.context(name)?;
            // What is wrong with a secret's text would quote it.
            let object: HashMap<String, String> = serde_json::from_str(text.expose_secret())
                .map_err(|_| anyhow!("{name}: the secret is no JSON object of texts"))?;
            all.extend(object);
        }
        Ok(all)
    }
}

impl Parts {
    /// The queue, for who sends deliveries again: each at most once in such a span.
    pub fn queue(&self, resending_after: Duration) -> anyhow::Result<SqsQueue> {
        let sqs = self.sqs.clone().context("QUEUE_URL: must be set")?;
        let ledger = Arc::clone(&self.ledger);
        Ok(SqsQueue::new(sqs, ledger, Arc::clone(&self.clock), VISIBILITY).resending_after(resending_after))
    }
}
