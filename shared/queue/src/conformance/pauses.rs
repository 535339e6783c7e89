//! Pauses of consumption.

use std::time::Duration;

use jiff::Timestamp;
use lead::Dependency;

use super::{Harness, assert_nothing_to_receive, done, event, receive_one, send};

const AI: Dependency = Dependency::new("ai.conformance");
const CRM: Dependency = Dependency::new("crm.conformance");
const PROBE_AT: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// A pause applies to the whole queue, not to a handle, and lasts until it is resumed, regardless of `until`.
pub async fn pause_stops_every_handle_until_resumed(harness: &impl Harness) {
    let queue = harness.open().await;
    let other = harness.open().await;
    send(&queue, 1, 1).await;
    queue.pause(&AI, "quota", PROBE_AT).await.expect("pausing works");
    assert_nothing_to_receive(&queue).await;
    assert_nothing_to_receive(&other).await;
    assert_nothing_to_receive(&harness.open().await).await;
    let pauses = other.pauses().await.expect("pauses are known");
    assert_eq!(pauses.len(), 1);
    assert_eq!((&pauses[0].dependency, pauses[0].reason.as_str(), pauses[0].until), (&AI, "quota", PROBE_AT));
    other.resume(&AI).await.expect("resuming works");
    assert!(queue.pauses().await.expect("pauses are known").is_empty());
    receive_one(&queue, &event(1, 1)).await;
}

/// The recovery of one dependency does not end the pause for another.
pub async fn two_pauses_need_two_resumes(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 1).await;
    for dependency in [&AI, &CRM] {
        queue.pause(dependency, "breaker", PROBE_AT).await.expect("pausing works");
    }
    let since = queue.pauses().await.expect("pauses are known")[0].since;
    let later = PROBE_AT + Duration::from_mins(1);
    queue.pause(&AI, "quota", later).await.expect("pausing again works");
    let pauses = queue.pauses().await.expect("pauses are known");
    assert_eq!(pauses.len(), 2, "one a dependency");
    let ai = pauses.iter().find(|pause| pause.dependency == AI).expect("it is paused");
    assert_eq!((ai.reason.as_str(), ai.until, ai.since), ("quota", later, since));

    queue.resume(&AI).await.expect("resuming works");
    assert_nothing_to_receive(&queue).await;
    queue.resume(&AI).await.expect("resuming what is not paused does nothing");
    assert_nothing_to_receive(&queue).await;
    queue.resume(&CRM).await.expect("resuming works");
    receive_one(&queue, &event(1, 1)).await;
}

/// Sends continue during a pause, and messages leased before it can be finished.
pub async fn pause_stops_neither_sends_nor_work_in_progress(harness: &impl Harness) {
    let queue = harness.open().await;
    send(&queue, 1, 1).await;
    let message = receive_one(&queue, &event(1, 1)).await;
    queue.pause(&AI, "quota", PROBE_AT).await.expect("pausing works");
    send(&queue, 2, 1).await;
    queue.extend(&message.receipt).await.expect("the lease is ours");
    done(&queue, &message).await;
    assert_nothing_to_receive(&queue).await;
    queue.resume(&AI).await.expect("resuming works");
    receive_one(&queue, &event(2, 1)).await;
}
