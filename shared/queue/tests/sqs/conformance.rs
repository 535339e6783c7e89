//! The suite that every backend passes, but for what SQS does not promise. In place of each behaviour that is left out
//! stands what SQS does show.
//!
//! | left out | because on SQS |
//! |---|---|
//! | `a_delivery_that_is_still_in_the_queue_is_a_duplicate` | it is swallowed for five minutes, and nobody is told |
//! | `of_the_same_delivery_sent_at_once_one_is_accepted` | the same |
//! | `a_delivery_that_is_done_may_be_sent_again` | only after five minutes, or by [`queue::SqsQueue::resending_after`] |
//! | `a_dead_letter_lets_its_group_go_on` | its last step sends the same delivery again |
//! | `a_send_that_is_dropped_half_way_is_done_or_undone` | it asks whether the second send was a duplicate |
//! | `the_groups_that_have_been_ready_longest_come_first` | the order between groups is SQS's own |
//! | `the_depth_counts_what_waits_and_what_is_in_flight` | the age of the oldest message is a metric of CloudWatch |

use std::time::Duration;

use lead::Failure;
use queue::conformance::Harness as _;
use queue::{LeadQueue as _, Sent, Settlement};

use crate::support::{Fixture, event};

queue::conformance_tests! { @each Fixture::start();
    messages_survive_a_reopening
    messages_of_a_group_come_in_the_order_they_were_sent
    groups_do_not_wait_for_each_other
    at_most_one_message_of_a_group_is_in_flight
    two_consumers_share_the_work_without_doubles_and_in_order
    a_body_comes_back_as_it_was_sent
    a_retry_comes_after_its_delay_and_before_the_rest_of_its_group
    a_message_may_fail_five_times
    a_deferral_counts_no_attempt
    a_lease_that_runs_out_is_a_loss_and_no_attempt
    a_renewed_lease_does_not_run_out
    a_lost_lease_settles_nothing
    a_message_is_settled_once
    a_receive_that_is_dropped_half_way_loses_nothing
    a_settlement_that_is_dropped_half_way_is_done_or_undone
    a_pause_stops_every_handle_until_it_is_resumed
    two_pauses_need_two_resumes
    a_pause_stops_neither_senders_nor_work_in_progress
}

#[tokio::test]
async fn a_delivery_sent_again_within_five_minutes_is_one_message_and_both_senders_are_told_it_is_accepted() {
    let fixture = Fixture::start().await;
    let (one, other) = (fixture.open().await, fixture.open().await);
    for queue in [&one, &other, &one] {
        assert_eq!(queue.send(&event(1, 1)).await.unwrap(), Sent::Accepted);
    }
    let messages = one.receive(10).await.unwrap();
    assert_eq!(messages.len(), 1);
    one.settle(&messages[0].receipt, &Settlement::Done).await.unwrap();
    assert_eq!(one.send(&event(1, 1)).await.unwrap(), Sent::Accepted);
    assert!(one.receive(10).await.unwrap().is_empty(), "swallowed, although the first is done");
}

#[tokio::test]
async fn who_sends_deliveries_again_on_purpose_gets_them_through() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue().resending_after(Duration::from_secs(1));
    for _ in 0..2 {
        queue.send(&event(1, 1)).await.unwrap();
        let messages = queue.receive(10).await.unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].id, event(1, 1).delivery_id().as_str(), "its identity is the delivery's");
        queue.settle(&messages[0].receipt, &Settlement::Done).await.unwrap();
        fixture.advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_dead_letter_goes_to_its_queue_with_the_reason_and_lets_its_group_go_on() {
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
async fn the_depth_counts_what_waits_and_what_is_in_flight() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue();
    for lead in 1..=3 {
        queue.send(&event(lead, 1)).await.unwrap();
    }
    let received = queue.receive(1).await.unwrap();
    let depth = queue.depth().await.unwrap();
    assert_eq!((received.len(), depth.messages, depth.in_flight), (1, 3, 1));
}
