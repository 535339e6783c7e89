//! The conformance suite: the behaviour that every backend must show.
//!
//! A [`Harness`] opens a backend and advances time, and [`conformance_tests!`](crate::conformance_tests)
//! generates one named test for each behaviour. The suite does not depend on the backend. Waits are counted
//! in visibility timeouts and whole seconds, the smallest unit that every backend supports. A harness on a
//! real clock keeps its visibility timeout short, but long enough for a slow machine (some seconds).

#![allow(clippy::missing_panics_doc, reason = "these are tests: a missing behaviour is a panic")]

mod content;
mod delays;
mod interruptions;
mod leases;
mod order;
mod pauses;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{CampaignId, EmailAddress, Failure, Lead, LeadEvent};

pub use self::content::*;
pub use self::delays::*;
pub use self::interruptions::*;
pub use self::leases::*;
pub use self::order::*;
pub use self::pauses::*;
use crate::{LeadQueue, Message, QueueError, Sent, Settlement};

/// A backend with an empty queue, for one test.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Opens the queue as another process would: it shares the messages, but nothing in memory.
    async fn open(&self) -> Arc<dyn LeadQueue>;

    /// Advances time, by moving a clock or by waiting. Everything due within `by` is due afterwards.
    async fn advance(&self, by: Duration);
}

/// Generates one test for each behaviour. The argument is an expression for a future that resolves to a fresh
/// [`Harness`]. The calling crate needs `tokio` with its macros and the multi-threaded runtime.
///
/// ```text
/// mod sqlite {
///     queue::conformance_tests!(super::SqliteHarness::start());
/// }
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($start:expr) => {
        $crate::conformance_tests! { @each $start;
            messages_survive_a_restart
            group_messages_are_received_in_send_order
            groups_do_not_block_each_other
            at_most_one_message_of_a_group_is_in_flight
            longest_ready_groups_are_received_first
            two_consumers_receive_each_message_once_in_order
            queued_delivery_is_a_duplicate
            concurrent_sends_of_a_delivery_store_it_once
            completed_delivery_can_be_sent_again
            body_is_received_unchanged
            depth_counts_waiting_and_leased_messages
            retry_is_received_after_its_delay_and_before_its_group
            message_can_fail_five_times
            deferral_counts_no_attempt
            dead_letter_unblocks_its_group
            expired_lease_counts_as_a_loss_not_an_attempt
            a_renewed_lease_does_not_run_out
            lost_lease_settles_nothing
            released_message_is_ready_with_its_counts
            message_is_settled_once
            cancelled_send_is_atomic
            cancelled_receive_loses_nothing
            cancelled_settlement_is_atomic
            pause_stops_every_handle_until_resumed
            two_pauses_need_two_resumes
            pause_stops_neither_sends_nor_work_in_progress
        }
    };
    (@each $start:expr; $($behaviour:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                $crate::conformance::$behaviour(&$start.await).await;
            }
        )*
    };
}

/// The number of polls at an interval of [`POLL`] within which a backend must return a ready message.
const PATIENCE: u32 = 1200;
const POLL: Duration = Duration::from_millis(50);

const SECOND: Duration = Duration::from_secs(1);

/// The `n`th content of a lead.
fn event(lead: u32, n: u32) -> LeadEvent {
    let email = EmailAddress::parse(&format!("lead{lead}@example.com")).expect("a valid address");
    let campaign = CampaignId::parse("conformance").expect("a valid campaign");
    let mut lead = Lead::new(email, campaign);
    lead.title = Some(n.to_string());
    LeadEvent::new(lead, Timestamp::UNIX_EPOCH)
}

/// Sends the contents `1..=n` of a lead.
async fn send(queue: &Arc<dyn LeadQueue>, lead: u32, n: u32) {
    for n in 1..=n {
        assert_eq!(queue.send(&event(lead, n)).await.expect("sending works"), Sent::Accepted);
    }
}

/// Receives at least one message, polling as long as the backend may need.
async fn receive(queue: &Arc<dyn LeadQueue>, max: usize) -> Vec<Message> {
    for _ in 0..PATIENCE {
        let messages = queue.receive(max).await.expect("receiving works");
        if !messages.is_empty() {
            return messages;
        }
        tokio::time::sleep(POLL).await;
    }
    panic!("there is a message to receive");
}

/// Receives one message, which must be `expected`.
async fn receive_one(queue: &Arc<dyn LeadQueue>, expected: &LeadEvent) -> Message {
    let mut messages = receive(queue, 1).await;
    assert_eq!(messages.len(), 1, "at most as many as requested");
    let message = messages.remove(0);
    assert_eq!(content(&message), *expected);
    assert_eq!(message.id, expected.delivery_id().as_str());
    assert_eq!(message.group, expected.lead_id.as_str());
    message
}

async fn assert_nothing_to_receive(queue: &Arc<dyn LeadQueue>) {
    let messages = queue.receive(10).await.expect("receiving works");
    assert!(messages.is_empty(), "nothing is ready, yet received: {messages:?}");
}

fn content(message: &Message) -> LeadEvent {
    serde_json::from_str(&message.body).expect("a body is an event")
}

async fn settle(queue: &Arc<dyn LeadQueue>, message: &Message, settlement: &Settlement) {
    queue.settle(&message.receipt, settlement).await.expect("the lease is ours");
}

async fn done(queue: &Arc<dyn LeadQueue>, message: &Message) {
    settle(queue, message, &Settlement::Done).await;
}

fn failure() -> Failure {
    Failure::transient("conformance", "made to fail")
}

fn retry(after: Duration) -> Settlement {
    Settlement::Retry { after, failure: failure() }
}

fn defer(after: Duration) -> Settlement {
    Settlement::Defer { after, failure: failure() }
}

fn dead_letter() -> Settlement {
    Settlement::DeadLetter { failure: failure() }
}

/// Retries while the backend is unavailable, as a database is after a deadlock.
async fn until_available<T, A>(mut call: impl FnMut() -> A) -> T
where
    A: Future<Output = Result<T, QueueError>>,
{
    for _ in 0..PATIENCE {
        match call().await {
            Ok(answer) => return answer,
            Err(QueueError::Unavailable(_)) => tokio::time::sleep(POLL).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the queue stays unavailable");
}
