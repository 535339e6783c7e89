//! The Lambda function on the dead letter queue.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use cloud::{Alerts, Cloud};
use dead_letter::{DeadLetters, Notify};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use runtime::Variables;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let cloud = Arc::new(Cloud::start()?);
    let notify = Arc::new(PeopleAlerts::from_environment(Arc::clone(&cloud)));
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let parts = cloud.parts().await?;
        let (store, ledger) = (parts.store.clone(), Arc::clone(&parts.ledger));
        let letters = DeadLetters::new(store, ledger, Arc::clone(&notify) as _);
        let ids = Box::pin(letters.take(event.payload)).await;
        cloud.flush();
        let mut answer = SqsBatchResponse::default();
        answer.set_failures(ids);
        Ok::<_, Error>(answer)
    }))
    .await
}

/// Alerts the topic of `ALERT_TOPIC_ARN` and the Slack-compatible address in `ALERT_WEBHOOK_SECRET_ARN`,
/// where they are set.
struct PeopleAlerts {
    cloud: Arc<Cloud>,
    topic: Option<Alerts>,
    webhook: Option<String>,
    http: reqwest::Client,
}

impl PeopleAlerts {
    fn from_environment(cloud: Arc<Cloud>) -> Self {
        let variables = Variables::of_process();
        let topic = variables.text("ALERT_TOPIC_ARN").map(|topic| Alerts::new(cloud.aws(), topic));
        let webhook = variables.text("ALERT_WEBHOOK_SECRET_ARN");
        Self { cloud, topic, webhook, http: reqwest::Client::new() }
    }

    async fn post(&self, arn: &str, text: &str) -> anyhow::Result<()> {
        let address: SecretString = self.cloud.secrets().get(arn).await?;
        let body = json!({ "text": text }).to_string();
        let request = self.http.post(address.expose_secret().trim()).timeout(WEBHOOK_TIMEOUT);
        let answer = request.header("content-type", "application/json").body(body).send().await;
        // The address is a secret.
        answer
            .and_then(reqwest::Response::error_for_status)
            .map_err(reqwest::Error::without_url)
            .context("webhook")?;
        Ok(())
    }
}

#[async_trait]
impl Notify for PeopleAlerts {
    async fn notify(&self, subject: &str, text: &str) {
        let mut sent = Vec::new();
        if let Some(topic) = &self.topic {
            sent.push(topic.publish(subject, text).await);
        }
        if let Some(webhook) = &self.webhook {
            sent.push(self.post(webhook, &format!("{subject}\n{text}")).await);
        }
        for error in sent.into_iter().filter_map(Result::err) {
            metrics::counter!("revenueflow_alert_failures_total").increment(1);
            tracing::error!(error = format!("{error:#}"), "an alert could not be sent");
        }
    }
}
