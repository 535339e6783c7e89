use anyhow::Context as _;
use aws_sdk_sns::Client;
use runtime::aws::AwsConfig;

/// The SNS topic for alerts to people.
pub struct Alerts {
    client: Client,
    topic: String,
}

/// The longest subject that SNS allows, in characters.
const MAX_SUBJECT_CHARS: usize = 100;

impl Alerts {
    /// The topic with the given ARN.
    pub fn new(aws: &AwsConfig, topic: String) -> Self {
        Self { client: Client::new(aws), topic }
    }

    /// Publishes an alert to the topic's subscribers. The text leaves the system, so it must not hold
    /// personal data.
    pub async fn publish(&self, subject: &str, text: &str) -> anyhow::Result<()> {
        let subject: String = subject.chars().take(MAX_SUBJECT_CHARS).collect();
        let sent = self.client.publish().topic_arn(&self.topic).subject(subject).message(text).send().await;
        sent.map(drop).context("ALERT_TOPIC_ARN: cannot be published to")
    }
}
