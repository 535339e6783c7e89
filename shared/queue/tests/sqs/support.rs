//! A separate queue for each test.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use jiff::Timestamp;
use lead::{Clock, LeadEvent, SystemClock};
use queue::conformance::Harness;
use queue::{LeadQueue, MemoryLedger, Sqs, SqsClient, SqsQueue};
use runtime::Variables;
use testkit::fixtures;

/// The receive limit of the queues with a redrive policy. Workers read it from the queue.
const MAX_RECEIVE_COUNT: u32 = 5;

/// Long enough for a slow machine, yet tests wait for it to expire.
pub(crate) const VISIBILITY: Duration = Duration::from_secs(10);

pub(crate) struct Fixture {
    client: SqsClient,
    ledger: MemoryLedger,
    queue_url: String,
    dlq_url: String,
}

impl Fixture {
    /// A queue without a redrive policy, so that the tests see only our own handling of messages.
    pub(crate) async fn start() -> Self {
        Self::create(false, &[]).await
    }

    /// A queue that accepts messages of at most `bytes` bytes.
    pub(crate) async fn taking(bytes: usize) -> Self {
        Self::create(false, &[(Attribute::MaximumMessageSize, bytes.to_string())]).await
    }

    /// A queue that dead-letters a message after [`MAX_RECEIVE_COUNT`] receives.
    pub(crate) async fn with_redrive() -> Self {
        Self::create(true, &[]).await
    }

    async fn create(has_redrive: bool, attributes: &[(Attribute, String)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(
            std::env::var("AWS_ENDPOINT_URL").is_ok(),
            "AWS_ENDPOINT_URL names an emulator to test on: run localstack/with-ministack"
        );
        let emulator = |name: &str| std::env::var(name).ok().or_else(|| Some("test".to_owned()));
        let variables = Variables::from_fn(|name| match name {
            "AWS_REGION" => Some("us-east-1".to_owned()),
            "AWS_ENDPOINT_URL" => std::env::var(name).ok(),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => emulator(name),
            _ => None,
        });
        let client = SqsClient::new(&runtime::aws::aws_config(&variables).unwrap());
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Process ids are reused, and the emulator keeps its queues.
        let name = format!("test-{}-{}-{number}", std::process::id(), Timestamp::now().as_microsecond());
        let dlq_url = create_queue(&client, &format!("{name}-dlq.fifo"), None, &[]).await;
        let redrive = if has_redrive { Some(queue_arn(&client, &dlq_url).await) } else { None };
        let queue_url = create_queue(&client, &format!("{name}.fifo"), redrive, attributes).await;
        Self { client, ledger: MemoryLedger::new(Arc::new(SystemClock)), queue_url, dlq_url }
    }

    pub(crate) fn queue(&self) -> SqsQueue {
        self.queue_on(self.client.clone(), self.ledger.clone(), Arc::new(SystemClock))
    }

    /// A handle with this clock and its own ledger.
    pub(crate) fn queue_at(&self, clock: Arc<dyn Clock>) -> SqsQueue {
        self.queue_on(self.client.clone(), MemoryLedger::new(Arc::clone(&clock)), clock)
    }

    /// A handle with an address at which nothing listens.
    pub(crate) fn unreachable_queue(&self) -> SqsQueue {
        let nowhere = self.client.config().to_builder().endpoint_url("http://127.0.0.1:9");
        let client = SqsClient::from_conf(nowhere.build());
        self.queue_on(client, self.ledger.clone(), Arc::new(SystemClock))
    }

    /// The client of the queue, as the batch processor uses it.
    pub(crate) fn sqs(&self) -> Sqs {
        self.sqs_on(self.client.clone())
    }

    fn sqs_on(&self, client: SqsClient) -> Sqs {
        Sqs::new(client, &self.queue_url, Some(self.dlq_url.clone()))
    }

    fn queue_on(&self, client: SqsClient, ledger: MemoryLedger, clock: Arc<dyn Clock>) -> SqsQueue {
        SqsQueue::new(self.sqs_on(client), Arc::new(ledger), clock, VISIBILITY)
    }

    /// The attributes and the body of each message in the dead letter queue.
    pub(crate) async fn dead_letters(&self) -> Vec<(HashMap<String, String>, String)> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.dlq_url)
            .max_number_of_messages(10)
            .message_attribute_names("All")
            .send()
            .await
            .unwrap();
        let messages = answer.messages.unwrap_or_default().into_iter().map(|message| {
            let attributes = message.message_attributes.unwrap_or_default().into_iter();
            let texts = attributes.map(|(name, value)| (name, value.string_value.unwrap())).collect();
            (texts, message.body.unwrap())
        });
        messages.collect()
    }
}

#[async_trait]
impl Harness for Fixture {
    async fn open(&self) -> Arc<dyn LeadQueue> {
        Arc::new(self.queue())
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by + Duration::from_millis(50)).await;
    }
}

async fn create_queue(
    client: &SqsClient,
    name: &str,
    dead_letters_to: Option<String>,
    attributes: &[(Attribute, String)],
) -> String {
    let mut create = client.create_queue().queue_name(name).attributes(Attribute::FifoQueue, "true");
    for (attribute, value) in attributes {
        create = create.attributes(attribute.clone(), value);
    }
    if let Some(arn) = dead_letters_to {
        let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{MAX_RECEIVE_COUNT}}}"#);
        create = create.attributes(Attribute::RedrivePolicy, policy);
    }
    create.send().await.unwrap().queue_url.unwrap()
}

async fn queue_arn(client: &SqsClient, url: &str) -> String {
    let call = client.get_queue_attributes().queue_url(url).attribute_names(Attribute::QueueArn);
    call.send().await.unwrap().attributes.unwrap().remove(&Attribute::QueueArn).unwrap()
}

/// The `n`th content of a lead.
pub(crate) fn event(lead: u32, n: u32) -> LeadEvent {
    fixtures::event(&format!("lead{lead}"), &n.to_string(), 0)
}
