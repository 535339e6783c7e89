use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingest::{Acceptance, LeadSink, QuarantinedBody, SinkError};
use lead::LeadEvent;
use queue::{Sqs, SqsClient};
use runtime::aws::AwsConfig;
use runtime::{ConfigError, Variables};
use serde_json::json;

use crate::bucket::Bucket;

/// The time limit for the queue with all retries. Marketo waits 30 s for its answer, API Gateway 29 s.
const QUEUE_BUDGET: Duration = Duration::from_secs(2);

/// The time limit for one try: short enough that one that hangs leaves time for another connection.
const QUEUE_TRY: Duration = Duration::from_millis(700);

/// The longest wait before the second try; twice that before the third.
const QUEUE_BACKOFF: Duration = Duration::from_millis(50);

/// The time limit for the bucket.
const OVERFLOW_BUDGET: Duration = Duration::from_secs(3);

/// Sends leads to the queue of `QUEUE_URL` or, when that fails, writes them to `OVERFLOW_BUCKET`, from which
/// the janitor moves them to the queue. Rejected bodies are also written there.
pub(crate) struct CloudSink {
    sqs: Sqs,
    bucket: Bucket,
}

impl CloudSink {
    pub(crate) fn new(variables: &Variables<'_>, aws: &AwsConfig) -> Result<Self, ConfigError> {
        let queue = variables.text("QUEUE_URL");
        let queue = queue.ok_or_else(|| ConfigError::new("QUEUE_URL", "must be set to accept leads"))?;
        Ok(Self {
            sqs: Sqs::new(
                SqsClient::new(&runtime::aws::with_short_timeouts(aws, QUEUE_TRY, QUEUE_BACKOFF)),
                queue,
                None,
            ),
            bucket: Bucket::named("OVERFLOW_BUCKET", variables, aws)?,
        })
    }

    async fn put(&self, key: String, body: Vec<u8>) -> Result<(), SinkError> {
        let late = |_| Err(SinkError::new("the overflow bucket did not answer in time"));
        tokio::time::timeout(OVERFLOW_BUDGET, self.bucket.put(&key, body)).await.unwrap_or_else(late)
    }
}

#[async_trait]
impl LeadSink for CloudSink {
    /// Accepts duplicates, because neither SQS nor the bucket reports them.
    async fn accept(&self, event: &LeadEvent) -> Result<Acceptance, SinkError> {
        let delivery = event.delivery_id();
        let refused = match tokio::time::timeout(QUEUE_BUDGET, self.sqs.send(event, delivery.as_str())).await
        {
            Ok(Ok(())) => return Ok(Acceptance::Accepted),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        metrics::counter!("revenueflow_overflow_total").increment(1);
        tracing::warn!(lead_id = %event.lead_id, error = refused, "lead not queued; writing it to the overflow bucket");
        let body = serde_json::to_vec(event).map_err(SinkError::new)?;
        self.put(format!("leads/{delivery}.json"), body).await?;
        Ok(Acceptance::Accepted)
    }

    async fn quarantine(&self, item: &QuarantinedBody) -> Result<(), SinkError> {
        let kept = json!({
            "id": item.id,
            "sender": item.sender,
            "error": item.rejection.error,
            "field": item.rejection.field,
            "message": item.rejection.message,
            "content_type": item.content_type,
            "received_at": item.received_at,
            "body": STANDARD.encode(item.body.expose()),
        });
        self.put(format!("quarantine/{}.json", item.id), kept.to_string().into_bytes()).await
    }
}
