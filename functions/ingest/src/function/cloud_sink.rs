use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client as S3;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingest::{Acceptance, LeadSink, QuarantinedBody, SinkError};
use lead::LeadEvent;
use queue::{Sqs, SqsClient};
use runtime::aws::AwsConfig;
use runtime::{ConfigError, Variables};
use serde_json::json;

/// What the queue may take, with all tries. Marketo waits 30 s for its answer; API Gateway 29.
const QUEUE_BUDGET: Duration = Duration::from_secs(2);

/// What the bucket may take.
const OVERFLOW_BUDGET: Duration = Duration::from_secs(3);

/// Puts leads on the queue of `QUEUE_URL` and, when that refuses, into `OVERFLOW_BUCKET`, from where the janitor takes
/// them to the queue. Broken bodies go there as well.
pub(crate) struct CloudSink {
    sqs: Sqs,
    s3: S3,
    bucket: String,
}

impl CloudSink {
    pub(crate) fn new(variables: &Variables<'_>, aws: &AwsConfig) -> Result<Self, ConfigError> {
        let needed =
            |name| variables.text(name).ok_or_else(|| ConfigError::new(name, "must be set to take in leads"));
        // An emulator knows a bucket by its path, since its host has no other names.
        let s3 =
            aws_sdk_s3::config::Builder::from(aws).force_path_style(aws.endpoint_url().is_some()).build();
        Ok(Self {
            sqs: Sqs::new(SqsClient::new(aws), needed("QUEUE_URL")?, None),
            s3: S3::from_conf(s3),
            bucket: needed("OVERFLOW_BUCKET")?,
        })
    }

    async fn put(&self, key: String, body: Vec<u8>) -> Result<(), SinkError> {
        let put = self.s3.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(body)).send();
        match tokio::time::timeout(OVERFLOW_BUDGET, put).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(SinkError::new(aws_sdk_s3::error::DisplayErrorContext(error).to_string())),
            Err(_) => Err(SinkError::new("the overflow bucket did not answer in time")),
        }
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
