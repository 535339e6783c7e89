//! The behaviour every backend must show, as one suite.
//!
//! A backend says in a [`Harness`] how it is opened and how time passes, and
//! [`conformance_tests!`](crate::conformance_tests) makes one test of each behaviour, so that a failure has a name.
//! Nothing in the suite knows the backend. Waits are counted in visibility timeouts and whole seconds, the smallest
//! unit that every backend has; a harness on a real clock keeps its visibility timeout short, yet long enough for
//! a slow machine (some seconds).

#![allow(clippy::missing_panics_doc, reason = "a behaviour that is not shown is a panic: these are tests")]

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

/// One backend with an empty queue, for one test.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Opens the queue as another process would: the same messages, nothing shared in memory.
    async fn open(&self) -> Arc<dyn LeadQueue>;

    /// Lets time pass, by moving a clock or by waiting. Everything that was due within `by` is due afterwards.
    async fn advance(&self, by: Duration);
}

/// Makes one test of each behaviour. Takes an expression whose value is a future of a fresh [`Harness`]; the crate
/// that uses it has `tokio` with its macros and the multi-threaded runtime.
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
            messages_survive_a_reopening
            messages_of_a_group_come_in_the_order_they_were_sent
            groups_do_not_wait_for_each_other
            at_most_one_message_of_a_group_is_in_flight
            the_groups_that_have_been_ready_longest_come_first
            two_consumers_share_the_work_without_doubles_and_in_order
            a_delivery_that_is_still_in_the_queue_is_a_duplicate
            of_the_same_delivery_sent_at_once_one_is_accepted
            a_delivery_that_is_done_may_be_sent_again
            a_body_comes_back_as_it_was_sent
            the_depth_counts_what_waits_and_what_is_in_flight
            a_retry_comes_after_its_delay_and_before_the_rest_of_its_group
            a_message_may_fail_five_times
            a_deferral_counts_no_attempt
            a_dead_letter_lets_its_group_go_on
            a_lease_that_runs_out_is_a_loss_and_no_attempt
            a_renewed_lease_does_not_run_out
            a_lost_lease_settles_nothing
            a_message_is_settled_once
            a_send_that_is_dropped_half_way_is_done_or_undone
            a_receive_that_is_dropped_half_way_loses_nothing
            a_settlement_that_is_dropped_half_way_is_done_or_undone
            a_pause_stops_every_handle_until_it_is_resumed
            two_pauses_need_two_resumes
            a_pause_stops_neither_senders_nor_work_in_progress
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

/// How long a backend may take to show what is ready, in polls of [`POLL`].
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

/// Receives at least one message, giving the backend the time it may need.
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

/// Receives one message, which must be this content.
async fn receive_one(queue: &Arc<dyn LeadQueue>, expected: &LeadEvent) -> Message {
    let mut messages = receive(queue, 1).await;
    assert_eq!(messages.len(), 1, "as many as asked for at most");
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

/// A backend may ask to be asked again, as a database does after a deadlock.
async fn until_available<T, A>(mut ask: impl FnMut() -> A) -> T
where
    A: Future<Output = Result<T, QueueError>>,
{
    for _ in 0..PATIENCE {
        match ask().await {
            Ok(answer) => return answer,
            Err(QueueError::Unavailable(_)) => tokio::time::sleep(POLL).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the queue stays unavailable");
}
