//! Requeueing deliveries that the queue has lost.

use janitor::{Checkpoint, Reconciled};
use lead::{LeadEvent, LeadStatus};
use on_both::on_both;
use testkit::fixtures::execute;

use crate::support::{Fixture, event, only};

#[on_both]
async fn delivery_missing_in_the_queue_is_sent_again(fixture: Fixture) {
    let (janitor, lost) = (fixture.janitor(), event(&fixture, "ann"));
    fixture.post(std::slice::from_ref(&lost), &[0]).await;
    fixture.advance(60);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "may be on its way to the queue");
    fixture.advance(1);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.requeued = 1));
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "now a duplicate");
    fixture.work().await;
    assert_eq!(fixture.store.lead(&lost.lead_id).await.unwrap().unwrap().status, LeadStatus::Synced);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "finished deliveries are not sent again");
    assert_eq!(fixture.queue.depth().await.unwrap().messages, 0);
}

#[on_both]
async fn queued_messages_are_not_duplicated(fixture: Fixture) {
    let events: Vec<_> = (0..5).map(|n| event(&fixture, &format!("person{n}"))).collect();
    fixture.post(&events, &[]).await;
    let leased = fixture.queue.receive(2).await.unwrap();
    assert_eq!(leased.len(), 2);
    fixture.advance(61);
    assert_eq!(fixture.janitor().round().await.unwrap(), only(|_| ()));
    assert_eq!(fixture.queue.depth().await.unwrap().messages, 5);
}

/// More than two batches wait; the last delivery is lost.
async fn a_backlog(fixture: &Fixture, seconds_apart: u64) -> Vec<LeadEvent> {
    let mut backlog = Vec::new();
    for n in 0..450 {
        backlog.push(event(fixture, &format!("person{n}")));
        fixture.advance(seconds_apart);
    }
    backlog.sort_by_key(|event| (event.received_at, event.delivery_id()));
    fixture.post(&backlog, &[449]).await;
    fixture.advance(61);
    backlog
}

async fn find_lost_delivery_behind_a_backlog(fixture: Fixture, seconds_apart: u64) {
    let janitor = fixture.janitor();
    a_backlog(&fixture, seconds_apart).await;
    for expected in [0, 0, 1, 0, 0, 0] {
        assert_eq!(janitor.round().await.unwrap(), only(|round| round.requeued = expected));
    }
    assert_eq!(fixture.queue.depth().await.unwrap().messages, 450);
}

#[on_both]
async fn backlog_is_checked_batch_by_batch(fixture: Fixture) {
    find_lost_delivery_behind_a_backlog(fixture, 1).await;
}

#[on_both]
async fn backlog_with_equal_times_is_checked_too(fixture: Fixture) {
    find_lost_delivery_behind_a_backlog(fixture, 0).await;
}

#[on_both]
async fn successive_janitors_continue_one_pass(fixture: Fixture) {
    let checkpoint = Checkpoint::default();
    a_backlog(&fixture, 1).await;
    for expected in [0, 0, 1, 0] {
        let janitor = fixture.janitor().with_checkpoint(&checkpoint);
        assert_eq!(janitor.round().await.unwrap(), only(|round| round.requeued = expected));
    }
}

#[on_both]
async fn finished_pass_starts_again(fixture: Fixture) {
    let janitor = fixture.janitor();
    let backlog = a_backlog(&fixture, 1).await;
    for _ in 0..3 {
        janitor.round().await.unwrap();
    }
    for table in ["queue_message", "queue_group"] {
        let lead = &backlog[0].lead_id;
        execute(&fixture.store, &format!("DELETE FROM {table} WHERE group_id = '{lead}'")).await;
    }
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.requeued = 1));
}

#[on_both]
async fn operator_can_reconcile_everything_at_once(fixture: Fixture) {
    let janitor = fixture.janitor();
    a_backlog(&fixture, 0).await;
    fixture.post(&[event(&fixture, "young")], &[0]).await;
    fixture.advance(1);
    let mut progress = Vec::new();
    let reconciled = janitor.reconcile_all(|looked_at| progress.push(looked_at)).await.unwrap();
    assert_eq!(reconciled, Reconciled { sent: 2, waiting: 449, elsewhere: 0 });
    assert_eq!(progress, [200, 400, 451]);
}
