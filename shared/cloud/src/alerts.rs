use anyhow::Context as _;
use aws_sdk_sns::Client;
use runtime::aws::AwsConfig;

/// The topic that tells people.
pub struct Alerts {
    client: Client,
    topic: String,
}

/// SNS allows 100 characters.
const MAX_SUBJECT_CHARS: usize = 100;

impl Alerts {
    /// The topic of that ARN.
    pub fn new(aws: &AwsConfig, topic: String) -> Self {
        Self { client: Client::new(aws), topic }
    }

    /// Tells whoever listens. The text leaves the system, so it holds nothing personal.
    pub async fn publish(&self, subject: &str, text: &str) -> anyhow::Result<()> {
        let subject: String = subject.chars().take(MAX_SUBJECT_CHARS).collect();
        let sent = self.client.publish().topic_arn(&self.topic).subject(subject).message(text).send().await;
        sent.map(drop).context("ALERT_TOPIC_ARN: cannot be published to")
    }
}
