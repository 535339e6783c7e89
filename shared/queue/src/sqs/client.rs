//! Calls to SQS: send, receive, hide, copy, delete and dead-letter.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::change_message_visibility_batch::ChangeMessageVisibilityBatchError;
use aws_sdk_sqs::operation::send_message::SendMessageError;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue, MessageSystemAttributeName,
    QueueAttributeName,
};
use jiff::Timestamp;
use lead::{Failure, LeadEvent};

use super::received::Received;
use crate::{Depth, QueueError};

const KEY: &str = Received::KEY;
const NOT_BEFORE: &str = Received::NOT_BEFORE;

/// Attribute of a dead letter: the number of tries.
const ATTEMPTS: &str = "attempts";
/// Attribute of a dead letter: the failure, as JSON.
const FAILURE: &str = "failure";

/// The longest visibility timeout, counted from the receive (SQS API reference, `ChangeMessageVisibility`: 12
/// hours), less a minute for the time since the receive.
const LONGEST_HIDDEN: Duration = Duration::from_mins(12 * 60 - 1);

/// The largest size of a message with its attributes, in bytes (Amazon SQS developer guide, message quotas: 1
/// MiB since August 2025).
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// The data type of the attributes. It counts towards the size.
const STRING: &str = "String";

/// The longest failure message of a dead letter, in characters.
const MAX_REASON_CHARS: usize = 1_000;

/// The operations of a FIFO queue that a batch processor needs.
#[async_trait]
pub trait Fifo: Send + Sync + 'static {
    /// Replaces a message by a copy at the end of its group, with the same key and a receive count of 0. FIFO
    /// queues have no delay for single messages: the copy carries `not_before`, and a consumer that receives
    /// it earlier hides it. After a crash in between, the message exists twice, which does no harm. Another
    /// call for the same message within five minutes sends nothing.
    async fn copy(&self, message: &Received, not_before: Option<Timestamp>) -> Result<(), QueueError>;

    /// Moves a message to the dead letter queue, with the reason. After a crash in between, the message is on
    /// both queues. Another call for the same message within five minutes sends nothing.
    async fn dead_letter(
        &self,
        message: &Received,
        attempts: u32,
        failure: &Failure,
    ) -> Result<(), QueueError>;

    /// Hides messages, given by their receipts, each for its own time from now. Receipts that are no longer
    /// valid are ignored.
    async fn hide(&self, waits: &[(String, Duration)]) -> Result<(), QueueError>;
}

/// A client of a FIFO queue and its dead letter queue.
#[derive(Clone)]
pub struct Sqs {
    client: Client,
    queue_url: String,
    /// `None` for senders.
    dlq_url: Option<String>,
}

impl Sqs {
    /// Creates a client for a queue by its URLs. Without `dlq_url`, dead-lettering fails.
    pub fn new(client: Client, queue_url: impl Into<String>, dlq_url: Option<String>) -> Self {
        Self { client, queue_url: queue_url.into(), dlq_url }
    }

    /// Sends an event. A second send with the same `deduplication` id within five minutes is dropped, which
    /// SQS does not report. Fails with [`QueueError::TooLarge`] if the event exceeds the size limit of SQS.
    pub async fn send(&self, event: &LeadEvent, deduplication: &str) -> Result<(), QueueError> {
        let body = serde_json::to_string(event).map_err(QueueError::unavailable)?;
        let key = event.delivery_id();
        self.post(&self.queue_url, body, event.lead_id.as_str(), deduplication, &[(KEY, key.as_str())]).await
    }

    /// Receives at most one message, without waiting.
    pub async fn receive(&self, hidden: Duration) -> Result<Option<Received>, QueueError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(1)
            .wait_time_seconds(0)
            .visibility_timeout(seconds(hidden))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .map_err(unavailable)?;
        Ok(answer.messages.unwrap_or_default().into_iter().next().and_then(Received::from_sqs))
    }

    /// Deletes a message. Fails with [`QueueError::LeaseLost`] if the receipt is no longer valid.
    pub async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        let deleted =
            self.client.delete_message().queue_url(&self.queue_url).receipt_handle(receipt).send().await;
        deleted.map(drop).map_err(lost_or_unavailable)
    }

    /// Hides one message for a time from now. Fails with [`QueueError::LeaseLost`] if the receipt is no
    /// longer valid.
    pub async fn hide_one(&self, receipt: &str, wait: Duration) -> Result<(), QueueError> {
        let hidden = self
            .client
            .change_message_visibility()
            .queue_url(&self.queue_url)
            .receipt_handle(receipt)
            .visibility_timeout(seconds(wait))
            .send()
            .await;
        hidden.map(drop).map_err(lost_or_unavailable)
    }

    /// The approximate depth of the queue. SQS does not report the age of the oldest message; it is 0.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.queue_url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .send()
            .await
            .map_err(unavailable)?;
        let attributes = answer.attributes.unwrap_or_default();
        let count =
            |name| attributes.get(&name).and_then(|count: &String| count.parse().ok()).unwrap_or(0u64);
        let in_flight = count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
        let waiting = count(QueueAttributeName::ApproximateNumberOfMessages);
        Ok(Depth { messages: waiting + in_flight, in_flight, oldest_age: Duration::ZERO })
    }

    /// The maximum receive count of the queue's redrive policy; `None` if it has no policy.
    pub(super) async fn max_receive_count(&self) -> Result<Option<u32>, QueueError> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.queue_url)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .send()
            .await
            .map_err(unavailable)?;
        let policy = answer.attributes.and_then(|mut all| all.remove(&QueueAttributeName::RedrivePolicy));
        policy.map(|policy| max_receive_count_of(&policy)).transpose()
    }

    /// Deletes a message that was moved or copied. The batch processor's answer to Lambda deletes it as well,
    /// but that answer may be lost.
    async fn remove(&self, message: &Received) {
        if let Err(error) = self.delete(&message.receipt).await {
            tracing::warn!(message_id = message.key, %error, "original of a moved message could not be deleted");
        }
    }

    async fn post(
        &self,
        url: &str,
        body: String,
        group: &str,
        deduplication: &str,
        attributes: &[(&str, &str)],
    ) -> Result<(), QueueError> {
        let body = escaped(body);
        let size = attributes
            .iter()
            .fold(body.len(), |size, (name, value)| size + name.len() + STRING.len() + value.len());
        if size > MAX_MESSAGE_BYTES {
            return Err(QueueError::TooLarge(size));
        }
        let mut message = self
            .client
            .send_message()
            .queue_url(url)
            .message_body(body)
            .message_group_id(group)
            .message_deduplication_id(deduplication);
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder().data_type(STRING).string_value(*value).build();
            message = message.message_attributes(*name, value.map_err(QueueError::unavailable)?);
        }
        message.send().await.map(drop).map_err(refused_or_unavailable)
    }
}

#[async_trait]
impl Fifo for Sqs {
    async fn copy(&self, message: &Received, not_before: Option<Timestamp>) -> Result<(), QueueError> {
        let deduplication = format!("copy-{}", message.message_id);
        let post = async |attributes: &[(&str, &str)]| {
            let (url, body) = (&self.queue_url, message.body.clone());
            self.post(url, body, &message.group, &deduplication, attributes).await
        };
        let key = (KEY, message.key.as_str());
        let posted = match not_before.map(|at| at.as_millisecond().to_string()) {
            None => post(&[key]).await,
            Some(at) => match post(&[key, (NOT_BEFORE, &at)]).await {
                // A message of maximum size has no room for the attribute: a try before `not_before` is
                // better than none.
                Err(QueueError::TooLarge(_) | QueueError::Refused(_)) => post(&[key]).await,
                posted => posted,
            },
        };
        posted?;
        self.remove(message).await;
        Ok(())
    }

    async fn dead_letter(
        &self,
        message: &Received,
        attempts: u32,
        failure: &Failure,
    ) -> Result<(), QueueError> {
        let url = self.dlq_url.as_ref().ok_or_else(|| QueueError::unavailable("no dead letter queue"))?;
        let short =
            Failure { message: failure.message.chars().take(MAX_REASON_CHARS).collect(), ..failure.clone() };
        let failure = serde_json::to_string(&short).map_err(QueueError::unavailable)?;
        let attributes =
            [(KEY, message.key.as_str()), (ATTEMPTS, &attempts.to_string()), (FAILURE, &escaped(failure))];
        // Not the key: the same delivery may be dead-lettered again soon after it was sent again.
        let deduplication = format!("dead-{}", message.message_id);
        self.post(url, message.body.clone(), &message.group, &deduplication, &attributes).await?;
        self.remove(message).await;
        Ok(())
    }

    async fn hide(&self, waits: &[(String, Duration)]) -> Result<(), QueueError> {
        for some in waits.chunks(10) {
            let mut call = self.client.change_message_visibility_batch().queue_url(&self.queue_url);
            for (index, (receipt, wait)) in some.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(receipt)
                    .visibility_timeout(seconds(*wait))
                    .build();
                call = call.entries(entry.map_err(QueueError::unavailable)?);
            }
            call.send().await.map_err(unavailable::<ChangeMessageVisibilityBatchError>)?;
        }
        Ok(())
    }
}

/// `maxReceiveCount` of a redrive policy, which is a number or, in answers to older clients, a text.
fn max_receive_count_of(policy: &str) -> Result<u32, QueueError> {
    let policy: serde_json::Value = serde_json::from_str(policy).map_err(QueueError::unavailable)?;
    let count = &policy["maxReceiveCount"];
    let number = count.as_u64().or_else(|| count.as_str()?.parse().ok());
    let number = number.and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| QueueError::unavailable("the queue's redrive policy has no maxReceiveCount"))
}

/// JSON without the two characters that SQS refuses and a person can type: U+FFFE and U+FFFF. JSON escapes
/// the other refused characters, which are control characters, anyway.
fn escaped(json: String) -> String {
    if json.contains(['\u{fffe}', '\u{ffff}']) {
        json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
    } else {
        json
    }
}

/// Whole seconds, rounded up, at most [`LONGEST_HIDDEN`].
fn seconds(wait: Duration) -> i32 {
    let wait = wait.min(LONGEST_HIDDEN);
    i32::try_from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).unwrap_or(i32::MAX)
}

fn unavailable<E>(error: SdkError<E>) -> QueueError
where
    E: std::error::Error + Send + Sync + 'static,
{
    QueueError::unavailable(DisplayErrorContext(error).to_string())
}

/// Classifies a failed send. A message that SQS refuses now it will refuse again. A queue may accept less
/// than [`MAX_MESSAGE_BYTES`] (`MaximumMessageSize`; queues created before August 2025 keep 256 KiB); SQS
/// then answers `InvalidParameterValue`.
fn refused_or_unavailable(error: SdkError<SendMessageError>) -> QueueError {
    let is_refused = match error.as_service_error() {
        Some(SendMessageError::InvalidMessageContents(_)) => true,
        Some(other) => other.code().is_some_and(|code| code.ends_with("InvalidParameterValue")),
        None => false,
    };
    if is_refused { QueueError::Refused(DisplayErrorContext(error).to_string()) } else { unavailable(error) }
}

fn lost_or_unavailable<E>(error: SdkError<E>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default();
    // An expired receipt handle gives `InvalidParameterValue`, one of a deleted message gives
    // `MessageNotInflight`.
    if ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"]
        .iter()
        .any(|lost| code.ends_with(lost))
    {
        QueueError::LeaseLost
    } else {
        unavailable(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_sqs_refuses_are_escaped_and_restored() {
        let text = "a\u{fffe}b\u{ffff}c\u{1}\u{fffd}\\";
        let json = escaped(serde_json::to_string(text).unwrap());
        assert!(!json.contains(['\u{fffe}', '\u{ffff}', '\u{1}']));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn max_receive_count_is_a_number_or_a_text() {
        let count = |policy: &str| max_receive_count_of(policy).ok();
        assert_eq!(count(r#"{"deadLetterTargetArn":"arn:x","maxReceiveCount":20}"#), Some(20));
        assert_eq!(count(r#"{"maxReceiveCount":"5"}"#), Some(5));
        for wrong in ["", "{}", r#"{"maxReceiveCount":-1}"#, r#"{"maxReceiveCount":null}"#] {
            assert_eq!(count(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn waits_are_whole_seconds_within_the_limit_of_sqs() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(16)), 16);
        assert_eq!(seconds(Duration::from_secs(1 << 40)), 43_140);
    }
}
