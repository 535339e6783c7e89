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

/// What the queue may take, with all tries. Marketo waits 30 s for its answer; API Gateway 29.
const QUEUE_BUDGET: Duration = Duration::from_secs(2);

/// One try on the queue: short enough that a try that hangs leaves time for another, on another connection.
const QUEUE_TRY: Duration = Duration::from_millis(700);

/// How long to wait before the second try, at most; twice that before the third.
const QUEUE_BACKOFF: Duration = Duration::from_millis(50);

/// What the bucket may take.
const OVERFLOW_BUDGET: Duration = Duration::from_secs(3);

/// Puts leads on the queue of `QUEUE_URL` and, when that refuses, into `OVERFLOW_BUCKET`, from where the janitor takes
/// them to the queue. Broken bodies go there as well.
pub(crate) struct CloudSink {
    sqs: Sqs,
    bucket: Bucket,
}

impl CloudSink {
    pub(crate) fn new(variables: &Variables<'_>, aws: &AwsConfig) -> Result<Self, ConfigError> {
        let queue = variables.text("QUEUE_URL");
        let queue = queue.ok_or_else(|| ConfigError::new("QUEUE_URL", "must be set to take in leads"))?;
        Ok(Self {
            sqs: Sqs::new(SqsClient::new(&runtime::aws::hurried(aws, QUEUE_TRY, QUEUE_BACKOFF)), queue, None),
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
    /// A duplicate is taken too, since neither SQS nor the bucket says that it is one.
    async fn accept(&self, event: &LeadEvent) -> Result<Acceptance, SinkError> {
        let delivery = event.delivery_id();
        let refused = match tokio::time::timeout(QUEUE_BUDGET, self.sqs.send(event, delivery.as_str())).await
        {
            Ok(Ok(())) => return Ok(Acceptance::Accepted),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        metrics::counter!("revenueflow_overflow_total").increment(1);
        tracing::warn!(lead_id = %event.lead_id, error = refused, "the queue refused a lead: it goes to the bucket");
        let body = serde_json::to_vec(event).map_err(SinkError::new)?;
        self.put(format!("leads/{delivery}.json"), body).await?;
        Ok(Acceptance::Accepted)
    }

    async fn quarantine(&self, item: &QuarantinedBody) -> Result<(), SinkError> {
        let kept = json!({
            "id": item.id,
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
