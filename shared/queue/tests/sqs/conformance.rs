//! The conformance suite without the behaviours that SQS does not offer. A test of the actual behaviour of
//! SQS replaces each of them.
//!
//! | left out | because on SQS |
//! |---|---|
//! | `queued_delivery_is_a_duplicate` | the duplicate is dropped silently, and only within five minutes |
//! | `concurrent_sends_of_a_delivery_store_it_once` | the same |
//! | `completed_delivery_can_be_sent_again` | only after five minutes, or by [`queue::SqsQueue::resending_after`] |
//! | `dead_letter_unblocks_its_group` | its last step sends the same delivery again |
//! | `cancelled_send_is_atomic` | it checks that the second send is a duplicate |
//! | `longest_ready_groups_are_received_first` | SQS chooses the order between groups |
//! | `depth_counts_waiting_and_leased_messages` | the age of the oldest message is a CloudWatch metric |

use std::time::Duration;

use lead::Failure;
use queue::conformance::Harness as _;
use queue::{LeadQueue as _, Sent, Settlement};

use crate::support::{Fixture, event};

queue::conformance_tests! { @each Fixture::start();
    messages_survive_a_restart
    group_messages_are_received_in_send_order
    groups_do_not_block_each_other
    at_most_one_message_of_a_group_is_in_flight
    two_consumers_receive_each_message_once_in_order
    body_is_received_unchanged
    retry_is_received_after_its_delay_and_before_its_group
    message_can_fail_five_times
    deferral_counts_no_attempt
    expired_lease_counts_as_a_loss_not_an_attempt
    a_renewed_lease_does_not_run_out
    lost_lease_settles_nothing
    message_is_settled_once
    cancelled_receive_loses_nothing
    cancelled_settlement_is_atomic
    pause_stops_every_handle_until_resumed
    two_pauses_need_two_resumes
    pause_stops_neither_sends_nor_work_in_progress
}

#[tokio::test]
async fn delivery_sent_again_within_five_minutes_is_dropped_silently() {
    let fixture = Fixture::start().await;
    let (one, other) = (fixture.open().await, fixture.open().await);
    for queue in [&one, &other, &one] {
        assert_eq!(queue.send(&event(1, 1)).await.unwrap(), Sent::Accepted);
    }
    let messages = one.receive(10).await.unwrap();
    assert_eq!(messages.len(), 1);
    one.settle(&messages[0].receipt, &Settlement::Done).await.unwrap();
    assert_eq!(one.send(&event(1, 1)).await.unwrap(), Sent::Accepted);
    assert!(one.receive(10).await.unwrap().is_empty(), "dropped, although the first is done");
}

#[tokio::test]
async fn resending_after_bypasses_deduplication() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue().resending_after(Duration::from_secs(1));
    for _ in 0..2 {
        queue.send(&event(1, 1)).await.unwrap();
        let messages = queue.receive(10).await.unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].id, event(1, 1).delivery_id().as_str(), "its id is the delivery id");
        queue.settle(&messages[0].receipt, &Settlement::Done).await.unwrap();
        fixture.advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn dead_letter_carries_its_reason_and_unblocks_its_group() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue();
    for n in 1..=2 {
        queue.send(&event(1, n)).await.unwrap();
    }
    let first = &queue.receive(1).await.unwrap()[0];
    let failure = Failure::permanent("refused", "no such country");
    queue.settle(&first.receipt, &Settlement::DeadLetter { failure: failure.clone() }).await.unwrap();
    assert_eq!(queue.receive(1).await.unwrap()[0].id, event(1, 2).delivery_id().as_str());

    let dead = fixture.dead_letters().await;
    assert_eq!(dead.len(), 1);
    let (attributes, body) = &dead[0];
    assert_eq!(serde_json::from_str::<lead::LeadEvent>(body).unwrap(), event(1, 1));
    assert_eq!(attributes["key"], event(1, 1).delivery_id().as_str());
    assert_eq!(attributes["attempts"], "1");
    assert_eq!(serde_json::from_str::<Failure>(&attributes["failure"]).unwrap(), failure);
}

#[tokio::test]
async fn depth_counts_waiting_and_leased_messages() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue();
    for lead in 1..=3 {
        queue.send(&event(lead, 1)).await.unwrap();
    }
    let received = queue.receive(1).await.unwrap();
    let depth = queue.depth().await.unwrap();
    assert_eq!((received.len(), depth.messages, depth.in_flight), (1, 3, 1));
}
